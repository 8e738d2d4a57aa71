"""Segmentation as a task, in cases that can be counted."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import ConfigError
from edgekit.tasks.segmentation import Segmentation

TASK = Segmentation.of({"mask": (3, 2, 2)}, ("sky", "road", "car"), {"size": [2, 2]})
SEEN = (((0, 0), (1, 1)), ((0, 0), (1, 2)))  # the class of each pixel of two images
THERE = [np.array([[0, 0], [1, 2]], np.uint8), np.array([[0, 255], [1, 2]], np.uint8)]


def outputs(*masks: tuple[tuple[int, ...], ...]) -> dict[str, np.ndarray]:
    """Logits that are 1 for the class of a pixel, else 0."""
    return {"mask": (np.array(masks)[:, None] == np.arange(3)[None, :, None, None]).astype(np.float32)}


def test_metrics_are_those_of_the_masks() -> None:
    found = TASK.measure(outputs(*SEEN), THERE)
    assert [one.metric.name for one in found] == ["miou", "pixels"]
    assert found[0].value == pytest.approx(100 * (3 / 3 + 2 / 3 + 1 / 2) / 3)
    assert found[1].value == pytest.approx(100 * 6 / 7)
    assert TASK.by_class(outputs(*SEEN), THERE) == {
        "sky": pytest.approx(100),
        "road": pytest.approx(200 / 3),
        "car": pytest.approx(50),
    }


def test_masks_are_measured_at_their_own_size() -> None:
    large = [np.repeat(np.repeat(np.array(mask, np.uint8), 4, 0), 4, 1) for mask in SEEN]
    large[0][0, 0] = 1  # one pixel of 128
    assert TASK.measure(outputs(*SEEN), large)[1].value == pytest.approx(100 * 127 / 128)


def test_a_drop_is_in_points_and_has_an_interval() -> None:
    right = outputs(((0, 0), (1, 2)), ((0, 0), (1, 2)))
    lost = TASK.drop(outputs(*SEEN), right, THERE)
    assert lost.value == pytest.approx(100 - TASK.measure(outputs(*SEEN), THERE)[0].value)
    assert lost.low == pytest.approx(0)  # of samples that have the second image alone
    assert lost.high is not None
    assert lost.high > lost.value
    same = TASK.drop(right, right, THERE)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_agreement_counts_pixels() -> None:
    assert TASK.agreement(outputs(*SEEN), outputs(*SEEN)).value == 100
    other = outputs(((0, 0), (1, 1)), ((1, 0), (1, 2)))
    assert TASK.agreement(other, outputs(*SEEN)).value == pytest.approx(100 * 7 / 8)


def test_a_network_that_is_no_better_than_a_constant_is_poor() -> None:
    many, there = outputs(*SEEN * 8), THERE * 8
    assert TASK.trusts(many, there)
    assert not TASK.plausible(many, there).problem
    constant = outputs(*(((0, 0), (0, 0)),) * 16)
    assert "'sky' everywhere would be" in TASK.plausible(constant, there).problem
    assert not TASK.plausible(outputs(((0, 0), (0, 0))), THERE[:1]).problem, "one image shows nothing"


def test_answers_name_what_covers_the_image() -> None:
    first, second = TASK.decode(outputs(*SEEN))
    assert first.text == "sky 50 %, road 50 %"
    assert second.lines == ("sky 50 %", "road 25 %", "car 25 %")
    assert TASK.decode(outputs(*SEEN), most=1)[1].lines == ("sky 50 %", "and 2 more")
    right = TASK.stated(THERE)
    assert right[1].text == "sky 33 %, road 33 %, car 33 %"
    assert [one.contradicts(other) for one, other in zip((first, second), right, strict=True)] == [True, False]
    unnamed = Segmentation.of({"mask": (3, 2, 2)}, (), {})
    assert (unnamed.size, unnamed.decode(outputs(*SEEN))[0].text) == ((2, 2), "class 0 50 %, class 1 50 %")


def test_differences_name_classes_that_are_taken_for_each_other() -> None:
    found = TASK.differences(outputs(*SEEN), outputs(((0, 0), (1, 2)), ((0, 0), (1, 2))), ["a.png", "b.png"])
    assert found.sentence == (
        "int8 and float name the same class for 87.5 % of the pixels of 2 images; for 75 % of a.png, which has the "
        "fewest."
    )
    assert [(one.expected, one.found, one.images) for one in found.disagreements] == [("car", "road", ("a.png",))]


@pytest.mark.parametrize("shapes", [{"mask": (3,)}, {"mask": (1, 4, 4)}, {"mask": (3, 4, 4), "logits": (2,)}])
def test_other_outputs_are_refused(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ConfigError, match="the task is segmentation"):
        Segmentation.of(shapes, (), {})
