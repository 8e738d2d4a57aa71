"""Search: a space of networks and images -> the best network within a budget, in a folder that can be gone on with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.compression.search import proposing
from edgekit.config import SearchSettings, Settings, TrainSettings
from edgekit.errors import ConfigError
from edgekit.models import checkpoint
from edgekit.models.complexity import complexity
from edgekit.models.tables import read, table_of
from edgekit.pipeline.making.search import Tried, as_toml, budget_of, search

pytest.importorskip("optuna")

TRIALS, DRAWN = 6, 3
SPACE: dict[str, Any] = {
    "resolution": [12, 16],
    "stem": 8,
    "stem_stride": 1,
    "head": 16,
    "bn_eps": 1e-3,
    "stages": [
        {"channels": [8, 16], "kernel": [3, 5], "stride": 2, "expansion": [1, 2], "activation": "relu"},
        {"channels": [8, 16], "kernel": 3, "stride": 2, "expansion": 2, "squeeze": [0, 0.25], "repeats": [1, 2]},
    ],
}


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Pictures of 16 x 16 whose colour is their class, and a space of small networks."""
    folder, random = tmp_path_factory.mktemp("search"), np.random.default_rng(0)
    labels = np.arange(48) % 3
    images = random.integers(0, 120, (48, 16, 16, 3), np.uint8)
    images[np.arange(48), :, :, labels] += 130
    np.savez(folder / "photos.npz", images=images, labels=labels)
    (folder / "space.toml").write_text(as_toml(SPACE))
    train = TrainSettings(data=folder / "photos.npz", out=folder / "found", epochs=4, batch_size=8, lr=0.5, aa="none")
    return Settings(train=train, search=SearchSettings(space=folder / "space.toml", budget="macs=0.1", trials=TRIALS))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few networks are drawn before others are proposed."""
    monkeypatch.setattr(proposing, "BEGINS_WITH", DRAWN)


def test_the_chosen_network_is_the_best_within_the_budget_and_can_be_trained(wanted: Settings) -> None:
    told: list[Tried] = []
    result = search(wanted, tried=told.append)
    assert len(result.scored) == len(told) == TRIALS
    assert result.chosen.score == max(trial.score or 0.0 for trial in result.scored)
    assert result.chosen == result.front[-1]
    network = table_of(read(result.table)).architecture(3)
    loaded = checkpoint.load(result.checkpoint)
    assert loaded.architecture == network
    assert complexity(network).macs / 1e6 == pytest.approx(result.chosen.cost)
    assert all(trial.cost <= 0.1 for trial in result.scored)
    assert loaded.recorded is not None
    assert loaded.recorded.preprocessing.size == network.size
    assert loaded.recorded.measured["top-1"] == result.metric.text(result.value(result.chosen))

    again = search(wanted, tried=told.append)  # nothing is measured anew
    assert again.tried == result.tried
    assert len(told) == TRIALS


def test_an_interrupted_search_tries_the_same_networks(wanted: Settings, tmp_path: Path) -> None:
    whole = search(wanted)  # done before
    cut = replace(wanted, train=replace(wanted.train, out=tmp_path / "cut"))

    def stop(tried: Tried) -> None:
        if tried.number == TRIALS - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(cut, tried=stop)
    assert search(cut).tried == whole.tried


def test_another_budget_needs_no_other_supernet(wanted: Settings) -> None:
    whole, told = search(wanted), list[Tried]()
    less = replace(wanted, search=replace(wanted.search, budget="macs=0.07"))
    result = search(less, passed=lambda _: pytest.fail("it was trained"), tried=told.append)
    assert 0 < len(told) < TRIALS, "what costs so little was measured before"
    assert result.chosen.cost <= 0.07
    assert {str(trial.choice) for trial in result.scored} >= {str(trial.choice) for trial in whole.scored}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"search": {"space": None}}, "no space is named"),
        ({"search": {"budget": "fast"}}, "the budget is 'fast'"),
        ({"search": {"budget": "latency=3"}}, "the budget is 'latency=3'"),
        ({"search": {"budget": "macs=0.0001"}}, "the smallest network of .* costs .* M MACs"),
        ({"train": {"arch": "mobilenet_v2"}}, "train.arch is set"),
        ({"train": {"task": "detection"}}, "the task is detection"),
        ({"train": {"data": Path("train.json")}}, "train.json annotates boxes or masks, and classifiers are searched"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    wanted: Settings, tmp_path: Path, changes: dict[str, dict[str, Any]], said: str
) -> None:
    changed = replace(
        wanted,
        train=replace(wanted.train, **{"out": tmp_path / "a", **changes.get("train", {})}),
        search=replace(wanted.search, **changes.get("search", {})),
    )
    with pytest.raises(ConfigError, match=said):
        search(changed)


def test_a_folder_of_another_search_is_refused(wanted: Settings, tmp_path: Path) -> None:
    out = tmp_path / "a"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds something else than a search"):
        search(replace(wanted, train=replace(wanted.train, out=out)))
    (out / "notes.txt").unlink()
    (out / "search.json").write_text(json.dumps({"seed": 3}))
    with pytest.raises(ConfigError, match=r"holds a search of another .*seed"):
        search(replace(wanted, train=replace(wanted.train, out=out)))


def test_a_budget_is_read() -> None:
    budget = budget_of("macs=12")
    assert (budget.most, budget.unit) == (12.0, "M MACs")
    assert budget.of(table_of({"resolution": 32, "stem": 8, "stages": [{"channels": 8}]}).architecture(10)) > 0
