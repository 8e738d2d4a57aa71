"""Prior boxes: hand-worked ones, figures of SSD's paper and of torchvision's detector, and shapes fitted to data."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.annotations.boxes import overlap
from edgekit.errors import ArtifactError, ConfigError
from edgekit.models.priors import Level, Priors, fitted, scaled
from edgekit.tasks.detection.coding import corners


def test_order_and_centres_of_a_small_grid() -> None:
    priors = Priors((Level(1, 2, ((0.5, 0.25), (0.1, 0.2))), Level(1, 1, ((1.0, 1.0),))))

    expected = [
        [0.25, 0.5, 0.5, 0.25],
        [0.25, 0.5, 0.1, 0.2],
        [0.75, 0.5, 0.5, 0.25],
        [0.75, 0.5, 0.1, 0.2],
        [0.5, 0.5, 1.0, 1.0],
    ]
    assert np.array_equal(priors.boxes, np.array(expected, np.float32))


def test_scaled_has_the_boxes_of_torchvisions_ssdlite() -> None:
    # ssdlite320_mobilenet_v3_large: six maps of 20, 10, 5, 3, 2 and 1 places a side, six boxes a place, 3234 in all;
    # scales 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, and 1 behind them (DefaultBoxGenerator with steps of (0.95 - 0.2) / 5).
    priors = scaled([(side, side) for side in (20, 10, 5, 3, 2, 1)])

    assert priors.count == 3234
    first, last = priors.levels[0].shapes, priors.levels[-1].shapes
    wide, tall = 0.2 * math.sqrt(2), 0.2 / math.sqrt(2)
    assert np.allclose(first[:4], [(0.2, 0.2), (math.sqrt(0.07),) * 2, (wide, tall), (tall, wide)])
    assert np.allclose(last[1:3], [(math.sqrt(0.95),) * 2, (1.0, 0.95 / math.sqrt(2))])


def test_priors_come_back_from_json() -> None:
    priors = scaled([(3, 4), (2, 2)])
    assert Priors.from_dict(priors.to_dict()) == priors


@pytest.mark.parametrize("values", [{}, {"levels": []}, {"levels": [{"rows": 1, "columns": 1, "shapes": [[0, 1]]}]}])
def test_what_are_no_priors_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="save the detector again"):
        Priors.from_dict(values)


def test_fitted_finds_the_shapes_that_objects_have_on_each_map() -> None:
    shapes = np.array([(0.05, 0.1), (0.2, 0.1), (0.4, 0.4), (0.9, 0.5)])
    noise = np.random.default_rng(0).uniform(0.97, 1.03, (400, 2))
    sizes = np.repeat(shapes, 100, axis=0) * noise
    grids = [(16, 16), (8, 8), (1, 1)]

    priors = fitted(sizes, grids, each=2)

    assert np.allclose(priors.levels[0].shapes, shapes[:2], rtol=0.02)
    assert np.allclose(priors.levels[1].shapes, shapes[2:], rtol=0.02)
    assert priors.levels[2] == scaled(grids).levels[2], "no object is as large as its places are wide"
    assert fitted(sizes, grids, each=2) == priors


def test_few_large_objects_among_many_small_ones_have_boxes_wherever_they_lie() -> None:
    random = np.random.default_rng(0)
    small, large = (shape * random.uniform(0.8, 1.2, (count, 2)) for shape, count in ((0.15, 1000), (0.4, 50)))
    priors = fitted(np.concatenate([small, large]), [(side, side) for side in (20, 10, 5, 3, 2, 1)])
    low = random.uniform(0, 1 - large)
    assert overlap(np.concatenate([low, low + large], 1), corners(priors.boxes)).max(1).min() > 0.5


def test_fitted_needs_objects() -> None:
    with pytest.raises(ConfigError, match="no object"):
        fitted(np.empty((0, 2)), [(4, 4)])
