"""Step 2: a histogram of every tensor, and the range that follows."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from edgekit.calibration.data_free import LOGITS_MARGIN
from edgekit.calibration.ranges import Range, RangeMethod, find_range
from edgekit.calibration.stability import merged, widened, without_one_outlier
from edgekit.calibration.steps.step import RANGES, Step, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgekit.calibration.observers import StreamingHistogram
    from edgekit.calibration.options import Options


class FindRanges(Step["Mapping[str, Range]"]):
    """The range of every tensor, by its name; of the equalized network."""

    name = RANGES

    def find(self, work: Work) -> Mapping[str, Range]:
        """By the method that was chosen, from all images."""
        histograms, find = work.observed.histograms, finder(work.options)
        ranges = {name: find(merged(groups)) for name, groups in histograms.items()}
        if work.options.method is RangeMethod.PERCENTILE:
            ranges = {name: without_one_outlier(ranges[name], histograms[name], find) for name in ranges}
            if not work.options.synthetic:  # whose tails are nobody's
                ranges = {name: widened(ranges[name], histograms[name], find) for name in ranges}
        if work.options.synthetic:
            ranges |= {name: ranges[name].scaled(LOGITS_MARGIN) for name in work.model.graph.output_tensors}
        return ranges

    def encode(self, found: Mapping[str, Range]) -> Any:  # noqa: ANN401 - JSON
        """Both ends."""
        return {name: [one.low, one.high] for name, one in found.items()}

    def decode(self, values: Any) -> Mapping[str, Range]:  # noqa: ANN401 - JSON
        """The inverse of ``encode``."""
        return {name: _checked(float(low), float(high)) for name, (low, high) in values.items()}


def finder(options: Options) -> Callable[[StreamingHistogram], Range]:
    """What gives the range of a histogram."""
    return partial(find_range, method=options.method, percentile=options.percentile)


def _checked(low: float, high: float) -> Range:
    if not (-math.inf < low <= 0 <= high < math.inf and low < high):
        raise ValueError(f"[{low}, {high}] is no range")
    return Range(low, high)
