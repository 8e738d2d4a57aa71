"""Which prior learns which object: worked out by hand, and as torchvision's matcher does it."""

from __future__ import annotations

import numpy as np

from edgekit.annotations.boxes import Boxes
from edgekit.training.objectives.matching import LEFT_OUT, NOTHING, match

# Quarters of the image, and all of it.
PRIORS = np.array([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1], [0, 0, 1, 1]])


def test_an_object_has_its_best_prior_and_every_other_that_it_mostly_covers() -> None:
    # The first object overlaps the first prior by 0.64 and is small; the second covers 0.9 of the image.
    boxes = Boxes.of([[0, 0, 0.4, 0.4], [0, 0, 1, 0.9]], [3, 1])
    assert match(PRIORS, boxes).tolist() == [0, NOTHING, NOTHING, NOTHING, 1]


def test_an_object_that_overlaps_no_prior_enough_still_has_one() -> None:
    boxes = Boxes.of([[0.6, 0.6, 0.7, 0.7]], [0])
    assert match(PRIORS, boxes).tolist() == [NOTHING, NOTHING, NOTHING, 0, NOTHING]


def test_of_two_objects_with_one_best_prior_the_later_takes_it() -> None:
    boxes = Boxes.of([[0, 0, 0.45, 0.45], [0, 0, 0.5, 0.4]], [0, 1])
    assert match(PRIORS, boxes)[0] == 1


def test_priors_of_a_crowd_learn_nothing_unless_an_object_has_them() -> None:
    crowd = Boxes.of([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0.5, 0, 1, 0.4]], [0, 0, 0], [True, True, False])
    assert match(PRIORS, crowd).tolist() == [LEFT_OUT, 2, NOTHING, NOTHING, NOTHING]


def test_without_objects_every_prior_learns_that_there_are_none() -> None:
    assert set(match(PRIORS, Boxes.of([], [])).tolist()) == {NOTHING}
