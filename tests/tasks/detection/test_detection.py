"""Detection as a task, in cases that can be counted."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.annotations.boxes import Boxes
from edgekit.errors import ConfigError
from edgekit.models.priors import Level, Priors
from edgekit.tasks.detection import Detection
from edgekit.tasks.detection.coding import corners

PRIORS = Priors((Level(2, 2, ((0.5, 0.5),)),))  # the quarters of an image, row by row
QUARTERS = corners(PRIORS.boxes)
SHAPES = {"boxes": (4, 4), "scores": (4, 3)}
TASK = Detection.of(SHAPES, ("cat", "dog"), {"priors": PRIORS.to_dict()})
NOTHING = (98, 1, 1)


def outputs(*images: tuple[tuple[float, ...], ...], shift: float = 0.0) -> dict[str, np.ndarray]:
    """Of images with the percentages of background, cat and dog in each quarter; boxes moved by shares of a size."""
    scores = np.log(np.array(images, np.float32))
    codings = np.zeros((*scores.shape[:2], 4), np.float32)
    codings[..., 0] = 10 * shift
    return {"boxes": codings, "scores": scores}


IN_PERCENT = (((4, 95, 1), NOTHING, NOTHING, (10, 1, 89)), (NOTHING, NOTHING, (50, 49, 1), NOTHING))
CAT_AND_DOG = outputs(*IN_PERCENT)
BLIND = outputs(((9998, 1, 1),) * 4, ((9998, 1, 1),) * 4)
THERE = [Boxes.of(QUARTERS[[0, 3]].tolist(), [0, 1]), Boxes.of(QUARTERS[[2]].tolist(), [0])]


def test_metrics_are_those_of_the_boxes() -> None:
    found = TASK.measure(CAT_AND_DOG, THERE)
    assert [one.metric.name for one in found] == ["map50", "map"]
    assert [one.value for one in found] == [pytest.approx(100)] * 2
    # Cats have 0.41 of 0.59 in common, four of ten thresholds; the dog, cut at the border, 0.41 of 0.5, seven.
    shifted = [one.value for one in TASK.measure(outputs(*IN_PERCENT, shift=0.18), THERE)]
    assert shifted == [pytest.approx(100), pytest.approx(55)]
    # One of two cats is right, and it is the less certain one; no dog is there.
    assert TASK.by_class(CAT_AND_DOG, [Boxes.of([], []), THERE[1]]) == {"cat": pytest.approx(50)}


LOST = outputs(((4, 95, 1), NOTHING, NOTHING, (90, 1, 9)), (NOTHING, NOTHING, (75, 24, 1), NOTHING))


def test_a_box_is_found_again_at_the_same_place_and_nearly_as_surely() -> None:
    assert TASK.agreement(CAT_AND_DOG, CAT_AND_DOG).value == 100
    assert TASK.agreement(LOST, CAT_AND_DOG).value == pytest.approx(100 * 2 / 3)  # 9 % is lost, 24 % is not
    assert TASK.agreement(outputs(*IN_PERCENT, shift=0.15), CAT_AND_DOG).value == 0  # 0.85 of 1, and less
    assert TASK.agreement(outputs(*IN_PERCENT, shift=0.04), CAT_AND_DOG).value == 100  # 0.96 of 1.04
    assert TASK.agreement(CAT_AND_DOG, BLIND).value == 100


def test_a_drop_is_in_points_and_has_an_interval() -> None:
    found = TASK.drop(BLIND, CAT_AND_DOG, THERE)
    assert found.value == pytest.approx(100)
    assert found.high == pytest.approx(100)
    same = TASK.drop(CAT_AND_DOG, CAT_AND_DOG, THERE)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_a_network_that_sees_what_is_not_there_is_poor() -> None:
    many = {name: np.repeat(values, 8, 0) for name, values in CAT_AND_DOG.items()}
    there = [one for one in THERE for _ in range(8)]
    assert TASK.trusts(many, there)
    assert not TASK.plausible(many, there).problem
    elsewhere = [Boxes.of([(0.25, 0.25, 0.75, 0.75)], [0])] * 16
    assert not TASK.trusts(many, elsewhere)
    assert "sees what is not there" in TASK.plausible(many, elsewhere).problem
    blind = {name: np.repeat(values, 8, 0) for name, values in BLIND.items()}
    assert "0 % of 0 boxes right where it is sure, and 24 objects" in TASK.plausible(blind, there).problem
    assert not TASK.plausible(BLIND, THERE).problem, "three objects show nothing"


def test_answers_name_what_is_seen_and_where() -> None:
    first, second = TASK.decode(CAT_AND_DOG)
    assert first.text == "1 cat, 1 dog"
    assert first.lines == (
        "cat 95 % (0 to 50 % across, 0 to 50 % down)",
        "dog 89 % (50 to 100 % across, 50 to 100 % down)",
    )
    assert TASK.decode(CAT_AND_DOG, most=1)[0].lines == (first.lines[0], "and 1 more")
    assert TASK.decode(outputs((NOTHING,) * 4))[0].lines == ("nothing",)
    stated = TASK.stated(THERE)
    assert [one.text for one in stated] == ["1 cat, 1 dog", "1 cat"]
    assert not first.contradicts(stated[0])
    assert second.contradicts(stated[0])
    unnamed = Detection.of(SHAPES, (), {"priors": PRIORS.to_dict()})
    assert unnamed.decode(CAT_AND_DOG)[0].text == "1 class 0, 1 class 1"


def test_differences_name_what_only_one_network_sees() -> None:
    found = TASK.differences(LOST, CAT_AND_DOG, ["a.png", "b.png"])
    assert "66.67 % of float's boxes again, on 2 images" in found.sentence
    assert [(pair.expected, pair.found, pair.images) for pair in found.disagreements] == [
        ("cat", "no cat there", ("b.png",)),
        ("dog", "no dog there", ("a.png",)),
    ]
    more = TASK.differences(CAT_AND_DOG, LOST, ["a.png", "b.png"])
    assert (more.disagreements[0].expected, more.disagreements[0].found) == ("no cat there", "cat")


def test_other_outputs_are_refused() -> None:
    for shapes in ({"boxes": (4, 4)}, {"boxes": (5, 4), "scores": (5, 3)}, {"boxes": (4, 4), "scores": (4, 1)}):
        with pytest.raises(
            ConfigError, match=r"reads boxes \[4, 4\] and scores \[4, 1 \+ classes\], and there is boxes"
        ):
            Detection.of(shapes, (), {"priors": PRIORS.to_dict()})
