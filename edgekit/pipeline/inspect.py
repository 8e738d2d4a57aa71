"""What is in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.formats import format_of
from edgekit.integer_model import SUFFIX, IntegerModel

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.exporters.summary import Summary


def inspect(path: Path) -> Summary | IntegerModel:
    """An exported file, counted; or a saved integer model.

    Raises:
        ArtifactError: the file is missing, damaged or of no known format.
        MissingDependency: its format needs an extra that is not installed.
    """
    return IntegerModel.load(path) if path.suffix == SUFFIX else format_of(path).read(path)
