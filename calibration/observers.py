"""What calibration remembers of a tensor's values: a histogram of constant size, filled in one pass.

The bins are 2**k wide and their edges are multiples of that, so that two neighbours merge into one bin of the next
coarser grid without any value changing sides: floor(floor(x / w) / 2) == floor(x / (2 w)). The grid is always the
finest one whose ``BINS`` bins cover zero and every value seen, which makes it a function of the smallest and the
largest value alone. Hence the histogram depends neither on how the values were split into batches nor on their order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 4096  # of which half or more are in use, so that a step of int8 over the full range is eight bins or more
FINEST_EXPONENT = -126  # 2**126 is the largest power of two whose reciprocal is a normal float32
CHUNK = 1 << 18  # values that are counted at once: enough to hide numpy's overhead, few enough to stay in a cache


@dataclass(frozen=True, slots=True)
class Grid:
    """Bins of equal width. Bin i has the edges i * width and (i + 1) * width.

    A bin holds values at its edge nearer to zero, and none at the other one; zero itself is in bin 0. (Mirrored at
    zero, so that truncation finds the bin of a negative value, too, even where x / width underflows.)

    Attributes:
        exponent: of the width, 2**exponent.
        first: the first bin, 0 or negative.
        size: how many bins there are, at most ``BINS``.
    """

    exponent: int
    first: int
    size: int

    @staticmethod
    def covering(minimum: float, maximum: float) -> Grid:
        """The finest grid that covers zero and [minimum, maximum].

        >>> Grid.covering(0.0, 6.0)  # 6 is an edge, and the bin behind it holds it
        Grid(exponent=-9, first=0, size=3073)
        >>> Grid.covering(-1.0, 1.0)
        Grid(exponent=-10, first=-1025, size=2050)
        """
        magnitude = max(-minimum, maximum)
        exponent = FINEST_EXPONENT  # fine enough for a magnitude of 0
        if magnitude > 0:
            # One more would be too fine: the value of this magnitude alone would be in a bin beyond 4095.
            exponent = max(exponent, math.frexp(magnitude)[1] - BINS.bit_length() + 1)
        while True:
            first, last = min(_bin(minimum, exponent), 0), max(_bin(maximum, exponent), 0)
            if last - first < BINS:
                return Grid(exponent, first, last - first + 1)
            exponent += 1

    @property
    def width(self) -> float:
        """Of a bin, in units of the values."""
        return math.ldexp(1.0, self.exponent)

    @property
    def zero(self) -> int:
        """The place of bin 0 in an array of all bins, and that of zero in an array of all edges."""
        return -self.first

    @property
    def edges(self) -> NDArray[np.float64]:
        """Where the bins begin and end, [size + 1], exact."""
        return np.arange(self.first, self.first + self.size + 1, dtype=np.float64) * self.width


class StreamingHistogram:
    """Counts of all float32 values of one tensor: exact, in constant memory, whatever the batches.

    Attributes:
        minimum: the smallest value, exact; inf before the first one.
        maximum: the largest value, exact; -inf before the first one.
        zeros: how many values are exactly zero. Every quantization represents those without error.
        grid: where the bins are.
        counts: how many values are in each bin, zeros included, [grid.size], int64.
    """

    __slots__ = ("counts", "grid", "maximum", "minimum", "zeros")

    def __init__(self) -> None:
        self.minimum, self.maximum = math.inf, -math.inf
        self.zeros = 0
        self.grid = Grid.covering(0.0, 0.0)
        self.counts: NDArray[np.int64] = np.zeros(self.grid.size, np.int64)

    @property
    def total(self) -> int:
        """How many values were seen."""
        return int(self.counts.sum())

    @property
    def edges(self) -> NDArray[np.float64]:
        """Where the bins begin and end, [grid.size + 1]; the outermost end where the values (or zero) do."""
        return self.grid.edges.clip(min(self.minimum, 0.0), max(self.maximum, 0.0))

    def update(self, values: NDArray[np.float32]) -> None:
        """Count ``values``, of any shape and memory layout; about 3 ns a value on one core.

        Most of that is spent without the interpreter's lock: different tensors may be observed in different threads.

        Raises:
            ValueError: a value is NaN or infinite; none is counted then.
        """
        flat = values.ravel(order="K")  # in the order of memory: a view for channels-last arrays, too
        assert flat.dtype == np.float32, f"a histogram counts float32, not {flat.dtype}"
        if flat.size == 0:
            return
        low, high = float(flat.min()), float(flat.max())  # both are NaN if any value is
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("a value is NaN or infinite")
        self._cover(low, high)
        for start in range(0, flat.size, CHUNK):
            self._count(flat[start : start + CHUNK], low)

    def merge(self, other: StreamingHistogram) -> None:
        """Count what ``other`` counted, too: as if this histogram had seen all of its values."""
        if other.total == 0:
            return
        self._cover(other.minimum, other.maximum)
        self.zeros += other.zeros
        _pour(other.counts, other.grid, self.counts, self.grid)

    def _cover(self, low: float, high: float) -> None:
        """Extend and coarsen the grid until it holds [low, high]."""
        # -0.0 + 0.0 is 0.0: which zero came first must not matter.
        self.minimum, self.maximum = min(self.minimum, low) + 0.0, max(self.maximum, high) + 0.0
        grid = Grid.covering(self.minimum, self.maximum)
        if grid != self.grid:
            counts = np.zeros(grid.size, np.int64)
            _pour(self.counts, self.grid, counts, grid)
            self.grid, self.counts = grid, counts

    def _count(self, chunk: NDArray[np.float32], low: float) -> None:
        """Count values that the grid covers, the smallest of them being ``low`` or more."""
        # Scaling by a power of two is exact, or it underflows; truncated, it is right in either case.
        scaled = chunk * np.float32(math.ldexp(1.0, -self.grid.exponent))
        truncated = scaled.astype(np.intp)  # i in bin i >= 0, i + 1 in bin i < 0: so the bins 0 and -1 are still one
        lowest = min(_bin(low, self.grid.exponent) + 1, 0)
        if lowest < 0:
            truncated -= lowest
        counts = np.bincount(truncated, minlength=1 - lowest)
        if low < 0:
            below = counts[: 1 - lowest].copy()  # the bins lowest - 1 to -1
            below[-1] = np.count_nonzero(chunk < 0) - below[:-1].sum()
            counts[-lowest] -= below[-1]
            start = self.grid.zero + lowest - 1
            self.counts[start : self.grid.zero] += below
        above = counts[-lowest:]  # the bins 0, 1, ...
        self.counts[self.grid.zero : self.grid.zero + len(above)] += above
        self.zeros += int(np.count_nonzero(chunk == 0))


def _bin(value: float, exponent: int) -> int:
    """The bin of width 2**exponent that holds ``value``."""
    truncated = int(math.ldexp(value, -exponent))
    return truncated if value >= 0 else truncated - 1


def _pour(counts: NDArray[np.int64], grid: Grid, into: NDArray[np.int64], coarser: Grid) -> None:
    """Add counts to those on a grid that is as coarse or coarser and covers no less."""
    # Bins have 13 bits: shifting by more than 63, which is undefined, would do no more than shifting by 63.
    bins = np.arange(grid.first, grid.first + grid.size) >> min(coarser.exponent - grid.exponent, 63)
    used = counts > 0
    np.add.at(into, bins[used] + coarser.zero, counts[used])
