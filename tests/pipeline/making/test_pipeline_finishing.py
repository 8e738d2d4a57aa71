"""Files that decode boxes or name classes: the integers are those of the raw network, and it answers alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import ConfigError
from edgekit.integer_model import OUTPUTS
from edgekit.models import checkpoint
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.heads.making import lraspp, network_for, ssd, vector
from edgekit.models.network import TaskNetwork, build
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.pipeline.making.finishing import Finish, as_wanted
from edgekit.pipeline.making.trained import Trained, of_checkpoint
from edgekit.tasks.detection.coding import decode, probabilities
from edgekit.tasks.segmentation.masks import logits_of, mask_of

BACKBONE = mobilenet_v2(0.25, 3, resolution=32)


def trained(architecture: TaskArchitecture) -> Trained:
    return of_checkpoint(checkpoint.of_module(TaskNetwork(architecture).eval()), Path("net"))


def test_a_detector_answers_with_boxes() -> None:
    architecture = network_for(BACKBONE, "ssdlite", 2)
    raw = trained(architecture)
    wanted = as_wanted(raw, Finish("decoded"))
    images = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    before, found = raw.outputs(images), wanted.outputs(images)
    priors = architecture.heads[0].priors.boxes  # type: ignore[attr-defined]
    np.testing.assert_array_equal(found["corners"], decode(before["boxes"], priors))
    np.testing.assert_array_equal(found["probabilities"], probabilities(before["scores"]))
    assert wanted.provenance[OUTPUTS] == "decoded"
    assert as_wanted(wanted, Finish("decoded")) is wanted
    assert as_wanted(raw, Finish("raw")) is raw


def test_other_heads_answer_as_before() -> None:
    heads = (vector(BACKBONE, "tagging", 5), ssd(BACKBONE, 2, separable=True, name="signs"))
    raw = trained(TaskArchitecture(BACKBONE, heads))
    images = np.zeros((1, 3, 32, 32), np.float32)
    found = as_wanted(raw, Finish("decoded")).outputs(images)
    assert list(found) == ["tagging", "signs_corners", "signs_probabilities"]
    np.testing.assert_array_equal(found["tagging"], raw.outputs(images)["tagging"])


def test_a_classifier_has_nothing_to_decode() -> None:
    classifier = of_checkpoint(checkpoint.of_module(build(BACKBONE).eval()), Path("net"))
    with pytest.raises(ConfigError, match="the network is neither detector nor segmenter: leave --outputs out"):
        as_wanted(classifier, Finish("decoded"))


def test_a_segmenter_answers_with_classes() -> None:
    heads = (vector(BACKBONE, "tagging", 5), lraspp(BACKBONE, 3, name="street"))
    raw = trained(TaskArchitecture(BACKBONE, heads))
    images = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    logits = raw.outputs(images)["street_mask"]
    decoded, final = (as_wanted(raw, Finish(level)).outputs(images) for level in ("decoded", "final"))
    assert list(decoded) == list(final) == ["tagging", "street_classes"]
    np.testing.assert_array_equal(decoded["street_classes"], logits.argmax(1))
    np.testing.assert_array_equal(final["street_classes"], [mask_of(one, (32, 32)) for one in logits])
    enlarged = as_wanted(raw, Finish("enlarged")).outputs(images)
    assert list(enlarged) == ["tagging", "street_mask"]
    np.testing.assert_array_equal(enlarged["street_mask"], logits_of(logits, (32, 32)))


def test_only_segmenters_are_enlarged() -> None:
    heads = (ssd(BACKBONE, 2, separable=True, name="signs"), lraspp(BACKBONE, 3, name="street"))
    both = trained(TaskArchitecture(BACKBONE, heads))
    images = np.zeros((1, 3, 32, 32), np.float32)
    found = as_wanted(both, Finish("enlarged")).outputs(images)
    assert {name: values.shape[1:] for name, values in found.items()} == {
        "signs_boxes": (30, 4), "signs_scores": (30, 3), "street_mask": (3, 32, 32)
    }  # fmt: skip
    with pytest.raises(ConfigError, match="enlarged, and the network is no segmenter"):
        as_wanted(trained(network_for(BACKBONE, "ssdlite", 2)), Finish("enlarged"))
