"""The files that a command line names: a folder stands for what is in it, and records beside files are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import ArtifactError
from edgekit.exporters.formats import FORMATS, refuse_trained
from edgekit.exporters.metadata import Precision
from edgekit.integer_model import SUFFIX
from edgekit.pipeline.making.integers import RANGES_SUFFIX
from edgekit.pipeline.making.manifest import SUFFIX as MANIFEST_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RECORDS = (RANGES_SUFFIX, MANIFEST_SUFFIX)  # beside exported files: a shell's NAME.* names them, too


def expand(artifacts: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """Folders replaced by the files in them; the integer model is taken out of the list, and what is beside it, too.

    Raises:
        ArtifactError: there is no file, or more than one integer model.
    """
    suffixes = {form.suffix for form in FORMATS.values()}
    found: list[Path] = []
    for artifact in artifacts:
        refuse_trained(artifact)
        if artifact.is_dir() and artifact.suffix not in suffixes:
            found += sorted(entry for entry in artifact.iterdir() if entry.suffix in suffixes | {SUFFIX})
        else:
            found.append(artifact)
    found = [path for path in dict.fromkeys(found) if not path.name.endswith(RECORDS)]
    saved = [path for path in found if path.suffix == SUFFIX]
    if len(saved) > 1:
        one = str(saved[0]).removesuffix(f".{Precision.INT8}{SUFFIX}")
        raise ArtifactError(
            f"{saved[0]} and {saved[1]} are of two networks: name the files of one of them, e.g. {one}.*"
        )
    files = [path for path in found if path.suffix != SUFFIX]
    if not files:
        raise ArtifactError(f"there is no exported file in {', '.join(map(str, artifacts)) or 'nothing'}")
    return files, saved[0] if saved else None
