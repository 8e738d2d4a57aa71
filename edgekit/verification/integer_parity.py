"""Integers against integers: how many differ, and by how many LSB."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgekit.words import percent

# Of relative_rms, behind layers that are more precise than int8. One rounding that turns out otherwise near the image
# grows to a few LSB of every logit: measured on MobileNetV3-Small with its first hard-swish in float, 0.12 between a
# runtime and the reference, where int8 itself costs 0.3. A file that computes something else is off by 1 and more.
NEAR = 0.25

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def ran(runner: str, output: str) -> str:
    """A runner and what was compared of it, for people.

    >>> ran("LiteRT 2.3.0", ""), ran("LiteRT 2.3.0", "boxes")
    ('LiteRT 2.3.0', 'LiteRT 2.3.0: boxes')
    """
    return f"{runner}: {output}" if output else runner


def values_of(output: str) -> str:
    """What the values of an output are called.

    >>> values_of(""), values_of("boxes")
    ('logits', 'values of boxes')
    """
    return f"values of {output}" if output else "logits"


def value_of(output: str) -> str:
    """What one of them is called."""
    return f"value of {output}" if output else "logit"


@dataclass(frozen=True, slots=True)
class IntegerParity:
    """An output of one runner against the reference.

    Attributes:
        runner: runtime, version and kernels.
        images: how many were compared.
        values: how many values were compared.
        differences: how many values are off by how many LSB; 0 included.
        images_identical: images without a single difference.
        relative_rms: root mean square of the differences, relative to the standard deviation of the reference.
        near: why identity is not claimed, as the end of a sentence; "" where it is.
        max_lsb_allowed: where it is claimed, by how much integers may differ all the same; 0 unless the user says
            otherwise.
        output: its name; "" for the logits of a classifier, its only output.
    """

    runner: str
    images: int
    values: int
    differences: Mapping[int, int] = field(repr=False)
    images_identical: int
    relative_rms: float
    near: str = ""
    max_lsb_allowed: int = 0
    output: str = ""

    @property
    def exact(self) -> bool:
        """Whether identity is claimed."""
        return not self.near

    def ran(self) -> str:
        """Runner and output, for people."""
        return ran(self.runner, self.output)

    def farness(self) -> float:
        """How far off it is, by which outputs are ordered."""
        return float(self.max_lsb)

    def values_of(self) -> str:
        """What was compared, for people."""
        return values_of(self.output)

    def distance(self) -> str:
        """How far off it is, in a few words."""
        return f"{self.max_lsb} LSB"

    def said(self) -> str:
        """How near it is, for people."""
        return f"{percent(self.identical)} identical" + (f", {self.max_lsb} LSB at most" if self.max_lsb else "")

    @property
    def identical(self) -> float:
        """The share of identical logits, 0..1."""
        return self.differences.get(0, 0) / self.values if self.values else 0.0

    @property
    def max_lsb(self) -> int:
        """The largest difference."""
        return max(self.differences, default=0)

    @property
    def passed(self) -> bool:
        """Whether every integer is as it has to be, near where identity is not claimed; nothing compared is nothing."""
        return self.values > 0 and (self.max_lsb <= self.max_lsb_allowed if self.exact else self.relative_rms <= NEAR)


def compare_integers(  # noqa: PLR0913 - what is compared, and what is allowed
    runner: str,
    found: NDArray[np.int8],
    expected: NDArray[np.int8],
    *,
    near: str = "",
    max_lsb_allowed: int = 0,
    output: str = "",
) -> IntegerParity:
    """Compare an output of a runner, [N, ...], with what is expected.

    >>> import numpy as np
    >>> parity = compare_integers("LiteRT 2.3.0", np.array([[1, 7]], np.int8), np.array([[1, 9]], np.int8))
    >>> parity.max_lsb, parity.identical, parity.passed
    (2, 0.5, False)
    """
    assert found.shape == expected.shape, f"{found.shape} against {expected.shape}"
    distance = np.abs(found.astype(np.int16) - expected.astype(np.int16))
    sizes, counts = np.unique(distance, return_counts=True)
    squares, values = float(np.square(distance, dtype=np.float64).sum()), expected.astype(np.float64)
    return IntegerParity(
        runner=runner,
        images=len(found),
        values=int(found.size),
        differences={int(size): int(count) for size, count in zip(sizes, counts, strict=True)},
        images_identical=int((distance.max(tuple(range(1, distance.ndim)), initial=0) == 0).sum()),
        # Logits that are all the same have no spread: then one LSB is measured against one LSB.
        relative_rms=float(np.sqrt(squares / max(np.square(values - values.mean()).sum(), values.size)))
        if found.size
        else 0.0,
        near=near,
        max_lsb_allowed=max_lsb_allowed,
        output=output,
    )
