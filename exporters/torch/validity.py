"""Whether a TorchScript file is well-formed."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from edgekit.device import torchscript
from edgekit.errors import ArtifactError, ConfigError
from edgekit.exporters import archives
from edgekit.exporters.summary import Violation
from edgekit.exporters.torch import script
from edgekit.exporters.torch.reading import load

if TYPE_CHECKING:
    from pathlib import Path


def violations(path: Path, runtime: str | None = None) -> tuple[Violation, ...]:
    """What is wrong with a file: torch compiles the program as it loads it, and so checks names and types.

    Args:
        path: of the file.
        runtime: None; nothing is known of what older versions of torch lack.

    Raises:
        ArtifactError: the file is missing, damaged, or not what edgekit writes.
        ConfigError: there is a ``runtime``.
    """
    if runtime is not None:
        raise ConfigError(f"nothing is known of which operators torch {runtime} has: leave it out")
    if not path.is_file():
        raise ArtifactError(f"{path} does not exist")
    try:
        with zipfile.ZipFile(path) as archive:
            # torch reads the first entry of a name, Python's zipfile the last: what is checked has to be what runs.
            if found := tuple(Violation(None, text) for text in archives.irregularities(path.read_bytes(), archive)):
                return found
            loaded = load(path, engine=script.packing_engine())
            if damaged := archive.testzip():
                return (Violation(None, f"the entry {damaged} of the archive is damaged"),)
    except zipfile.BadZipFile as error:
        raise ArtifactError(f"{path} is not a TorchScript file, or is damaged: export it again") from error
    if torchscript.BYTECODE not in loaded.entries:
        return (Violation(None, "it has no bytecode: phones cannot read it"),)
    return ()
