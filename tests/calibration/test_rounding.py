"""Adaptive rounding against exhaustive search, and against the covariance that numpy computes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.calibration.assignment import quantize
from edgekit.calibration.pixel_input import fold_normalization
from edgekit.calibration.ranges import Range
from edgekit.calibration.rounding import DAMPING, InputMoments, minimize, round_weights, with_weights
from edgekit.capture.torch_export import capture
from edgekit.executor.float import FloatExecutor
from edgekit.float_model import FloatModel
from edgekit.ir import Conv2d
from edgekit.passes import integer_form
from edgekit.preprocessing import Preprocessing

SIZE = 12
PIXELS = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), np.uint8)


class Layers(torch.nn.Module):
    """A plain, a depthwise, a pointwise and a grouped convolution, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.depthwise = torch.nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.pointwise = torch.nn.Conv2d(6, 5, 1)
        self.grouped = torch.nn.Conv2d(6, 4, 3, padding=1, groups=2)
        self.classifier = torch.nn.Linear(9, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = F.relu(self.depthwise(F.relu(self.first(x))))
        logits: torch.Tensor = self.classifier(torch.cat([self.pointwise(maps), self.grouped(maps)], 1).mean((2, 3)))
        return logits


def network() -> tuple[FloatModel, dict[str, torch.Tensor]]:
    """It, with means that differ from channel to channel, and every tensor of the images above."""
    torch.manual_seed(0)
    preprocessing = Preprocessing((SIZE, SIZE), None, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    model = FloatModel(integer_form(capture(Layers().eval(), "layers", (3, SIZE, SIZE))), preprocessing)
    seen: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        FloatExecutor(model.graph)(torch.from_numpy(preprocessing.normalization(PIXELS)), seen.__setitem__)
    return model, seen


def error(q: np.ndarray, wanted: np.ndarray, covariance: np.ndarray) -> float:
    """(q - wanted)^T G (q - wanted), damped as the search sees it."""
    damped = covariance + DAMPING * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    return float((q - wanted) @ damped @ (q - wanted))


@pytest.mark.parametrize("seed", range(10))
def test_it_finds_nearly_the_best_of_all_integers_and_never_worse_than_the_nearest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(400, 1)) + 0.3 * rng.normal(size=(400, 6))  # correlated, as neighbouring pixels are
    covariance, wanted = np.cov(common.T), rng.uniform(-3, 3, 6)
    found = minimize(wanted[None, None], covariance[None])[0, 0]
    around = itertools.product(*[(np.floor(w) - 1, np.floor(w), np.ceil(w), np.ceil(w) + 1) for w in wanted])
    best = min(error(np.array(q), wanted, covariance) for q in around)
    nearest = error(np.rint(wanted), wanted, covariance)
    assert best <= error(found, wanted, covariance) <= nearest
    assert error(found, wanted, covariance) - best <= 0.35 * (nearest - best)


def test_uncorrelated_inputs_leave_the_nearest_integers() -> None:
    wanted = np.random.default_rng(0).uniform(-150, 150, (1, 7, 9))
    found = minimize(wanted, np.eye(9)[None] * 2.0)
    np.testing.assert_array_equal(found, np.clip(np.rint(wanted), -127, 127))


def test_no_integer_is_beyond_the_limit() -> None:
    rng = np.random.default_rng(0)
    wanted, common = rng.uniform(-150, 150, (1, 7, 9)), rng.normal(size=(400, 1)) + 0.3 * rng.normal(size=(400, 9))
    for limit in (127, 64):
        assert np.abs(minimize(wanted, np.cov(common.T)[None], limit=limit)).max() == limit


def test_dead_inputs_leave_the_nearest_integers() -> None:
    wanted = np.random.default_rng(0).uniform(-5, 5, (3, 1, 9))
    np.testing.assert_array_equal(minimize(wanted, np.zeros((3, 9, 9))), np.rint(wanted))


def test_a_covariance_that_rounding_left_indefinite() -> None:
    """Of three groups two are; the other's integers are what they are without them."""
    random = np.random.default_rng(0)
    root = random.normal(size=(4, 4))
    sound, broken = root @ root.T, [np.diag([1.0, 1.0, 1.0, -0.2]), np.diag([1.0, 1.0, 1.0, -7.0])]
    wanted = random.normal(0, 3, (3, 5, 4))
    found = minimize(wanted, np.stack([sound, *broken]))
    np.testing.assert_array_equal(found[:1], minimize(wanted[:1], sound[None]))
    np.testing.assert_array_equal(found[1:], np.rint(wanted[1:]))  # they are diagonal


@pytest.mark.parametrize("batch", [2, 6])
def test_the_covariance_is_that_of_the_columns(batch: int) -> None:
    model, seen = network()
    moments = InputMoments(model.graph)
    for start in range(0, len(PIXELS), batch):
        for name, value in seen.items():
            moments.update(name, value[start : start + batch])
    for node in model.graph:
        if node.name in {"mean", "flatten"} or len(node.inputs) != 3:
            continue
        x, shape = seen[node.inputs[0]], model.graph.constants[node.inputs[1]].shape
        if isinstance(node.op, Conv2d):
            columns = F.unfold(x, shape[2:], padding=node.op.padding.top, stride=node.op.stride)  # [N, C kH kW, P]
            rows = columns.permute(1, 0, 2).reshape(columns.shape[1], -1).numpy().astype(np.float64)
        else:
            rows = x.numpy().T.astype(np.float64)
        found = moments.covariance(node)
        for group, own in enumerate(np.split(rows, len(found))):
            np.testing.assert_allclose(found[group], np.cov(own, bias=True), rtol=1e-3, atol=1e-5)


def test_layers_come_nearer_to_the_float_network() -> None:
    model, seen = network()
    ranges = {name: Range(min(float(v.min()), 0.0), max(float(v.max()), 0.0)) for name, v in seen.items()}
    nearest = quantize(model, ranges)
    moments = InputMoments(model.graph)
    for name, value in seen.items():
        moments.update(name, value)
    folded, normalization = fold_normalization(model.graph, model.preprocessing.normalization)
    gain = normalization.std[0] / np.array(model.preprocessing.normalization.std)
    rounded = with_weights(nearest, round_weights(folded, nearest, moments, input_gain=gain))
    x = torch.from_numpy(normalization(PIXELS))
    tensors: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        executor = FloatExecutor(folded)
        executor(x, tensors.__setitem__)
        for node in folded:
            if len(node.inputs) != 3:
                continue
            inputs, weight = tensors[node.inputs[0]], node.inputs[1]
            noise = []
            for form in (nearest, rounded):
                real = form.params[weight].dequantize(form.graph.constants[weight])
                off = torch.from_numpy(real - folded.constants[weight])
                y = executor.accumulate(node, [inputs, off, torch.zeros(len(off))])
                noise.append(float(y.transpose(0, 1).flatten(1).var(1).sum()))
            assert noise[1] <= noise[0] * 1.001, node.name
