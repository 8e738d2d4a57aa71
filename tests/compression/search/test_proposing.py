"""What is proposed, on a space whose best network is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgekit.compression.search.front import front
from edgekit.compression.search.proposing import BEGINS_WITH, Proposer, Trial
from edgekit.compression.search.space import Space
from edgekit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.models.tables import Value

pytest.importorskip("optuna")

_STAGE = {"channels": [8, 16, 24, 32], "kernel": [3, 5], "expansion": [1, 2, 3, 4], "repeats": [1, 2, 3]}
SPACE = Space.of({"resolution": 32, "stem": 8, "stages": [_STAGE] * 3})
BEST = {name: values[len(values) // 2] for name, values in SPACE.choices.items()}


def cost(choice: Mapping[str, Value]) -> float:
    return sum(float(value) for value in choice.values())


def score(choice: Mapping[str, Value]) -> float:
    return -float(
        sum(
            abs(SPACE.choices[name].index(value) - SPACE.choices[name].index(BEST[name]))
            for name, value in choice.items()
        )
    )


def searched(proposer: Proposer, count: int, tried: tuple[Trial, ...] = ()) -> tuple[Trial, ...]:
    while sum(trial.score is not None for trial in tried) < count:
        *beyond, found = proposer.next(tried)
        tried = (*tried, *beyond, replace(found, score=score(found.choice)))
    return tried


def best(tried: tuple[Trial, ...]) -> float:
    return max(trial.score for trial in tried if trial.score is not None)


def test_what_is_proposed_is_better_than_what_is_drawn_and_within_the_budget() -> None:
    budget = cost(BEST)
    proposed = [searched(Proposer(SPACE, cost, budget, seed), 36) for seed in range(2)]
    drawn = [searched(Proposer(SPACE, cost, budget, seed, learns=False), 36) for seed in range(2)]
    assert sum(map(best, proposed)) > sum(map(best, drawn))
    for tried in (*proposed, *drawn):
        scored = [trial for trial in tried if trial.score is not None]
        assert all(trial.cost <= budget for trial in scored)
        assert len({tuple(trial.choice.items()) for trial in scored}) == len(scored)


def test_an_interrupted_search_goes_on_with_the_same_proposals() -> None:
    proposer = Proposer(SPACE, cost, cost(BEST), 7)
    whole = searched(proposer, BEGINS_WITH + 4)
    again = searched(
        proposer, BEGINS_WITH + 4, tuple(map(Trial.from_dict, (t.to_dict() for t in whole[: BEGINS_WITH + 2])))
    )
    assert again == whole


def test_a_budget_below_all_networks_is_refused() -> None:
    with pytest.raises(ConfigError, match=f"the smallest costs {cost(SPACE.smallest):.3g}"):
        Proposer(SPACE, cost, 1.0).next(())


def test_the_front_holds_what_nothing_beats() -> None:
    points = [(3.0, 0.7), (1.0, 0.5), (2.0, 0.5), (2.5, 0.6), (2.5, 0.65), (4.0, 0.7)]
    found = front(points, cost=lambda point: point[0], score=lambda point: point[1])
    assert found == ((1.0, 0.5), (2.5, 0.65), (3.0, 0.7))
