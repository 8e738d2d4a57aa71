"""Manifests beside files, and whether the files are still what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import BadInput
from edgekit.pipeline.making.manifest import SUFFIX, Manifest
from edgekit.verification import gates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.verification.gates import Gate

UNCHANGED = "the file that was exported"  # the gate's name


@dataclass(frozen=True, slots=True)
class Record:
    """A manifest that lists a file.

    Attributes:
        path: of the manifest.
        manifest: what it says.
    """

    path: Path
    manifest: Manifest

    def unchanged(self, file: Path, sha256: str) -> Gate:
        """The gate of a file that is listed: whether its hash is the one in the manifest."""
        changed = sha256 != self.manifest.files[file.name].sha256
        problem = (
            f"{file.name} is not the file that was exported: its SHA-256 is not the one in {self.path.name}. Export it "
            f"again"
        )
        return gates.well_formed(UNCHANGED, [problem] if changed else [], f"by {self.path.name}")


class Records:
    """The manifests beside files, each read once.

    Attributes:
        unreadable: why some could not be read.
    """

    def __init__(self) -> None:
        self.unreadable: list[str] = []
        self._of_folder: dict[Path, list[Record]] = {}

    def of(self, path: Path) -> Record | None:
        """The manifest beside a file that lists it; None where there is none."""
        folder = path.parent
        if folder not in self._of_folder:
            self._of_folder[folder] = list(self._read(folder))
        return next((record for record in self._of_folder[folder] if path.name in record.manifest.files), None)

    def _read(self, folder: Path) -> Iterator[Record]:
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                yield Record(path, Manifest.load(path))
            except BadInput as error:
                self.unreadable.append(str(error))
