"""Spaces of networks."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.compression.search.space import Space
from edgekit.errors import ConfigError

STAGE = {"channels": [8, 16], "kernel": [3, 5], "expansion": 2, "repeats": [1, 2]}
TEMPLATE = {"resolution": [24, 32], "stem": 8, "stages": [STAGE, {"channels": 16, "stride": 2}]}


def test_what_is_a_list_is_a_choice() -> None:
    space = Space.of(TEMPLATE)
    assert set(space.choices) == {"resolution", "stages[0].channels", "stages[0].kernel", "stages[0].repeats"}
    assert space.size == 16
    large, small = space.table(space.largest), space.table(space.smallest)
    assert (large.resolution, large.stages[0].channels, large.stages[0].kernel, large.stages[0].repeats) == (
        32,
        16,
        5,
        2,
    )
    assert (small.resolution, small.stages[0].channels, small.stages[0].kernel, small.stages[0].repeats) == (
        24,
        8,
        3,
        1,
    )
    assert large.stages[1] == small.stages[1]


def test_every_network_is_drawn_equally_often() -> None:
    space, random = Space.of(TEMPLATE), np.random.default_rng(0)
    seen = [tuple(space.drawn(random).values()) for _ in range(1600)]
    counts = [seen.count(one) for one in set(seen)]
    assert len(counts) == 16
    assert 60 < min(counts) <= max(counts) < 145  # a binomial of mean 100, four standard deviations


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resolution": 32, "stages": [{"channels": 8}]}, "nothing is left to search"),
        ({"stem": [8, 8]}, "give each choice once"),
        ({"stem": []}, "at least one"),
        ({"gate": ["sigmoid", "hard_sigmoid"]}, "gate is a list"),
        ({"hidden": [0, 64]}, "share no weights"),
        ({"resolution": ["32x48", "64x96"]}, "resolution is a list of texts"),
        ({"stages": [{"channels": [8, 0]}]}, "channels of a stage is 0"),
        ({"stages": [{"channels": [8, "many"]}]}, "choose from numbers, or from words"),
    ],
)
def test_what_is_no_space_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Space.of({**TEMPLATE, **changes})


def test_a_choice_of_another_space_is_refused() -> None:
    space = Space.of(TEMPLATE)
    with pytest.raises(ConfigError, match=r"stages\[0\].kernel is 7"):
        space.table({**space.largest, "stages[0].kernel": 7})
