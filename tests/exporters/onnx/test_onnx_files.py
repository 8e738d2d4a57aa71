"""The .onnx file around the operators: names, bytes, what is read back, and files that cannot be read."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import ArtifactError
from edgekit.exporters import metadata
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.exporters.onnx.codec import read, write_float_model, write_integer_model
from edgekit.ir import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

    Run = Callable[..., list[NDArray[Any]]]


@pytest.mark.parametrize("io_dtype", IoDtype)
def test_what_is_written_is_read_back(io_dtype: IoDtype, integer_model: IntegerModel, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    write_integer_model(integer_model, path, io_dtype=io_dtype)
    summary = read(path)
    assert (summary.format, summary.version, summary.size_bytes) == ("onnx", "opset 17, IR 8", path.stat().st_size)
    assert summary.metadata == metadata.of_integer_model(integer_model, io_dtype)
    assert summary.int8_share == 1.0
    assert summary.float_operators == ()
    assert summary.operators == {"Gather": 1, "Conv": 8, "Add": 1, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1}
    (image,), (logits,) = summary.inputs, summary.outputs
    assert (image.name, image.dtype, image.shape) == ("image", io_dtype, (-1, 3, 32, 32))
    assert (logits.name, logits.dtype, logits.shape) == ("logits", io_dtype, (-1, 10))
    for end, tensor in (image, integer_model.graph.input), (logits, integer_model.graph.output_tensors[0]):
        params = integer_model.params[tensor]
        if io_dtype is IoDtype.FLOAT32:
            assert (end.scale, end.zero_point) == (None, None)
        else:
            offset = 128 if io_dtype is IoDtype.UINT8 else 0
            assert (end.scale, end.zero_point) == (float(params.scale[0]), params.zero_point + offset)


def test_one_image_at_a_time(integer_model: IntegerModel, float_model: FloatModel, tmp_path: Path) -> None:
    write_integer_model(integer_model, tmp_path / "int8.onnx", batch=1)
    write_float_model(float_model, tmp_path / "float32.onnx", precision=Precision.FLOAT32, batch=1)
    for path in tmp_path.iterdir():
        (image,), (logits,) = read(path).inputs, read(path).outputs
        assert (image.shape, logits.shape) == ((1, 3, 32, 32), (1, 10))
    assert FORMATS["onnx"].differences(tmp_path / "int8.onnx", integer_model) == ()


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_float_files_are_read_back(precision: Precision, float_model: FloatModel, tmp_path: Path) -> None:
    write_float_model(float_model, tmp_path / "m.onnx", precision=precision)
    summary = read(tmp_path / "m.onnx")
    assert summary.metadata == metadata.of_float_model(float_model, precision)
    assert summary.int8_share == 0.0
    assert summary.boundary == ()


def test_labels_are_a_property_of_their_own(integer_model: IntegerModel, tmp_path: Path) -> None:
    write_integer_model(integer_model, tmp_path / "m.onnx")
    assert properties(tmp_path / "m.onnx")["labels"] == "cat\ndog\ngröße\n日本"
    write_integer_model(replace(integer_model, labels=()), tmp_path / "m.onnx")
    assert set(properties(tmp_path / "m.onnx")) == {"edgekit"}


def test_the_same_model_gives_the_same_bytes(
    integer_model: IntegerModel, float_model: FloatModel, tmp_path: Path
) -> None:
    for name in "once", "again":
        write_integer_model(integer_model, tmp_path / f"{name}.int8")
        write_float_model(float_model, tmp_path / f"{name}.float")
    assert (tmp_path / "once.int8").read_bytes() == (tmp_path / "again.int8").read_bytes()
    assert (tmp_path / "once.float").read_bytes() == (tmp_path / "again.float").read_bytes()


def test_nothing_is_stored_or_computed_in_vain(integer_case: Any, tmp_path: Path) -> None:
    model, _, _ = integer_case
    for io_dtype in IoDtype:
        write_integer_model(model, tmp_path / "m.onnx", io_dtype=io_dtype)
        graph = onnx.load(tmp_path / "m.onnx").graph
        wanted = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        assert {initializer.name for initializer in graph.initializer} <= wanted
        assert {name for node in graph.node for name in node.output} <= wanted
        assert len({initializer.name for initializer in graph.initializer}) == len(graph.initializer)


@pytest.mark.parametrize("io_dtype", IoDtype)
def test_names_of_the_network_may_be_those_of_the_endpoints(
    io_dtype: IoDtype, integer_model: IntegerModel, onnx_runtime: Run, tmp_path: Path
) -> None:
    """The input is called "logits", and a layer in the middle "image"."""
    names = {integer_model.graph.input: "logits", "layer.3": "image"}
    graph = integer_model.graph
    nodes = [
        replace(n, inputs=tuple(names.get(i, i) for i in n.inputs), output=names.get(n.output, n.output)) for n in graph
    ]
    tensors = {
        names.get(name, name): Tensor(names.get(name, name), tensor.shape) for name, tensor in graph.tensors.items()
    }
    model = replace(
        integer_model,
        graph=replace(graph, input="logits", nodes=tuple(nodes), tensors=tensors),
        params={names.get(name, name): params for name, params in integer_model.params.items()},
    )
    write_integer_model(model, tmp_path / "m.onnx", io_dtype=io_dtype)
    (found,) = onnx_runtime(tmp_path / "m.onnx", np.zeros((1, 3, 32, 32), io_dtype), "DISABLE_ALL")
    write_integer_model(integer_model, tmp_path / "plain.onnx", io_dtype=io_dtype)
    (expected,) = onnx_runtime(tmp_path / "plain.onnx", np.zeros((1, 3, 32, 32), io_dtype), "DISABLE_ALL")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_names_of_a_float_network_may_be_those_of_the_endpoints(
    precision: Precision, float_model: FloatModel, onnx_runtime: Run, tmp_path: Path
) -> None:
    graph = float_model.graph
    names = {graph.input: "image", "layer.3": "logits"}
    nodes = [
        replace(n, inputs=tuple(names.get(i, i) for i in n.inputs), output=names.get(n.output, n.output)) for n in graph
    ]
    tensors = {
        names.get(name, name): Tensor(names.get(name, name), tensor.shape) for name, tensor in graph.tensors.items()
    }
    renamed = replace(float_model, graph=replace(graph, input="image", nodes=tuple(nodes), tensors=tensors))
    image = np.random.default_rng(0).normal(0, 1, (2, 3, 32, 32)).astype(np.float32)
    found = []
    for model in float_model, renamed:
        write_float_model(model, tmp_path / "m.onnx", precision=precision)
        found += onnx_runtime(tmp_path / "m.onnx", image)
    np.testing.assert_array_equal(found[0], found[1])


def edited(path: Path, edit: Callable[[onnx.GraphProto], None]) -> None:
    """Rewrite a file after ``edit(graph)``."""
    model = onnx.load(path)
    edit(model.graph)
    onnx.save(model, path)


def test_a_planted_float_operator_is_found(integer_model: IntegerModel, tmp_path: Path) -> None:
    """Sigmoid of a sum, before it is quantized: now neither of the two can be an integer kernel."""
    path = tmp_path / "m.onnx"
    write_integer_model(integer_model, path)

    def plant(graph: onnx.GraphProto) -> None:
        index, add = next((i, node) for i, node in enumerate(graph.node) if node.op_type == "Add")
        graph.node.insert(index + 1, helper.make_node("Sigmoid", ["planted"], list(add.output)))
        add.output[0] = "planted"

    edited(path, plant)
    summary = read(path)
    assert [name.split()[0] for name in summary.float_operators] == ["Add", "Sigmoid"]
    assert summary.int8_share == pytest.approx(1 - 2 / 14)


def test_a_float_weight_makes_a_float_operator(integer_model: IntegerModel, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    write_integer_model(integer_model, path)

    def plant(graph: onnx.GraphProto) -> None:
        conv = next(node for node in graph.node if node.op_type == "Conv")
        graph.initializer.append(numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float32), "planted"))
        (restored,) = (node for node in graph.node if node.output[0] == conv.input[1])
        graph.node.remove(restored)
        conv.input[1] = "planted"

    edited(path, plant)
    assert [name.split()[0] for name in read(path).float_operators] == ["Conv"]


def test_a_clamp_between_operator_and_quantization_is_fused(integer_model: IntegerModel, tmp_path: Path) -> None:
    """As other tools write ReLU6: a node of its own, with bounds that are constants or nodes."""
    path = tmp_path / "m.onnx"
    write_integer_model(integer_model, path)

    def plant(graph: onnx.GraphProto) -> None:
        index, conv = next((i, node) for i, node in enumerate(graph.node) if node.op_type == "Conv")
        bounds = [
            numpy_helper.from_array(np.array(bound, np.float32), name) for name, bound in (("low", 0), ("high", 6))
        ]
        graph.node.insert(index + 1, helper.make_node("Clip", ["clamped", "low", "high"], list(conv.output)))
        graph.node.insert(0, helper.make_node("Constant", [], ["high"], value=bounds[1]))
        graph.initializer.append(bounds[0])
        conv.output[0] = "clamped"

    edited(path, plant)
    summary = read(path)
    assert summary.float_operators == ()
    assert summary.operators["Clip"] == 1
    assert "Constant" not in summary.operators


def test_integer_operators_of_other_tools_are_integer_operators(tmp_path: Path) -> None:
    """QLinearConv is ONNX's own. QLinearAdd belongs to ONNX Runtime: onnx cannot tell the type of its result."""
    parameters: dict[str, NDArray[Any]] = {
        "s": np.array(0.5, np.float32),
        "z": np.array(3, np.uint8),
        "w": np.zeros((2, 3, 1, 1), np.uint8),
    }
    graph = helper.make_graph(
        [
            helper.make_node("QLinearConv", ["image", "s", "z", "w", "s", "z", "s", "z"], ["sum"]),
            helper.make_node(
                "QLinearAdd", ["sum", "s", "z", "sum", "s", "z", "s", "z"], ["stored"], domain="com.microsoft"
            ),
            helper.make_node("DequantizeLinear", ["stored", "s", "z"], ["real"]),
            helper.make_node("Softmax", ["real"], ["logits"]),
        ],
        "theirs",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2, 4, 4])],
        [numpy_helper.from_array(array, name) for name, array in parameters.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")
    summary = read(tmp_path / "m.onnx")
    assert summary.operators == {"QLinearConv": 1, "QLinearAdd": 1, "Softmax": 1}
    assert summary.float_operators == ("Softmax logits",)
    assert summary.metadata is None


def test_files_that_are_no_onnx(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        read(tmp_path / "missing.onnx")
    with pytest.raises(ArtifactError, match="cannot be read: Is a directory"):
        read(tmp_path)
    for data in b"", b"TFL3", b"PK\x03\x04" + bytes(100), "größe".encode():
        (tmp_path / "foreign.onnx").write_bytes(data)
        with pytest.raises(ArtifactError, match="not an ONNX file, or is damaged or truncated"):
            read(tmp_path / "foreign.onnx")


def test_a_truncated_file_is_noticed_wherever_it_ends(integer_model: IntegerModel, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    write_integer_model(integer_model, path)
    data = path.read_bytes()
    for size in range(0, len(data), 997):
        path.write_bytes(data[:size])
        with pytest.raises(ArtifactError, match="damaged or truncated"):
            read(path)


def test_metadata_of_another_version_is_named(integer_model: IntegerModel, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    write_integer_model(integer_model, path)
    model = onnx.load(path)
    helper.set_model_props(model, {"edgekit": "{}"})
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match="written by another version of edgekit"):
        read(path)


def test_a_missing_package_is_named_with_its_remedy() -> None:
    """In a process of its own, because this one has imported onnx."""
    code = "import sys; sys.modules['onnx'] = None; from edgekit.exporters.onnx import FORMAT; FORMAT.codec()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.stderr.endswith("MissingDependency: onnx is not installed: pip install 'edgekit[onnx]'\n")


def properties(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_an_image_has_channels_for_the_fast_kernel(integer_model: IntegerModel, tmp_path: Path) -> None:
    """Four of them, of which the weights do not see the last."""
    write_integer_model(integer_model, tmp_path / "m.onnx")
    written = onnx.load(tmp_path / "m.onnx").graph
    arrays = {entry.name: numpy_helper.to_array(entry) for entry in written.initializer}
    graph = integer_model.graph
    weight = next(node.inputs[1] for node in graph if graph.input in node.inputs)
    assert arrays[f"{graph.input}.channels"].tolist() == [0, 1, 2, 2]
    np.testing.assert_array_equal(arrays[f"{weight}.stored"][:, :3], graph.constants[weight])
    assert not arrays[f"{weight}.stored"][:, 3].any()
