"""Synthetic images: like the training images to the network, the same every time, and good enough to calibrate on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgekit import config
from edgekit.calibration import data_free
from edgekit.calibration.data_free import synthesize, trusted_gains
from edgekit.calibration.images import open_images
from edgekit.calibration.options import Options
from edgekit.calibration.recipe import calibrate, integer_model
from edgekit.defaults import CONFIG
from edgekit.errors import DataError
from edgekit.executor.float import FloatExecutor
from edgekit.executor.integer import IntegerExecutor
from edgekit.pipeline.making.source import open_source

if TYPE_CHECKING:
    from edgekit.float_model import FloatModel


@pytest.fixture(scope="module")
def digits() -> FloatModel:
    """The network that edgekit ships."""
    return open_source(config.load(CONFIG)).integer_form


def test_the_network_takes_them_for_its_training_images(digits: FloatModel) -> None:
    seen: list[tuple[str, int, int]] = []
    source = synthesize(digits, images=8, steps=20, progress=lambda *step: seen.append(step))
    assert seen == [("making images", step, 20) for step in range(21)]
    assert len(source) == 8
    made = source.sample(8).pixels
    assert made.shape == (8, 32, 32, 3)
    network, normalization = data_free._Compared(digits.graph), digits.preprocessing.normalization
    first = data_free.first_pictures(8, (32, 32, 3), 0).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    with torch.inference_mode():
        before, unsure = network.compare(torch.from_numpy(normalization(first)))
        after, sure = network.compare(torch.from_numpy(normalization(made)))
    assert after < before / 3
    assert sure < unsure


def test_the_same_seed_gives_the_same_images(digits: FloatModel) -> None:
    once, again, other = (synthesize(digits, images=2, steps=2, seed=seed) for seed in (1, 1, 2))
    assert once.digest == again.digest != other.digest


def test_calibration_on_them_is_nearly_as_good(digits: FloatModel) -> None:
    """The shipped network has 99.4 % of the test images right in float, and agrees with itself on all in int8."""
    ranges = calibrate(digits, synthesize(digits, images=8, steps=20), Options(synthetic=True))
    assert ranges.found["roundings"] == {}
    model = integer_model(digits, ranges)
    settings = config.load(CONFIG)
    assert settings.verify.data is not None
    pixels = open_images(settings.verify.data, digits.preprocessing).sample(360).pixels
    with torch.inference_mode():
        expected = FloatExecutor(digits.graph)(torch.from_numpy(digits.preprocessing.normalization(pixels)))[
            "logits"
        ].argmax(1)
        found = IntegerExecutor(model)(torch.from_numpy(model.encode(pixels)))["logits"].argmax(1)
    assert (found == expected).double().mean() > 0.97


def test_a_network_without_statistics_is_refused(digits: FloatModel) -> None:
    folded = replace(digits, graph=replace(digits.graph, statistics={}))
    with pytest.raises(DataError, match=r"has no batch normalization, or it was folded .*--calib DIR"):
        synthesize(folded)


def test_gains_are_trusted_less_from_the_second_tensor_on(digits: FloatModel) -> None:
    names = [name for name, tensor in digits.graph.tensors.items() if tensor.shape[1:] not in {(), (1, 1)}][1:4]
    pooled = next(name for name, tensor in digits.graph.tensors.items() if tensor.shape[1:] == (1, 1))
    gains = {names[0]: np.array([1.0, 16.0]), pooled: np.array([1.0, 2.0]), names[1]: np.array([1.0, 16.0])}
    trusted = trusted_gains(digits.graph, gains)
    assert {name: gain.tolist() for name, gain in trusted.items()} == {names[0]: [1, 16], names[1]: [1, 2]}
