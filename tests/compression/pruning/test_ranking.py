"""What channels are worth: derivatives against what really happens, weights against arithmetic by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.compression.pruning.gates import gated
from edgekit.compression.pruning.ranking import by_loss, by_outputs, by_scales, by_weights
from edgekit.training.from_images import named

if TYPE_CHECKING:
    from tests.compression.pruning.conftest import Subject

STEP = 1e-3


def test_a_loss_moves_as_its_derivative_by_a_gate_says(classifier: Subject) -> None:
    """Against finite differences, image by image, in float64."""
    module, groups = classifier.module.double(), classifier.groups
    images = classifier.images.double()
    found = by_loss(module, groups, [images], lambda logits, _: named(logits)["logits"].square().sum() / len(images))
    first = 0
    with torch.inference_mode():
        for values in found:
            gates = torch.ones(1, sum(map(len, found)), dtype=torch.float64)
            moved = []
            for step in (-STEP, STEP):
                gates[0, first] = 1 + step
                with gated(module, groups, gates):
                    moved.append(module(images).square().sum(1))
            slopes = (moved[1] - moved[0]) / (2 * STEP)
            np.testing.assert_allclose(values[0], float(slopes.square().sum()), rtol=2e-3, atol=1e-9)
            first += len(values)
    module.float()


def test_a_channel_that_nobody_hears_is_worth_nothing_by_its_outputs(classifier: Subject) -> None:
    """The last layer's columns of a channel are zero."""
    (last,) = [group for group in classifier.groups if "classifier.3" in group.read]
    weight = classifier.module.get_parameter("classifier.3.weight")
    was = weight.detach().clone()
    with torch.no_grad():
        weight[:, 5] = 0
    found = by_outputs(classifier.module, classifier.groups, [classifier.images])
    with torch.no_grad():
        weight.copy_(was)
    values = found[classifier.groups.index(last)]
    assert values[5] == 0
    assert (np.delete(values, 5) >= 0).all()
    assert values.max() > 0


def test_weights_and_scales_are_relative_to_their_layers(classifier: Subject) -> None:
    for worth in (by_weights(classifier.module, classifier.groups), by_scales(classifier.module, classifier.groups)):
        assert worth is not None
        np.testing.assert_allclose([values.mean() for values in worth], 1.0)
    (last,) = [group for group in classifier.groups if "classifier.3" in group.read]
    weight = classifier.module.get_parameter("classifier.0.weight").detach().abs().mean(1).numpy()
    (found,) = by_weights(classifier.module, [last])
    np.testing.assert_allclose(found, weight / weight.mean(), rtol=1e-5)
