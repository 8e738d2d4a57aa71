"""Equalization against the network itself: the same function, and channels that reach equally far."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from edgekit.calibration import equalization
from edgekit.calibration.balancing import HEADROOM
from edgekit.calibration.equalization import equalize, find_gains
from edgekit.calibration.families import GATE_OPENS, families
from edgekit.calibration.options import Options
from edgekit.capture.torch_export import capture
from edgekit.executor.float import FloatExecutor
from edgekit.float_model import FloatModel
from edgekit.models.families import FAMILIES
from edgekit.models.network import build
from edgekit.passes import integer_form
from edgekit.passes.gate_convolution import gate_convolution, gates
from edgekit.preprocessing import Preprocessing

SIZE = 48
IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 3, SIZE, SIZE)).astype(np.float32)
TWICE = np.concatenate([IMAGES, IMAGES])  # so that none of them is an odd one


@functools.cache
def network(family: str, width: float = 1.0) -> FloatModel:
    """Random weights, and a first layer whose channels reach very differently far."""
    torch.manual_seed(0)
    shape = FAMILIES[family].make(width, resolution=SIZE)
    module = build(shape).train()
    module(torch.from_numpy(IMAGES))  # statistics for batch normalization
    module.eval()
    with torch.no_grad():
        first = next(m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d))
        first.weight.copy_(torch.logspace(-2, 1.5, len(first.weight)))
    return FloatModel(integer_form(capture(module, shape.name, (3, SIZE, SIZE))), Preprocessing((SIZE, SIZE), None))


def difference(a: FloatModel, b: FloatModel) -> float:
    """The largest between logits, in parts of the largest logit."""
    images = torch.from_numpy(IMAGES)
    with torch.inference_mode():
        expected, found = FloatExecutor(a.graph)(images)["logits"], FloatExecutor(b.graph)(images)["logits"]
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("family", ["mobilenet_v2", "mobilenet_v3_small"])
def test_it_computes_the_same(family: str) -> None:
    model = network(family)
    gains = find_gains(model, TWICE)
    assert len(gains) > 5
    equalized = equalize(model, gains)
    assert equalized.graph is not model.graph
    assert difference(model, equalized) < 1e-3


def test_any_gains_of_any_families_leave_the_network_as_it_is() -> None:
    model = network("mobilenet_v3_small")
    rng = np.random.default_rng(1)
    members = families(gate_convolution(model.graph, [gate.name for gate in gates(model.graph)]))
    assert len(members) == 37  # every tensor but the image, gates, and what they are made of
    # Up to 1: a tensor that enters a hard-swish is cut off at -3.
    gains = {family.name: rng.uniform(0.1, 1, len(family.free)) for family in members}
    assert difference(model, equalize(model, gains)) < 1e-4


def test_gates_become_convolutions_where_it_takes_away_much_error() -> None:
    model = network("mobilenet_v3_small")
    worthwhile = gates(equalize(model, find_gains(model, TWICE)).graph)
    assert 0 < len(worthwhile) < len(gates(model.graph))


def test_channels_reach_equally_far_and_say_their_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equalization, "WORTH", -1.0)  # all gates
    model = network("mobilenet_v3_small")
    equalized = equalize(model, find_gains(model, TWICE))
    seen: list[dict[str, torch.Tensor]] = [{}, {}]
    with torch.inference_mode():
        for values, form in zip(seen, (model, equalized), strict=True):
            FloatExecutor(form.graph)(torch.from_numpy(IMAGES), values.__setitem__)
    before, after = seen
    reach = after["features.0.2.input"].amax((0, 2, 3)).clamp(min=0)
    assert float(reach.max()) <= GATE_OPENS * 1.001
    assert float(before["features.0.2.input"].amax()) > 3 * GATE_OPENS
    bounded = {name for name in after if name.endswith(".input")}  # below -3, where hard-swish is 0, clamps have moved
    for name in after.keys() - bounded:
        factors = np.asarray(equalized.graph.tensors[name].factor) / np.asarray(model.graph.tensors[name].factor)
        ratio = torch.tensor(factors, dtype=torch.float32).reshape(-1, *[1] * (after[name].ndim - 2))
        torch.testing.assert_close(after[name] / ratio, before[name], rtol=1e-3, atol=1e-3)


def test_statistics_are_scaled_with_the_layers_that_they_describe() -> None:
    model = network("mobilenet_v2")
    equalized = equalize(model, {"features.1.conv.2": np.full(16, 3.0)})
    (layer,) = (node.name for node in model.graph if node.output == "features.1.conv.2")
    before, after = model.graph.statistics[layer], equalized.graph.statistics[layer]
    np.testing.assert_allclose(after.mean, before.mean * 3)
    np.testing.assert_allclose(after.std, before.std * 3)


def test_behind_relu6_weights_with_a_scale_a_channel_are_left_alone() -> None:
    assert find_gains(network("mobilenet_v1"), TWICE) == {}


def test_relu6_lets_gains_through_where_its_six_is_out_of_reach() -> None:
    model = network("mobilenet_v1", 0.25)
    seen: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        FloatExecutor(model.graph)(torch.from_numpy(IMAGES), seen.__setitem__)
    gains = find_gains(model, TWICE, Options(per_tensor_weights=True))
    assert gains
    for name, gain in gains.items():
        reach = seen[name].amax((0, 2, 3)).numpy()
        assert (gain[reach > 6 / HEADROOM] == 1).all()
        assert (gain * reach <= 6 / HEADROOM * 1.001)[gain != 1].all()
    assert difference(model, equalize(model, gains)) < 1e-4
