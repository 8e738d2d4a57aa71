"""Unpack an archive into a folder of its own and run what is in it; nothing stays behind.

This source stands at the top of a bundle, and is what a device is sent first over a connection. So it does without the
rest of edgekit, and Python 3.6 understands it: an old Python has to be able to say that it is too old.
"""

import os
import shutil
import signal
import sys
import tempfile
import zipfile
from importlib import import_module

OLDEST = (3, 9)
DISK = "/var/tmp"  # noqa: S108 - mkdtemp makes a folder that is ours alone. On many systems, /tmp is in memory
ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def run(archive: "str | object", module: str) -> None:
    """Run ``main()`` of a module in an archive, in a folder that this is unpacked into.

    Ends with 2 if there is no room for it, and with 3 if this Python is too old; the reason goes to stderr.
    """
    if sys.version_info < OLDEST:
        fail(3, f"Python {sys.version.split()[0]} ({sys.executable}) is too old: 3.9 is the oldest that serves")
    for ending in ENDINGS:
        signal.signal(ending, end)
    place = os.environ.get("TMPDIR", DISK)
    place = absolute(place if os.access(place, os.W_OK) else tempfile.gettempdir())
    try:
        folder = tempfile.mkdtemp(prefix="edgekit.", dir=place)
    except OSError as error:
        fail(2, f"no folder can be made in {place}: {error.strerror}")
    try:
        unpack(archive, folder)
        os.environ["TMPDIR"] = folder  # ONNX Runtime, for one, leaves a file behind
        sys.argv[0] = absolute(sys.argv[0])
        sys.path[:] = [folder] + [absolute(path) for path in sys.path if path]
        os.chdir(folder)
        try:
            import_module(module).main()
        finally:
            for ending in ENDINGS:
                signal.signal(ending, signal.SIG_IGN)  # what is left to do is done to its end
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpack(archive: "str | object", folder: str) -> None:
    """Unpack it, or end and say how much room that takes."""
    with zipfile.ZipFile(archive) as content:  # type: ignore[arg-type] # a path or an open file
        try:
            content.extractall(folder)
        except OSError as error:
            needed = sum(entry.file_size for entry in content.infolist()) / 2**20
            free = shutil.disk_usage(folder).free / 2**20
            fail(2, f"{error.strerror}: {folder} has {free:.1f} MiB left, and {needed:.1f} MiB are needed")


def absolute(path: str) -> str:
    """A path that is right in every working directory; links keep their names, which environments go by."""
    return os.path.abspath(path)  # noqa: PTH100 - pathlib's follows links


def end(signal_: int, _frame: object) -> None:
    """Unwind, so that processes end and the folder is removed."""
    raise SystemExit(128 + signal_)


def fail(code: int, reason: str) -> None:
    """End and say why."""
    sys.stderr.write(f"{reason}\n")
    raise SystemExit(code)
