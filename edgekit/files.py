"""Writing files so that a failure leaves nothing behind and never damages what was there."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

_STAGING = ".edgekit."  # how the hidden folders begin that ``staging`` makes


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``; what the block leaves there, file or folder, takes its place at the end.

    On an exception, Ctrl-C included, the temporary is removed and ``path`` is as it was. A folder takes the place of a
    file or of a folder, a file never that of a folder.

    Raises:
        BadInput: the disk is full, writing is not permitted, or ``path`` is a folder and the block left a file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A folder of its own keeps the final name, which coremltools insists on for .mlpackage.
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise _explained(error, path) from error
    try:
        temporary = scratch / path.name
        yield temporary
        if temporary.is_dir():
            _replace_by_folder(path, temporary, scratch / f"{path.name}.previous")
        else:
            temporary.replace(path)
    except OSError as error:
        if isinstance(error.filename, str):  # the block may fail at other files, too, and those are not ours to explain
            named = Path(error.filename).resolve()
            if named != path.resolve() and not named.is_relative_to(scratch.resolve()):
                raise
        raise _explained(error, path) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _replace_by_folder(path: Path, folder: Path, aside: Path) -> None:
    """Put ``folder`` in the place of ``path``, which os.replace does only where ``path`` is empty or absent."""
    if not path.exists():
        folder.rename(path)
        return
    path.rename(aside)
    try:
        folder.rename(path)
    except BaseException:
        aside.rename(path)
        raise


def cache_folder() -> Path:
    """Where edgekit keeps what it can make again. Source: XDG Base Directory Specification 0.8."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "edgekit"


def data_folder() -> Path:
    """Where edgekit keeps what was measured for the user. Source: as of ``cache_folder``."""
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "edgekit"


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, all of it or nothing.

    Raises:
        BadInput: the disk is full, or writing is not permitted.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def size_bytes(path: Path) -> int:
    """The size of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    return path.stat().st_size


def same_bytes(a: Path, b: Path) -> bool:
    """Whether two files hold the same bytes, or two folders the same files."""
    if a.is_dir() and b.is_dir():
        names = [{entry.relative_to(folder) for entry in folder.rglob("*") if entry.is_file()} for folder in (a, b)]
        return names[0] == names[1] and all(same_bytes(a / name, b / name) for name in names[0])
    return a.is_file() and b.is_file() and filecmp.cmp(a, b, shallow=False)


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A temporary folder inside ``folder``; what the block leaves in it moves to ``folder`` at the end, all or nothing.

    On an exception, Ctrl-C included, the temporary is removed and ``folder`` is as it was; where it did not exist, it
    does not exist afterwards.

    Raises:
        BadInput: the disk is full, writing is not permitted, or a file would take the place of a folder.
    """
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
    except OSError as error:
        raise _explained(error, folder / "*") from error
    try:
        ready = scratch / "ready"
        ready.mkdir()
        yield ready
        _publish(ready, folder, aside=scratch / "aside")
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        with contextlib.suppress(OSError):  # it holds something after all
            for path in created:
                path.rmdir()
        raise
    shutil.rmtree(scratch, ignore_errors=True)


def _publish(ready: Path, folder: Path, aside: Path) -> None:
    """Move every entry of ``ready`` to ``folder``; after a failure, Ctrl-C included, all is as it was."""
    moved: list[tuple[Path, Path | None]] = []  # where to, and where what was there before is now
    aside.mkdir()
    try:
        for entry in sorted(ready.iterdir()):
            place = folder / entry.name
            previous = aside / entry.name if place.exists() else None
            try:
                if place.is_dir() and not entry.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
                moved.append((place, previous))  # noted first: whatever happens next can be undone
                if previous is not None:
                    _set_aside(place, previous, keep=entry.is_file())
                entry.replace(place)
            except OSError as error:
                raise _explained(error, place) from error
    except BaseException:
        for place, previous in reversed(moved):
            if previous is None or previous.exists():
                _remove(place)
                if previous is not None:
                    previous.replace(place)
        raise


def _set_aside(place: Path, previous: Path, *, keep: bool) -> None:
    """Move ``place`` to ``previous``; a file to ``keep`` also stays, so that its successor replaces it atomically."""
    if keep:
        with contextlib.suppress(OSError):  # not every file system has links
            previous.hardlink_to(place)
            return
    place.rename(previous)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _explained(error: OSError, path: Path) -> BadInput:
    for parent in path.parents:
        if parent.parent.name.startswith(_STAGING):  # told as the user knows it
            path = parent.parent.parent / path.relative_to(parent)
            break
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return BadInput(f"no space left on the disk while writing {path}: free some, or choose another --out")
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return BadInput(f"no permission to write {path}: choose another --out, or change the folder's permissions")
        case errno.EISDIR:
            return BadInput(f"{path} is a folder: choose another --out, or remove it")
        case errno.ENOTDIR | errno.EEXIST:
            file = next((parent for parent in path.parents if parent.is_file()), path.parent)
            return BadInput(f"{file} is not a folder: choose another --out")
        case _:
            return BadInput(f"cannot write {path}: {error.strerror or error}")
