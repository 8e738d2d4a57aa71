"""What a device's profile wishes, and a network or its outputs cannot have."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgekit import config
from edgekit.errors import ConfigError
from edgekit.ir import Graph, Output
from edgekit.pipeline.making.check import departures
from edgekit.pipeline.making.trained import load_as_exported
from edgekit.pipeline.making.wishes import check_effect, granted

if TYPE_CHECKING:
    from pathlib import Path

CLASSIFIER = Graph("net", "x", (Output.logits("y"),), (), {}, {})
DETECTOR = replace(CLASSIFIER, outputs=(Output("boxes", "a", "codings"), Output("scores", "b", "class logits")))


def settings(**export: str) -> config.Settings:
    return config.load(None, {"export": export})


def test_probabilities_of_no_logits_are_left_out_and_told() -> None:
    wished = settings(device="android")
    assert wished.export.probabilities == "softmax"
    assert granted(CLASSIFIER, wished).settings is wished
    had = granted(DETECTOR, wished)
    assert had.settings.export.probabilities == "none"
    (said,) = departures(had.settings, had.instead)
    assert said == (
        "export.probabilities is none, where the profile of Android phone, its processor has softmax: that is for "
        "classifiers, and this network gives boxes, scores"
    )


def test_what_a_user_asks_for_is_refused() -> None:
    for device in ({}, {"device": "android"}):
        with pytest.raises(ConfigError, match="probabilities are made of logits, and net gives boxes, scores"):
            granted(DETECTOR, settings(probabilities="softmax", **device))
        with pytest.raises(ConfigError, match=r"outputs is decoded, .* export\.io_dtype is int8: leave one of them"):
            granted(DETECTOR, settings(outputs="decoded", io_dtype="int8", **device), ("corners",))


def test_a_boundary_of_what_is_computed_in_float_is_float() -> None:
    decoded = settings(device="hexagon-htp", outputs="decoded")
    had = granted(DETECTOR, decoded, ("corners",))
    assert had.settings.export.io_dtype == "float32"
    (said,) = departures(had.settings, had.instead)
    assert said.startswith("export.io_dtype is float32, where the profile of Qualcomm Hexagon, HTP has uint8: decoded ")
    assert granted(DETECTOR, decoded).settings is decoded


@pytest.mark.parametrize(
    ("export", "said"),
    [
        ({"least_score": 0.3}, r"export\.least_score is of final outputs, and export\.outputs is raw"),
        ({"most_boxes": 20, "outputs": "decoded"}, r"export\.most_boxes is of final outputs"),
        ({"signatures": True}, r"for networks with several heads, and this one has one"),
    ],
)
def test_what_changes_nothing_is_refused(export: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_effect(config.load(None, {"export": export}), {})
    several = {"architecture": {"heads": [{"name": "a"}, {"name": "b"}], "resolution": 64}}
    check_effect(config.load(None, {"export": {"least_score": 0.3, "outputs": "final", "signatures": True}}), several)


def test_ranges_of_all_heads_serve_no_single_one(tmp_path: Path) -> None:
    wanted = config.load(None, {"model": {"checkpoint": tmp_path / "net.pth", "heads": ["signs"]}}).model
    before = {"architecture": {"heads": [{"name": "signs"}, {"name": "road"}], "resolution": 64}}
    with pytest.raises(ConfigError, match="--heads is signs, and the export before had signs, road: its ranges serve"):
        load_as_exported(wanted, before)
