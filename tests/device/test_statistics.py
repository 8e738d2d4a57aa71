"""Intervals: their probability counted by brute force, and on simulated laps of every kind."""

from __future__ import annotations

from itertools import combinations
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.device.plan import LAPS
from edgekit.device.statistics import LEVEL, coverage, interval, interval_of_times, rank_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Noise = Callable[[np.random.Generator, int], NDArray[np.float64]]


@pytest.mark.parametrize("laps", [1, 3, 5, 7])
def test_the_formula_counts_what_can_happen(laps: int) -> None:
    """Every way to deal 2 k figures out to two measurements is as likely as any other."""
    hands = list(combinations(range(2 * laps), laps))
    for rank in range(1, (laps + 1) // 2 + 1):
        covered = 0
        for ours in hands:
            theirs = sorted(set(range(2 * laps)) - set(ours))
            covered += ours[rank - 1] <= median(theirs) <= ours[-rank]
        assert coverage(laps, rank) == pytest.approx(covered / len(hands))


@pytest.mark.parametrize("laps", [2, 4, 6])
def test_an_even_number_of_laps_covers_no_less(laps: int) -> None:
    hands = list(combinations(range(2 * laps), laps))
    covered = sum(ours[0] <= median(sorted(set(range(2 * laps)) - set(ours))) <= ours[-1] for ours in hands)
    assert coverage(laps, 1) <= covered / len(hands)


NOISES: dict[str, Noise] = {
    "normal": lambda random, n: random.normal(0, 0.01, n),
    "heavy tails": lambda random, n: 0.01 * random.standard_t(1.5, n),
    "two kinds of processes": lambda random, n: random.choice([-0.03, 0.03], n) + random.normal(0, 0.002, n),
    "disturbed": lambda random, n: random.pareto(1.5, n),
}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_the_interval_holds_the_next_time(noise: Noise) -> None:
    random = np.random.default_rng(0)
    runs = [interval(noise(random, LAPS).tolist()) for _ in range(300)]
    share = np.mean([[ours.low <= theirs.value <= ours.high for theirs in runs] for ours in runs])
    assert share >= LEVEL


def test_laps_are_the_fewest_that_reach_the_level() -> None:
    assert coverage(LAPS, rank_for(LAPS)) >= LEVEL > coverage(LAPS - 2, 1)


def test_more_laps_allow_a_narrower_interval() -> None:
    assert [rank_for(laps) for laps in (1, 3, 11, 15, 19, 25)] == [1, 1, 1, 2, 3, 5]
    for laps in range(1, 40):
        assert coverage(laps, rank_for(laps)) >= LEVEL or rank_for(laps) == 1


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.5, 0.9, 1.0])
def test_a_time_holds_whatever_the_mix_of_states(share: float) -> None:
    """Ours meets a state in which the machine is 20 % slower in 4 % of its runs; another one in any share of them."""
    random = np.random.default_rng(0)

    def laps(slow: float) -> list[list[float]]:
        shape = (LAPS, 200)
        times: list[list[float]] = (
            np.where(random.random(shape) < slow, 1.2, 1.0) * random.normal(1, 0.01, shape)
        ).tolist()
        return times

    found = [interval_of_times(laps(0.04)) for _ in range(50)]
    other = interval_of_times(laps(share)).value
    assert all(ours.low <= other <= ours.high for ours in found)
    assert all(ours.low < 1.0 < ours.high < 1.25 for ours in found)


def test_every_lap_counts_the_same() -> None:
    found = interval_of_times([[1.0] * 1000, [1.0] * 1000, [2.0]])
    assert (found.value, found.low, found.high) == (1.0, 1.0, 2.0)
    assert interval_of_times([[1.0, 1.0, 1.0, 9.0], [1.0] * 1000]).high == 9.0
    assert interval_of_times([[1.0] * 200 + [9.0], [1.0] * 201]).high == 1.0


def test_a_single_lap_says_nothing_of_the_next() -> None:
    only = interval([2.0])
    assert (only.value, only.low, only.high, only.coverage) == (2.0, 2.0, 2.0, 0.0)
