"""From what networks took to what a unit of each kind of work takes.

The time of a network is a sum over its layers, and that of a layer a sum over what it makes the machine do
(``edgekit.timing.prediction.layers``), each count times a cost that is never negative: least squares of the relative
errors under that condition (C. L. Lawson, R. J. Hanson, Solving Least Squares Problems, 1974, chapter 23). Networks
whose time was disturbed lie far from all the others and count less (P. J. Huber, Robust Estimation of a Location
Parameter, 1964). The tile sizes of the kernels are those with which the networks are explained best.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.progress import Progress, silent
from edgekit.timing.prediction.layers import Tiling, counts, most, total
from edgekit.timing.prediction.model import Error, Fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.timing.prediction.layers import Counts, Layer

FOLDS: Final = 10  # each part of the networks is predicted from the nine others
_FEW_FOLDS: Final = 4  # while tile sizes are tried, of which there are many
_HUBER: Final = 1.345  # standard deviations beyond which an error counts less: 95 % as efficient where none is wild
_MAD: Final = 1.4826  # standard deviations of a normal distribution to its median absolute deviation
_REWEIGHTED: Final = 5
_STAGE: Final = "finding the kernels' tiles"
# What kernels are built for, from SSE2 and NEON to AVX-512.
_SIZES: Final = {
    "rows": (1, 2, 3, 4, 6, 8),
    "columns": (1, 4, 8, 16, 32),
    "depth": (1, 2, 4, 8, 16),
    "channels": (1, 4, 8, 16, 32),
    "vector": (1, 4, 8, 16),
}
_TOGETHER: Final = (("rows",), ("columns",), ("depth",), ("channels", "vector"))


@dataclass(frozen=True, slots=True)
class Sample:
    """A network that was measured.

    Attributes:
        layers: what it consists of.
        ms: that a run of it takes.
    """

    layers: tuple[Layer, ...]
    ms: float


def fit(samples: Sequence[Sample], progress: Progress = silent) -> Fit:
    """The costs that explain ``samples`` best, and how well they predict networks that they were not fitted to.

    Args:
        samples: at least as many as there are ``FOLDS``.
        progress: told about tile sizes that are tried.
    """
    tiling = _tiling(samples, progress)
    table = _Table.of(samples, tiling)
    costs = table.costs()
    largest: Counts = {}
    for sample in samples:
        for layer in sample.layers:
            largest = most(largest, counts(layer, tiling))
    return Fit(
        tiling=tiling,
        costs_ms={term: float(cost) for term, cost in zip(table.terms, costs, strict=True)},
        largest=largest,
        range_ms=(min(sample.ms for sample in samples), max(sample.ms for sample in samples)),
        error=Error.of(table.held_out()),
    )


def _tiling(samples: Sequence[Sample], progress: Progress) -> Tiling:
    """The tile sizes, one after the other, twice: each as it explains best with the others as they are.

    Both of depthwise convolutions are tried together: what is left over of one is what the other is made for.
    """
    best, rounds = Tiling(), 2 * _TOGETHER
    for done, names in enumerate(rounds):
        progress(_STAGE, done, len(rounds))
        sizes = itertools.product(*(_SIZES[name] for name in names))
        tried = [replace(best, **dict(zip(names, chosen, strict=True))) for chosen in sizes]
        best = min(tried, key=lambda tiling: _Table.of(samples, tiling).spread())
    progress(_STAGE, len(rounds), len(rounds))
    return best


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class _Table:
    """Networks as rows.

    Attributes:
        terms: names of the columns.
        shares: [networks, terms], each count over the milliseconds of its network.
    """

    terms: tuple[str, ...]
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, samples: Sequence[Sample], tiling: Tiling) -> _Table:
        rows = [total(sample.layers, tiling) for sample in samples]
        terms = tuple(sorted({term for row in rows for term in row}))
        values = [[row.get(term, 0.0) / sample.ms for term in terms] for row, sample in zip(rows, samples, strict=True)]
        return cls(terms, np.array(values))

    def costs(self) -> NDArray[np.float64]:
        """Milliseconds of a unit of each term."""
        return _costs(self.shares)

    def spread(self) -> float:
        """How far networks typically lie from what is predicted, where each is left out of the fit."""
        return float(np.abs(self.held_out(_FEW_FOLDS)).mean())

    def held_out(self, folds: int = FOLDS) -> NDArray[np.float64]:
        """The relative error of each network, predicted from others, [networks]."""
        order = np.random.default_rng(0).permutation(len(self.shares))
        errors = np.empty(len(order))
        for fold in range(folds):
            held = order[fold::folds]
            errors[held] = self.shares[held] @ _costs(np.delete(self.shares, held, axis=0)) - 1
        return errors


def _costs(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The costs [terms] with which every row of [networks, terms] gives 1, as nearly as can be."""
    weights = np.ones(len(shares))
    costs = np.zeros(shares.shape[1])
    for _ in range(_REWEIGHTED):
        costs = non_negative(shares * weights[:, None], weights)
        errors = np.abs(shares @ costs - 1)
        limit = max(_HUBER * _MAD * float(np.median(errors)), 1e-9)
        weights = np.sqrt(np.minimum(1.0, limit / np.maximum(errors, 1e-12)))
    return costs


def non_negative(rows: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """The x >= 0 with the least |rows x - wanted|, by Lawson's and Hanson's active sets.

    Args:
        rows: [equations, unknowns].
        wanted: [equations].

    >>> non_negative(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([2.0, -3.0]))
    array([2., 0.])
    """
    scale = np.sqrt((rows**2).sum(0))
    scale[scale == 0] = 1.0
    scaled = rows / scale
    gram, target = scaled.T @ scaled, scaled.T @ wanted
    x = np.zeros(len(target))
    free = np.zeros(len(target), bool)
    for _ in range(3 * len(target)):
        gradient = np.where(free, -np.inf, target - gram @ x)
        if gradient.max() <= 1e-9:
            break
        free[gradient.argmax()] = True
        while True:
            trial = np.zeros_like(x)
            trial[free] = np.linalg.lstsq(gram[np.ix_(free, free)], target[free], rcond=None)[0]
            sinks = free & (trial <= 0)
            if not sinks.any():
                x = trial
                break
            ratio = np.where(sinks, x / np.where(sinks, x - trial, 1.0), np.inf)
            x = x + ratio.min() * (trial - x)
            free &= x > 1e-12
            x[~free] = 0.0
    return np.asarray(x / scale)
