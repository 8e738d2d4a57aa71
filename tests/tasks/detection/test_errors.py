"""Errors of a detector by kind, each planted alone; what each costs is what is gained when it is mended by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.annotations.boxes import Boxes
from edgekit.suppression import Detections
from edgekit.tasks.detection.errors import (
    BOTH,
    DUPLICATE,
    MISSED,
    ON_BACKGROUND,
    WRONG_CLASS,
    WRONG_PLACE,
    errors_of,
)

OBJECT, OTHER = [0.1, 0.1, 0.3, 0.3], [0.6, 0.6, 0.8, 0.8]
THERE = Boxes.of([OBJECT, OTHER], [0, 1])


def seen(*boxes: tuple[list[float], float, int]) -> Detections:
    ordered = sorted(boxes, key=lambda one: -one[1])
    corners, scores, classes = zip(*ordered, strict=True)
    return Detections(np.array(corners, np.float32), np.array(scores, np.float32), np.array(classes))


HIT = (OTHER, 0.9, 1)
CASES = {
    WRONG_CLASS: (OBJECT, 0.8, 1),
    WRONG_PLACE: ([0.2, 0.1, 0.4, 0.3], 0.8, 0),  # IoU 1/3
    BOTH: ([0.2, 0.1, 0.4, 0.3], 0.8, 1),
    DUPLICATE: ([0.6, 0.6, 0.8, 0.79], 0.8, 1),
    ON_BACKGROUND: ([0.4, 0.1, 0.5, 0.2], 0.8, 0),
}


@pytest.mark.parametrize(("kind", "planted"), CASES.items())
def test_each_kind(kind: str, planted: tuple[list[float], float, int]) -> None:
    found = {one.name: one for one in errors_of([seen(HIT, planted)], [THERE], 2, 0.3)}
    assert {name for name, one in found.items() if one.number and name != MISSED} == {kind}
    explained = kind in {WRONG_CLASS, WRONG_PLACE}
    assert found[MISSED].number == (0 if explained else 1)
    assert found[kind].share == 0.5


def test_a_perfect_detector_has_no_errors() -> None:
    found = errors_of([seen(HIT, (OBJECT, 0.8, 0))], [THERE], 2, 0.3)
    assert all(one.number == 0 and one.cost == 0 for one in found)


def test_costs() -> None:
    """One of two classes is never hit: mAP is 50, and without its error 100."""
    for kind in (WRONG_CLASS, WRONG_PLACE):
        (cost,) = [one.cost for one in errors_of([seen(HIT, CASES[kind])], [THERE], 2, 0.3) if one.name == kind]
        assert cost == pytest.approx(50.0)
    (missed,) = [one for one in errors_of([seen(HIT)], [THERE], 2, 0.3) if one.name == MISSED]
    assert missed.cost == pytest.approx(50.0)
    assert missed.share == 0.5


def test_what_is_below_the_score_is_not_counted() -> None:
    found = {one.name: one.number for one in errors_of([seen(HIT, (OBJECT, 0.2, 1))], [THERE], 2, 0.3)}
    assert found[WRONG_CLASS] == 0
    assert found[MISSED] == 1


def test_what_lies_in_a_crowd_is_no_error() -> None:
    there = Boxes.of([OTHER, OBJECT], [1, 0], [False, True])
    found = errors_of([seen(HIT, (OBJECT, 0.8, 0))], [there], 2, 0.3)
    assert all(one.number == 0 for one in found)
