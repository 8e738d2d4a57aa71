"""Files as ``edgekit.device`` measures them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.device.plan import PlannedFile
from edgekit.errors import ArtifactError
from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import Precision
from edgekit.runtimes.catalog import engine_of

if TYPE_CHECKING:
    from pathlib import Path


def planned_file(path: Path) -> PlannedFile | None:
    """A file, whoever wrote it; None where no engine runs its format, which is so of Core ML.

    It is not opened: a device may have the runtime that this machine lacks. What it computes in is taken from its name,
    which is how export calls it.

    Raises:
        ArtifactError: ``path`` does not exist, or is of no known format.
    """
    engine = engine_of(format_of(path).name)
    if not path.exists():
        raise ArtifactError(f"{path} does not exist")
    precision = path.stem.rpartition(".")[2]
    known = precision if precision in set(Precision) else ""
    return None if engine is None else PlannedFile(str(path), engine, precision=known)
