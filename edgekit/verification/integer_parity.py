"""Integers against integers: how many differ, and by how many LSB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class IntegerParity:
    """The logits of one runner against the reference.

    Attributes:
        runner: runtime, version and kernels.
        images: how many were compared.
        values: how many logits were compared.
        differences: how many logits are off by how many LSB; 0 included.
        images_identical: images without a single difference.
        top1_agreement: share of images whose highest logit is the same class, 0..1.
    """

    runner: str
    images: int
    values: int
    differences: Mapping[int, int] = field(repr=False)
    images_identical: int
    top1_agreement: float

    @property
    def identical(self) -> float:
        """The share of identical logits, 0..1."""
        return self.differences.get(0, 0) / self.values

    @property
    def max_lsb(self) -> int:
        """The largest difference."""
        return max(self.differences)

    @property
    def passed(self) -> bool:
        """Whether every integer is the same; a comparison of nothing proves nothing."""
        return self.values > 0 and self.max_lsb == 0


def compare_integers(runner: str, found: NDArray[np.int8], expected: NDArray[np.int8]) -> IntegerParity:
    """Compare the logits of a runner, [N, classes], with those that are expected."""
    assert found.shape == expected.shape, f"{found.shape} against {expected.shape}"
    distance = np.abs(found.astype(np.int16) - expected.astype(np.int16))
    sizes, counts = np.unique(distance, return_counts=True)
    return IntegerParity(
        runner=runner,
        images=len(found),
        values=int(found.size),
        differences={int(size): int(count) for size, count in zip(sizes, counts, strict=True)},
        images_identical=int((distance.max(1) == 0).sum()),
        top1_agreement=float((found.argmax(1) == expected.argmax(1)).mean()),
    )
