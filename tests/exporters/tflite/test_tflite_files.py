"""The .tflite file around the operators: names, bytes, what is read back, and files that cannot be read."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.errors import ArtifactError, MissingDependency
from edgekit.exporters import metadata
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.exporters.tflite import schema as tflite_schema
from edgekit.exporters.tflite.codec import read, write_float_model, write_integer_model
from edgekit.float_model import FloatModel
from edgekit.integer_model import IntegerModel
from edgekit.ir import Clamp, Conv2d, Graph, Linear, Mean, Node, Output, Tensor
from edgekit.preprocessing import Preprocessing
from edgekit.quantization import QuantParams

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def changed(path: Path, change: Callable[[Any, Any], None]) -> None:
    """Rewrite a file after ``change(model, schema)``."""
    schema = tflite_schema.load()
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    change(model, schema)
    builder = tflite_schema.flatbuffer_builder(2**16)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def tiny_integer_model() -> IntegerModel:
    """Every number is written here, so that its file depends on nothing but the exporter."""
    nodes = (
        Node("stem", Conv2d((2, 2)), ("x", "stem.weight", "stem.bias"), "stem"),
        Node("pool", Mean(keep_dims=False), ("stem",), "pool"),
        Node("head", Linear(), ("pool", "head.weight", "head.bias"), "head"),
    )
    tensors = {
        name: Tensor(name, shape)
        for name, shape in {"x": (3, 4, 4), "stem": (2, 2, 2), "pool": (2,), "head": (2,)}.items()
    }
    constants: dict[str, NDArray[Any]] = {
        "stem.weight": np.array([[[[100]], [[-20]], [[3]]], [[[-127]], [[5]], [[60]]]], np.int8),
        "stem.bias": np.array([70, -700], np.int32),
        "head.weight": np.array([[127, -1], [-64, 32]], np.int8),
        "head.bias": np.array([1, -2], np.int32),
    }
    scales = {
        "x": [0.5],
        "stem": [0.25],
        "pool": [0.125],
        "head": [2.0],
        "stem.weight": [0.5, 0.25],
        "head.weight": [1.0, 0.5],
    }
    params = {
        name: QuantParams(np.array(scale, np.float32), 3 if len(scale) == 1 else 0) for name, scale in scales.items()
    }
    preprocessing = Preprocessing((4, 4), None)
    return IntegerModel(
        graph=Graph("tiny", "x", (Output.logits("head"),), nodes, tensors, constants), params=params, ratios={},
        preprocessing=preprocessing, normalization=preprocessing.normalization, pixel_input=True, labels=("cat", "dog"),
    )  # fmt: skip


def tiny_float_model() -> FloatModel:
    integer = tiny_integer_model()
    nodes = [replace(node, activation=Clamp(0.0, 6.0)) if node.name == "stem" else node for node in integer.graph]
    constants = {name: array.astype(np.float32) for name, array in integer.graph.constants.items()}
    return FloatModel(integer.graph.with_nodes(nodes, constants=constants), integer.preprocessing, integer.labels)


@pytest.mark.parametrize("io_dtype", IoDtype)
def test_what_is_written_is_read_back(io_dtype: IoDtype, integer_model: IntegerModel, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    write_integer_model(integer_model, path, io_dtype=io_dtype)
    summary = read(path)
    assert (summary.format, summary.version, summary.size_bytes) == ("tflite", "schema 3", path.stat().st_size)
    assert summary.metadata == metadata.of_integer_model(integer_model, io_dtype)
    assert summary.int8_share == 1.0
    assert summary.float_operators == ()
    assert summary.operators == {"CONV_2D": 7, "DEPTHWISE_CONV_2D": 2, "PAD": 2, "ADD": 1, "MEAN": 1, "RESHAPE": 2}
    ends = {IoDtype.FLOAT32: ("QUANTIZE", "DEQUANTIZE"), IoDtype.UINT8: ("QUANTIZE", "QUANTIZE"), IoDtype.INT8: ()}
    assert summary.boundary == ends[io_dtype]
    (image,), (logits,) = summary.inputs, summary.outputs
    assert (image.name, image.dtype, image.shape) == ("image", io_dtype, (1, 32, 32, 3))
    assert (logits.name, logits.dtype, logits.shape) == ("logits", io_dtype, (1, 10))
    for end, tensor in (image, integer_model.graph.input), (logits, integer_model.graph.output_tensors[0]):
        params = integer_model.params[tensor]
        if io_dtype is IoDtype.FLOAT32:
            assert (end.scale, end.zero_point) == (None, None)
        else:
            offset = 128 if io_dtype is IoDtype.UINT8 else 0
            assert (end.scale, end.zero_point) == (float(params.scale[0]), params.zero_point + offset)


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_float_files_are_read_back(precision: Precision, float_model: FloatModel, tmp_path: Path) -> None:
    write_float_model(float_model, tmp_path / "m.tflite", precision=precision)
    summary = read(tmp_path / "m.tflite")
    assert summary.metadata == metadata.of_float_model(float_model, precision)
    assert summary.int8_share == 0.0
    assert summary.operators == {
        "CONV_2D": 5, "HARD_SWISH": 2, "MEAN": 2, "MUL": 1, "ADD": 1, "PAD": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1
    }  # fmt: skip


def test_the_signature_has_the_public_names(litert: Callable[[Path], Any], tmp_path: Path) -> None:
    files = [tmp_path / io_dtype for io_dtype in IoDtype] + [tmp_path / "float"]
    for io_dtype in IoDtype:
        write_integer_model(tiny_integer_model(), tmp_path / io_dtype, io_dtype=io_dtype)
    write_float_model(tiny_float_model(), tmp_path / "float")
    for path in files:
        interpreter = litert(path).interpreter
        assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["logits"]}}
        assert interpreter.get_input_details()[0]["name"] == "image"
        assert interpreter.get_output_details()[0]["name"] == "logits"


# Only a change of the exporter may change these. Where one is meant, look at the new file in Netron, then set its
# digest.
GOLDEN = {
    "int8, float32": "aa2a9a1ae72c74e601e6610cc440572fa1160af6e7967d692053ca78d6ebadca",
    "int8, int8": "982edba0cd9ade2837279bc5a84173488c17009a8474f512f7fbd094919465f1",
    "int8, uint8": "8a32807191c61e58c287857a006f450c04538aabb6a2fc16cdea725574cb1f04",
    "float32": "8fe187f554da88420492684dc877540ef9af5c7c134b7fee08af0db4b2a1af10",
    "float16": "d8be204eb654c835aa95343f9df780ccd9c05c322acdfae12aeab33eb6ab07f6",
}


def test_bytes_are_golden(tmp_path: Path) -> None:
    for io_dtype in IoDtype:
        write_integer_model(tiny_integer_model(), tmp_path / f"int8, {io_dtype}", io_dtype=io_dtype)
    for precision in Precision.FLOAT32, Precision.FLOAT16:
        write_float_model(tiny_float_model(), tmp_path / precision, precision=precision)
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()} == GOLDEN


def test_the_same_model_gives_the_same_bytes(
    integer_model: IntegerModel, float_model: FloatModel, tmp_path: Path
) -> None:
    for name in "once", "again":
        write_integer_model(integer_model, tmp_path / f"{name}.int8")
        write_float_model(float_model, tmp_path / f"{name}.float")
    assert (tmp_path / "once.int8").read_bytes() == (tmp_path / "again.int8").read_bytes()
    assert (tmp_path / "once.float").read_bytes() == (tmp_path / "again.float").read_bytes()


def test_constants_lie_at_multiples_of_16_bytes(integer_model: IntegerModel, tmp_path: Path) -> None:
    write_integer_model(integer_model, tmp_path / "m.tflite")
    data, schema = (tmp_path / "m.tflite").read_bytes(), tflite_schema.load()
    model = schema.Model.GetRootAs(data, 0)
    starts = [
        buffer._tab.Vector(4) for buffer in map(model.Buffers, range(model.BuffersLength())) if buffer.DataLength()
    ]
    assert len(starts) > 20
    assert all(start % 16 == 0 for start in starts)


def test_no_constant_is_stored_in_vain(integer_model: IntegerModel, tmp_path: Path) -> None:
    write_integer_model(integer_model, tmp_path / "m.tflite")
    model = tflite_schema.load().ModelT.InitFromPackedBuf((tmp_path / "m.tflite").read_bytes(), 0)
    (graph,) = model.subgraphs
    read_or_made = {int(i) for operator in graph.operators for i in (*operator.inputs, *operator.outputs)}
    assert read_or_made == set(range(len(graph.tensors)))
    used = {0, *(tensor.buffer for tensor in graph.tensors), *(entry.buffer for entry in model.metadata)}
    assert used == set(range(len(model.buffers)))


def test_a_planted_float_operator_is_found(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    write_integer_model(tiny_integer_model(), path)

    def plant(model: Any, schema: Any) -> None:
        """Between the network and its output: DEQUANTIZE, HARD_SWISH."""
        (graph,) = model.subgraphs
        code, operator, tensor = schema.OperatorCodeT(), schema.OperatorT(), schema.TensorT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.HARD_SWISH
        model.operatorCodes.append(code)
        tensor.name, tensor.shape, tensor.type = "planted", [1, 2], schema.TensorType.FLOAT32
        graph.tensors.append(tensor)
        operator.opcodeIndex, operator.inputs = len(model.operatorCodes) - 1, list(graph.outputs)
        operator.outputs = graph.outputs = [len(graph.tensors) - 1]
        graph.operators.append(operator)
        model.metadata = None  # or the lost labels would be noticed first

    changed(path, plant)
    summary = read(path)
    assert summary.float_operators == ("DEQUANTIZE logits", "HARD_SWISH planted")
    assert summary.int8_share == pytest.approx(5 / 7)
    assert summary.boundary == ("MUL", "ADD", "QUANTIZE")
    assert summary.metadata is None


def test_operators_of_others_have_a_name(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    write_integer_model(tiny_integer_model(), path, io_dtype=IoDtype.INT8)

    def rename(model: Any, schema: Any) -> None:
        model.operatorCodes[0].builtinCode, model.operatorCodes[0].customCode = schema.BuiltinOperator.CUSTOM, "Theirs"
        model.operatorCodes[1].builtinCode = 9999
        model.metadata = None

    changed(path, rename)
    assert read(path).operators == {"Theirs": 2, "operator 9999": 1, "RESHAPE": 2}


def test_files_that_are_no_tflite(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        read(tmp_path / "missing.tflite")
    with pytest.raises(ArtifactError, match="cannot be read: Is a directory"):
        read(tmp_path)
    for data in b"", b"TFL3", b"\x08\0\0\0PK\x03\x04" + bytes(100):
        (tmp_path / "foreign.tflite").write_bytes(data)
        with pytest.raises(ArtifactError, match="not a TFLite file"):
            read(tmp_path / "foreign.tflite")


def test_a_truncated_file_is_noticed_wherever_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    write_integer_model(tiny_integer_model(), path)
    data = path.read_bytes()
    for size in range(8, len(data), 7):
        path.write_bytes(data[:size])
        with pytest.raises(ArtifactError, match="damaged or truncated"):
            read(path)


def test_a_missing_package_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.schema_py_generated", None)
    for use in (lambda: write_integer_model(tiny_integer_model(), tmp_path / "m"), lambda: read(tmp_path / "m")):
        with pytest.raises(
            MissingDependency, match=r"ai_edge_litert is not installed: pip install 'edgekit\[tflite\]'"
        ):
            use()


def test_names_of_the_network_may_be_those_of_the_endpoints(litert: Callable[[Path], Any], tmp_path: Path) -> None:
    """A layer called "logits" in the middle, a network whose input is called "logits_0"."""
    model = tiny_integer_model()
    names = {"x": "logits", "stem": "image"}
    nodes = [
        replace(n, inputs=tuple(names.get(i, i) for i in n.inputs), output=names.get(n.output, n.output))
        for n in model.graph
    ]
    tensors = {names.get(name, name): Tensor(names.get(name, name), t.shape) for name, t in model.graph.tensors.items()}
    params = {names.get(name, name): p for name, p in model.params.items()}
    graph = replace(model.graph, input="logits", nodes=tuple(nodes), tensors=tensors)
    for io_dtype in IoDtype:
        write_integer_model(replace(model, graph=graph, params=params), tmp_path / "m.tflite", io_dtype=io_dtype)
        write_integer_model(model, tmp_path / "plain.tflite", io_dtype=io_dtype)
        zeros = np.zeros((1, 3, 4, 4), io_dtype)
        found, expected = (litert(tmp_path / name).run(zeros)[0] for name in ("m.tflite", "plain.tflite"))
        np.testing.assert_array_equal(found, expected)
