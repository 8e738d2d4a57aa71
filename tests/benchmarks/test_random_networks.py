"""A few of the networks that ``edgekit.benchmarks.identity`` and ``random_networks`` draw, in every runtime."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from edgekit.benchmarks import random_networks, random_prunings
from edgekit.benchmarks.identity import draw, prove

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", [8, 24, 35])
def test_every_runtime_gives_the_references_logits(seed: int) -> None:
    outcome = prove(seed)
    assert outcome.refused is None
    assert outcome.differences == ()
    assert len(outcome.parities) >= 5


@pytest.mark.parametrize("seed", [15, 21, 22, 122, 156, 184])
def test_networks_of_all_operators(seed: int) -> None:
    outcome = random_networks.prove(seed)
    assert outcome.refused is None
    assert outcome.differences == ()
    assert len({parity.runner for parity in outcome.parities}) >= 5


@pytest.mark.parametrize("seed", [3, 4])  # a classifier; a detector, a segmenter and classes on one backbone
def test_random_prunings(seed: int) -> None:
    outcome = random_prunings.prove(seed)
    assert outcome.refused is None
    assert outcome.differences == ()
    assert len({parity.runner for parity in outcome.parities}) >= 4


def test_a_seed_makes_the_same_network_again(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    (first, text), (second, again) = (draw(7, tmp_path / name) for name in ("first", "second"))
    assert text == again
    assert re.match(r"mobilenet_v\d\w*, \d blocks, \d+ pixels, ", text)
    assert first.model.checkpoint is not None
    assert second.model.checkpoint is not None
    assert first.model.checkpoint.read_bytes() == second.model.checkpoint.read_bytes()
    assert first.calibration.data is not None
    assert second.calibration.data is not None
    assert first.calibration.data.read_bytes() == second.calibration.data.read_bytes()
