"""What a training knows of its network comes back from its checkpoint, and what is no such thing is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import save_file

from edgekit.errors import CheckpointError, ConfigError
from edgekit.facts import Basis
from edgekit.models.checkpoint import load, save
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.network import build
from edgekit.models.recorded import Recorded
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = mobilenet_v2(0.1, 3, resolution=(32, 64))
ARCHITECTURE = replace(KNOWN, blocks=KNOWN.blocks[:2])
IMAGES = Preprocessing((32, 64), (36, 72), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "BGR", "bicubic", antialias=False)
RECORDED = Recorded(IMAGES, "classification", ("cat", "dog", "hen"), {"top-1": "87.5 %"})


def test_what_was_recorded_comes_back_as_facts(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save(path, build(ARCHITECTURE), ARCHITECTURE, RECORDED)
    found = load(path)
    assert found.recorded == RECORDED
    assert {fact.basis for fact in found.facts} == {Basis.STATED}
    assert {fact.name: fact.value for fact in found.facts if "recorded" in fact.because} == {
        "normalization": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]},
        "order": "BGR",
        "resize": (36, 72),
        "interpolation": "bicubic",
        "antialias": False,
        "task": "classification",
    }
    assert found.notes == ("in training it reached top-1 87.5 %",)


@pytest.mark.parametrize(("resize", "then"), [((36, 72), (72, 108)), (36, 72), ("whole", "whole"), (None, None)])
def test_of_another_size_the_same_share_is_seen(resize: Any, then: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    recorded = replace(RECORDED, preprocessing=replace(IMAGES, resize=resize))
    save(path, build(ARCHITECTURE), ARCHITECTURE, recorded)
    found = load(path, resolution=(64, 96)).recorded
    assert found is not None
    assert (found.preprocessing.size, found.preprocessing.resize) == ((64, 96), then)


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        (replace(RECORDED, labels=("cat", "dog")), "2 labels are recorded, and the network has 3 classes"),
        (replace(RECORDED, preprocessing=replace(IMAGES, size=(32, 32))), r"images are \[3, 32, 32\]"),
        (replace(RECORDED, preprocessing=replace(IMAGES, mean=(0.5,), std=(0.5,))), r"images are \[1, 32, 64\]"),
    ],
)
def test_what_is_about_another_network_is_not_kept(recorded: Recorded, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        save(tmp_path / "net.safetensors", build(ARCHITECTURE), ARCHITECTURE, recorded)


@pytest.mark.parametrize(
    "damage",
    [
        {"preprocessing": {}},
        {"preprocessing": {**IMAGES.to_dict(), "order": "RBG"}},
        {"preprocessing": {**IMAGES.to_dict(), "resize": "half"}},
        {"preprocessing": {**IMAGES.to_dict(), "std": [0.5, 0.5, 0.0]}},
        {"labels": 3},
        {"labels": ["cat"]},
        {"measured": 3},
    ],
)
def test_what_no_training_records_is_refused(damage: dict[str, Any], tmp_path: Path) -> None:
    metadata = {
        "edgekit.architecture": json.dumps(ARCHITECTURE.to_dict()),
        "edgekit.recorded": json.dumps({**RECORDED.to_dict(), **damage}),
    }
    save_file(build(ARCHITECTURE).state_dict(), tmp_path / "net.safetensors", metadata)
    with pytest.raises(CheckpointError, match=r"net\.safetensors: .*record"):
        load(tmp_path / "net.safetensors")


def test_a_training_that_has_not_ended_is_told(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    save(path, build(ARCHITECTURE), ARCHITECTURE, RECORDED)
    (tmp_path / "run.json").touch()
    (tmp_path / "state.pt").touch()
    assert any("has not ended" in note for note in load(tmp_path).notes)
