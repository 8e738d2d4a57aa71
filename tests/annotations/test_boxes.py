"""Boxes and how much they overlap, in numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.annotations.boxes import Boxes, overlap


def test_overlap_of_hand_worked_boxes() -> None:
    ours = np.array([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 1.0, 1.0]])
    theirs = np.array([[0.25, 0.25, 0.75, 0.75], [0.6, 0.6, 0.9, 0.9], [0.5, 0.5, 0.5, 0.5]])

    # 1/16 of both over 1/4 + 1/4 - 1/16; the last box has no area.
    assert overlap(ours, theirs) == pytest.approx(np.array([[1 / 7, 0, 0], [0.25, 0.09, 0]]))


def test_boxes_from_lists() -> None:
    boxes = Boxes.of([[0, 0, 1, 1], [0, 0, 0.5, 1]], [2, 0])

    assert len(boxes) == 2
    assert not boxes.is_crowd.any()
    assert boxes.some(np.array([False, True])).classes.tolist() == [0]
    assert len(Boxes.of([], [])) == 0
