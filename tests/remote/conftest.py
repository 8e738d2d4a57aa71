"""A device on this machine: a real OpenSSH server, whose sessions see a home, a PATH and a Python of their own."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgekit.device.plan import Plan, PlannedFile
from edgekit.pipeline.measuring.bundle import pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.pipeline.measuring.bundle import Luggage

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Device:
    """Attributes: its address, its home, where it keeps temporary files, and the folder that ``session`` is in."""

    address: str
    home: Path
    temporary: Path
    folder: Path
    server: int

    def becomes(self, before: str = "", **environment: object) -> None:
        """What sessions see from now on, and what their shell does first."""
        variables = {"HOME": self.home, "TMPDIR": self.temporary, "PATH": f"{self.folder}/bin:/usr/bin:/bin"}
        given = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in (variables | environment).items())
        self.folder.joinpath("session").write_text(
            f'{before}\nexec env -i {given} /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n', encoding="utf-8"
        )

    def has_python(self, folder: Path, *options: str) -> None:
        """Put a python3 there, which imports what we do unless ``options`` say otherwise."""
        folder.mkdir(parents=True, exist_ok=True)
        path = shlex.quote(os.pathsep.join(filter(None, sys.path)))
        script = f"#!/bin/sh\n[ -n '{''.join(options)}' ] || export PYTHONPATH=$PYTHONPATH:{path}\n"
        script += f'exec {sys.executable} {" ".join(options)} "$@"\n'
        (folder / "python3").write_text(script, encoding="utf-8")
        (folder / "python3").chmod(0o755)

    def sessions(self) -> list[int]:
        """The server's processes, one or two a connection."""
        done = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
        pairs = [tuple(map(int, line.split())) for line in done.stdout.splitlines()[1:]]
        return [pid for pid, parent in pairs if parent == self.server]

    def leftovers(self) -> list[str]:
        """What is in its temporary folder, once what was ended had a moment to clean up."""
        for _ in range(100):
            if not (left := sorted(path.name for path in self.temporary.iterdir())):
                return left
            time.sleep(0.05)
        return left


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """An OpenSSH server, and the settings of a client that knows it, in front of the real client."""
    if SSHD is None or shutil.which("ssh-keygen") is None or (client := shutil.which("ssh")) is None:
        pytest.skip("no OpenSSH server is installed: apt install openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself up; its service would have made it
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "key", "stranger", "locked"):
        phrase = "open sesame" if name == "locked" else ""
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-f", folder / name], check=True)
    keys = "".join((folder / f"{name}.pub").read_text(encoding="utf-8") for name in ("key", "locked"))
    (folder / "known_keys").write_text(keys, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/known_keys\nPidFile none\n"
        "UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"
        f"ForceCommand sh {folder}/session\n",
        encoding="utf-8",
    )
    (folder / "config").write_text(
        f"UserKnownHostsFile {folder}/known\nStrictHostKeyChecking accept-new\nIdentitiesOnly yes\n"
        f"Host stranger\nHostName 127.0.0.1\nIdentityFile {folder}/stranger\n"
        f"Host locked\nHostName 127.0.0.1\nIdentityFile {folder}/locked\n"
        f"Host !stranger !locked *\nIdentityFile {folder}/key\n",
        encoding="utf-8",
    )
    for name in ("client", "bin", "home", "temporary"):
        (folder / name).mkdir()
    (folder / "client" / "ssh").write_text(f'#!/bin/sh\nexec {client} -F {folder}/config "$@"\n', encoding="utf-8")
    (folder / "client" / "ssh").chmod(0o755)
    with subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = process.stderr.readline().decode()
        if "listening" not in said:
            pytest.skip(f"sshd does not start here: {said.strip()}")
        yield Device(f"ssh://127.0.0.1:{port}", folder / "home", folder / "temporary", folder, process.pid)
        process.kill()


@pytest.fixture
def device(server: Device, monkeypatch: pytest.MonkeyPatch) -> Device:
    """As it comes: with a python3 that has what we have."""
    monkeypatch.setenv("PATH", f"{server.folder}/client{os.pathsep}{os.environ['PATH']}")
    shutil.rmtree(server.home)
    server.home.mkdir()
    server.has_python(server.folder / "bin")
    server.becomes()
    return server


@pytest.fixture(scope="session")
def luggage(net: Path) -> Luggage:
    return pack(Plan((PlannedFile(str(net), "onnxruntime", precision="float32"),), laps=1))
