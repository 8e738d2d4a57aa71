"""What ONNX files do before the first layer and behind the logits; ONNX Runtime on the original file is the oracle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgekit.errors import CheckpointError, ConfigError, UnsupportedOperator
from edgekit.executor.float import FloatExecutor
from edgekit.ir import LOGITS, VALUES, Conv2d
from edgekit.passes import float_form

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.capture.onnx import Captured
    from tests.capture.conftest import OnnxSketch

    Matches = Callable[[Path], Captured]
    Run = Callable[[Path, torch.Tensor], torch.Tensor]

for needed in ("onnx", "onnxruntime", "onnxsim"):
    pytest.importorskip(needed)

from edgekit.capture.onnx import capture  # noqa: E402 - needs what may be missing


def _logits(sketch: OnnxSketch) -> str:
    return sketch.head(sketch.node("Relu", sketch.conv("image", (3, 4), 3)))


# --- behind the logits


def _l2(sketch: OnnxSketch, x: str) -> str:
    """torch's functional.normalize."""
    length = sketch.node("ReduceL2", x, axes=[1], keepdims=1)
    bounded = sketch.node("Clip", length, sketch.constant(1e-12))
    return sketch.node("Div", x, sketch.node("Expand", bounded, sketch.node("Shape", x)))


def _l2_of_tensorflow(sketch: OnnxSketch, x: str) -> str:
    total = sketch.node("ReduceSum", sketch.node("Mul", x, x), sketch.constant([1]), keepdims=1)
    bounded = sketch.node("Max", total, sketch.constant(1e-12))
    return sketch.node("Mul", x, sketch.node("Reciprocal", sketch.node("Sqrt", bounded)))


def _l2_by_hand(sketch: OnnxSketch, x: str) -> str:
    total = sketch.node("ReduceSum", sketch.node("Pow", x, sketch.constant(2.0)), sketch.constant([-1]), keepdims=1)
    return sketch.node("Div", x, sketch.node("Add", sketch.node("Sqrt", total), sketch.constant(1e-6)))


def _top(sketch: OnnxSketch, x: str) -> str:
    outputs = ["values", "indices"]
    sketch.nodes.append(sketch.onnx.helper.make_node("TopK", [x, sketch.constant([2])], outputs, name="top"))
    return outputs[0]


def _normalized(x: torch.Tensor) -> torch.Tensor:
    return functional.normalize(x, dim=1)


def _best(x: torch.Tensor) -> torch.Tensor:
    return x.argmax(1, keepdim=True).float()


TAILS: dict[str, tuple[str, Any, Any]] = {
    "Softmax": ("Softmax", lambda s, x: s.node("Softmax", x, axis=1), lambda x: x.softmax(1)),
    "LogSoftmax": ("LogSoftmax", lambda s, x: s.node("LogSoftmax", x, axis=-1), lambda x: x.log_softmax(1)),
    "Log of Softmax": (
        "LogSoftmax",
        lambda s, x: s.node("Log", s.node("Softmax", x, axis=1)),
        lambda x: x.log_softmax(1),
    ),
    "Sigmoid": ("Sigmoid", lambda s, x: s.node("Sigmoid", x), torch.sigmoid),
    "Sigmoid and a threshold": (
        "Greater",
        lambda s, x: s.node("Cast", s.node("Greater", s.node("Sigmoid", x), s.constant(0.5)), to=1),
        lambda x: (x > 0).float(),
    ),
    "Sigmoid of opset 13, reshaped": (
        "Sigmoid",
        lambda s, x: s.node("Reshape", s.node("Sigmoid", s.node("Unsqueeze", x, s.constant([2]))), s.constant([1, 3])),
        torch.sigmoid,
    ),
    "ArgMax": ("ArgMax", lambda s, x: s.node("Cast", s.node("ArgMax", x, axis=1), to=1), _best),
    "ArgMax of Softmax": (
        "ArgMax",
        lambda s, x: s.node("Cast", s.node("ArgMax", s.node("Softmax", x, axis=1), axis=1), to=1),
        _best,
    ),
    "percent": (
        "Mul",
        lambda s, x: s.node("Mul", s.node("Softmax", x, axis=1), s.constant(100.0)),
        lambda x: 100 * x.softmax(1),
    ),
    "ReduceMax": (
        "ReduceMax",
        lambda s, x: s.node("ReduceMax", s.node("Softmax", x, axis=1), axes=[1], keepdims=1),
        lambda x: x.softmax(1).max(1, keepdim=True).values,
    ),
    "TopK": (
        "TopK",
        lambda s, x: _top(s, s.node("Softmax", x, axis=1)),
        lambda x: x.softmax(1).topk(2).values,
    ),
    "L2 of torch": ("L2 normalization", _l2, _normalized),
    "L2 of TensorFlow": ("L2 normalization", _l2_of_tensorflow, _normalized),
    "L2 by hand": ("L2 normalization", _l2_by_hand, _normalized),
    "LpNormalization": ("LpNormalization", lambda s, x: s.node("LpNormalization", x, axis=1, p=2), _normalized),
}  # fmt: skip


@pytest.mark.parametrize(("named", "write", "computes"), TAILS.values(), ids=TAILS.keys())
def test_what_stands_behind_the_logits_is_left_out(
    named: str, write: Any, computes: Any, sketch: OnnxSketch, run_onnx: Run
) -> None:
    path = sketch.save(write(sketch, _logits(sketch)), 17)
    captured = capture(path)
    assert any(note.startswith(f"{named} at the end left out (node ") for note in captured.notes), captured.notes
    assert [type(node.op).__name__ for node in captured.graph] == ["Conv2d", "Clamp", "Mean", "Rearrange", "Linear"]
    x = torch.randn(1, 3, 8, 8)
    found = computes(FloatExecutor(float_form(captured.graph))(x)["logits"])
    torch.testing.assert_close(found, run_onnx(path, x), rtol=1e-4, atol=1e-5)


def test_a_single_class(sketch: OnnxSketch, run_onnx: Run) -> None:
    pooled = sketch.node("Flatten", sketch.node("GlobalAveragePool", sketch.conv("image", (3, 4), 3)))
    path = sketch.save(sketch.node("Sigmoid", sketch.gemm(pooled, (4, 1))))
    x = torch.randn(1, 3, 8, 8)
    found = FloatExecutor(float_form(capture(path).graph))(x)["logits"].sigmoid()
    torch.testing.assert_close(found, run_onnx(path, x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("opset", "axis"), [(17, 1), (17, -1), (11, 3)])
def test_a_softmax_of_a_map_is_part_of_the_network(opset: int, axis: int, sketch: OnnxSketch, run_onnx: Run) -> None:
    path = sketch.save(sketch.node("Softmax", sketch.conv("image", (3, 4), 3), axis=axis), opset)
    captured = capture(path)
    assert captured.notes == ()
    x = torch.randn(1, 3, 8, 8)
    found = FloatExecutor(float_form(captured.graph))(x)
    (values,) = found.values()
    torch.testing.assert_close(values.reshape(1, -1), run_onnx(path, x), rtol=0, atol=1e-5)


def test_a_softmax_of_several_axes_is_refused(sketch: OnnxSketch) -> None:
    path = sketch.save(sketch.node("Softmax", sketch.conv("image", (3, 4), 3), axis=1), 11)
    with pytest.raises(UnsupportedOperator, match=r"\(Softmax\) takes a soft-max over the axes CHW together"):
        capture(path)


def test_a_gate_is_no_length(sketch: OnnxSketch) -> None:
    """Multiplied by something else than one over its length, a vector stays as it is."""
    x = _logits(sketch)
    path = sketch.save(sketch.node("Mul", x, sketch.node("ReduceL2", x, axes=[1], keepdims=1)))
    with pytest.raises(UnsupportedOperator, match="operator ReduceL2"):
        capture(path)


@pytest.mark.parametrize("second", ["Softmax", "Sigmoid", "ArgMax"])
def test_of_several_outputs_the_logits_are_taken(second: str, sketch: OnnxSketch) -> None:
    logits = _logits(sketch)
    other = sketch.node(second, logits)
    model = sketch.model(logits, 13)
    kind = sketch.onnx.TensorProto.INT64 if second == "ArgMax" else sketch.onnx.TensorProto.FLOAT
    model.graph.output.append(sketch.onnx.helper.make_tensor_value_info(other, kind, (None, None)))
    path = sketch.folder / "two.onnx"
    sketch.onnx.save(model, path)
    captured = capture(path)
    assert captured.notes[-1].startswith("of the outputs logits, ")
    assert type(captured.graph.nodes[-1].op).__name__ == "Linear"


def test_several_outputs_keep_their_names(sketch: OnnxSketch) -> None:
    """A feature map, and probabilities of which the logits are taken: each is what the file computes."""
    features = sketch.conv("image", (3, 4), 3)
    probabilities = sketch.node("Softmax", sketch.head(features), axis=1)
    model = sketch.model(probabilities, 13)
    model.graph.node[-1].output[0] = model.graph.output[0].name = "scores"
    model.graph.output.append(sketch.onnx.helper.make_tensor_value_info(features, 1, (None,) * 4))
    path = sketch.folder / "two.onnx"
    sketch.onnx.save(model, path)
    captured = capture(path)
    graph = captured.graph
    assert [(o.name, o.role, graph.tensors[o.tensor].shape) for o in graph.outputs] == [
        ("scores", LOGITS, (3,)),
        ("_net_Conv_0_output", VALUES, (4, *graph.tensors[graph.outputs[1].tensor].shape[1:])),
    ]
    assert any(note.startswith("Softmax at the end left out") for note in captured.notes)
    image = np.random.default_rng(0).normal(size=(1, *graph.tensors[graph.input].shape)).astype(np.float32)
    runtime = pytest.importorskip("onnxruntime", reason="pip install 'edgekit[onnx]'")
    expected, feature_map = runtime.InferenceSession(path).run(None, {"image": image})
    found = FloatExecutor(float_form(graph))(torch.from_numpy(image))
    np.testing.assert_allclose(torch.softmax(found["scores"], 1), expected, atol=1e-5)
    np.testing.assert_allclose(found["_net_Conv_0_output"], feature_map, atol=1e-4)


# --- before the first layer


def _caffe(sketch: OnnxSketch) -> str:
    exchanged = sketch.node("Gather", "image", sketch.constant([2, 1, 0]), axis=1)
    return sketch.node("Sub", exchanged, sketch.constant(np.array([103.94, 116.78, 123.68]).reshape(1, 3, 1, 1)))


def _split(sketch: OnnxSketch) -> str:
    outputs = ["red", "green", "blue"]
    sketch.nodes.append(sketch.onnx.helper.make_node("Split", ["image"], outputs, name="split", axis=1))
    return sketch.node("Concat", *outputs[::-1], axis=1)


def _slices(sketch: OnnxSketch) -> str:
    axis = sketch.constant([1])
    parts = [sketch.node("Slice", "image", *(sketch.constant([i]) for i in (c, c + 1)), axis) for c in (2, 1, 0)]
    return sketch.node("Concat", *parts, axis=1)


def _stack(sketch: OnnxSketch) -> str:
    parts = [sketch.node("Gather", "image", sketch.constant(np.array(c)), axis=1) for c in (2, 1, 0)]
    return sketch.node("Concat", *(sketch.node("Unsqueeze", part, sketch.constant([1])) for part in parts), axis=1)


def _each(sketch: OnnxSketch) -> str:
    """As Caffe's users write it, and torchvision's transform_input."""
    axis, parts = sketch.constant([1]), []
    for channel, mean in ((2, 103.94), (1, 116.78), (0, 123.68)):
        part = sketch.node("Gather", "image", sketch.constant(np.array(channel)), axis=1)
        centred = sketch.node("Sub", sketch.node("Unsqueeze", part, axis), sketch.constant(mean))
        parts.append(sketch.node("Mul", centred, sketch.constant(0.017)))
    return sketch.node("Concat", *parts, axis=1)


def _backwards(sketch: OnnxSketch, end: int) -> str:
    return sketch.node("Slice", "image", *(sketch.constant([value]) for value in (-1, end, 1, -1)))


FLIPS: dict[str, Any] = {
    "Gather": lambda s: s.node("Gather", "image", s.constant([2, 1, 0]), axis=1),
    "Gather from the end": lambda s: s.node("Gather", "image", s.constant([-1, -2, -3]), axis=1),
    "Slice backwards": lambda s: _backwards(s, -(2**63) + 1),
    "Slice backwards, as torch.flip": lambda s: _backwards(s, -4),
    "Split and Concat": _split,
    "Slice and Concat": _slices,
    "unbind and stack": _stack,
    "each with its own arithmetic": _each,
    "with normalization before": lambda s: s.node(
        "Gather", s.node("Div", s.node("Sub", "image", s.array(3, 1, 1)), s.constant(2.)), s.constant([2, 1, 0]), axis=1
    ),
    "with normalization behind": _caffe,
    "a convolution of ones": lambda s: s.node(
        "Conv", "image", s.constant(np.eye(3)[::-1].copy().reshape(3, 3, 1, 1))
    ),
}  # fmt: skip


@pytest.mark.parametrize("write", FLIPS.values(), ids=FLIPS.keys())
def test_exchanged_colours_become_the_order(write: Any, sketch: OnnxSketch, matches: Matches) -> None:
    captured = matches(sketch.save(sketch.head(sketch.conv(write(sketch), (3, 4), 3))))
    assert captured.order == "BGR"
    assert captured.notes[0].startswith("colours exchanged at the start")
    assert len([node for node in captured.graph if isinstance(node.op, Conv2d)]) == 1


@pytest.mark.parametrize("order", [[1, 2, 0], [0, 0, 0], [2, 0, 1]])
def test_other_orders_are_a_convolution(order: list[int], sketch: OnnxSketch, matches: Matches) -> None:
    x = sketch.node("Gather", "image", sketch.constant(order), axis=1)
    captured = matches(sketch.save(sketch.head(sketch.conv(x, (3, 4), 3))))
    assert captured.order is None
    assert captured.graph.nodes[0].name.endswith(".channels")


@pytest.mark.parametrize("op_type", ["Tile", "Expand"])
def test_grey_that_becomes_colours(op_type: str, sketch: OnnxSketch, matches: Matches) -> None:
    shape = [1, 3, 1, 1] if op_type == "Tile" else [1, 3, 8, 8]
    x = sketch.node(op_type, "image", sketch.constant(shape))
    captured = matches(sketch.save(sketch.head(sketch.conv(x, (3, 4), 3)), shape=(1, 1, 8, 8)))
    assert captured.graph.tensors["image"].shape == (1, 8, 8)


def test_a_vector_of_one_axis(sketch: OnnxSketch, matches: Matches) -> None:
    """A single class whose axis is squeezed away."""
    pooled = sketch.node("Flatten", sketch.node("GlobalAveragePool", sketch.conv("image", (3, 4), 3)))
    model = sketch.model(sketch.node("Squeeze", sketch.gemm(pooled, (4, 1)), sketch.constant([1])), 13)
    model.graph.output[0].type.tensor_type.shape.dim.pop()
    path = sketch.folder / "one.onnx"
    sketch.onnx.save(model, path)
    matches(path)


def test_exchanged_twice_is_not_exchanged(sketch: OnnxSketch, matches: Matches) -> None:
    x = sketch.node("Relu", sketch.conv(_stack_again(sketch), (3, 4), 3))
    captured = matches(sketch.save(sketch.head(x)))
    assert (captured.order, captured.notes) == (None, ())


def _stack_again(sketch: OnnxSketch) -> str:
    once = sketch.node("Gather", "image", sketch.constant([2, 1, 0]), axis=1)
    return sketch.node("Gather", sketch.node("Add", once, sketch.constant(0.0)), sketch.constant([2, 1, 0]), axis=1)


def test_channels_inside_may_be_exchanged(sketch: OnnxSketch, matches: Matches) -> None:
    x = sketch.node("Gather", sketch.conv("image", (3, 4), 3), sketch.constant([2, 3, 0, 1]), axis=1)
    captured = matches(sketch.save(sketch.head(sketch.conv(sketch.node("Relu", x), (4, 4)))))
    assert captured.order is None


def test_nhwc_pixels_in_bgr(sketch: OnnxSketch, matches: Matches) -> None:
    """As OpenCV's users of TensorFlow write it: uint8, exchanged, scaled, transposed."""
    x = sketch.node("Gather", "image", sketch.constant([2, 1, 0]), axis=3)
    x = sketch.node("Sub", sketch.node("Div", x, sketch.constant(127.5)), sketch.constant(1.0))
    x = sketch.conv(sketch.node("Transpose", x, perm=[0, 3, 1, 2]), (3, 4), 3)
    captured = matches(sketch.save(sketch.head(x), shape=(1, 8, 8, 3)))
    assert captured.order == "BGR"
    assert captured.arithmetic is not None
    assert (captured.arithmetic.mean, captured.arithmetic.std) == ((127.5,) * 3, (127.5,) * 3)
    assert any("the file takes NHWC" in note for note in captured.notes)


ARITHMETIC: dict[str, tuple[Any, float, float, float | None]] = {
    "x / 255": (lambda s: s.node("Div", "image", s.constant(255.0)), 0, 255, 255),
    "x * (1 / 255)": (lambda s: s.node("Mul", "image", s.constant(1 / 255)), 0, 255, 255),
    "2 x - 1": (lambda s: s.node("Sub", s.node("Mul", "image", s.constant(2.0)), s.constant(1.0)), 0.5, 0.5, 1),
    "x - 0.5": (lambda s: s.node("Add", "image", s.constant(-0.5)), 0.5, 1, 1),
    "x - 127.5": (lambda s: s.node("Sub", "image", s.constant(127.5)), 127.5, 1, 255),
    "(x - 127.5) / 128": (
        lambda s: s.node("Div", s.node("Sub", "image", s.constant(127.5)), s.constant(128.0)), 127.5, 128, 255,
    ),
    "x 127.5 + 127.5": (
        lambda s: s.node("Add", s.node("Mul", "image", s.constant(127.5)), s.constant(127.5)), -1, 1 / 127.5, None,
    ),
    "255 x": (lambda s: s.node("Mul", "image", s.constant(255.0)), 0, 1 / 255, 1),
    "torchvision's transform_input": (
        lambda s: s.node("Add", s.node("Mul", "image", s.constant(0.458)), s.constant(-0.03)), 0.0655, 2.1834, None,
    ),
    "1 - x": (lambda s: s.node("Sub", s.constant(1.0), "image"), 1, 1, 1),
    "-(x - 0.5) / 0.5": (
        lambda s: s.node("Div", s.node("Neg", s.node("Sub", "image", s.constant(0.5))), s.constant(0.5)), 0.5, 0.5, 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("write", "mean", "std", "unit"), ARITHMETIC.values(), ids=ARITHMETIC.keys())
def test_arithmetic_becomes_the_normalization(
    write: Any, mean: float, std: float, unit: float | None, sketch: OnnxSketch, matches: Matches
) -> None:
    captured = matches(sketch.save(sketch.head(sketch.conv(write(sketch), (3, 4), 3, pads=[1, 1, 1, 1]))))
    found = captured.arithmetic
    assert found is not None
    assert found.mean == pytest.approx((mean,) * 3, rel=1e-3)
    assert found.std == pytest.approx((std,) * 3, rel=1e-3)
    assert found.unit == unit
    assert isinstance(captured.graph.nodes[0].op, Conv2d)


@pytest.mark.parametrize(
    ("mean", "std", "unit"), [(0.45, 0.27, 1.0), (115.0, 70.0, 255.0), (0.01, 1.0, None), (-0.3, 0.9, None)]
)
def test_batch_normalization_tells_what_came_in(
    mean: float, std: float, unit: float | None, sketch: OnnxSketch, matches: Matches
) -> None:
    parameters = (sketch.constant(values) for values in ([1.5] * 3, [0.1] * 3, [mean] * 3, [std**2] * 3))
    x = sketch.conv(sketch.node("BatchNormalization", "image", *parameters), (3, 4), 3)
    captured = matches(sketch.save(sketch.head(x)))
    assert captured.arithmetic is not None
    assert captured.arithmetic.unit == unit


def test_a_channel_times_zero_is_refused(sketch: OnnxSketch) -> None:
    x = sketch.node("Mul", "image", sketch.constant(np.array([1.0, 0.0, 1.0]).reshape(3, 1, 1)))
    with pytest.raises(UnsupportedOperator, match="multiplies a channel of the image by 0"):
        capture(sketch.save(sketch.head(sketch.conv(x, (3, 4), 3))))


@pytest.mark.parametrize("op_type", ["Resize", "Upsample"])
def test_resizing_at_the_start_is_refused_with_the_way(op_type: str, sketch: OnnxSketch) -> None:
    scales = sketch.constant([1.0, 1.0, 2.0, 2.0])
    x = (
        sketch.node("Upsample", "image", scales)
        if op_type == "Upsample"
        else sketch.node("Resize", "image", "", scales)
    )
    path = sketch.save(sketch.head(sketch.conv(x, (3, 4), 3)), 9 if op_type == "Upsample" else 13)
    with pytest.raises(UnsupportedOperator, match=r"\((Resize|Upsample)\) resizes the image.*preprocessing.resize"):
        capture(path)


# --- batches and sizes


def _reshaped(sketch: OnnxSketch, batch: int) -> str:
    pooled = sketch.node("GlobalAveragePool", sketch.conv("image", (3, 4), 3))
    return sketch.gemm(sketch.node("Reshape", pooled, sketch.constant([batch, -1])), (4, 3))


BATCHED: dict[str, Any] = {
    "Flatten": lambda s, n: _logits(s),
    "Reshape": _reshaped,
    "ReduceMean": lambda s, n: s.gemm(
        s.node("ReduceMean", s.conv("image", (3, 4), 3), axes=[2, 3], keepdims=0), (4, 3)
    ),
    "Softmax": lambda s, n: s.node("Softmax", _reshaped(s, n), axis=1),
}


@pytest.mark.parametrize("write", BATCHED.values(), ids=BATCHED.keys())
def test_a_fixed_batch_becomes_one(write: Any, sketch: OnnxSketch, run_onnx: Run) -> None:
    batch = 8
    path = sketch.save(write(sketch, batch), 13, (batch, 3, 8, 8))
    captured = capture(path)
    assert captured.notes[0] == (
        "its batch of 8 became 1, with the same results: edgekit's files take images one by one or many"
    )
    x = torch.randn(batch, 3, 8, 8)
    found = FloatExecutor(float_form(captured.graph))(x)["logits"]
    found = found.softmax(1) if len(captured.notes) > 1 else found
    torch.testing.assert_close(found.reshape(1, -1), run_onnx(path, x), rtol=1e-4, atol=1e-5)


def test_a_batch_that_means_something_is_refused(sketch: OnnxSketch) -> None:
    logits = _logits(sketch)
    centred = sketch.node("Sub", logits, sketch.node("ReduceMean", logits, axes=[0], keepdims=1))
    path = sketch.save(centred, 13, (4, 3, 8, 8))
    with pytest.raises(CheckpointError, match=r"batch is fixed to 4, and one by one it gives something else: export"):
        capture(path)


def test_an_open_size_is_given(sketch: OnnxSketch, run_onnx: Run) -> None:
    path = sketch.save(_logits(sketch), 13, ("batch", "channels", "height", "width"))
    with pytest.raises(CheckpointError, match=r"leaves H, W open.*--set model.resolution=224, or HEIGHTxWIDTH"):
        capture(path)
    graph = capture(path, (8, 10)).graph
    assert graph.tensors[graph.input].shape == (3, 8, 10)
    x = torch.randn(1, 3, 8, 10)
    torch.testing.assert_close(FloatExecutor(float_form(graph))(x)["logits"], run_onnx(path, x), rtol=1e-4, atol=1e-5)


def test_a_fixed_size_stays(sketch: OnnxSketch) -> None:
    path = sketch.save(_logits(sketch))
    assert capture(path, (8, 8)).graph.tensors["image"].shape == (3, 8, 8)
    with pytest.raises(ConfigError, match=r"model.resolution is 8x9, and the ONNX file says that itself, 8x8"):
        capture(path, (8, 9))


# --- what else surrounds networks


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 15, 18, 21])
def test_every_opset(opset: int, sketch: OnnxSketch, matches: Matches) -> None:
    x = sketch.node("Relu", sketch.norm(sketch.conv("image", (3, 4), 3, pads=[1, 1, 1, 1], strides=[2, 2]), 4))
    x = sketch.node("Add", x, sketch.conv(x, (4, 4), 3, pads=[1, 1, 1, 1], group=4))
    path = sketch.save(sketch.head(x), opset)
    matches(path)


def test_inputs_that_nothing_reads_are_left_out(sketch: OnnxSketch) -> None:
    model = sketch.model(_logits(sketch), 13)
    model.graph.input.append(sketch.onnx.helper.make_tensor_value_info("dropout", 1, (1,)))
    path = sketch.folder / "two.onnx"
    sketch.onnx.save(model, path)
    assert capture(path).notes == ("the input 'dropout' left out: nothing reads it",)


def test_operators_of_other_models_are_refused(sketch: OnnxSketch) -> None:
    model = sketch.model(sketch.node("Normalizer", _logits(sketch), domain="ai.onnx.ml", norm="L2"), 13)
    model.opset_import.append(sketch.onnx.helper.make_opsetid("ai.onnx.ml", 1))
    path = sketch.folder / "ml.onnx"
    sketch.onnx.save(model, path)
    with pytest.raises(UnsupportedOperator, match=r"ai.onnx.ml::Normalizer \(node .*end the network.*Gemm_4_output"):
        capture(path)
