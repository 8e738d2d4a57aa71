"""Answers a machine that measures from afar: commands come on stdin, answers go to stdout.

``edgekit.device.processes`` says how it is spoken to. The first line tells that it is there. Then ``machine`` is
answered with what there is to say about this machine, ``room N`` makes sure that N bytes can be written, ``put N NAME``
writes the N bytes behind it to a file, and ``check``, ``bench`` and ``fastest`` do what ``plan.json``, which is one
of these files, says. At the end of stdin it ends, and so does everything that it started.
"""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import signal
import sys
import threading
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from edgekit.device import machine, wheels
from edgekit.device.plan import Plan
from edgekit.errors import BadInput, EdgekitError
from edgekit.version import __version__

if TYPE_CHECKING:
    from edgekit.progress import Progress

HELLO = "edgekit"  # the key of the first line, by which it is told from what a login shell prints


def main() -> None:
    """Answer commands until stdin ends, with files in the working directory."""
    threading.Thread(target=_end_with_the_connection, daemon=True).start()
    with os.fdopen(os.dup(1), "wb") as answers, Path(os.devnull).open("wb") as nowhere:
        for stream in (1, 2):  # what a runtime prints must not look like an answer, nor like words of ssh
            os.dup2(nowhere.fileno(), stream)
        answers.write(b"\n")  # what was printed before us may lack the end of its line
        serve(sys.stdin.buffer, answers, Path())


def serve(commands: BinaryIO, answers: BinaryIO, folder: Path) -> None:
    """Answer each command."""

    def write(values: dict[str, Any]) -> None:
        answers.write(json.dumps(values).encode() + b"\n")
        answers.flush()

    def progress(stage: str, done: int, total: int) -> None:
        write({"progress": [stage, done, total]})

    write({HELLO: __version__, "python": sys.executable})
    for line in iter(commands.readline, b""):
        command, *arguments = line.decode().rstrip("\n").split(" ", 2)
        content = commands.read(int(arguments[0])) if command == "put" else b""
        try:
            write(_answer(command, arguments, content, folder, progress))
        except EdgekitError as error:
            write({"error": type(error).__name__, "message": str(error)})
        except Exception as error:  # noqa: BLE001 - our mistake, which over there nobody would see
            *_, at = traceback.extract_tb(error.__traceback__)
            where = f"{Path(at.filename).name}, line {at.lineno}"
            write({"error": "DeviceUnreachable", "message": f"the agent failed: {error!r} ({where})"})


def _answer(command: str, arguments: list[str], content: bytes, folder: Path, progress: Progress) -> dict[str, Any]:
    if command == "machine":
        python = wheels.this_python()
        runtimes = [asdict(runtime) for runtime in wheels.runtimes(python)]
        return {"machine": asdict(machine.examine()), "python": asdict(python), "runtimes": runtimes}
    if command == "room":
        _make_sure_of_room(folder, int(arguments[0]))
        return {}
    if command == "put":
        _write(folder / arguments[1], content)
        return {}
    plan = Plan.load(folder)
    wheels.require({file.engine for file in plan.files})
    if command == "check":
        from edgekit.device.check import check  # noqa: PLC0415 - needs numpy, and a machine without is asked what it is

        return {"checked": [asdict(checked) for checked in check(plan, folder, progress)]}
    if command == "fastest":
        from edgekit.device.fastest import fastest  # noqa: PLC0415 - likewise

        return {"fastest": [asdict(one) for one in fastest(plan, folder, progress)]}
    from edgekit.device.bench import bench  # noqa: PLC0415 - likewise

    assert command == "bench", command
    return {"results": bench(plan, folder, progress).to_json()}


def _make_sure_of_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        place = folder.resolve().parent
        left, wanted = free / 2**20, needed / 2**20
        raise BadInput(
            f"{place} has {left:.1f} MiB left, and {wanted:.1f} MiB are needed: free some, or set TMPDIR there"
        )


def _write(path: Path, content: bytes) -> None:
    """Write a file; what a quota allows is not known before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_bytes(content)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        path.unlink()
        _make_sure_of_room(path.parent, len(content))
        raise BadInput(f"{path.name} of {len(content) / 2**20:.1f} MiB cannot be written: {error.strerror}") from error


def _end_with_the_connection() -> None:
    """End this process where the other side is gone, even if nobody reads stdin because there is work to do."""
    watched = select.poll()
    watched.register(0, getattr(select, "POLLRDHUP", 0))  # that it was hung up is told in any case
    watched.poll()
    os.kill(os.getpid(), signal.SIGTERM)
