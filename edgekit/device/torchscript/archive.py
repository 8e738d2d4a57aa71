"""The archive around a program: which names it may hold, and how torch gets what was checked."""

from __future__ import annotations

import re
import struct
import tempfile
import zipfile
import zlib
from collections import Counter
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from edgekit.device.torchscript import pickles, program
from edgekit.device.torchscript.program import Unknown
from edgekit.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PROGRAM, METADATA = "extra/program.json", "extra/edgekit.json"  # what ``edgekit.exporters.torch.texts`` writes
BYTECODE = "bytecode.pkl"  # what the lite interpreter of phones reads: torch/csrc/jit/mobile/import.cpp
_CODE, _DATA, _CONSTANTS = "code/__torch__.py", "data.pkl", "constants.pkl"
_HANDED_ON = ("version", "byteorder", _CODE, _DATA, _CONSTANTS)
_NO_CODE = "code/__torch__/torch/classes/quantized.py"  # empty: the classes of packed weights are torch's own
_SOURCES = (f"{_CODE}.debug_pkl", f"{_NO_CODE}.debug_pkl")  # lines for messages
_IDENTITY = ".data/serialization_id"
_KNOWN = frozenset({PROGRAM, METADATA, BYTECODE, *_HANDED_ON, _NO_CODE, *_SOURCES, _IDENTITY})
_RECORD = re.compile(r"data/(\d+)")  # what tensors are made of
_NO_CONSTANTS = b"\x80\x02)."  # an empty tuple, pickled
_DAMAGES = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def load(path: Path, torch: Any, device: str = "cpu") -> Any:  # noqa: ANN401 - torch is optional
    """The ``torch.jit.ScriptModule`` in a file that edgekit wrote.

    torch is handed a copy of what was checked, and so nothing else: not what another reader of archives would find in
    the file, nor what it has become since. While it loads, no code runs but the packing of weights.

    Args:
        path: of the file.
        torch: the package.
        device: where its tensors go, as torch names it.

    Raises:
        ArtifactError: the file is missing, damaged, no TorchScript, or not what edgekit writes.
    """
    with tempfile.NamedTemporaryFile(suffix=".pt") as copy:
        _copy_checked(path, copy)
        try:
            return torch.jit.load(copy.name, map_location=device)
        except (RuntimeError, ValueError) as error:
            raise _damaged(path) from error


def read(path: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    """Those of the ``wanted`` entries of the archive that are there, by name; the folder before it is left out.

    Raises:
        ArtifactError: as above, so far as the names in the archive tell.
    """
    with _opened(path) as (archive, names):
        return {entry: archive.read(names[entry]) for entry in wanted if entry in names}


def _copy_checked(path: Path, copy: IO[bytes]) -> None:
    """Write what torch reads of the file; its content is held in memory no longer than that takes."""
    with _opened(path) as (archive, names):
        entries = {entry: archive.read(name) for entry, name in names.items() if entry in _HANDED_ON}
        records = {entry: archive.read(name) for entry, name in names.items() if _RECORD.fullmatch(entry)}
    try:
        _check(entries, {entry.rpartition("/")[2]: data for entry, data in records.items()})
    except (Unknown, KeyError) as error:
        raise _foreign(path, str(error)) from error
    with zipfile.ZipFile(copy, "w") as archive:
        for entry, data in {**entries, **records}.items():
            archive.writestr(f"archive/{entry}", data)
    copy.flush()


def _check(entries: Mapping[str, bytes], records: Mapping[str, bytes]) -> None:
    """Raise Unknown for what edgekit does not write, and KeyError for what it does, and is missing."""
    if entries[_CONSTANTS] != _NO_CONSTANTS or entries["byteorder"] != b"little":
        raise Unknown("other constants than none")
    declared = program.attributes(entries[_CODE].decode("ascii", "replace"))
    if declared != pickles.attributes(entries[_DATA], records):
        raise Unknown("other attributes than its program has")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, str]]]:
    """The archive, and its names by what follows the folder that all of them are in."""
    if not path.is_file():
        raise ArtifactError(f"{path} does not exist")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive, _names(path, archive.namelist())
    except _DAMAGES as error:
        raise _damaged(path) from error


def _names(path: Path, listed: list[str]) -> dict[str, str]:
    names = {name.partition("/")[2]: name for name in listed}
    if _CONSTANTS not in names:  # torch.save writes archives, too
        raise _damaged(path)
    if not {PROGRAM, METADATA} <= set(names):
        raise _foreign(path, "it says nothing about itself")
    if folders := {name.partition("/")[0] for name in listed[1:]} - {listed[0].partition("/")[0]}:
        raise _foreign(path, f"the archive holds {1 + len(folders)} folders")
    for name, count in Counter(listed).items():
        if count > 1:
            raise _foreign(path, f"{count} entries of the archive are called {name:.60}")
    for name in names:
        if name not in _KNOWN and not _RECORD.fullmatch(name):
            raise _foreign(path, f"it holds {name!r:.60}")
    return names


def _foreign(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(
        f"{path} is not as edgekit writes TorchScript ({reason}), and was not loaded: loading would run its code."
        " Export its checkpoint with edgekit, or take the network as .onnx"
    )


def _damaged(path: Path) -> ArtifactError:
    return ArtifactError(f"{path} is not a TorchScript file, or is damaged: export it again")
