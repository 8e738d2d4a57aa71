"""Equalization against the network itself: the same function, and channels that reach equally far."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekit.calibration.equalization import GATE_OPENS, equalize, find_gains
from edgekit.capture.torch_export import capture
from edgekit.executor.float import FloatExecutor
from edgekit.float_model import FloatModel
from edgekit.models import architecture
from edgekit.models.network import build
from edgekit.passes import integer_form
from edgekit.preprocessing import Preprocessing

SIZE = 48
IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 3, SIZE, SIZE)).astype(np.float32)


def network(family: str) -> FloatModel:
    """Random weights, and a first layer whose channels reach very differently far."""
    torch.manual_seed(0)
    shape = architecture.FAMILIES[family](resolution=SIZE)
    module = build(shape).train()
    module(torch.from_numpy(IMAGES))  # statistics for batch normalization
    module.eval()
    with torch.no_grad():
        first = next(m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d))
        first.weight.copy_(torch.logspace(-2, 1.5, len(first.weight)))
    return FloatModel(integer_form(capture(module, shape.name, (3, SIZE, SIZE))), Preprocessing((SIZE, SIZE), None))


@pytest.mark.parametrize("family", ["mobilenet_v3_small", "mobilenet_v3_large"])
def test_it_computes_the_same(family: str) -> None:
    model = network(family)
    gains = find_gains(model, IMAGES)
    assert set(gains) == {"features.0.2"}
    equalized = equalize(model, gains)
    images = torch.from_numpy(IMAGES)
    with torch.inference_mode():
        expected, found = FloatExecutor(model.graph)(images), FloatExecutor(equalized.graph)(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("family", ["mobilenet_v3_small", "mobilenet_v3_large"])
def test_channels_reach_equally_far_and_say_their_factor(family: str) -> None:
    model = network(family)
    equalized = equalize(model, find_gains(model, IMAGES))
    seen: list[dict[str, torch.Tensor]] = [{}, {}]
    with torch.inference_mode():
        for values, form in zip(seen, (model, equalized), strict=True):
            FloatExecutor(form.graph)(torch.from_numpy(IMAGES), values.__setitem__)
    before, after = seen
    reach = after["features.0.2.input"].amax((0, 2, 3)).clamp(min=0)
    assert float(reach.max()) <= GATE_OPENS * 1.001
    assert float(before["features.0.2.input"].amax()) > 3 * GATE_OPENS
    for name in after.keys() - {"features.0.2.input"}:  # below -3, where hard-swish is 0, its clamp has moved
        factors = np.asarray(equalized.graph.tensors[name].factor) / np.asarray(model.graph.tensors[name].factor)
        ratio = torch.tensor(factors, dtype=torch.float32).reshape(-1, *[1] * (after[name].ndim - 2))
        torch.testing.assert_close(after[name] / ratio, before[name], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("family", ["mobilenet_v1", "mobilenet_v2"])
def test_networks_without_hard_swish_are_left_alone(family: str) -> None:
    model = network(family)
    assert find_gains(model, IMAGES) == {}
    assert equalize(model, {}).graph is model.graph
