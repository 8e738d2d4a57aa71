"""Bias correction: after it, every layer's mean is the float network's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.calibration.assignment import quantize
from edgekit.calibration.bias_correction import bias_corrections
from edgekit.calibration.options import Options
from edgekit.executor.float import FloatExecutor
from edgekit.ir import Conv2d, Linear
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.reference.integer import Reference
from tests.networks import with_ranges

if TYPE_CHECKING:
    from edgekit.calibration.ranges import Range
    from edgekit.float_model import FloatModel

SIZE = 48
PIXELS = np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 3), np.uint8)


def network() -> tuple[FloatModel, dict[str, Range]]:
    """A MobileNetV2 with random weights, and ranges that clip so much that means shift."""
    return with_ranges(mobilenet_v2(0.35, 10, resolution=SIZE), PIXELS, clipped=0.01)


def test_logits_come_nearer_and_means_agree() -> None:
    model, ranges = network()
    images = model.preprocessing.normalization(PIXELS)
    quantized = quantize(model, ranges)
    corrections = bias_corrections(model, quantized, images, quantized.encode(PIXELS))
    layers = [node for node in model.graph if isinstance(node.op, Conv2d | Linear)]
    assert set(corrections) == {node.inputs[2] for node in layers}

    constants = dict(model.graph.constants)
    for name, correction in corrections.items():
        assert correction.shape == constants[name].shape
        constants[name] = (constants[name] + correction).astype(np.float32)
    corrected = quantize(replace(model, graph=replace(model.graph, constants=constants)), ranges)

    with torch.inference_mode():
        expected = FloatExecutor(model.graph)(torch.from_numpy(images))["logits"].numpy()
    output = model.graph.output_tensors[0]
    found = {}
    for name, integers in (("plain", quantized), ("corrected", corrected)):
        stored = Reference(integers).run(integers.encode(PIXELS))["logits"]
        found[name] = integers.params[output].dequantize(stored)
    shift = {name: np.abs(values.mean(0) - expected.mean(0)).mean() for name, values in found.items()}
    assert shift["corrected"] < shift["plain"] / 2
    step = float(corrected.params[output].scale[0])
    inside = (found["corrected"] < ranges[output].high - step) & (found["corrected"] > ranges[output].low + step)
    unclipped = inside.all(0)  # where the logits' own range cuts nothing off
    assert np.abs(found["corrected"].mean(0) - expected.mean(0))[unclipped].max(initial=0.0) < step


def test_layers_that_are_more_precise() -> None:
    """Those in float need no correction, and those of 16 bits that of their weights and of what comes in."""
    model, ranges = network()
    images = model.preprocessing.normalization(PIXELS)
    names = [node.name for node in model.graph if isinstance(node.op, Conv2d | Linear)]
    kept, int16 = names[2:4], names[5:9]
    quantized = quantize(model, ranges, Options(keep_float=kept, int16=int16))
    corrections = bias_corrections(model, quantized, images, quantized.encode(PIXELS))
    biases = {node.name: node.inputs[2] for node in model.graph if node.name in names}
    assert set(corrections) == {bias for name, bias in biases.items() if name not in kept}

    constants = dict(model.graph.constants)
    for name, correction in corrections.items():
        constants[name] = (constants[name] + correction).astype(np.float32)
    corrected = quantize(
        replace(model, graph=replace(model.graph, constants=constants)), ranges, Options(keep_float=kept, int16=int16)
    )
    unclamped = next(n.output for n in model.graph if n.name in int16 and n.activation is None)
    with torch.inference_mode():
        expected: dict[str, np.ndarray] = {}
        FloatExecutor(model.graph)(torch.from_numpy(images), lambda n, v: expected.setdefault(n, v.numpy().copy()))
    found = Reference(corrected).run_all(corrected.encode(PIXELS))[unclamped]
    inside = np.abs(expected[unclamped]) < 0.9 * np.abs(expected[unclamped]).max()
    shift = corrected.real(unclamped, found).mean((0, 2, 3)) - expected[unclamped].mean((0, 2, 3))
    assert inside.any()
    assert np.median(np.abs(shift)) < 0.02 * expected[unclamped].std()


def test_the_same_images_give_the_same_corrections() -> None:
    model, ranges = network()
    quantized = quantize(model, ranges)
    images = model.preprocessing.normalization(PIXELS)
    once = bias_corrections(model, quantized, images, quantized.encode(PIXELS))
    again = bias_corrections(model, quantized, images, quantized.encode(PIXELS))
    assert all((once[name] == again[name]).all() for name in once)
