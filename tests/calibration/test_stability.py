"""How far ranges move with more images, compared with what they do when these come."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from edgekit.calibration.observers import StreamingHistogram
from edgekit.calibration.ranges import Range, RangeMethod, find_range, squared_error
from edgekit.calibration.stability import GROUPS, MORE_IMAGES, merged, range_stability, widened, without_one_outlier

IMAGES = 128


def images(number: int, random: np.random.Generator) -> list[np.ndarray]:
    """The values of one tensor in each image, whose brightness and contrast differ."""
    scales = random.lognormal(0.0, 0.3, number)
    return [(scale * (random.normal(size=200) + 1)).astype(np.float32) for scale in scales]


def histogram(values: list[np.ndarray]) -> StreamingHistogram:
    found = StreamingHistogram()
    for image in values:
        found.update(image)
    return found


def percentile(found: StreamingHistogram) -> Range:
    return find_range(found, RangeMethod.PERCENTILE, percentile=99.0)


def test_groups_add_up_to_all() -> None:
    seen = images(IMAGES, np.random.default_rng(0))
    total, expected = merged([histogram(seen[i::GROUPS]) for i in range(GROUPS)]), histogram(seen)
    assert (total.minimum, total.maximum, total.grid) == (expected.minimum, expected.maximum, expected.grid)
    assert (total.counts == expected.counts).all()


def test_more_images_change_ranges_by_no_more_than_said_but_not_by_far_less() -> None:
    random = np.random.default_rng(1)
    shares, bounds = [], []
    for _ in range(40):
        seen, more = images(IMAGES, random), images(MORE_IMAGES, random)
        groups = {"x": [histogram(seen[i::GROUPS]) for i in range(GROUPS)]}
        found = range_stability(groups, percentile, images=IMAGES)
        assert found is not None
        before, after = percentile(histogram(seen)), percentile(histogram(seen + more))
        moved = max(abs(after.low - before.low), abs(after.high - before.high))
        shares.append(moved / (before.high - before.low) / found.bounds["x"])
        bounds.append(found.bounds["x"])
    assert np.mean(np.array(shares) <= 1) >= 0.9  # 95 % is claimed, 40 trials vary
    assert np.median(shares) > 0.1
    assert 0.005 < np.median(bounds) < 0.1


def test_equal_images_say_that_nothing_changes() -> None:
    (image,) = images(1, np.random.default_rng(2))
    same = {name: [histogram([image]) for _ in range(GROUPS)] for name in ("a", "b")}
    found = range_stability(same, percentile, images=GROUPS)
    assert found is not None
    assert found.median == pytest.approx(0)
    assert found.worst[1] == pytest.approx(0)


def test_fewer_images_than_groups_say_nothing() -> None:
    groups = {"x": [histogram(images(1, np.random.default_rng(3))), *(StreamingHistogram() for _ in range(GROUPS - 1))]}
    assert range_stability(groups, percentile, images=1) is None


def test_one_odd_image_does_not_move_a_range() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, 5000)).astype(np.float32)
    find = partial(find_range, method=RangeMethod.PERCENTILE, percentile=99.99)

    def found(odd: float) -> tuple[Range, Range]:
        groups = [StreamingHistogram() for _ in range(GROUPS)]
        for i, image in enumerate(images):
            groups[i % GROUPS].update(image * np.float32(odd) if i == 20 else image)
        whole = find(merged(groups))
        return whole, widened(without_one_outlier(whole, groups, find), groups, find)

    _, usual = found(1.0)
    naive, robust = found(10.0)
    assert naive.high > 3 * usual.high
    assert robust.high == pytest.approx(usual.high, rel=0.1)
    assert robust.low == pytest.approx(usual.low, rel=0.1)


def test_what_few_values_show_is_kept_where_cutting_it_off_costs_more() -> None:
    """Sparse values, as behind a ReLU: 99.99 % of all are below what the largest two groups alone reach."""
    rng = np.random.default_rng(1)
    groups = []
    for reach in (8, 8.5, 9, 9.5, 10, 10.5, 11, 12):
        values = np.zeros(100_000, np.float32)
        values[:12] = rng.uniform(0.5, 1, 12) * reach
        groups.append(histogram([values]))
    find = partial(find_range, method=RangeMethod.PERCENTILE, percentile=99.99)
    cut = without_one_outlier(find(merged(groups)), groups, find)
    wider = widened(cut, groups, find)
    assert cut.high < 7
    assert wider.high == pytest.approx(max(group.maximum for group in groups), rel=0.02)
    assert squared_error(merged(groups), wider) < 0.1 * squared_error(merged(groups), cut)
    assert widened(wider, groups, find) == wider


def test_a_tensor_of_zeros_stays_as_it_is() -> None:
    groups = [histogram([np.zeros(9, np.float32)]) for _ in range(GROUPS)]
    assert widened(Range(0.0, 2.0**-8), groups, percentile) == Range(0.0, 2.0**-8)
