"""What layers take in the stead of channels that go, against least squares of numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgekit.compression.pruning.damage import Damage, measure
from edgekit.compression.pruning.gates import gated
from edgekit.compression.pruning.mending import mended, moments_of
from edgekit.compression.pruning.ranking import by_weights
from edgekit.progress import silent
from edgekit.training.from_images import named

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.compression.pruning.conftest import Subject

LAYER = "features.2.block.2.0"  # the projection of a block of MobileNetV3-Small


def batches(seed: int = 3) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(8, 3, 32, 32, generator=random) for _ in range(4)]


def read_by(subject: Subject, layer: str) -> NDArray[np.float64]:
    """What a layer reads of all batches, [pixels, K]."""
    seen: list[torch.Tensor] = []
    handle = subject.module.get_submodule(layer).register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].detach().transpose(0, 1).flatten(1).T)
    )
    with torch.no_grad():
        for images in batches():
            subject.module(images)
    handle.remove()
    return torch.cat(seen).double().numpy()


def without_half(subject: Subject, layer: str) -> list[NDArray[np.bool_]]:
    stays = [np.ones(group.channels, bool) for group in subject.groups]
    place = next(at for at, group in enumerate(subject.groups) if layer in group.read)
    stays[place][::2] = False
    return stays


def test_a_layer_becomes_the_regression_of_what_it_gave(classifier: Subject) -> None:
    stays = without_half(classifier, LAYER)
    moments = moments_of(classifier.module, classifier.groups, batches())
    found = mended(classifier.module.state_dict(), classifier.groups, stays, moments)
    assert list(found) == [f"{LAYER}.weight"]
    x, weight = read_by(classifier, LAYER), classifier.module.get_parameter(f"{LAYER}.weight").detach().double()
    gave = x @ weight.flatten(1).numpy().T
    kept = x[:, 1::2] - x[:, 1::2].mean(0)
    wanted = np.linalg.lstsq(kept, gave - gave.mean(0), rcond=None)[0]
    ours = found[f"{LAYER}.weight"].double().flatten(1).numpy()[:, 1::2].T
    best, error, dropped = (
        float(np.square(gave - gave.mean(0) - kept @ weights).mean())
        for weights in (wanted, ours, weight.flatten(1).numpy()[:, 1::2].T)
    )
    assert best <= error < 1.02 * best  # the ridge costs a little
    assert error < 0.7 * dropped


def test_a_bias_takes_the_means(classifier: Subject) -> None:
    layer = "classifier.3"
    stays = without_half(classifier, layer)
    found = mended(
        classifier.module.state_dict(),
        classifier.groups,
        stays,
        moments_of(classifier.module, classifier.groups, batches()),
    )
    gates = torch.from_numpy(np.concatenate(stays)).float()[None]
    with torch.no_grad(), gated(classifier.module, classifier.groups, gates):
        after = torch.cat([torch.func.functional_call(classifier.module, found, (images,)) for images in batches()])
    with torch.no_grad():
        before = torch.cat([classifier.module(images) for images in batches()])
    assert after.mean(0).numpy() == pytest.approx(before.mean(0).numpy(), abs=1e-4)


def test_nothing_changes_where_all_stay(any_subject: Subject) -> None:
    stays = [np.ones(group.channels, bool) for group in any_subject.groups]
    moments = moments_of(any_subject.module, any_subject.groups, batches())
    assert mended(any_subject.module.state_dict(), any_subject.groups, stays, moments) == {}


def test_damage_is_what_outputs_move_and_the_network_is_left_as_it_was(any_subject: Subject) -> None:
    before = {name: tensor.clone() for name, tensor in any_subject.module.state_dict().items()}
    found = measure(
        any_subject.module,
        any_subject.groups,
        any_subject.widths[:3],
        worth=by_weights(any_subject.module, any_subject.groups),
        moments=moments_of(any_subject.module, any_subject.groups, batches()),
        images=batches()[0],
        multiple=1,
        progress=silent,
    )
    for numbers, errors in found.curves:
        assert (np.diff(numbers) > 0).all()
        assert (np.diff(errors) <= 0).all()
        assert errors[-1] == 0
    after = any_subject.module.state_dict()
    counts = {name for name in before if name.endswith("num_batches_tracked")}
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items() if name not in counts)
    assert not any(part.training for part in any_subject.module.modules())
    with torch.no_grad():
        named(any_subject.module(batches()[0]))


def test_between_points_damage_is_straight_and_below_the_lowest_it_goes_on(classifier: Subject) -> None:
    width = classifier.widths[0]
    found = Damage([width], [np.array([[8.0, 16.0, 24.0], [1.0, 0.5, 0.0]])])
    counts = np.zeros(len(classifier.groups))

    def at(number: float) -> NDArray[np.float64]:
        counts[width.groups[0]] = number
        return counts.copy()

    assert found(width, at(24), at(20)) == pytest.approx(0.25)
    assert found(width, at(16), at(8)) == pytest.approx(0.5)
    assert found(width, at(8), at(4)) == pytest.approx(0.25)
