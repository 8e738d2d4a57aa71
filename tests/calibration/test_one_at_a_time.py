"""Parts quantized alone against running the whole network again with that one thing changed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgekit.calibration.equalization import equalize
from edgekit.calibration.images import held_images
from edgekit.calibration.one_at_a_time import OneAtATime, Part, quantize_one_at_a_time
from edgekit.calibration.options import Options
from edgekit.calibration.pixel_input import fold_normalization
from edgekit.calibration.recipe import calibrate, integer_model
from edgekit.executor.float import FloatExecutor
from edgekit.float_model import FloatModel
from edgekit.ir import Add, Clamp, Conv2d, Graph, Linear, Mean, Node, Output, Padding, Tensor
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from edgekit.integer_model import IntegerModel

SIZE = 16
PIXELS = np.random.default_rng(1).integers(0, 256, (16, 4, 4, 3), np.uint8).repeat(4, 1).repeat(4, 2)


def network() -> FloatModel:
    """x -> stem -> point -> add (stem, point) -> mean -> head, with random weights and three means."""
    random = np.random.default_rng(0)
    shapes = {"w.0": (8, 3, 3, 3), "w.1": (8, 8, 1, 1), "w.2": (10, 8)}
    constants = {
        name: random.normal(0, 1 / math.sqrt(math.prod(shape[1:])), shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    constants |= {f"b.{i}": random.normal(0, 0.2, len(constants[f"w.{i}"])).astype(np.float32) for i in range(3)}
    nodes = (
        Node("stem", Conv2d((2, 2), Padding(0, 1, 0, 1)), ("x", "w.0", "b.0"), "stem", Clamp(0.0)),
        Node("point", Conv2d(), ("stem", "w.1", "b.1"), "point"),
        Node("add", Add(), ("stem", "point"), "add"),
        Node("mean", Mean(keep_dims=False), ("add",), "mean"),
        Node("head", Linear(), ("mean", "w.2", "b.2"), "logits"),
    )
    tensors: dict[str, tuple[int, ...]] = {
        "x": (3, SIZE, SIZE),
        "stem": (8, 8, 8),
        "point": (8, 8, 8),
        "add": (8, 8, 8),
    }
    tensors |= {"mean": (8,), "logits": (10,)}
    graph = Graph(
        "tiny", "x", (Output.logits("logits"),), nodes, {n: Tensor(n, shape) for n, shape in tensors.items()}, constants
    )
    return FloatModel(graph, Preprocessing((SIZE, SIZE), None, mean=(0.4, 0.5, 0.6)))


class Analysis:
    """Of the network: the folded graph, the integer model, and what is tested."""

    def __init__(self, *, pixel_input: bool = True, keep_float: tuple[str, ...] = ()) -> None:
        self.form = network()
        ranges = calibrate(self.form, held_images(PIXELS, "noise"), Options(keep_float=keep_float))
        self.integers: IntegerModel = integer_model(
            self.form, replace(ranges, options=replace(ranges.options, pixel_input=pixel_input))
        )
        self.graph = equalize(self.form, ranges.found["gains"]).graph
        if pixel_input:
            self.graph, _ = fold_normalization(self.graph, self.form.preprocessing.normalization)
        self.found: OneAtATime = quantize_one_at_a_time(self.form, ranges, self.integers, PIXELS)
        self.alone = {(a.layer, a.part): a for a in self.found.alone}

    def run(self, graph: Graph, *replaced: str) -> np.ndarray:
        """The logits of ``graph`` with these tensors quantized, and biases corrected for that."""
        params = self.integers.params
        images = torch.from_numpy(self.integers.normalization(PIXELS))
        means: dict[str, torch.Tensor] = {}

        class Recording(FloatExecutor):
            def accumulate(self, node, inputs):  # type: ignore[no-untyped-def]
                y = super().accumulate(node, inputs)
                means[node.name] = y.mean([0, 2, 3][: y.ndim - 1], keepdim=True)
                return y

        class Replacing(FloatExecutor):
            def compute(self, node, inputs):  # type: ignore[no-untyped-def]
                y = self.accumulate(node, inputs)
                if len(node.inputs) == 3:
                    y += means[node.name] - y.mean([0, 2, 3][: y.ndim - 1], keepdim=True)
                y = y if node.activation is None else y.clamp(node.activation.low)
                p = params[node.output] if node.output in replaced else None
                return y if p is None else torch.from_numpy(p.dequantize(p.quantize(y.numpy())))

        with torch.inference_mode():
            Recording(self.graph)(images)
            if "x" in replaced:
                images = torch.from_numpy(params["x"].dequantize(params["x"].quantize(images.numpy())))
            logits: np.ndarray = Replacing(graph)(images)["logits"].numpy()
        return logits

    def with_integers(self, *layers: str) -> Graph:
        """The folded graph with the stored weights of these layers."""
        stored, params = self.integers.graph.constants, self.integers.params
        weights = [node.inputs[1] for node in self.graph if node.name in layers]
        return self.graph.with_nodes(
            self.graph.nodes, constants={name: params[name].dequantize(stored[name]) for name in weights}
        )


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return Analysis()


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, atol=1e-5 * float(np.abs(wanted).max()))


@pytest.mark.parametrize(("layer", "tensor"), [("stem", "stem"), ("add", "add"), ("head", "logits")])
def test_an_activation_alone(analysis: Analysis, layer: str, tensor: str) -> None:
    alone = analysis.alone[layer, Part.ACTIVATION]
    close(alone.reference["logits"], analysis.run(analysis.graph))
    close(alone.outputs["logits"], analysis.run(analysis.graph, tensor))
    assert np.abs(alone.outputs["logits"] - alone.reference["logits"]).max() > 3e-4


@pytest.mark.parametrize("layer", ["stem", "point", "head"])
def test_weights_alone(analysis: Analysis, layer: str) -> None:
    alone = analysis.alone[layer, Part.WEIGHTS]
    close(alone.outputs["logits"], analysis.run(analysis.with_integers(layer)))
    assert np.abs(alone.outputs["logits"] - alone.reference["logits"]).max() > 3e-4


def test_the_input_does_what_folding_the_normalization_does(analysis: Analysis) -> None:
    with torch.inference_mode():
        images = torch.from_numpy(analysis.form.preprocessing.normalization(PIXELS))
        floats = FloatExecutor(analysis.form.graph)(images)["logits"].numpy()
    alone = analysis.found.alone[0]
    assert (alone.layer, alone.part) == ("x", Part.ACTIVATION)
    close(alone.reference["logits"], floats)
    close(alone.outputs["logits"], analysis.run(analysis.graph))
    close(analysis.found.floats["logits"], floats)


def test_all_of_a_kind(analysis: Analysis) -> None:
    close(analysis.found.activations["logits"], analysis.run(analysis.graph, *(node.output for node in analysis.graph)))
    close(analysis.found.weights["logits"], analysis.run(analysis.with_integers("stem", "point", "head")))


def test_parts_stand_in_the_order_of_the_network(analysis: Analysis) -> None:
    a, w = Part.ACTIVATION, Part.WEIGHTS
    assert [(alone.layer, alone.part) for alone in analysis.found.alone] == [
        *(("x", a), ("stem", a), ("stem", w), ("point", a), ("point", w), ("add", a), ("mean", a)),
        *(("head", a), ("head", w)),
    ]


def test_what_stays_in_float_is_left_out() -> None:
    kept = Analysis(keep_float=("point",))
    assert not {part for part in kept.alone if part[0] == "point"}
    close(kept.alone["head", Part.WEIGHTS].outputs["logits"], kept.run(kept.with_integers("head")))


def test_a_normalized_input_is_quantized_like_any_other() -> None:
    outside = Analysis(pixel_input=False)
    close(outside.found.alone[0].outputs["logits"], outside.run(outside.graph, "x"))
