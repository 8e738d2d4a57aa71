"""Set up an emulated machine: QEMU and a small Debian from apt's packages, runtimes from pip's wheels, nothing as root.

apt and pip do the downloading and check signatures and hashes; what they fetch is unpacked into one folder, and the
system stays as it is. Each part appears when it is whole, so that a run which was interrupted goes on where it stood.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit import files
from edgekit.errors import MissingDependency
from edgekit.progress import Progress, silent
from edgekit.runtimes.machines import PYTHON, Machine, Wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# QEMU 10 tells programs of the processor that it emulates. QEMU 7 shows them ours, and newer runtimes crash over that.
_QEMU: Final = ("trixie", "qemu-user")
_PYTHON_SUITE: Final = "bookworm"
_PYTHON_PACKAGES: Final = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1", "libstdc++6"),
    *("libbz2-1.0", "libexpat1", "libffi8", "liblzma5", "libssl3", "zlib1g"),
)
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# What an apt source of Debian itself is called; sources of updates have a dash in their names.
_SUITES: Final = {"bookworm", "trixie", "forky", "oldstable", "stable", "testing", "unstable", "sid"}
_GLIBC: Final = 36  # of bookworm, 2.36: wheels for systems as old as that, or older
_OLDEST_GLIBC: Final = 17  # of manylinux2014
# What programs read of a processor without VNNI, where QEMU would show them ours.
HASWELL_CPUINFO: Final = """processor\t: 0
model name\t: Intel Core Processor (Haswell, no TSX), emulated
flags\t\t: fpu cmov mmx fxsr sse sse2 pni ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes avx f16c bmi1 avx2 bmi2
"""


@dataclass(frozen=True, slots=True)
class EmulatedMachine:
    """A machine that is set up.

    Attributes:
        title: as people write it.
        folder: where it lies; removing the folder removes all of it.
        emulator: its name and version.
        python: version of the emulated Python.
        processors: that can be emulated.
        packages: name and version of each package for it; empty where it uses our own.
        size_bytes: of the folder.
    """

    title: str
    folder: Path
    emulator: str
    python: str
    processors: tuple[str, ...]
    packages: tuple[str, ...]
    size_bytes: int


def set_up(machine: Machine, *, progress: Progress = silent) -> EmulatedMachine:
    """Make what is missing of a machine, and start its Python.

    Raises:
        BadInput: the folder cannot be written to.
        MissingDependency: a tool that this needs is not installed, or could not fetch what it was to fetch.
    """
    _check_host(machine)
    emulator = machine.folder / machine.emulator
    if not (emulator.exists() and machine.root.exists()):
        with _private_apt(progress) as apt:
            if not emulator.exists():
                _add_emulator(apt, emulator, progress)
            if not machine.root.exists():
                _add_root(apt, machine, progress)
    for done, wheel in enumerate(machine.wheels):
        progress("fetching runtimes", done, len(machine.wheels))
        _add_wheel(machine, wheel)
    if machine.wheels:
        progress("fetching runtimes", len(machine.wheels), len(machine.wheels))
    progress("starting it", 0, 1)
    found = _describe(machine)
    progress("starting it", 1, 1)
    return found


def _check_host(machine: Machine) -> None:
    """Say early what is missing here."""
    for tool in ("apt-get", "dpkg", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise MissingDependency(
                f"{tool} is not installed, and an emulated {machine.title} is made of Debian's packages: set it up on "
                f"Debian, or in a container of it"
            )
    if not _KEYRING.exists():
        raise MissingDependency(f"{_KEYRING} is missing: apt-get install debian-archive-keyring")
    if machine.wheels and importlib.util.find_spec("pip") is None:
        raise MissingDependency(f"pip is not installed for {sys.executable}: {sys.executable} -m ensurepip")


# --- Debian's packages ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Apt:
    """An apt that knows its own sources, and leaves the system's packages alone.

    Attributes:
        folder: temporary.
        host: what dpkg calls our architecture.
    """

    folder: Path
    host: str

    def run(self, *arguments: str) -> None:
        """Call apt-get."""
        own = {
            "Dir::State": self.folder,
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "Dir::Etc::sourcelist": self.folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Acquire::Languages": "none",
            "APT::Sandbox::User": "root",  # the user _apt may not write to this folder; means nothing to others
        }
        options = [f"{key}={value}" for key, value in own.items()]
        options += [f"APT::Architectures::={name}" for name in dict.fromkeys((self.host, "arm64"))]
        command = ["apt-get", "-q", *(word for option in options for word in ("-o", option)), *arguments]
        _call(command, self.folder)

    def fetch(self, package: str, architecture: str, suite: str) -> Path:
        """Download a package: the path of its .deb file."""
        before = set(self.folder.glob("*.deb"))
        self.run("download", f"{package}:{architecture}/{suite}")
        (path,) = set(self.folder.glob("*.deb")) - before
        return path


@contextmanager
def _private_apt(progress: Progress) -> Iterator[_Apt]:
    """An apt in a temporary folder, with the lists of the suites that are needed."""
    stage = "reading Debian's lists of packages"
    progress(stage, 0, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        (folder / "status").touch()
        host, mirror = _call(["dpkg", "--print-architecture"], folder).strip(), _mirror(folder)
        lines = [
            f"deb [arch={architecture} signed-by={_KEYRING}] {mirror} {suite} main\n"
            for architecture, suite in ((host, _QEMU[0]), ("arm64", _PYTHON_SUITE))
        ]
        (folder / "sources.list").write_text("".join(lines), encoding="utf-8")
        apt = _Apt(folder, host)
        apt.run("update")
        progress(stage, 1, 1)
        yield apt


def _mirror(folder: Path) -> str:
    """Where apt on this machine finds Debian."""
    targets = _call(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"], folder)
    for line in targets.splitlines():
        suite, _, address = line.partition(" ")
        if suite in _SUITES:
            return address
    raise MissingDependency(
        "apt on this machine has no source of Debian's packages: set the machine up on Debian, or in a container of it"
    )


def _add_emulator(apt: _Apt, path: Path, progress: Progress) -> None:
    """One program out of a package that holds the emulators of forty processors."""
    stage, (suite, package) = "fetching the emulator", _QEMU
    progress(stage, 0, 1)
    archive = apt.fetch(package, apt.host, suite)
    wanted = f"./usr/bin/{path.name}"
    with (
        files.replacing(path) as temporary,
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as unpacking,  # noqa: S607 - Debian's
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as members,
    ):
        for member in members:
            if member.name == wanted:
                content = members.extractfile(member)
                assert content is not None
                with temporary.open("wb") as program:
                    shutil.copyfileobj(content, program)
                temporary.chmod(0o755)
    progress(stage, 1, 1)


def _add_root(apt: _Apt, machine: Machine, progress: Progress) -> None:
    """The files that programs on the machine see in front of ours."""
    stage = "fetching its Debian"
    with files.replacing(machine.root) as temporary:
        temporary.mkdir()
        if not machine.wheels:
            (temporary / "proc").mkdir()
            (temporary / "proc" / "cpuinfo").write_text(HASWELL_CPUINFO, encoding="ascii")
            return
        for done, package in enumerate(_PYTHON_PACKAGES):
            progress(stage, done, len(_PYTHON_PACKAGES))
            archive = apt.fetch(package, "arm64", _PYTHON_SUITE)
            _call(["dpkg-deb", "--extract", str(archive), str(temporary)], apt.folder)
        progress(stage, len(_PYTHON_PACKAGES), len(_PYTHON_PACKAGES))


# --- wheels -----------------------------------------------------------------------------------------------------------


def _add_wheel(machine: Machine, wheel: Wheel) -> None:
    """One package in a folder of its own, so that programs can choose among versions."""
    folder = machine.folder / wheel.folder
    if folder.exists():
        return
    platforms = ["manylinux2014_aarch64"]
    platforms += [f"manylinux_2_{minor}_aarch64" for minor in range(_GLIBC, _OLDEST_GLIBC - 1, -1)]
    with tempfile.TemporaryDirectory() as name, files.replacing(folder) as temporary:
        requirements = Path(name) / "requirements.txt"
        requirements.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="ascii")
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
        command += ["--require-hashes", "--only-binary=:all:", "--no-compile", "--target", str(temporary)]
        command += ["--python-version", PYTHON, *(word for name in platforms for word in ("--platform", name))]
        _call([*command, "--requirement", str(requirements)], Path(name))


# --- what is there ----------------------------------------------------------------------------------------------------


def _describe(machine: Machine) -> EmulatedMachine:
    """What was set up, told by itself."""
    version = _call([str(machine.folder / machine.emulator), "--version"], machine.folder)
    # "qemu-aarch64 version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)"
    program = "import platform; print(platform.python_version())"
    pythons = {_call([*machine.command(processor), "-c", program], machine.folder) for processor in machine.processors}
    return EmulatedMachine(
        title=machine.title,
        folder=machine.folder,
        emulator=f"QEMU {version.split()[2]}",
        python=pythons.pop().strip(),
        processors=tuple(machine.processors.values()),
        packages=tuple(f"{wheel.package} {wheel.version}" for wheel in machine.wheels),
        size_bytes=files.size_bytes(machine.folder),
    )


def _call(command: Sequence[str], folder: Path) -> str:
    """What a program prints.

    Raises:
        MissingDependency: it fails; the last line that it wrote says why.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
        reason = next((line for line in reversed(lines) if line.startswith(("E:", "ERROR:"))), (lines or ["?"])[-1])
        raise MissingDependency(f"{Path(command[0]).name} failed ({reason}): the same command tries again")
    return done.stdout
