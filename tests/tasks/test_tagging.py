"""Tagging as a task, against scikit-learn's metrics and cases that can be counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn import metrics as oracle

from edgekit.calibration.images import open_images
from edgekit.errors import ConfigError, DataError
from edgekit.facts import Basis
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.tagging import Tagging
from edgekit.tasks.values import measured_as

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RANDOM = np.random.default_rng(0)
TARGETS = (RANDOM.random((60, 4)) < (0.5, 0.3, 0.2, 0.1)).astype(np.float64)
LOGITS = {"logits": (3 * TARGETS - 1.5 + RANDOM.normal(0, 1.5, TARGETS.shape)).round(1).astype(np.float32)}  # with ties
NAMES = ("sun", "sea", "sand", "shark")
TASK = Tagging.of({"logits": (4,)}, NAMES, {})


def measured(outputs: dict[str, NDArray[np.float32]], targets: NDArray[np.float64]) -> dict[str, float]:
    return {one.metric.name: one.value for one in TASK.measure(outputs, targets)}


def test_metrics_are_those_of_scikit_learn() -> None:
    given, found = LOGITS["logits"] > 0, measured(LOGITS, TARGETS)
    assert found["f1"] == pytest.approx(100 * oracle.f1_score(TARGETS, given, average="samples", zero_division=1))
    assert found["f1_of_tags"] == pytest.approx(100 * oracle.f1_score(TARGETS, given, average="macro"))
    assert found["map"] == pytest.approx(100 * oracle.average_precision_score(TARGETS, LOGITS["logits"]))
    assert tuple(found) == tuple(metric.name for metric in TASK.metrics)


def test_what_nobody_knows_counts_nowhere() -> None:
    hidden = np.where(RANDOM.random(TARGETS.shape) < 0.3, np.nan, TARGETS)
    hidden[0] = np.nan
    hidden[:, 3] = np.where(TARGETS[:, 3] == 1, np.nan, 0)  # a tag of which no image is known to have it
    found, known = measured(LOGITS, hidden), ~np.isnan(hidden)
    precisions = [
        oracle.average_precision_score(hidden[known[:, tag], tag], LOGITS["logits"][known[:, tag], tag])
        for tag in range(3)
    ]
    assert found["map"] == pytest.approx(100 * np.mean(precisions))
    scores = [
        oracle.f1_score(hidden[image, which], LOGITS["logits"][image, which] > 0, zero_division=1)
        for image, which in enumerate(known)
        if which.any()
    ]
    assert found["f1"] == pytest.approx(100 * np.mean(scores))
    assert set(measured(LOGITS, np.full_like(TARGETS, np.nan)).values()) == {0}


def test_a_drop_is_paired_by_image() -> None:
    worse = {"logits": np.where(RANDOM.random(TARGETS.shape) < 0.3, -LOGITS["logits"], LOGITS["logits"])}
    drop, before, after = TASK.drop(worse, LOGITS, TARGETS), measured(LOGITS, TARGETS), measured(worse, TARGETS)
    assert drop.value == pytest.approx(before["f1"] - after["f1"])
    assert drop.low is not None
    assert drop.low > 0
    assert TASK.agreement(LOGITS, LOGITS).value == 100
    assert TASK.agreement(worse, LOGITS).value < 85


def test_a_network_that_knows_nothing_is_poor() -> None:
    assert TASK.trusts(LOGITS, TARGETS)
    assert not TASK.plausible(LOGITS, TARGETS).problem
    shuffled = {"logits": LOGITS["logits"][::-1]}
    assert "no better than chance" in TASK.plausible(shuffled, TARGETS).problem
    constant = {"logits": np.ones_like(LOGITS["logits"])}
    assert "no better than chance" in TASK.plausible(constant, TARGETS).problem
    few = {"logits": constant["logits"][:3]}
    assert not TASK.plausible(few, TARGETS[:3]).problem, "three images show nothing"


def test_rare_tags_that_are_found_far_above_chance_are_no_fault() -> None:
    """Each of three tags is in four of a hundred images; of each, one is found at once and the others late."""
    task, targets = Tagging.of({"logits": (3,)}, ("red", "green", "off"), {}), np.zeros((100, 3))
    logits = np.random.default_rng(0).normal(0, 1, (100, 3))
    for tag in range(3):
        targets[4 * tag : 4 * tag + 4, tag] = 1
        logits[4 * tag : 4 * tag + 4, tag] = (4, -1, -1, -1)
    found = task.plausible({"logits": logits}, targets)
    assert not found.problem
    assert found.measured.endswith("where chance has 4 %")
    assert "no better than chance" in task.plausible({"logits": logits[::-1]}, targets).problem


def test_answers_and_differences_name_the_tags() -> None:
    ours, theirs = np.array([[2.0, -1, 0.5, -9], [-1, -1, -1, -1]]), np.array([[2.0, 1, -0.5, -9], [-1, -1, 3, -1]])
    (some, none) = TASK.decode({"logits": ours})
    assert (some.text, some.lines) == ("sun, sand", ("sun 88.08 %", "sand 62.25 %"))
    assert (none.text, none.lines) == ("no tag", ("no tag",))
    assert not some.are_alternatives
    (first, _) = TASK.decode({"logits": ours}, most=1)
    assert (first.text, first.present) == ("sun, …", frozenset((0, 2)))
    right = TASK.stated(np.array([[1.0, np.nan, 1, 0], [0, 1, 0, 0]]))
    assert [one.contradicts(other) for one, other in zip((some, none), right, strict=True)] == [False, True]
    found = TASK.differences({"logits": ours}, {"logits": theirs}, ["a.png", "b.png"])
    assert found.sentence == "int8 gives other tags than float to 2 of 2 images."
    assert [(pair.expected, pair.found, pair.images) for pair in found.disagreements] == [
        ("sea", "not sea", ("a.png",)),
        ("not sand", "sand", ("a.png",)),
        ("sand", "not sand", ("b.png",)),
    ]
    assert TASK.differences({"logits": ours}, {"logits": ours}, ["a", "b"]).sentence.endswith("to all 2 images.")


def test_targets_lie_beside_the_images(tmp_path: Path) -> None:
    path, seen = tmp_path / "a.npz", Preprocessing((8, 8), None)
    pixels = np.zeros((3, 8, 8, 3), np.uint8)
    np.savez(path, images=pixels, targets=np.array([[1, 0, -1, 0], [0, 0, 0, 0], [1, 1, np.nan, 1]]))
    images = open_images(path, seen)
    TASK.check(images)
    found = TASK.targets(images, LOGITS)
    np.testing.assert_array_equal(found.targets, [[1, 0, np.nan, 0], [0, 0, 0, 0], [1, 1, np.nan, 1]])
    assert found.fact is not None
    assert found.fact.basis is Basis.GIVEN
    np.savez(path, images=pixels, targets=[[1, 0, 0, 0], [0, 2, 0, 0], [1, 1, 0, 1]])
    with pytest.raises(DataError, match=r"target of .*1. for sea is 2: 1 is wanted"):
        TASK.check(open_images(path, seen))
    np.savez(path, images=pixels)
    assert TASK.targets(open_images(path, seen), LOGITS).targets is None


def test_it_reads_one_vector() -> None:
    with pytest.raises(ConfigError, match=r"tagging, which reads one output of \[tags\], and there is map \[8, 4, 4\]"):
        Tagging.of({"map": (8, 4, 4)}, (), {})
    unnamed = Tagging.of({"logits": (2,)}, (), {})
    assert unnamed.decode({"logits": np.array([[1.0, -1.0]])})[0].text == "tag 0"
    assert measured_as("map", unnamed.measure({"logits": np.zeros((1, 2))}, np.array([[1.0, 0.0]]))) is not None
