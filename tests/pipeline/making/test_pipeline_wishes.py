"""What a device's profile wishes, and a network or its outputs cannot have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit import config
from edgekit.errors import ConfigError
from edgekit.ir import Graph, Output
from edgekit.pipeline.making.check import departures
from edgekit.pipeline.making.wishes import granted_at_once, granted_to

CLASSIFIER = Graph("net", "x", (Output.logits("y"),), (), {}, {})
DETECTOR = replace(CLASSIFIER, outputs=(Output("boxes", "a", "codings"), Output("scores", "b", "class logits")))


def settings(**export: str) -> config.Settings:
    return config.load(None, {"export": export})


def test_probabilities_of_no_logits_are_left_out_and_told() -> None:
    wished = granted_at_once(settings(device="android"))
    assert wished.settings.export.probabilities == "softmax"
    assert granted_to(CLASSIFIER, wished) is wished
    granted = granted_to(DETECTOR, wished)
    assert granted.settings.export.probabilities == "none"
    (said,) = departures(granted.settings, granted.instead)
    assert said == (
        "export.probabilities is none, where the profile of Android phone, its processor has softmax: the network "
        "gives boxes, scores, and no logits that probabilities could be made of"
    )


def test_what_a_user_asks_for_is_refused() -> None:
    for device in ({}, {"device": "android"}):
        with pytest.raises(ConfigError, match="probabilities are made of logits, and net gives boxes, scores"):
            granted_to(DETECTOR, granted_at_once(settings(probabilities="softmax", **device)))
        with pytest.raises(ConfigError, match=r"outputs is decoded, .* export\.io_dtype is int8: leave one of them"):
            granted_at_once(settings(outputs="decoded", io_dtype="int8", **device))


def test_a_boundary_of_what_is_computed_in_float_is_float() -> None:
    granted = granted_at_once(settings(device="hexagon-htp", outputs="decoded"))
    assert granted.settings.export.io_dtype == "float32"
    (said,) = departures(granted.settings, granted.instead)
    assert said.startswith("export.io_dtype is float32, where the profile of Qualcomm Hexagon, HTP has uint8: decoded ")
    raw = settings(device="hexagon-htp")
    assert granted_at_once(raw).settings is raw
