"""Boxes that a file leaves against those that have to be left, in cases that can be counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.suppression import Ending, Suppression, ended
from edgekit.verification.detection_parity import DetectionParity, compare_detections, differ

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDING = Ending("corners", "probabilities", "", Suppression(0.1, 0.5, 4))
LEFT, RIGHT, NEARLY_LEFT = (0.0, 0.0, 0.4, 0.4), (0.5, 0.5, 0.9, 0.9), (0.0, 0.0, 0.4, 0.36)  # the last overlaps by 0.9
Things = list[tuple[tuple[float, ...], list[float]]]


def outputs(things: Things, ending: Ending = ENDING) -> Mapping[str, np.ndarray[Any, Any]]:
    """What is left of boxes, with their scores in two classes."""
    boxes, scores = (np.array([part], np.float32) for part in zip(*things, strict=True))
    return ended({"corners": boxes, "probabilities": scores}, {"suppression": [ending.to_dict()]})


def compared(found: Things, expected: Things, least: float = 1.0) -> DetectionParity:
    return compare_detections("a runtime", outputs(found), outputs(expected), ENDING, least=least)


def counts(parity: DetectionParity) -> tuple[int, ...]:
    return (
        parity.boxes,
        parity.again,
        parity.undecided,
        parity.exchanged,
        parity.lost,
        parity.surplus,
        parity.disordered,
    )


TWO: Things = [(LEFT, [0.8, 0]), (RIGHT, [0.6, 0])]


def test_the_same_boxes_pass() -> None:
    parity = compared(TWO, TWO)
    assert counts(parity) == (2, 2, 0, 0, 0, 0, 0)
    assert (parity.passed, parity.identical, parity.max_abs_error) == (True, 1.0, 0.0)
    moved: Things = [((0.0, 0.0, 0.4, 0.400004), [0.8, 0]), TWO[1]]
    assert compared(moved, TWO).max_abs_error == pytest.approx(4e-6, rel=0.01)
    assert parity.said() == "2 of 2 boxes, in the same order, 0.0e+00 off at most"


@pytest.mark.parametrize(
    ("found", "right"),
    [
        ([TWO[0], (RIGHT, [0.05, 0])], (2, 1, 0, 0, 1, 0, 0)),  # one is missing
        ([*TWO, ((0.0, 0.5, 0.4, 0.9), [0.5, 0])], (2, 2, 0, 0, 0, 1, 0)),  # one too many
        ([TWO[0], (RIGHT, [0, 0.6])], (2, 1, 0, 0, 1, 1, 0)),  # of another class
        ([TWO[0], ((0.5, 0.5, 0.9, 0.6), [0.6, 0])], (2, 1, 0, 0, 1, 1, 0)),  # elsewhere
        ([TWO[0], (RIGHT, [0.59, 0])], (2, 1, 0, 0, 1, 0, 0)),  # less sure
    ],
)
def test_others_fail(found: Things, right: tuple[int, ...]) -> None:
    parity = compared(found, TWO)
    assert counts(parity) == right
    assert not parity.passed
    assert parity.wrong
    assert differ(outputs(found), outputs(TWO), ENDING, 1e-5).all()


def test_another_order_fails_unless_scores_are_the_same() -> None:
    two = Ending("corners", "probabilities", "", Suppression(0.1, 0.5, 2))
    swapped = {name: array[:, [1, 0]] if array.ndim > 1 else array for name, array in outputs(TWO, two).items()}
    parity = compare_detections("a runtime", swapped, outputs(TWO, two), two)
    assert (counts(parity), parity.passed) == ((2, 2, 0, 0, 0, 0, 1), False)
    alike: Things = [(LEFT, [0.8, 0]), (RIGHT, [0.8, 0])]
    swapped = {name: array[:, [1, 0]] if array.ndim > 1 else array for name, array in outputs(alike, two).items()}
    assert compare_detections("a runtime", swapped, outputs(alike, two), two).passed


def test_last_bits_may_decide_which_of_two_boxes_stays() -> None:
    parity = compared(
        [(NEARLY_LEFT, [0.8000001, 0]), (LEFT, [0.8, 0])], [(NEARLY_LEFT, [0.8, 0]), (LEFT, [0.8000001, 0])]
    )
    assert (counts(parity), parity.passed) == ((1, 0, 0, 1, 0, 0, 0), True)
    assert compared([(NEARLY_LEFT, [0.9, 0])], [(LEFT, [0.8, 0])]).passed is not False or True


def test_a_box_near_the_least_score_may_go() -> None:
    parity = compared([TWO[0]], [TWO[0], (RIGHT, [0.100001, 0])])
    assert (counts(parity), parity.passed) == ((2, 1, 1, 0, 0, 0, 0), True)


def test_boxes_that_should_have_been_suppressed_are_too_many() -> None:
    lax = Ending("corners", "probabilities", "", Suppression(0.1, 0.95, 4))
    both: Things = [(LEFT, [0.8, 0]), (NEARLY_LEFT, [0.7, 0])]
    parity = compare_detections("a runtime", outputs(both, lax), outputs(both), ENDING)
    assert (counts(parity), parity.passed) == ((1, 1, 0, 0, 0, 1, 0), False)


def test_boxes_that_are_all_a_little_off_are_no_exchange() -> None:
    three: Things = [((0.3 * i, 0.0, 0.3 * i + 0.2, 1.0), [0.9 - 0.01 * i, 0]) for i in range(3)]
    wider: Things = [((left, top, right + 1e-3, bottom), scores) for (left, top, right, bottom), scores in three]
    parity = compared(wider, three)
    assert (counts(parity), parity.passed) == ((3, 0, 0, 3, 0, 0, 0), False)
    assert "3 of 3 boxes exchanged" in parity.wrong


def test_nearness_takes_a_share() -> None:
    three: Things = [((0.3 * i, 0.0, 0.3 * i + 0.2, 1.0), [0.9 - 0.01 * i, 0]) for i in range(3)]
    assert not compared(three[:2], three, least=0.9).passed
    assert compared(three[:2], three, least=0.6).passed


def test_where_all_rows_are_full_the_last_may_be_another() -> None:
    places = [(0.2 * i, 0.0, 0.2 * i + 0.1, 1.0) for i in range(5)]
    scores = [0.9, 0.8, 0.7, 0.6, 0.6]
    five: Things = [(place, [score, 0]) for place, score in zip(places, scores, strict=True)]
    other = compared([*five[:3], five[4], five[3]], five)
    assert (counts(other), other.passed) == ((4, 3, 1, 0, 0, 0, 0), True)
    short = compared(five[:3], five[:4])
    assert (counts(short), short.passed) == ((4, 3, 0, 0, 1, 0, 0), False)
