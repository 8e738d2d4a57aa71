"""The integers of the networks that exported before the redesign: not one of them may change.

Weights, ranges, gains, corrections and roundings are made from names and seeds, so no float sum is in them that another
processor would round otherwise. What is hashed: weights, biases, scales, zero points, ratios, and the logits of an
image by the reference. A change that is meant (a better recipe, another proof) replaces the hashes, and its commit says
why.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgekit.calibration.equalization import equalize
from edgekit.calibration.families import ceiling, families
from edgekit.calibration.found import Ranges
from edgekit.calibration.ranges import Range
from edgekit.calibration.recipe import integer_model
from edgekit.capture.torch_export import capture
from edgekit.defaults import CHECKPOINT
from edgekit.float_model import FloatModel
from edgekit.models import checkpoint
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from edgekit.models.network import build
from edgekit.passes import integer_form
from edgekit.passes.gate_convolution import gate_convolution, gates
from edgekit.preprocessing import Preprocessing
from edgekit.reference.integer import Reference

if TYPE_CHECKING:
    from torch import nn

    from edgekit.integer_model import IntegerModel

SIDE = 64
GOLDEN = {
    "V1": "ae2a18366d8a5dc895db5cf0673b2a59",
    "V2": "328e8adc9b0b8536e2d6011a39d2a501",
    "V3-Small": "731a1b18c9f3980725a51432645f6cee",
    "V3-Large": "a692add476a5b2d28a96c39060e83f3a",
    "shipped": "3129207140a280ae02dab84ca7d5cf6c",
}


def _drawn(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def _with_known_weights(module: nn.Module) -> nn.Module:
    """``module`` with weights that its names decide: about as large as trained ones, variances positive."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not tensor.dtype.is_floating_point:
                continue
            drawn = _drawn(name).standard_normal(tensor.shape)
            if tensor.ndim > 1:
                drawn /= math.sqrt(math.prod(tensor.shape[1:]))
            elif name.endswith(("running_var", "weight")):
                drawn = 1 + np.abs(drawn) / 4
            tensor.copy_(torch.from_numpy(drawn))
    return module.eval()


def _shipped() -> tuple[nn.Module, int]:
    loaded = checkpoint.load(CHECKPOINT)
    return loaded.module, loaded.architecture.size[0]


NETWORKS = {
    "V1": lambda: (_with_known_weights(build(mobilenet_v1(0.25, 10, padding="same"))), SIDE),
    "V2": lambda: (_with_known_weights(build(mobilenet_v2(1.0, 10))), SIDE),
    "V3-Small": lambda: (_with_known_weights(build(mobilenet_v3_small(1.0, 10, padding="same"))), SIDE),
    "V3-Large": lambda: (_with_known_weights(build(mobilenet_v3_large(1.0, 10))), SIDE),
    "shipped": _shipped,
}


def _model(module: nn.Module, side: int) -> IntegerModel:
    channels = next(tensor.shape[1] for tensor in module.state_dict().values() if tensor.ndim == 4)
    preprocessing = Preprocessing((side, side), None)
    form = FloatModel(integer_form(capture(module, "golden", (channels, side, side))), preprocessing)
    swishes = [gate.name for gate in gates(form.graph)]
    gains = {}
    for family in families(gate_convolution(form.graph, swishes)):
        capped = any(ceiling(form.graph, name) < math.inf for name in family.groups)
        if not capped and _drawn(family.name).random() < 0.5:
            drawn = _drawn(family.name).uniform(0, 3, len(family.free))
            gains[family.name] = tuple(2.0 ** np.round(drawn, 2))
    graph = equalize(form, gains).graph
    ranges, corrections = {}, {}
    for name in graph.tensors:
        low, high = _drawn(name).uniform(1, 8, 2)
        ranges[name] = Range(-low if _drawn(name).random() < 0.5 else 0.0, high)
    for node in graph:
        for name in node.inputs:
            if name in graph.constants and name.endswith("bias"):
                drawn = _drawn(name).normal(0, 0.01, graph.constants[name].shape)
                corrections[name] = tuple(float(f"{value:.9g}") for value in drawn)
    roundings = {
        name: _drawn(name).choice(np.array([-1, 0, 0, 0, 1], np.int8), array.shape)
        for name, array in graph.constants.items()
        if array.ndim == 4
    }
    found = {"ranges": ranges, "gains": gains, "corrections": corrections, "roundings": roundings}
    return integer_model(form, Ranges(found, 1, "", preprocessing))


def _digest(model: IntegerModel) -> str:
    found = hashlib.sha256()
    for name, array in sorted(model.graph.constants.items()):
        found.update(f"{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    for name, params in sorted(model.params.items()):
        found.update(f"{name} {params.zero_point} {params.bits}".encode() + params.scale.tobytes())
    for name, ratio in sorted(model.ratios.items()):
        found.update(f"{name} {ratio.numerator.tolist()} {ratio.denominator.tolist()}".encode())
    shape = model.graph.tensors[model.graph.input].shape
    pixels = _drawn("image").integers(-128, 128, (1, *shape)).astype(np.int8)
    found.update(np.ascontiguousarray(Reference(model).run(pixels)["logits"]).tobytes())
    return found.hexdigest()[:32]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_integers_are_what_they_were(name: str) -> None:
    model = _model(*NETWORKS[name]())
    assert _digest(model) == GOLDEN[name], f"{name}: integers changed"
