"""Some heads of a network, alone: the same weights, what they give, and what is recorded of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.errors import ConfigError
from edgekit.models import checkpoint
from edgekit.models.choosing import only
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.heads.making import ssd, vector
from edgekit.models.network import TaskNetwork, build
from edgekit.models.recorded import Recorded
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from pathlib import Path

BACKBONE = mobilenet_v2(0.25, 3, resolution=32)
WHOLE = TaskArchitecture(
    BACKBONE,
    (
        vector(BACKBONE, "tagging", 2),
        ssd(BACKBONE, 3, separable=True, name="signs"),
        vector(BACKBONE, "regression", 1, name="pose"),
    ),
)
LABELS = ("wet", "dark", "stop", "yield", "way", "angle")


@pytest.fixture
def loaded(tmp_path: Path) -> checkpoint.Checkpoint:
    torch.manual_seed(0)
    recorded = Recorded(Preprocessing((32, 32), None), "several", LABELS)
    checkpoint.save(tmp_path / "net.safetensors", TaskNetwork(WHOLE).eval(), WHOLE, recorded)
    return checkpoint.load(tmp_path / "net.safetensors")


def test_chosen_heads_give_what_they_gave(loaded: checkpoint.Checkpoint) -> None:
    image = torch.randn(1, 3, 32, 32)
    whole = loaded.module(image)
    for names, found in (
        (("pose", "signs"), {"signs_boxes": "signs_boxes", "signs_scores": "signs_scores", "pose": "pose"}),
        (("signs",), {"boxes": "signs_boxes", "scores": "signs_scores"}),
    ):
        chosen = only(loaded, names)
        outputs = chosen.module(image)
        assert list(outputs) == list(found)
        for name, before in found.items():
            assert torch.equal(outputs[name], whole[before])
    assert only(loaded, ("tagging", "signs", "pose")) is loaded


def test_what_is_recorded_is_of_the_chosen(loaded: checkpoint.Checkpoint) -> None:
    two, one = only(loaded, ("tagging", "pose")), only(loaded, ("signs",))
    assert two.recorded is not None
    assert one.recorded is not None
    assert (two.recorded.task, two.recorded.labels) == ("several", ("wet", "dark", "angle"))
    assert (one.recorded.task, one.recorded.labels) == ("detection", ("stop", "yield", "way"))
    assert {fact.name: fact.value for fact in one.facts}["task"] == "detection"
    assert one.sha256 == loaded.sha256
    one.recorded.check(one.structure)


def test_heads_that_are_not_there(loaded: checkpoint.Checkpoint) -> None:
    with pytest.raises(ConfigError, match=r"has no head 'sign': did you mean 'signs'"):
        only(loaded, ("sign",))
    with pytest.raises(ConfigError, match="a network needs a head"):
        only(loaded, ())
    classifier = replace(loaded, structure=BACKBONE, module=build(BACKBONE))
    with pytest.raises(ConfigError, match="has no heads to choose from: leave --heads out"):
        only(classifier, ("signs",))
