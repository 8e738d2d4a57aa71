"""Processes that run files for us: a line and bytes go in, a line and bytes come out."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any

from edgekit import errors
from edgekit.device.threads import as_applications_have_it
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self  # newer than the Python of a device


class Process:
    """A process that answers commands about one file.

    A command is a line of text, with bytes behind it where the command has some. The answer is a line with one JSON
    object; its "bytes", if there, says how many bytes follow. An error is {"error": a class of ``edgekit.errors``,
    "message": its text}. Lines {"progress": [stage, done, total]} may come before the answer. The process ends when its
    stdin does, so it never outlives us.
    """

    def __init__(
        self,
        command: Sequence[str],
        subject: str,
        environment: Mapping[str, str],
        *,
        stderr: IO[bytes] | None = None,
        terminal: bool = False,
    ) -> None:
        """Start it.

        Args:
            command: program and arguments.
            subject: what it runs, for messages: "net.onnx".
            environment: its variables, all of them.
            stderr: where its messages go; ours if None.
            terminal: it may ask the user something; then Ctrl-C is for it, too.
        """
        self._subject, self._stderr = subject, stderr
        self._received = bytearray()  # and not yet read; select() would not know of what a buffered file holds
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
            bufsize=0,
            start_new_session=not terminal,  # Ctrl-C is for us; we end the processes
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(
        self, command: str, content: bytes = b"", *, seconds: float, progress: Progress = silent
    ) -> tuple[dict[str, Any], bytes]:
        """The answer to a command, as JSON values and the bytes behind them.

        Raises:
            ArtifactError: the process ended, or nothing came from it for so many ``seconds``.
            EdgekitError: what the process raised.
        """
        self.tell(command, content)
        return self.answer(seconds=seconds, progress=progress)

    def tell(self, command: str, content: bytes = b"") -> None:
        """Send a command, and do not wait: other processes can work meanwhile.

        Raises:
            ArtifactError: the process ended.
        """
        stdin = self._process.stdin
        assert stdin is not None
        rest = memoryview(command.encode() + b"\n" + content)
        try:
            while rest:
                rest = rest[stdin.write(rest) :]
        except BrokenPipeError:
            raise self._ended() from None

    def answer(self, *, seconds: float, progress: Progress = silent) -> tuple[dict[str, Any], bytes]:
        """The answer to the command that was sent last; see ``ask``."""
        values: dict[str, Any] = json.loads(self._line(seconds))
        while "progress" in values:
            progress(*values["progress"])
            values = json.loads(self._line(seconds))
        if "error" in values:
            raise getattr(errors, values["error"])(values["message"])
        return values, self._read(values.get("bytes", 0), seconds)

    def _line(self, seconds: float) -> bytes:
        """The next line, without its end."""
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            self._receive(seconds)
        return self._read(end + 1, seconds)[:-1]

    def _read(self, count: int, seconds: float) -> bytes:
        """The next so many bytes."""
        while len(self._received) < count:
            self._receive(seconds)
        read = bytes(self._received[:count])
        del self._received[:count]
        return read

    def _receive(self, seconds: float) -> None:
        """Wait for more bytes."""
        stdout = self._process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], seconds)[0]:
            raise self._silent(seconds)
        received = os.read(stdout.fileno(), 1 << 20)
        if not received:
            raise self._ended()
        self._received += received

    def _silent(self, seconds: float) -> errors.EdgekitError:
        """What is raised where nothing comes from it any more."""
        return errors.ArtifactError(f"{self._subject} did not answer for {seconds:.0f} s: its runtime hangs")

    def _ended(self) -> errors.EdgekitError:
        """What is raised where it ended."""
        code = self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return errors.ArtifactError(
            f"{self._subject} crashed its runtime ({how}{self._last_words()}): export it again, or update the runtime"
        )

    def _last_words(self) -> str:
        """The last line that it wrote to stderr, where we have that."""
        if self._stderr is None:
            return ""
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").split("\n")
        return next((f", {line.strip()}" for line in reversed(lines) if line.strip()), "")


def our_environment() -> dict[str, str]:
    """The variables of a process that imports what we do, whatever modules lie in the working directory.

    Such processes run a file, most of them to time it: their threads wait as those of applications do.
    """
    return {**as_applications_have_it(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
