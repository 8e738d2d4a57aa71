"""Which channels go, on networks that are small enough to try every way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.compression.pruning.budget import Costs, Width, alike, cheapest, costs_of, filled, first, kept, shares_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.compression.pruning.conftest import Subject

ALONE = (Width((0,), (1,)), Width((1,), (1,)))
TIED = (Width((0, 1), (1, 2)),)


def chain(*each: float) -> Costs:
    """Layers that make a group and read the image, at so much a channel."""
    count = len(each)
    return Costs(np.eye(count), np.zeros((count, count)), np.zeros(count), np.ones(count), np.array(each))


def worth(*values: list[float]) -> tuple[NDArray[np.float64], ...]:
    return tuple(map(np.array, values))


def by_shares(
    widths: tuple[Width, ...], values: tuple[NDArray[np.float64], ...], costs: Costs, multiple: int
) -> list[NDArray[np.float64]]:
    counts = np.array([float(len(own)) for own in values])
    return cheapest(widths, counts, shares_of(values), costs.slopes, multiple)


def test_a_step_that_loses_nothing_but_lies_behind_one_that_does_is_found() -> None:
    """The first 2 channels of the first group lose as much as the first 6: they go together, before the second's."""

    def loses(width: Width, counts: NDArray[np.float64], fewer: NDArray[np.float64]) -> float:
        lost = {8: 0.0, 6: 1.0, 4: 1.0, 2: 1.0} if width is ALONE[0] else {8: 0.0, 6: 0.5, 4: 1.0, 2: 1.5}
        at = width.groups[0]
        return lost[int(fewer[at])] - lost[int(counts[at])]

    ladder = cheapest(ALONE, np.array([8.0, 8.0]), loses, chain(1.0, 1.0).slopes, multiple=2)
    assert [step.tolist() for step in ladder][:3] == [[8, 8], [2, 8], [2, 6]]


def test_within_a_group_the_least_goes_first_and_its_share_of_what_is_left_counts() -> None:
    """A third, then half, of the first group; half of the second, which comes between where it costs more."""
    ladder = by_shares(ALONE, worth([100.0] * 6, [1.0] * 4), chain(4.0, 5.0), 2)
    assert [step.tolist() for step in ladder] == [[6, 4], [4, 4], [4, 2], [2, 2]]


def test_numbers_that_are_no_multiple_become_one_and_stay_at_one_at_least() -> None:
    ladder = by_shares(ALONE, worth([1.0] * 19, [1.0] * 5), chain(1.0, 1.0), 8)
    assert [step.tolist() for step in ladder] == [[19, 5], [16, 5], [8, 5]]


def test_numbers_that_agree_fall_together() -> None:
    ladder = by_shares(TIED, worth([1.0] * 16, [1.0] * 8), chain(1.0, 1.0), 4)
    assert [step.tolist() for step in ladder] == [[16, 8], [12, 6], [8, 4], [4, 2]]
    assert alike(TIED, np.array([16.0, 8.0]), 8)[-1].tolist() == [8, 4]


def test_a_uniform_width_rounds_every_number_to_the_nearest_multiple() -> None:
    found = first(alike(ALONE, np.array([64.0, 24.0]), 8), lambda counts: bool(counts[0] <= 48))
    assert found is not None
    assert found.tolist() == [48, 16]  # 24 becomes 16 below 20 / 24, and 56 becomes 48 below 52 / 64 alone


def test_the_largest_that_meets_the_target_is_found_and_none_where_there_is_none() -> None:
    ladder = [np.array([float(number)]) for number in (9, 7, 5, 3)]
    assert first(ladder, lambda counts: bool(counts[0] <= 6)) is ladder[2]
    assert first(ladder, lambda counts: bool(counts[0] <= 2)) is None


def test_what_the_last_cut_took_too_much_is_given_back() -> None:
    """Cuts are of 8 channels that cost 8 or 80: where the last took 80 too much, some of 8 come back."""
    values, whole, costs = worth([1.0] * 32, [1.0] * 32), np.array([32.0, 32.0]), chain(1.0, 10.0)
    ladder = by_shares(ALONE, values, costs, 8)
    for most in (350.0, 300.0, 262.0, 120.0):

        def fits(counts: NDArray[np.float64], most: float = most) -> bool:
            return costs.of(counts) <= most

        found = first(ladder, fits)
        assert found is not None
        full = filled(ALONE, whole, found, shares_of(values), fits, 8)
        assert (full >= found).all()
        assert fits(full)
        assert all(number in {8, 16, 24, 32} for number in full)
        for place in (0, 1):
            more = full + 8 * np.eye(2)[place]
            assert more[place] > 32 or not fits(more)


def test_numbers_that_agree_rise_together_and_to_what_they_were() -> None:
    loses = shares_of(worth([1.0] * 18, [1.0] * 9))
    found = filled(TIED, np.array([18.0, 9.0]), np.array([8.0, 4.0]), loses, lambda counts: bool(counts[0] <= 18), 8)
    assert found.tolist() == [18, 9]


def test_the_channels_of_most_worth_stay() -> None:
    (stays,) = kept(worth([3.0, 1.0, 2.0]), np.array([2.0]))
    assert stays.tolist() == [True, False, True]


def test_slopes_are_what_one_channel_costs(classifier: Subject) -> None:
    costs = costs_of(classifier.graph, classifier.groups, "macs")
    whole = np.array([float(group.channels) for group in classifier.groups])
    assert costs.of(whole) == classifier.graph.macs
    for at, slope in enumerate(costs.slopes(whole)):
        fewer = whole.copy()
        fewer[at] -= 1
        assert costs.of(whole) - costs.of(fewer) == slope, classifier.groups[at].name
