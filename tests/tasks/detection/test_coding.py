"""Box coding against torchvision's ``BoxCoder`` with weights 10, 10, 5, 5, whose results are written down here."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.models.priors import scaled
from edgekit.tasks.detection.coding import corners, decode, encode

PRIORS = np.array([[0.5, 0.5, 0.2, 0.4], [0.25, 0.75, 0.5, 0.25]])


def test_codings_are_torchvisions() -> None:
    boxes = np.array([[0.4, 0.4, 0.7, 0.6], [0.0, 0.5, 0.25, 1.0]])
    found = encode(boxes, PRIORS)
    np.testing.assert_allclose(found, [[2.5, 0, 2.0273, -3.4657], [-2.5, 0, -3.4657, 3.4657]], atol=5e-5)
    np.testing.assert_allclose(decode(found, PRIORS), boxes, atol=1e-7)


def test_boxes_are_torchvisions_cut_at_the_image() -> None:
    found = decode(np.array([[1.0, -2, 1, -1], [0, 0, 50, 0]]), PRIORS)
    np.testing.assert_allclose(found, [[0.3979, 0.2563, 0.6421, 0.5837], [0, 0.625, 1, 0.875]], atol=5e-5)


def test_a_size_grows_to_a_thousand_sixteenths_at_most() -> None:
    small = np.array([[0.5, 0.5, 0.001, 0.001]])
    wide, high = np.diff(decode(np.array([[0, 0, 1000.0, 20]]), small)[0].reshape(2, 2), axis=0)[0]
    assert wide == pytest.approx(1000 / 16 * 0.001)
    assert high == pytest.approx(np.exp(4) * 0.001)


def test_a_batch_is_decoded_like_each_of_its_images() -> None:
    priors = scaled([(3, 2), (1, 1)]).boxes
    codings = np.random.default_rng(0).normal(0, 2, (3, len(priors), 4)).astype(np.float32)
    np.testing.assert_array_equal(decode(codings, priors), [decode(one, priors) for one in codings])
    none_moved = decode(np.zeros((len(priors), 4)), priors)
    np.testing.assert_allclose(none_moved, corners(priors).clip(0, 1), atol=1e-7)
