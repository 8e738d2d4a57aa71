"""Float logits: of float files against the trained network, of int8 files whose last layers are kept in float."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.metadata import Precision
from edgekit.verification.integer_parity import ran, values_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.tasks.values import Measured

# Largest difference of a logit relative to the largest logit. float32: sums of up to 1e4 products in another order,
# each rounded to 2**-24, stay far below. float16 keeps 11 bits, and some fifty layers follow each other.
TOLERANCE = {
    Precision.FLOAT32: 1e-4,
    Precision.FLOAT16: 5e-2,
    Precision.WEIGHT_ONLY: 1e-4,
    # Each rounds activations its own way, some fifty times one behind the other: measured up to 0.07 on three networks,
    # and 0.9 with a kernel that was wrong (torch's conv2d_dynamic).
    Precision.DYNAMIC: 0.2,
}
NEAR_BECAUSE = {Precision.DYNAMIC: "layers of dynamic files quantize what they read, each runtime in its own way"}


@dataclass(frozen=True, slots=True)
class FloatParity:
    """An output of one runner against the trained network's, or the reference's.

    Attributes:
        runner: runtime, version and kernels.
        images: how many were compared.
        max_abs_error: in the output's own units.
        max_rel_error: max_abs_error relative to the largest value.
        max_ulp: max_abs_error in units of the last place that the largest value has in ``precision``.
        tolerance: of max_rel_error.
        precision: of the file.
        agreement: of the answers, as the network's task has it; None where that was not asked.
        output: its name; "" for the logits of a classifier, its only output.
        near: why the runner computes something else than what it is compared with, as the end of a sentence; "" where
            all that differs is how sums are rounded.
    """

    runner: str
    images: int
    max_abs_error: float
    max_rel_error: float
    max_ulp: float
    tolerance: float
    precision: Precision
    agreement: Measured | None = None
    output: str = ""
    near: str = ""

    def ran(self) -> str:
        """Runner and output, for people."""
        return ran(self.runner, self.output)

    def farness(self) -> float:
        """How far off it is, by which outputs are ordered."""
        return self.max_rel_error

    def values_of(self) -> str:
        """What was compared, for people."""
        return values_of(self.output)

    def distance(self) -> str:
        """How far off it is, in a few words."""
        return f"{self.max_abs_error:.1e}"

    def said(self) -> str:
        """How near it is, for people."""
        return f"{self.max_rel_error:.1e} of the largest"

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; NaN is not."""
        return self.images > 0 and self.max_rel_error <= self.tolerance


def compare_floats(  # noqa: PLR0913 - what is compared, and what is allowed
    runner: str,
    found: NDArray[np.floating],
    expected: NDArray[np.floating],
    tolerance: float,
    precision: Precision = Precision.FLOAT32,
    *,
    output: str = "",
) -> FloatParity:
    """Compare an output of a runner, [N, ...], with what is expected.

    Errors are measured against the largest value, in ULP too: a logit near 0 is a difference of sums as large as the
    others', so units of its own last place would say nothing.
    """
    assert found.shape == expected.shape, f"{found.shape} against {expected.shape}"
    error, largest = (float(np.abs(x).max(initial=0.0)) for x in (found.astype(np.float64) - expected, expected))
    last_place = np.spacing(np.asarray(largest, np.float16 if precision is Precision.FLOAT16 else np.float32))
    return FloatParity(
        runner=runner,
        images=len(found),
        max_abs_error=error,
        max_rel_error=error / max(largest, float(np.finfo(np.float32).tiny)),
        max_ulp=error / float(last_place),
        tolerance=tolerance,
        precision=precision,
        output=output,
        near=NEAR_BECAUSE.get(precision, ""),
    )
