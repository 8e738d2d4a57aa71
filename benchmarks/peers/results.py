"""What one contestant made of one network, and its file in the cache."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgekit import files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_FILE, _LOGITS = "result.json", "logits.npy"


@dataclass(frozen=True, slots=True)
class Result:
    """One cell of the comparison, without what follows from the logits.

    Attributes:
        error: why there is no result; empty where there is one.
        versions: of the tool's packages.
        runtime: that ran the file.
        size_bytes: of the file.
        operators: how many operators compute.
        float_operators: how many of each kind compute in float.
    """

    error: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    runtime: str = ""
    size_bytes: int = 0
    operators: int = 0
    float_operators: Mapping[str, int] = field(default_factory=dict)

    def save(self, folder: Path, logits: NDArray[np.generic] | None) -> None:
        """Write it and the logits; the result comes last, so that where it is, everything is."""
        if logits is not None:
            with files.replacing(folder / _LOGITS) as temporary:
                np.save(temporary, logits)
        files.write_bytes(folder / _FILE, json.dumps(asdict(self), indent=2).encode())


def load(folder: Path) -> Result | None:
    """The result in a folder; None where there is none."""
    path = folder / _FILE
    return Result(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def load_logits(folder: Path) -> NDArray[np.generic]:
    """The logits, [N, classes], that belong to a result without an error."""
    logits: NDArray[np.generic] = np.load(folder / _LOGITS)
    return logits
