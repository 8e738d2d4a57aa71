"""Setting machines up, with tools of Debian that are scripts here, and the real pip."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgekit.errors import MissingDependency
from edgekit.pipeline.proving import emulation
from edgekit.runtimes.machines import AARCH64, WITHOUT_VNNI, Machine, Wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    Install = Callable[[str, str], None]

# apt-get: its last arguments say what is wanted; it writes down what it was asked.
APT = r"""
import os, pathlib, sys
words = [w for i, w in enumerate(sys.argv[1:]) if w != "-o" and sys.argv[i] != "-o"]
with open(os.environ["LOG"], "a") as log:
    log.write(" ".join(w for w in words if not w.startswith("-")) + "\n")
if "indextargets" in words:
    print("noble http://ubuntu.example/ubuntu")
    print("bookworm-security http://debian.example/security")
    print("bookworm http://debian.example/debian")
elif "update" in words:
    sources = next(w for w in sys.argv if w.startswith("Dir::Etc::sourcelist=")).partition("=")[2]
    assert "http://debian.example/debian trixie main" in pathlib.Path(sources).read_text()
elif "download" in words:
    package = words[-1].partition(":")[0]
    pathlib.Path(f"{package}_1_all.deb").write_text(package)
"""
# dpkg-deb: unpacks the emulators, or one file named after the package.
DPKG_DEB = r"""
import io, pathlib, sys, tarfile
package = pathlib.Path(sys.argv[2]).read_text()
if sys.argv[1] == "--fsys-tarfile":
    emulator = b'#!/bin/sh\n[ "$1" = --version ] && echo "qemu version 10.0.13 (Debian)" && exit\nshift 4\nexec "$@"\n'
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        for name in ("qemu-mips", "qemu-x86_64", "qemu-aarch64"):
            member = tarfile.TarInfo(f"./usr/bin/{name}")
            member.size = len(emulator)
            archive.addfile(member, io.BytesIO(emulator))
else:
    place = pathlib.Path(sys.argv[3]) / "usr" / "bin"
    place.mkdir(parents=True, exist_ok=True)
    (place / package).touch()
    if package == "python3.11-minimal":
        (place / "python3.11").symlink_to(sys.executable)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What apt-get was asked, a line a call."""
    return tmp_path / "log"


@pytest.fixture
def debian(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A Debian with an empty cache; installs tools, or worse ones in their place."""
    tools = tmp_path / "tools"
    tools.mkdir()
    keyring = tmp_path / "keyring.gpg"
    keyring.touch()

    def install(name: str, code: str) -> None:
        (tools / name).write_text(f"#!{sys.executable} -S\n{code}", encoding="utf-8")
        (tools / name).chmod(0o755)

    install("apt-get", APT)
    install("dpkg-deb", DPKG_DEB)
    install("dpkg", "print('amd64')")
    monkeypatch.setattr(emulation, "_KEYRING", keyring)
    monkeypatch.setenv("LOG", str(log))
    monkeypatch.setenv("PATH", os.pathsep.join([str(tools), os.defpath]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return install


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    """A package that pip finds in a folder, and nowhere else."""
    path = tmp_path / "wheels" / "tiny-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return Wheel("tiny", "1.0", hashlib.sha256(path.read_bytes()).hexdigest())


def arm(*wheels: Wheel) -> Machine:
    return Machine("aarch64", "aarch64", "qemu-aarch64", {"cortex-a76": "Cortex-A76"}, wheels)


@pytest.mark.usefixtures("debian")
def test_x86_needs_the_emulator_and_facts_of_a_processor(log: Path) -> None:
    stages: list[str] = []
    found = emulation.set_up(WITHOUT_VNNI, progress=lambda stage, done, _: stages.append(stage) if done == 0 else None)
    assert (found.emulator, found.processors, found.packages) == ("QEMU 10.0.13", ("Haswell",), ())
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert sorted(path.name for path in found.folder.iterdir()) == ["qemu-x86_64", "root"]
    assert (found.folder / "root" / "proc" / "cpuinfo").read_text(encoding="ascii") == emulation.HASWELL_CPUINFO
    assert log.read_text().split("\n")[-2:] == ["download qemu-user:amd64/trixie", ""]
    assert stages == ["reading Debian's lists of packages", "fetching the emulator", "starting it"]
    assert WITHOUT_VNNI.missing() is None


@pytest.mark.usefixtures("debian")
def test_aarch64_also_gets_a_debian_and_wheels_and_what_is_there_stays(wheel: Wheel, log: Path) -> None:
    machine = arm(wheel)
    found = emulation.set_up(machine)
    assert found.packages == ("tiny 1.0",)
    assert sorted(path.name for path in found.folder.iterdir()) == ["qemu-aarch64", "root", "tiny-1.0"]
    assert (found.folder / "tiny-1.0" / "tiny.py").is_file()
    assert "download libc6:arm64/bookworm" in log.read_text().split("\n")
    assert machine.missing() is None
    log.unlink()
    assert emulation.set_up(machine) == found
    assert not log.exists()


def test_a_run_that_fails_leaves_whole_parts(debian: Install, wheel: Wheel, log: Path) -> None:
    lacks_libc = "if words[-1].startswith('libc6'):\n    sys.exit('E: no such package')\n"
    debian("apt-get", APT + lacks_libc)
    machine = arm(wheel)
    with pytest.raises(
        MissingDependency, match=r"^apt-get failed \(E: no such package\): the same command tries again$"
    ):
        emulation.set_up(machine)
    assert [path.name for path in machine.folder.iterdir()] == ["qemu-aarch64"]
    log.unlink()
    debian("apt-get", APT)
    emulation.set_up(machine)
    assert "qemu-user" not in log.read_text()
    assert machine.missing() is None


@pytest.mark.usefixtures("debian")
def test_a_wheel_that_is_not_the_one_that_was_tested(wheel: Wheel) -> None:
    machine = arm(Wheel(wheel.package, wheel.version, "0" * 64))
    with pytest.raises(MissingDependency, match=r"failed \(ERROR: .*HASH.*\)"):
        emulation.set_up(machine)
    assert machine.missing() is not None
    assert not list(machine.folder.glob("*tiny*"))


@pytest.mark.parametrize("tool", ["apt-get", "dpkg", "dpkg-deb"])
def test_a_system_that_is_not_debian(
    debian: Install, tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tools" / tool).unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "tools"))
    with pytest.raises(MissingDependency, match=f"^{tool} is not installed, and .* Debian, or in a container of it$"):
        emulation.set_up(AARCH64)


def test_apt_without_debian(debian: Install) -> None:
    debian("apt-get", "print('noble http://ubuntu.example/ubuntu')")
    with pytest.raises(MissingDependency, match="apt on this machine has no source of Debian's packages"):
        emulation.set_up(WITHOUT_VNNI)


@pytest.mark.usefixtures("debian")
def test_without_debians_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulation, "_KEYRING", Path("/nowhere/keyring.gpg"))
    with pytest.raises(MissingDependency, match="apt-get install debian-archive-keyring"):
        emulation.set_up(WITHOUT_VNNI)
