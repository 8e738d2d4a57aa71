"""First divergence: faults planted in real files, run by their real runtimes; good files part nowhere."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit import config
from edgekit.calibration.images import open_images
from edgekit.defaults import CONFIG, FOLDER
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.integer_model import IntegerModel
from edgekit.ir import Conv2d, Node, Padding
from edgekit.pipeline.making.source import open_source
from edgekit.runtimes.catalog import claimed_runner
from edgekit.runtimes.litert import Kernels, LiteRtRunner
from edgekit.runtimes.tracing import Trace, trace_file, trace_model
from edgekit.verification.cases import Cause
from edgekit.verification.divergence import Comparison, Where, locate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph

    Fault = Callable[[IntegerModel], IntegerModel]

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

STEM, DEPTHWISE, POINTWISE, HEAD = "features.0.0", "features.2.block.1.0", "features.2.block.0.0", "classifier.3"


@pytest.fixture(scope="module")
def model(exported: Path) -> IntegerModel:
    return IntegerModel.load(next(exported.glob("*.edgekit")))


@pytest.fixture(scope="module")
def floats() -> FloatModel:
    return open_source(config.load(CONFIG)).float_model


@pytest.fixture(scope="module")
def pixels(model: IntegerModel) -> NDArray[np.uint8]:
    return open_images(FOLDER / "test.npz", model.preprocessing, limit=2).sample(2).pixels


def node(graph: Graph, name: str) -> Node:
    return next(n for n in graph if n.name == name)


def constants(graph: Graph, **changed: NDArray[Any]) -> Graph:
    return replace(graph, constants={**graph.constants, **changed})


def params(layer: str, **changes: Callable[[Any], Any]) -> Fault:
    """Other quantization parameters of what a layer makes."""

    def fault(model: IntegerModel) -> IntegerModel:
        name = node(model.graph, layer).output
        there = model.params[name]
        other = {key: change(getattr(there, key)) for key, change in changes.items()}
        return replace(model, params={**model.params, name: replace(there, **other)})

    return fault


def weights(layer: str, change: Callable[[Any], Any], which: int = 1) -> Fault:
    """Other weights, or another bias."""

    def fault(model: IntegerModel) -> IntegerModel:
        name = node(model.graph, layer).inputs[which]
        return replace(model, graph=constants(model.graph, **{name: change(model.graph.constants[name].copy())}))

    return fault


def weight_scale(layer: str, channel: int, factor: float) -> Fault:
    def fault(model: IntegerModel) -> IntegerModel:
        name = node(model.graph, layer).inputs[1]
        scale = model.params[name].scale.copy()
        scale[channel] *= np.float32(factor)
        return replace(model, params={**model.params, name: replace(model.params[name], scale=scale)})

    return fault


def padding(layer: str, other: Padding) -> Fault:
    def fault(model: IntegerModel) -> IntegerModel:
        return replace(model, graph=padded(model.graph, layer, other))

    return fault


def padded(graph: Graph, layer: str, other: Padding) -> Graph:
    def changed(n: Node) -> Node:
        if n.name != layer:
            return n
        assert isinstance(n.op, Conv2d)
        return replace(n, op=replace(n.op, padding=other))

    return replace(graph, nodes=tuple(map(changed, graph)))


def exchanged(array: NDArray[Any]) -> NDArray[Any]:
    array[[1, 2]] = array[[2, 1]]
    return array


def reordered(array: NDArray[Any]) -> NDArray[Any]:
    array[5] = array[5, ::-1]
    return array


# format, layer that is faulty, the fault, its cause
FAULTS: dict[str, tuple[str, str, Fault, Cause]] = {
    "scale": ("tflite", POINTWISE, params(POINTWISE, scale=lambda s: s * np.float32(1.1)), Cause.SCALE),
    "scale, by a little": ("onnx", DEPTHWISE, params(DEPTHWISE, scale=lambda s: s * np.float32(1.02)), Cause.SCALE),
    "scale of a product": (
        "coreml", "features.0.2.product",
        params("features.0.2.product", scale=lambda s: s * np.float32(1.05)), Cause.SCALE,
    ),
    "zero point": ("onnx", STEM, params(STEM, zero_point=lambda z: z + 1), Cause.ZERO_POINT),
    "zero point of a sum": (
        "coreml", "features.0.2.shift", params("features.0.2.shift", zero_point=lambda z: z + 1), Cause.ZERO_POINT
    ),
    "zero point of a mean": (
        "torch", "features.1.block.1.avgpool",
        params("features.1.block.1.avgpool", zero_point=lambda z: z + 1), Cause.ZERO_POINT,
    ),
    "channels": ("tflite", POINTWISE, weights(POINTWISE, exchanged), Cause.CHANNEL_ORDER),
    "order of the labels": ("coreml", HEAD, weights(HEAD, exchanged), Cause.CHANNEL_ORDER),
    "transposed": ("onnx", DEPTHWISE, weights(DEPTHWISE, lambda w: w.swapaxes(2, 3).copy()), Cause.LAYOUT),
    "padding": ("tflite", DEPTHWISE, padding(DEPTHWISE, Padding(2, 0, 2, 0)), Cause.PADDING),
    "no bias": ("torch", POINTWISE, weights(POINTWISE, np.zeros_like, which=2), Cause.BIAS),
    "weight scale of a channel": ("onnx", POINTWISE, weight_scale(POINTWISE, 3, 1.2), Cause.SCALE),
    "weights of a channel": ("tflite", POINTWISE, weights(POINTWISE, reordered), Cause.UNKNOWN),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name: str, model: IntegerModel, pixels: NDArray[np.uint8], tmp_path: Path) -> None:
    form, layer, fault, cause = FAULTS[name]
    path = tmp_path / f"m{FORMATS[form].suffix}"
    FORMATS[form].write_integer_model(fault(model), path, io_dtype=IoDtype.FLOAT32)
    found = locate(path, model, pixels, make_runner=claimed_runner(path))
    assert found is not None
    assert (found.layer, found.cause, found.unit) == (layer, cause, "LSB")
    assert found.culprit not in {None, "the numpy reference"}
    assert found.tensor == node(model.graph, layer).output
    for example in found.examples:
        assert example.exact is not None
        assert example.a == np.clip(np.rint(example.exact), -128, 127) != example.b
    assert found.max_difference == abs(found.examples[0].a - found.examples[0].b) > 0
    assert found.sentence.startswith(f"{layer} ({found.operator}): ")
    if "channel" in name:
        assert len(found.channels) < 3


@pytest.mark.parametrize("form", FORMATS)
def test_good_files_part_nowhere(form: str, exported: Path, model: IntegerModel, pixels: NDArray[np.uint8]) -> None:
    path = next(exported.glob(f"*.int8{FORMATS[form].suffix}"))
    assert locate(path, model, pixels, make_runner=claimed_runner(path)) is None


def test_kernels_that_round_twice(exported: Path, model: IntegerModel, pixels: NDArray[np.uint8]) -> None:
    path = next(exported.glob("*.int8.tflite"))
    found = locate(path, model, pixels, make_runner=partial(LiteRtRunner, path, kernels=Kernels.BUILTIN))
    assert found is not None
    assert (found.cause, found.max_difference) == (Cause.ROUNDING, 1.0)
    assert found.culprit is not None
    assert found.culprit.endswith("builtin")
    assert found.explanation.endswith("TFLite's own int8 kernels round twice")


FLOAT_FAULTS: dict[str, tuple[str, Callable[[FloatModel], FloatModel], Cause]] = {
    "clamp": (
        "features.1.block.0.0",
        lambda m: replace(m, graph=replace(m.graph, nodes=tuple(
            replace(n, activation=None) if n.name == "features.1.block.0.0" else n for n in m.graph
        ))),
        Cause.CLAMP,
    ),
    "padding": (
        DEPTHWISE, lambda m: replace(m, graph=padded(m.graph, DEPTHWISE, Padding(0, 2, 0, 2))), Cause.PADDING
    ),
    "scale": (
        POINTWISE,
        lambda m: replace(m, graph=constants(m.graph, **{
            f"{POINTWISE}.weight": m.graph.constants[f"{POINTWISE}.weight"] * np.float32(1.02)
        })),
        Cause.SCALE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", ["onnx", "coreml"])
@pytest.mark.parametrize("name", FLOAT_FAULTS)
def test_a_fault_in_a_float_file(
    name: str, form: str, floats: FloatModel, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    layer, fault, cause = FLOAT_FAULTS[name]
    path = tmp_path / f"m{FORMATS[form].suffix}"
    precision = Precision.FLOAT16 if form == "coreml" and name != "scale" else Precision.FLOAT32
    FORMATS[form].write_float_model(fault(floats), path, precision=precision)
    found = locate(path, floats, pixels)
    assert found is not None
    assert (found.layer, found.cause, found.unit) == (layer, cause, "of the largest value")
    assert found.culprit not in {None, "the checkpoint"}


@pytest.mark.parametrize("name", ["float32.onnx", "float16.onnx", "float16.mlpackage", "float32.pt"])
def test_good_float_files_part_nowhere(
    name: str, exported: Path, floats: FloatModel, pixels: NDArray[np.uint8]
) -> None:
    assert locate(next(exported.glob(f"*.{name}")), floats, pixels) is None


# --- without files: what traces can look like


@pytest.fixture(scope="module")
def right(model: IntegerModel, pixels: NDArray[np.uint8]) -> Trace:
    return trace_model(model, pixels)


def other(trace: Trace, tensor: str, values: NDArray[Any] | None, **changes: Any) -> Trace:
    """A trace with another tensor, or without it."""
    tensors = dict(trace.tensors)
    if values is None:
        del tensors[tensor]
    else:
        tensors[tensor] = values
    return replace(trace, runner="a runtime", tensors=tensors, is_reference=False, **changes)


def test_what_cannot_be_compared_is_named(model: IntegerModel, right: Trace) -> None:
    tensor = node(model.graph, POINTWISE).output
    values = right.tensors[tensor]
    cases = {
        Cause.MISSING: (None, "a runtime has no such layer"),
        Cause.SHAPE: (values[:, :, 1:], r"its shape is 64 x 16 x 16 in the numpy reference and 64 x 15 x 16"),
        Cause.TYPE: (values.astype(np.float32), "it is int8 in the numpy reference and float32 in a runtime"),
    }
    for cause, (changed, words) in cases.items():
        found = Comparison(right, other(right, tensor, changed), model).divergence()
        assert found is not None
        assert (found.layer, found.cause, found.channels) == (POINTWISE, cause, ())
        assert words in found.explanation
        assert found.sentence == f"{POINTWISE} (Conv2d): {found.explanation}"
        assert len(Comparison(right, other(right, tensor, changed), model).layers()) == len(model.graph.nodes)


def test_the_first_is_named_not_the_largest(model: IntegerModel, right: Trace) -> None:
    early, late = (node(model.graph, name).output for name in (POINTWISE, HEAD))
    values = right.tensors[early].copy()
    values[1, 7, 0, 0] ^= 1
    changed = other(other(right, early, values), late, -right.tensors[late])
    found = Comparison(right, changed, model).divergence()
    assert found is not None
    assert (found.layer, found.channels, found.max_difference) == (POINTWISE, (7,), 1.0)
    assert found.examples[0].index == (1, 7, 0, 0)
    assert found.share == 1 / values.size
    assert Comparison(right, changed, model).place(found) == 1 + [n.name for n in model.graph].index(POINTWISE)


def test_where(model: IntegerModel, right: Trace) -> None:
    tensor = node(model.graph, DEPTHWISE).output
    values = right.tensors[tensor].copy()
    values[:, :, 0] += 3
    found = Comparison(right, other(right, tensor, values), model).divergence()
    assert found is not None
    assert (found.where, found.cause) == (Where.BORDER, Cause.UNKNOWN)
    assert "only values at the border differ" in found.explanation
    values[:, :, 4, 4] += 3
    found = Comparison(right, other(right, tensor, values), model).divergence()
    assert found is not None
    assert found.where is Where.EVERYWHERE


def test_an_answer_that_follows_from_no_layer(model: IntegerModel, right: Trace) -> None:
    found = Comparison(
        right, replace(right, answers={name: values + np.int8(1) for name, values in right.answers.items()}), model
    ).divergence()
    assert found is not None
    assert (found.layer, found.cause) == ("the answer", Cause.BOUNDARY)
    assert Comparison(right, right, model).place(found) == len(model.graph.nodes) + 1


def test_both_can_be_wrong(model: IntegerModel, right: Trace) -> None:
    tensor = node(model.graph, POINTWISE).output
    values = right.tensors[tensor]
    a, b = (replace(other(right, tensor, values + np.int8(i)), runner=f"runner {i}") for i in (1, 2))
    found = Comparison(a, b, model).divergence()
    assert found is not None
    assert found.culprit is None
    assert "neither gives what it has to; of runner 2: " in found.explanation


def test_layers_of_integers_and_floats(
    exported: Path, model: IntegerModel, floats: FloatModel, pixels: NDArray[np.uint8], right: Trace
) -> None:
    """SQNR against what numpy computes itself; a float file does not say that a gate carries a 6."""
    found = trace_file(next(exported.glob("*.float32.onnx")), pixels, floats.graph)
    comparison = Comparison(right, found, model)
    assert comparison.divergence() is None
    layers = {layer.layer: layer for layer in comparison.layers()}
    head = node(model.graph, HEAD)
    real = model.params[head.output].dequantize(right.tensors[head.output]).astype(np.float64)
    expected = found.tensors[head.output]
    noise = np.square(expected - real).sum()
    assert layers[HEAD].sqnr_db == pytest.approx(10 * np.log10(np.square(expected).sum() / noise))
    assert not layers[HEAD].differences
    gate = node(model.graph, "features.1.block.1.fc2")
    assert floats.graph.tensors[gate.output].factor == 6.0
    carrying = {**found.tensors, gate.output: found.tensors[gate.output] * 6}
    raw = Comparison(right, replace(found, tensors=carrying), model).layers()
    assert next(x for x in raw if x.layer == gate.name).sqnr_db == pytest.approx(layers[gate.name].sqnr_db, abs=1e-3)
    assert min(layer.sqnr_db for layer in layers.values()) > 10


def test_histograms(model: IntegerModel, right: Trace) -> None:
    tensor = node(model.graph, HEAD).output
    values = right.tensors[tensor].copy()
    values[0, :3] = np.where(values[0, :3] > 0, values[0, :3] - 2, values[0, :3] + 2)
    layer = Comparison(right, other(right, tensor, values), model).layers()[-1]
    assert (layer.differences, layer.equal, layer.values, layer.max_difference) == ({0: 17, 2: 3}, 17, 20, 2.0)
