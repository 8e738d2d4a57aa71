"""Errors at borders and inside, on masks that are counted by hand."""

from __future__ import annotations

import numpy as np

from edgekit.tasks.segmentation.borders import at_border, by_place


def test_pixels_near_another_class_in_any_direction() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[4, 4] = 1
    border = at_border(mask)
    assert border[3:6, 3:6].all()
    assert border.sum() == 9


def test_what_nobody_knows_is_no_class() -> None:
    mask = np.zeros((4, 8), np.uint8)
    mask[:, 4:] = 255
    assert not at_border(mask).any()


def test_errors_are_counted_where_they_are() -> None:
    right = np.zeros((4, 10), np.uint8)
    right[:, 5:] = 1
    said = right.copy()
    said[0, 4] = 1  # at the border
    said[:2, 0] = 1  # inside
    border, inside = by_place([(right, said)])
    assert (border.name, border.number, border.share) == ("at borders", 1, 1 / 8)
    assert (inside.name, inside.number, inside.share) == ("inside", 2, 2 / 32)
