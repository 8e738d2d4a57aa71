"""Whether a TorchScript file is well-formed."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from edgekit.errors import ConfigError
from edgekit.exporters.summary import Violation
from edgekit.exporters.torch import script
from edgekit.exporters.torch.contents import BYTECODE
from edgekit.exporters.torch.reading import archived, load

if TYPE_CHECKING:
    from pathlib import Path


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
    load(path, engine=script.packing_engine())
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        return (Violation(None, f"the entry {damaged} of the archive is damaged"),)
    return () if archived(path, [BYTECODE]) else (Violation(None, "it has no bytecode: phones cannot read it"),)
