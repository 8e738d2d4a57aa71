"""Pixels, boxes and masks moved by one geometry: what is painted into an image is where its box is moved to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.annotations.boxes import Boxes
from edgekit.annotations.moving import moved
from edgekit.errors import DataError
from edgekit.geometry import Geometry
from edgekit.preprocessing import Preprocessing

SOURCE = (60, 40)
SEEN = Preprocessing((16, 24), "whole", interpolation="nearest")


def test_a_view_is_worked_by_hand() -> None:
    """Twice as large as the image, which stands in its middle: a quarter of what is seen."""
    geometry = Geometry.of_view(SOURCE, (-30, -20, 90, 60), (24, 16))
    assert geometry == Geometry(SOURCE, (0, 0, 60, 40), (12, 8), (-6, -4, 18, 12))
    corners = np.array([[0, 0, 1, 1], [0, 0, 0.5, 0.25]])
    np.testing.assert_allclose(geometry.corners(corners), [[0.25, 0.25, 0.75, 0.75], [0.25, 0.25, 0.5, 0.375]])
    np.testing.assert_allclose(geometry.flipped().corners(corners)[1], [0.5, 0.25, 0.75, 0.375])
    inside = Geometry.of_view(SOURCE, (15, 10, 45, 30), (24, 16))
    assert inside == Geometry(SOURCE, (15, 10, 45, 30), (24, 16), (0, 0, 24, 16))
    np.testing.assert_allclose(inside.corners(corners), [[-0.5, -0.5, 1.5, 1.5], [-0.5, -0.5, 0.5, 0]])


def test_boxes_are_cut_off_and_go_with_their_middle() -> None:
    boxes = Boxes.of([[0, 0, 0.6, 1], [0, 0, 0.5, 0.5], [0.4, 0.4, 0.5, 0.5]], [0, 1, 2], [True, False, False])
    found = moved(boxes, Geometry.of_view(SOURCE, (15, 0, 45, 40), (24, 16)))
    np.testing.assert_allclose(found.corners, [[0, 0, 0.7, 1], [0.3, 0.4, 0.5, 0.5]])
    assert (found.classes.tolist(), found.is_crowd.tolist()) == ([0, 2], [True, False])


@settings(max_examples=60, deadline=None)
@example(view=(2, 0, 80, 1), box=(0, 0, 31, 1), flip=False)  # a middle on the edge of two pixels
@given(
    view=st.tuples(st.integers(-70, 59), st.integers(-50, 39), st.integers(1, 130), st.integers(1, 90)),
    flip=st.booleans(),
    box=st.tuples(st.integers(0, 59), st.integers(0, 39), st.integers(1, 60), st.integers(1, 40)),
)
def test_what_is_painted_is_where_its_box_is_moved_to(
    view: tuple[int, int, int, int], box: tuple[int, int, int, int], *, flip: bool
) -> None:
    left, top, width, height = view
    if left + width <= 0 or top + height <= 0:  # sees nothing of the image
        left, top = left % 60, top % 40
    geometry = Geometry.of_view(SOURCE, (left, top, left + width, top + height), (24, 16))
    geometry = geometry.flipped() if flip else geometry
    pixels = np.zeros((40, 60), np.uint8)
    right, bottom = min(box[0] + box[2], 60), min(box[1] + box[3], 40)
    pixels[box[1] : bottom, box[0] : right] = 1
    painted = moved(pixels, geometry)
    assert painted.shape == (16, 24)

    image = Image.fromarray(np.repeat(pixels[..., None], 3, 2) * 254 + 1)  # 1 where there is image, and 0 outside
    seen = SEEN.array(SEEN.seen(image, geometry))[..., 0]
    np.testing.assert_array_equal(painted == 255, seen == 0)
    np.testing.assert_array_equal(painted == 1, seen == 255)

    # A pixel is painted where its middle lies in the box.
    shares = np.array([[box[0] / 60, box[1] / 40, right / 60, bottom / 40]])
    ((low_x, low_y, high_x, high_y),) = geometry.corners(shares) * [24, 16, 24, 16]
    columns, rows = np.arange(24) + 0.5, np.arange(16) + 0.5
    surely, perhaps = (
        ((rows > low_y + near) & (rows < high_y - near))[:, None] & (columns > low_x + near) & (columns < high_x - near)
        for near in (1e-6, -1e-6)
    )
    there = painted != 255
    assert (painted == 1)[surely & there].all()
    assert perhaps[painted == 1].all()


@pytest.mark.parametrize("resize", ["whole", 26, (20, 30), None])
@pytest.mark.parametrize("size", [(60, 40), (31, 47), (25, 17)])
def test_preprocessing_moves_masks_as_it_moves_pixels(
    resize: int | tuple[int, int] | str | None, size: tuple[int, int]
) -> None:
    preprocessing = Preprocessing((16, 24), resize, interpolation="nearest")
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    geometry = preprocessing.geometry(size)
    expected = preprocessing.pixels(Image.fromarray(pixels))
    np.testing.assert_array_equal(moved(np.ascontiguousarray(pixels[..., 1]), geometry), expected[..., 1])


def test_an_image_that_is_too_small_has_no_geometry() -> None:
    with pytest.raises(DataError, match="the image is 20 x 20, smaller than the network's 24 x 16"):
        Preprocessing((16, 24), None).geometry((20, 20))


@pytest.mark.parametrize("resize", ["whole", 26, (20, 30), None])
def test_what_is_seen_is_seen_whole(resize: int | tuple[int, int] | str | None) -> None:
    geometry = Preprocessing((16, 24), resize).geometry((60, 40))
    np.testing.assert_allclose(geometry.corners(np.array([geometry.seen])), [[0, 0, 1, 1]], atol=1e-12)
