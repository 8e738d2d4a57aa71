"""Answers drawn on their image, pixel by pixel."""

from __future__ import annotations

import numpy as np
from PIL import Image

from edgekit.conventions import colour_of
from edgekit.tasks.classification.answers import of_class
from edgekit.tasks.detection.answers import Thing, Things
from edgekit.tasks.drawing import can_be_drawn, drawn
from edgekit.tasks.segmentation.answers import regions
from edgekit.tasks.several import Together

GREY = Image.new("RGB", (800, 400), (100, 100, 100))
NAMES = ("sky", "road")


def things(*boxes: tuple[float, float, float, float]) -> Things:
    return Things(tuple(Thing(index, NAMES[index], 0.5, box) for index, box in enumerate(boxes)), 5)


def test_a_box_lies_where_it_was_seen() -> None:
    found = np.asarray(drawn(GREY, things((0.25, 0.5, 0.75, 0.9))))
    assert found.shape == (400, 800, 3)
    rows, columns = np.nonzero((found == colour_of(0)).all(2))
    assert (columns.min(), columns.max(), rows.max()) == (200, 600, 360)
    assert tuple(found[300, 200]) == colour_of(0)
    assert tuple(found[300, 199]) == (0, 0, 0), "a dark edge"
    assert tuple(found[300, 400]) == (100, 100, 100)
    assert (found[180:200, 200:220] == colour_of(0)).all(2).any(), "its name stands above it"
    assert np.asarray(GREY).max() == 100, "the image itself is left alone"


def test_shares_are_of_what_the_network_sees() -> None:
    right_half = (0.5, 0.0, 1.0, 1.0)
    found = np.asarray(drawn(GREY, things((0.5, 0.5, 0.75, 0.9)), right_half))
    _, columns = np.nonzero((found[250:] == colour_of(0)).all(2))
    assert (columns.min(), columns.max()) == (600, 700)


def test_a_mask_covers_half_and_has_a_legend() -> None:
    mask = np.array([[0, 1], [0, 255]], np.uint8)
    found = np.asarray(drawn(GREY, regions(mask, NAMES, 5)))
    mixed = [[round((100 + colour) / 2) for colour in colour_of(index)] for index in (0, 1)]
    np.testing.assert_allclose(found[100, 100], mixed[0], atol=1)
    np.testing.assert_allclose(found[100, 700], mixed[1], atol=1)
    assert tuple(found[300, 700]) == (100, 100, 100), "nobody knows"
    legend = found[400:]
    assert 10 < len(legend) < 60
    assert all((legend == colour_of(index)).all(2).any() for index in (0, 1))
    seen = np.asarray(drawn(GREY, regions(mask, NAMES, 5), (0.25, 0.0, 0.75, 1.0)))
    assert tuple(seen[100, 100]) == (100, 100, 100)
    np.testing.assert_allclose(seen[100, 300], mixed[0], atol=1)


def test_background_stays_clear() -> None:
    mask = np.array([[0, 1]], np.uint8)
    for name in ("background", "__background__", "Background"):
        found = np.asarray(drawn(GREY, regions(mask, (name, "road"), 5)))
        assert tuple(found[200, 100]) == (100, 100, 100)
        assert tuple(found[200, 700]) != (100, 100, 100)
        assert not (found[400:] == colour_of(0)).all(2).any(), "nothing to explain in the legend"


def test_heads_are_drawn_together_and_classes_are_not() -> None:
    both = Together({"a": things((0.25, 0.5, 0.75, 0.9)), "b": regions(np.ones((2, 2), np.uint8), NAMES, 5)})
    found = np.asarray(drawn(GREY, both))
    assert (found[300, 200] == colour_of(0)).all()
    np.testing.assert_allclose(found[300, 400], [round((100 + colour) / 2) for colour in colour_of(1)], atol=1)
    assert can_be_drawn(both)
    assert not can_be_drawn(Together({"a": of_class(0, NAMES)}))


def test_small_images_are_enlarged_and_colours_differ() -> None:
    assert drawn(GREY.resize((32, 16)), things()).size == (480, 240)
    assert drawn(GREY.resize((4000, 2000)), things()).size == (1600, 800)
    assert len({colour_of(index) for index in range(80)}) == 80
