"""Budgets of live runners, on clocks that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.device.exits import ExitRule
from edgekit.device.pacing import MOST, TRIED_AGAIN, EarlierExits, Share, Sizes

RULES = [ExitRule.of("exit1", 0.1, 1.0, 0.9), ExitRule.of("last", 0.1, 1.0, None)]


def test_pauses_leave_a_share_of_the_time() -> None:
    share, busy = Share(0.2), np.random.default_rng(0).uniform(0.01, 0.1, 50)
    paused = sum(map(share.pause_s, busy))
    assert busy.sum() / (busy.sum() + paused) == pytest.approx(0.2)
    assert Share(1.0).pause_s(0.3) == 0


def test_images_leave_earlier_until_the_budget_is_kept() -> None:
    random, pace, rules = np.random.default_rng(0), EarlierExits(RULES, 0.006), RULES
    sums = random.uniform(2**20, 6 * 2**20, 2000)  # what the table adds up to
    took = []
    for one in sums:  # 2 ms where an image leaves, else 10
        took.append(0.002 if one <= rules[0].limit else 0.010)
        rules = pace.after(took[-1])
    assert np.where(sums <= RULES[0].limit, 0.002, 0.010).mean() > 0.009  # as chosen, few leave
    assert np.mean(took[500:]) == pytest.approx(0.006, rel=0.1)
    assert rules[1] == RULES[1]


def test_limits_are_as_chosen_where_time_allows_and_bounded_where_it_never_does() -> None:
    pace = EarlierExits(RULES, 0.010)
    assert [pace.after(0.001) for _ in range(100)][-1] == RULES
    assert [pace.after(1.0)[0].limit for _ in range(500)][-1] == int(RULES[0].limit * MOST)


def test_the_largest_size_that_keeps_the_budget_is_run() -> None:
    sizes, took = Sizes(3, 0.010), (0.030, 0.015, 0.005)
    assert [sizes.after(took[sizes.chosen]) for _ in range(4)] == [1, 2, 2, 2]
    for _ in range(TRIED_AGAIN):
        sizes.after(took[2] if sizes.chosen == 2 else 0.001)
    assert sizes.chosen == 0  # it has become fast enough
    slow = Sizes(2, 0.001)
    assert [slow.after(1.0) for _ in range(3)] == [1, 1, 1]
