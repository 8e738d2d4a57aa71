"""Whether a TorchScript file is well-formed."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Final

from edgekit.errors import ConfigError
from edgekit.exporters import archives
from edgekit.exporters.summary import Violation
from edgekit.exporters.torch import script
from edgekit.exporters.torch.contents import BYTECODE
from edgekit.exporters.torch.reading import archived, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
# What TorchScript files hold: torch/csrc/jit/serialization/export_module.cpp and caffe2/serialize/inline_container.cc.
_ENTRIES: Final = {
    ".data/serialization_id", ".format_version", ".storage_alignment", "byteorder", "bytecode.pkl", "code/__torch__.py",
    "code/__torch__.py.debug_pkl", "code/__torch__/torch/classes/quantized.py",
    "code/__torch__/torch/classes/quantized.py.debug_pkl", "constants.pkl", "data.pkl", "mobile_debug_handles.pkl",
    "version",
}  # fmt: skip
_FOLDERS: Final = ("constants/", "data/", "extra/")  # arrays, and texts, to which other tools may add theirs


def violations(path: Path, runtime: str | None = None) -> tuple[Violation, ...]:
    """What is wrong with a file: torch compiles the program as it loads it, and so checks names and types.

    Args:
        path: of the file.
        runtime: None; nothing is known of what older versions of torch lack.

    Raises:
        ArtifactError: the file is missing, damaged, or no TorchScript.
        ConfigError: there is a ``runtime``.
    """
    if runtime is not None:
        raise ConfigError(f"nothing is known of which operators torch {runtime} has: leave it out")
    if not archived(path, [BYTECODE]):
        return (Violation(None, "it has no bytecode: phones cannot read it"),)
    with zipfile.ZipFile(path) as archive:
        # torch reads the first entry of a name, Python's zipfile the last: what is checked here has to be what runs.
        if found := tuple(Violation(None, text) for text in _irregularities(path.read_bytes(), archive)):
            return found
        load(path, engine=script.packing_engine())
        if damaged := archive.testzip():
            return (Violation(None, f"the entry {damaged} of the archive is damaged"),)
    return ()


def _irregularities(data: bytes, archive: zipfile.ZipFile) -> Iterator[str]:
    folders = {name.partition("/")[0] for name in archive.namelist()}
    if len(folders) > 1:
        yield f"the archive holds {len(folders)} folders ({', '.join(sorted(folders))}), and torch reads the first"
    yield from archives.irregularities(data, archive)
    for name in archive.namelist():
        entry = name.partition("/")[2]
        if entry not in _ENTRIES and not entry.startswith(_FOLDERS):
            yield f"the entry {entry} of the archive is none that edgekit writes"
