"""What a calibration found: enough to quantize again without the images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edgekit.calibration.options import DEFAULT, Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True)
class Ranges:
    """What a calibration found; ``saved`` writes it down and reads it back.

    Attributes:
        found: what each step of the recipe found, by its name.
        images: how many images were seen.
        digest: of these images (``ImageSource.digest``).
        preprocessing: how they became pixels.
        options: how the network becomes integers.
        provenance: what was calibrated (checkpoint hash, architecture, more precise layers), JSON values.
    """

    found: Mapping[str, Any]
    images: int
    digest: str
    preprocessing: Preprocessing
    options: Options = DEFAULT
    provenance: Mapping[str, Any] = field(default_factory=dict)
