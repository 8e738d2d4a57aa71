"""Files with an operator that edgekit has none of: refused in a sentence whose command gives a file that it takes."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edgekit.errors import CheckpointError, UnsupportedOperator
from edgekit.executor.float import FloatExecutor
from edgekit.passes import float_form

if TYPE_CHECKING:
    from pathlib import Path

    from tests.capture.conftest import OnnxSketch

for needed in ("onnx", "onnxruntime", "onnxsim"):
    pytest.importorskip(needed)

from edgekit.capture.onnx import capture  # noqa: E402 - needs what may be missing

CUT = re.compile(r'python -c "([^"]+)"$')


def suppressed(s: OnnxSketch, x: str) -> str:
    """Boxes and scores of a detector, and those that NonMaxSuppression leaves."""
    boxes = s.node("Reshape", s.conv(x, (4, 4)), s.constant([1, 36, 4]))
    scores = s.node("Reshape", s.node("Sigmoid", s.conv(x, (4, 2))), s.constant([1, 2, 36]))
    return s.node("NonMaxSuppression", boxes, scores, s.constant([10]), s.constant([0.5]), s.constant([0.1]))


def layer_norm(s: OnnxSketch, x: str) -> str:
    """A block of a transformer behind a stem: layer normalization, an MLP with GELU."""
    rows = s.node("Transpose", s.node("Reshape", x, s.constant([1, 4, 36])), perm=[0, 2, 1])
    rows = s.node("LayerNormalization", rows, s.array(4), s.array(4))
    hidden = s.node("MatMul", rows, s.array(4, 8))
    half = s.node("Mul", hidden, s.constant(0.5))
    erf = s.node("Add", s.node("Erf", s.node("Div", hidden, s.constant(2**0.5))), s.constant(1.0))
    return s.node("MatMul", s.node("Mul", half, erf), s.array(8, 4))


def recurrent(s: OnnxSketch, x: str) -> str:
    """A reader of text: columns of a feature map, one after the other."""
    columns = s.node("Reshape", s.node("Transpose", x, perm=[3, 0, 1, 2]), s.constant([6, 1, 24]))
    s.node("LSTM", columns, s.array(1, 12, 24), s.array(1, 12, 3), hidden_size=3)
    last: str = s.nodes[-1].output[0]
    return last


def branching(s: OnnxSketch, x: str) -> str:
    """Another activation where the map is bright; both branches read what was made outside."""
    bright = s.node("Greater", s.node("ReduceMax", x, keepdims=0), s.constant(1.0))
    helper, given = s.onnx.helper, s.onnx.TensorProto.FLOAT
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(op, [x], [f"{name}_out"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_out", given, [1, 4, 6, 6])],
        )
        for name, op in (("then", "Tanh"), ("else", "Relu"))
    }
    return s.node("If", bright, **branches)


def custom(s: OnnxSketch, x: str) -> str:
    return s.node("BBoxDecode", s.conv(x, (4, 8)), domain="com.acme")


FOREIGN: dict[str, tuple[Any, str]] = {
    # what it is: (what stands behind a convolution, the operator that is refused)
    "NonMaxSuppression behind boxes": (suppressed, "NonMaxSuppression"),
    "TopK of places, and more behind": (
        lambda s, x: s.conv(
            s.node("Reshape", s.node("TopK", x, s.constant([4]), axis=3), s.constant([1, 4, 6, 4])), (4, 2)
        ),
        "TopK",
    ),
    "an LSTM behind convolutions": (recurrent, "LSTM|Reshape"),
    "GridSample": (
        lambda s, x: s.node("GridSample", x, s.node("Transpose", s.conv(x, (4, 2)), perm=[0, 2, 3, 1])),
        "GridSample",
    ),
    "a transformer's block": (layer_norm, "LayerNormalization"),
    "Einsum": (lambda s, x: s.node("Einsum", x, x, equation="nchw,ndhw->ncd"), "Einsum"),
    "ScatterND": (
        lambda s, x: s.node("ScatterND", x, s.constant([[0, 1]]), s.constant(np.zeros((1, 6, 6)))),
        "ScatterND",
    ),
    "If": (branching, "If|ReduceMax"),
    "InstanceNormalization": (
        lambda s, x: s.node("InstanceNormalization", x, s.array(4), s.array(4)),
        "InstanceNormal",
    ),
    "DeformConv": (
        lambda s, x: s.node(
            "DeformConv", x, s.array(4, 4, 3, 3), s.conv(x, (4, 18)), pads=[1] * 4, kernel_shape=[3, 3]
        ),
        "DeformConv",
    ),
    "an operator of somebody's own": (custom, "com.acme::BBoxDecode"),
    "ArgMax, and more behind": (
        lambda s, x: s.node("Mul", x, s.node("Cast", s.node("ArgMax", x, axis=1, keepdims=1), to=1)),
        "ArgMax",
    ),
    "RoiAlign": (
        lambda s, x: s.node(
            "RoiAlign", x, s.constant([[0.0, 0.0, 3.0, 3.0]]), s.constant([0]), output_height=2, output_width=2
        ),
        "RoiAlign",
    ),
}


@pytest.mark.parametrize(("write", "operator"), FOREIGN.values(), ids=FOREIGN)
def test_the_way_out_works_when_pasted(write: Any, operator: str, sketch: OnnxSketch) -> None:
    output = write(sketch, sketch.node("Relu", sketch.conv("image", (3, 4), 3)))
    path = saved(sketch, output, 19 if operator == "DeformConv" else 17)
    with pytest.raises(UnsupportedOperator, match=operator) as refused:
        capture(path)
    told = str(refused.value)
    assert told.count("\n") == 0
    assert re.search("cannot keep it in float|does not support", told)
    command = CUT.search(told)
    assert command, told
    if operator == "TopK":  # once as a shell would run it
        subprocess.run([sys.executable, "-c", command[1]], check=True, capture_output=True)
    else:
        exec(command[1], {})
    cut = path.with_suffix(".cut.onnx")
    graph = capture(cut).graph
    x = torch.randn(1, 3, 8, 8)
    found = [value.reshape(-1) for value in FloatExecutor(float_form(graph))(x).values()]
    expected = [torch.from_numpy(value).reshape(-1) for value in run_all(cut, x)]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.sort()[0], b.sort()[0], rtol=0, atol=1e-4)  # maybe laid out otherwise


def test_quantized_files_are_refused_by_what_they_were_made_from(sketch: OnnxSketch) -> None:
    scale, zero = sketch.constant(0.1), sketch.constant(np.zeros((), np.int8))
    x = sketch.node("DequantizeLinear", sketch.node("QuantizeLinear", "image", scale, zero), scale, zero)
    path = sketch.save(sketch.head(sketch.conv(x, (3, 4), 3)))
    with pytest.raises(CheckpointError, match=r"quantized already \(QuantizeLinear .*give the float file"):
        capture(path)


def test_nothing_comes_before(sketch: OnnxSketch) -> None:
    path = saved(sketch, sketch.node("InstanceNormalization", "image", sketch.array(3), sketch.array(3)), 17)
    with pytest.raises(UnsupportedOperator, match=r"InstanceNormalization .*nothing that edgekit could take"):
        capture(path)


def saved(sketch: OnnxSketch, output: str, opset: int) -> Path:
    """A file whose output has the type and shape that onnx infers, where it can."""
    helper, model = sketch.onnx.helper, sketch.model(output, opset)
    if any(node.domain for node in sketch.nodes):
        model.opset_import.append(helper.make_opsetid("com.acme", 1))
    inferred = {value.name: value for value in sketch.onnx.shape_inference.infer_shapes(model).graph.value_info}
    declared = helper.make_tensor_value_info(output, sketch.onnx.TensorProto.FLOAT, [None])
    declared.CopyFrom(inferred.get(output, declared))
    model.graph.output[0].CopyFrom(declared)
    del model.graph.node[-1]  # which only gives it another name
    path = sketch.folder / "net.onnx"
    sketch.onnx.save(model, path)
    return path


def run_all(path: Path, x: torch.Tensor) -> list[Any]:
    """All outputs of a file in ONNX Runtime."""
    onnxruntime: Any = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    values: list[Any] = session.run(None, {"image": x.numpy()})
    return values
