"""Last: what more images would change. It changes nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.ranges import RangeMethod
from edgekit.calibration.stability import MORE_IMAGES, range_stability
from edgekit.calibration.steps.find_ranges import finder
from edgekit.calibration.steps.step import Step, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.float_model import FloatModel

_QUICK = (RangeMethod.PERCENTILE, RangeMethod.MINMAX)  # the others would search for each range eight times more


class TellStability(Step["Mapping[str, float]"]):
    """By tensor, in parts of its range, what some more images would change; empty where that is not known."""

    name = "stability"

    def find(self, work: Work) -> Mapping[str, float]:
        """From the groups of images that have histograms of their own."""
        if work.options.method not in _QUICK:
            return {}
        seen = work.observed
        steady = range_stability(seen.histograms, finder(work.options), images=seen.images)
        return {} if steady is None else steady.bounds

    def keep(self, found: Mapping[str, float]) -> Mapping[str, float]:
        """To three digits."""
        return {name: float(f"{bound:.3g}") for name, bound in found.items()}

    def tell(self, model: FloatModel, found: Mapping[str, float]) -> tuple[str, ...]:  # noqa: ARG002 - as a Step is asked
        """Of the median tensor, and of the worst."""
        if not found:
            return ()
        worst = max(found, key=found.__getitem__)
        median, most = np.median(list(found.values())), found[worst]
        half = f"with {MORE_IMAGES} more images, the ranges of half of the tensors would move by {median:.1%} at most"
        return (f"{half}, that of {worst} by {most:.0%}",)

    def encode(self, found: Mapping[str, float]) -> Any:  # noqa: ANN401 - JSON
        """A number a tensor."""
        return dict(found)

    def decode(self, values: Any) -> Mapping[str, float]:  # noqa: ANN401 - JSON
        """The inverse of ``encode``."""
        return {name: float(bound) for name, bound in values.items()}
