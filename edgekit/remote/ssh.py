"""A device over ssh: one process of the user's own client, with their configuration, keys and agent.

What it asks, a password or whether a host's key is right, it asks on the terminal; nothing of that passes through
edgekit. On the device a shell looks for Python, which is then sent what it runs; nothing is installed there, and what
was sent is deleted at the end, however that comes about.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from edgekit.device.agent import HELLO
from edgekit.device.check import Checked
from edgekit.device.fastest import Fastest
from edgekit.device.processes import Process
from edgekit.device.results import Results
from edgekit.errors import BadInput, DeviceUnreachable, EdgekitError, MissingDependency
from edgekit.progress import Progress, silent
from edgekit.remote import packing
from edgekit.remote.examined import Examined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from edgekit.remote.address import Address

CONNECT_SECONDS: Final = 10
ALIVE_SECONDS: Final = 5  # a device that says nothing for three times as long is gone
START_SECONDS: Final = 600.0  # includes a user who looks for the password
ANSWER_SECONDS: Final = 600.0  # between two signs of life; that the connection is lost is noticed earlier
_GOODBYE_SECONDS: Final = 5.0

# What a shell runs over there. Of several Pythons it takes the one that has most of the modules; the one that is called
# python3 wins a tie. Virtual environments are looked for where people make them, up to two folders below their home.
_SCORE = (
    "import importlib.util as u,sys;"
    "print(sum(2**i for i,m in enumerate(reversed(sys.argv[1:])) if u.find_spec(m) is not None))"
)
_START = "import sys;exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"
_CHOOSE = (
    "best=0; python=python3; "
    'for p in python3 "$HOME"/*/bin/python3 "$HOME"/.??*/bin/python3 "$HOME"/*/*/bin/python3 '
    '"$HOME"/*/.??*/bin/python3; do '
    'score=$("$p" -c {score} {modules} 2>/dev/null </dev/null); '
    'if [ "${{score:-0}}" -gt "$best" ]; then best=$score; python=$p; fi; '
    'if [ "$best" -ge {enough} ]; then break; fi; '
    "done; "
)
# What ssh says -> what to do about it.
_HINTS = {
    "Permission denied": "try ssh by itself; ssh-copy-id sends the device your key",
    "Host key verification failed": "connect once by ssh, and compare the key that it shows",
    "Could not resolve hostname": "see whether it is on this network, or give its address",
}
_NO_PYTHON = 127  # what shells say of a command that is not there


class SshDevice(Process):
    """A device that ``edgekit.device.agent`` answers from."""

    def __init__(self, address: Address, *, python: str | None = None, modules: tuple[str, ...] = ()) -> None:
        """Connect, and start the agent.

        Args:
            address: of the device.
            python: to be used there, as the user names it; None for the best of those that are found.
            modules: that it should have, the most important first.

        Raises:
            BadInput: the device's disk is full.
            DeviceUnreachable: there is no connection, or the user has no access.
            MissingDependency: there is no ssh here, or no Python there.
        """
        if shutil.which("ssh") is None:
            raise MissingDependency("there is no ssh on this machine: install OpenSSH's client, e.g. openssh-client")
        self.address, self._python = address, python
        with ExitStack() as stack:
            messages = stack.enter_context(tempfile.TemporaryFile())
            command = _command(address, _remote_command(python, modules))
            super().__init__(command, address.text, dict(os.environ), stderr=messages, terminal=True)
            stack.push(self._leave)
            source, archive = packing.first_words()
            self.tell(str(len(source)), source + archive)
            self.python: str = self._hello()["python"]
            self._stack = stack.pop_all()

    def examine(self) -> Examined:
        """What there is to say about the device."""
        with self._naming_it():
            values, _ = self.ask("machine", seconds=ANSWER_SECONDS)
        return Examined.from_values(values)

    def send(self, contents: Mapping[str, bytes], progress: Progress = silent) -> None:
        """Send files, by their names over there.

        Raises:
            BadInput: they do not fit on the disk.
        """
        with self._naming_it():
            self.ask(f"room {sum(map(len, contents.values()))}", seconds=ANSWER_SECONDS)
            for done, (name, content) in enumerate(contents.items()):
                progress("sending", done, len(contents))
                self.ask(f"put {len(content)} {name}", content, seconds=ANSWER_SECONDS)
        progress("sending", len(contents), len(contents))

    def check(self, progress: Progress = silent) -> tuple[Checked, ...]:
        """Golden outputs of the plan that was sent; see ``edgekit.device.check``."""
        with self._naming_it():
            values, _ = self.ask("check", seconds=ANSWER_SECONDS, progress=progress)
        return tuple(Checked(**checked) for checked in values["checked"])

    def bench(self, progress: Progress = silent) -> Results:
        """Latencies of the plan that was sent; see ``edgekit.device.bench``."""
        with self._naming_it():
            values, _ = self.ask("bench", seconds=ANSWER_SECONDS, progress=progress)
        return Results.from_json(values["results"])

    def fastest(self, progress: Progress = silent) -> tuple[Fastest, ...]:
        """Undisturbed latencies of the plan that was sent; see ``edgekit.device.fastest``."""
        with self._naming_it():
            values, _ = self.ask("fastest", seconds=ANSWER_SECONDS, progress=progress)
        return tuple(Fastest(**one) for one in values["fastest"])

    @contextmanager
    def _naming_it(self) -> Iterator[None]:
        """Put the address in front of what the agent says; what ssh says has it."""
        try:
            yield
        except DeviceUnreachable:
            raise
        except EdgekitError as error:
            raise type(error)(f"{self.address.text}: {error}") from error

    def _hello(self) -> dict[str, Any]:
        """The first line of the agent; what a login shell prints comes before it."""
        while True:
            line = self._line(START_SECONDS)
            if line.startswith(f'{{"{HELLO}"'.encode()):
                values: dict[str, Any] = json.loads(line)
                return values

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _leave(self, *_: object) -> None:
        """Let the device delete what it was sent, and ssh put the terminal back as it was."""
        process = self._process
        assert process.stdin is not None
        process.stdin.close()
        for end in (process.terminate, process.kill):
            try:
                process.wait(_GOODBYE_SECONDS)
            except subprocess.TimeoutExpired:
                end()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()

    def _silent(self, seconds: float) -> EdgekitError:
        return DeviceUnreachable(f"{self.address.text} said nothing for {seconds:.0f} s: see what it is doing")

    def _ended(self) -> EdgekitError:
        code = self._process.wait()
        said = self._last_words().removeprefix(", ").rstrip(".")
        match code:
            case 2:
                return BadInput(f"{self.address.text}: {said}: free some, or set TMPDIR there")
            case 3:
                return MissingDependency(f"{self.address.text}: {said}: name another by --set bench.python=PATH")
            case _ if code == _NO_PYTHON:
                return MissingDependency(self._no_python(said))
            case 255:
                hint = next((f": {hint}" for words, hint in _HINTS.items() if words in said), "")
                return DeviceUnreachable(f"{self.address.text}: {said or 'the connection was lost'}{hint}")
            case _:
                return DeviceUnreachable(
                    f"{self.address.text} ended the work (exit code {code}{said and f', {said}'}): see whether it runs "
                    "out of memory"
                )

    def _no_python(self, said: str) -> str:
        if self._python is not None:
            return f"{self.address.text}: {said or f'{self._python} is not there'}: correct bench.python"
        return f"{self.address.text} has no python3: sudo apt install python3, or name one by --set bench.python=PATH"


def _command(address: Address, remote: str) -> list[str]:
    """How the client is called; what else it needs, the user's configuration says."""
    options = {
        "ConnectTimeout": CONNECT_SECONDS,
        "ServerAliveInterval": ALIVE_SECONDS,
        "ServerAliveCountMax": 3,
        "RemoteCommand": "none",  # one that is configured would take the place of ours
        "RequestTTY": "no",
    }
    command = ["ssh", *(f"-o{name}={value}" for name, value in options.items())]
    if address.port is not None:
        command += ["-p", str(address.port)]
    if address.user is not None:
        command += ["-l", address.user]
    return [*command, "--", address.host, remote]


def _remote_command(python: str | None, modules: tuple[str, ...]) -> str:
    """What the login shell over there is told, whichever it is."""
    if python is not None:
        home = python.startswith("~/")
        named = f'"$HOME"/{shlex.quote(python[2:])}' if home else shlex.quote(python)
        script = f"exec {named} -c {shlex.quote(_START)}"
    else:
        choose = _CHOOSE.format(score=shlex.quote(_SCORE), modules=" ".join(modules), enough=2 ** len(modules) - 1)
        script = f'{choose}exec "$python" -c {shlex.quote(_START)}'
    return f"exec sh -c {shlex.quote(script)}"
