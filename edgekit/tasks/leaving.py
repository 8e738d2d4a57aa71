"""From where images leave a network with exits: temperatures and confidences, chosen on labelled images.

Each exit is calibrated on the images that reach it, and on no others, for those are the ones that it decides about
(arXiv:2509.08318): by one temperature (arXiv:1706.04599). Confidences are chosen so that an image costs the least
multiplications on average while top-1 stays within a drop of what the last exit reaches alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.tasks.classification.answers import probabilities

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_COMBINATIONS: Final = 20_000  # of confidences that are tried, at most
_CONFIDENCES: Final = 50  # of one exit, at most
_ENOUGH: Final = 50  # images that tell a temperature; where fewer reach an exit, all do
_ROUNDS: Final = 3  # of temperatures and confidences, which depend on one another
_COLDEST, _HOTTEST, _HALVINGS = 0.25, 4.0, 24  # temperatures between which the best one is looked for, and how often
_GOLDEN: Final = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Leaving:
    """What happens at an exit.

    Attributes:
        name: of the exit.
        temperature: what its logits are divided by.
        confidence: from which on an image leaves there; None of the last exit.
        share: of all images, those that leave there, 0..1.
        top1: share of these that are right, 0..1; 0 where none leaves.
        macs: multiplications for an image that leaves there, with all that was done before.
    """

    name: str
    temperature: float
    confidence: float | None
    share: float
    top1: float
    macs: int


@dataclass(frozen=True, slots=True)
class Leavings:
    """What happens at all exits of a network.

    Attributes:
        exits: in order.
        top1: share of all images that are right, 0..1.
        last_top1: likewise, if all went to the end.
        images: how many there were.
    """

    exits: tuple[Leaving, ...]
    top1: float
    last_top1: float
    images: int

    @property
    def macs(self) -> float:
        """The mean multiplications of an image."""
        return sum(one.share * one.macs for one in self.exits)


def choose(
    logits: Sequence[NDArray[np.floating]], targets: NDArray[np.intp], macs: Sequence[int], drop: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Temperatures of all exits, and confidences of all but the last.

    Args:
        logits: of each exit in order, [N, classes].
        targets: the right class of each image, [N].
        macs: multiplications for an image that leaves at each exit.
        drop: points of top-1 that may be lost against the last exit.
    """
    right = np.stack([own.argmax(1) == targets for own in logits])
    least = int(right[-1].sum()) - math.floor(drop / 100 * len(targets))
    reach = np.ones(right.shape, np.bool_)
    temperatures, confidences = (1.0,) * len(logits), (1.0,) * (len(logits) - 1)
    for _ in range(_ROUNDS):
        counted = np.where(reach.sum(1, keepdims=True) >= _ENOUGH, reach, True)
        temperatures = tuple(
            _temperature(own[there], targets[there]) for own, there in zip(logits, counted, strict=True)
        )
        sure = np.stack([probabilities(own / t).max(1) for own, t in zip(logits[:-1], temperatures, strict=False)])
        confidences = _cheapest(sure, right, macs, least)
        stays = sure < np.array(confidences)[:, None]
        reach[1:] = np.cumprod(stays, axis=0, dtype=np.bool_)
    return temperatures, confidences


def _temperature(logits: NDArray[np.floating], targets: NDArray[np.intp]) -> float:
    """The temperature at which the right classes are most probable: golden-section search, in its logarithm."""

    def surprise(log: float) -> float:
        likely = probabilities(logits / math.exp(log))[np.arange(len(targets)), targets]
        return float(-np.log(np.maximum(likely, np.finfo(np.float64).tiny)).mean())

    low, high = math.log(_COLDEST), math.log(_HOTTEST)
    for _ in range(_HALVINGS):
        first, second = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if surprise(first) <= surprise(second):
            high = second
        else:
            low = first
    return math.exp((low + high) / 2)


def _cheapest(
    sure: NDArray[np.float64], right: NDArray[np.bool_], macs: Sequence[int], least: int
) -> tuple[float, ...]:
    """The confidences at which images cost the least, and at least so many are right; 1 at an exit where none leaves.

    Args:
        sure: how sure each exit but the last is of each image, [exits - 1, N].
        right: whether each exit is right, [exits, N].
        macs: until each exit.
        least: images that have to be right.
    """
    exits = len(sure)
    shares = np.linspace(0, 1, min(max(int(_COMBINATIONS ** (1 / exits)), 3), _CONFIDENCES))
    best: tuple[float, tuple[float, ...]] = (math.inf, (1.0,) * exits)

    def tried(place: int, there: NDArray[np.bool_]) -> Iterator[tuple[float, int, tuple[float, ...]]]:
        """Cost, images that are right and confidences, from an exit on, for the images that reach it."""
        if place == exits:
            yield macs[-1] * int(there.sum()), int(right[-1][there].sum()), ()
            return
        own = sure[place][there]
        candidates = np.unique(np.quantile(own, shares)) if len(own) else np.empty(0)
        for confidence in (*candidates, math.inf):
            leaves = there & (sure[place] >= confidence)
            cost, count = macs[place] * int(leaves.sum()), int(right[place][leaves].sum())
            for later, others, further in tried(place + 1, there & ~leaves):
                yield cost + later, count + others, (min(float(confidence), 1.0), *further)

    for cost, count, confidences in tried(0, np.ones(right.shape[1], np.bool_)):
        if count >= least and cost < best[0]:
            best = cost, confidences
    return best[1]


def told(  # noqa: PLR0913 - what is known of the exits, and what was chosen
    names: Sequence[str],
    logits: Sequence[NDArray[np.floating]],
    targets: NDArray[np.intp],
    taken: NDArray[np.intp],
    macs: Sequence[int],
    *,
    chosen: tuple[Sequence[float], Sequence[float]],
) -> Leavings:
    """What happens at the exits of a network.

    Args:
        names: of the exits.
        logits: of each, [N, classes].
        targets: the right class of each image, [N].
        taken: the place of the exit that each image takes, [N].
        macs: multiplications for an image that leaves at each exit.
        chosen: what ``choose`` gives.
    """
    right = np.stack([own.argmax(1) == targets for own in logits])
    temperatures, confidences = chosen
    exits = tuple(
        Leaving(
            name,
            temperatures[place],
            confidences[place] if place < len(confidences) else None,
            float((taken == place).mean()),
            float(right[place][taken == place].mean()) if (taken == place).any() else 0.0,
            macs[place],
        )
        for place, name in enumerate(names)
    )
    top1 = float(right[taken, np.arange(len(targets))].mean())
    return Leavings(exits, top1, float(right[-1].mean()), len(targets))
