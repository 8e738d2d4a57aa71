"""Classes against classes: how many places of masks have another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.exporters.metadata import Precision
from edgekit.verification.integer_parity import ran
from edgekit.words import percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgekit.tasks.values import Measured

# The share of the places whose class may be another, where classes follow from reals. They differ where two channels
# are as good as equal: the share of those that float32 tells apart otherwise is below 1e-4, measured on photographs
# that 480 x 360 logits are enlarged to; float16 keeps 11 bits of every logit, and an int8 rounding that turns out
# otherwise in the middle of a network moves logits by as much (``integer_parity.NEAR``).
NEAR_CLASSES: Final = 5e-2
ALLOWED: Final = {
    Precision.FLOAT32: 1e-3,
    Precision.FLOAT16: NEAR_CLASSES,
    Precision.WEIGHT_ONLY: 1e-3,
    Precision.DYNAMIC: NEAR_CLASSES,
}


@dataclass(frozen=True, slots=True)
class ClassParity:
    """Masks of one runner against the reference's, or the trained network's.

    Attributes:
        runner: runtime, version and kernels.
        images: how many were compared.
        values: places of all masks.
        differing: those with another class.
        allowed: the share of them that may have one, 0..1.
        output: its name.
        near: why identity is not claimed of an int8 file, as the end of a sentence; "" where it is, and of float files.
        precision: of the file.
        agreement: of the answers, as the network's task has it; None where that was not asked.
    """

    runner: str
    images: int
    values: int
    differing: int
    allowed: float
    output: str
    near: str = ""
    precision: Precision = Precision.INT8
    agreement: Measured | None = None

    def ran(self) -> str:
        """Runner and output, for people."""
        return ran(self.runner, self.output)

    def farness(self) -> float:
        """How far off it is, by which outputs are ordered."""
        return 1 - self.identical

    def values_of(self) -> str:
        """What was compared, for people."""
        return f"places of {self.output}"

    def distance(self) -> str:
        """How far off it is, in a few words."""
        return f"{100 * self.farness():.2g} %"

    def said(self) -> str:
        """How near it is, for people."""
        return f"{percent(self.identical)} identical"

    @property
    def identical(self) -> float:
        """The share of places with the same class, 0..1."""
        return 1 - self.differing / self.values if self.values else 0.0

    @property
    def passed(self) -> bool:
        """Whether no more differ than may; nothing compared is nothing."""
        return self.values > 0 and self.differing <= self.allowed * self.values


def compare_classes(  # noqa: PLR0913 - what is compared, and what is allowed
    runner: str,
    found: NDArray[np.integer],
    expected: NDArray[np.integer],
    *,
    output: str,
    near: str = "",
    precision: Precision = Precision.INT8,
) -> ClassParity:
    """Compare masks [N, H, W] of a runner with what is expected.

    >>> import numpy as np
    >>> parity = compare_classes("LiteRT 2.3.0", np.array([[[1, 7]]]), np.array([[[1, 9]]]), output="classes")
    >>> parity.differing, parity.identical, parity.passed
    (1, 0.5, False)
    """
    assert found.shape == expected.shape, f"{found.shape} against {expected.shape}"
    allowed = ALLOWED.get(precision, NEAR_CLASSES if near else 0.0)
    differing = int((found != expected).sum())
    return ClassParity(runner, len(found), int(found.size), differing, allowed, output, near, precision)
