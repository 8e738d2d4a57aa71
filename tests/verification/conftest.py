"""Good files, and faults that are planted into copies of them: as a wrong tool would, in the bytes of each format."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest

from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import KEY, IoDtype
from edgekit.integer_model import IntegerModel
from tests.networks import MIXED_BLOCK, FloatSketch, v3_block

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.ir import Node

# Of the shipped network, an inverted V3: a plain convolution, one within a block, and the last linear layer; and a
# depthwise one with stride 2, and a sum.
FIRST, MIDDLE, LAST = "features.0.0", "features.4.block.3.0", "classifier.3"
DEPTHWISE, SUM = "features.4.block.1.0", "features.3.add"
CLAMPED = "layer.1"  # of the sketch: kept in float, and clamped by ReLU6

# What runtimes may answer rightly all the same: a zero point that quantizes and dequantizes only moves the range.
UNFELT = {"zero point off by one", "bias off by one"}


@dataclass(frozen=True, eq=False)
class Good:
    """A file as it should be, and the model that it was written from."""

    path: Path
    model: IntegerModel

    def node(self, name: str | None) -> Node | None:
        return next((node for node in self.model.graph if node.name == name), None)


class Editor(Protocol):
    """A file of one format in memory, that can be spoilt."""

    def __init__(self, good: Good) -> None: ...
    def save(self, path: Path) -> None: ...
    def scale(self, node: Node) -> None: ...
    def zero_point(self, node: Node) -> None: ...
    def weights(self, node: Node, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None: ...
    def bias(self, node: Node) -> None: ...
    def stride(self, node: Node) -> None: ...
    def padding(self, node: Node) -> None: ...
    def clamp(self, node: Node) -> None: ...
    def float_operator(self, node: Node) -> None: ...
    def operand(self, node: Node) -> None: ...
    def labels(self) -> None: ...
    def metadata(self) -> None: ...


def swapped(weight: NDArray[Any]) -> NDArray[Any]:
    """Output channels 3 and 7 exchanged."""
    order = np.arange(len(weight))
    order[[3, 7]] = 7, 3
    return weight[order]


def transposed(weight: NDArray[Any]) -> NDArray[Any]:
    """The axes laid out in the opposite order, under the old shape."""
    return np.ascontiguousarray(weight.T).reshape(weight.shape)


def stale(text: str) -> str:
    """Metadata of another training run."""
    values = json.loads(text)
    return json.dumps(values | {"provenance": values["provenance"] | {"checkpoint_sha256": "0" * 64}})


def reversed_labels(text: str) -> str:
    """Metadata whose labels stand in another order."""
    values = json.loads(text)
    return json.dumps(values | {"labels": values["labels"][::-1]})


# --- one editor a format ----------------------------------------------------------------------------------------------


class TfliteEditor:
    def __init__(self, good: Good) -> None:
        from edgekit.exporters.tflite import schema as tflite_schema

        self.schema, self.good = tflite_schema, good
        self.data = good.path.read_bytes()
        self.generated = tflite_schema.load()
        self.model = self.generated.ModelT.InitFromPackedBuf(self.data, 0)
        (self.graph,) = self.model.subgraphs
        with zipfile.ZipFile(io.BytesIO(self.data)) as archive:
            self.files = {name: archive.read(name) for name in archive.namelist()}

    def save(self, path: Path) -> None:
        from edgekit.exporters.tflite.metadata import with_files

        self.model.buffers = [self.schema.aligned_buffer(self.generated, b.data) for b in self.model.buffers]
        builder = self.schema.flatbuffer_builder(2**20)
        builder.Finish(self.model.Pack(builder), file_identifier=self.schema.FILE_IDENTIFIER)
        path.write_bytes(with_files(bytes(builder.Output()), self.files))

    def tensor(self, name: str) -> Any:
        return next(tensor for tensor in self.graph.tensors if tensor.name.decode() == name)

    def operator(self, node: Node) -> Any:
        """The one that computes; of a linear layer with a scale a channel it has a name of its own."""
        made = {self.graph.tensors[o.outputs[0]].name.decode(): o for o in self.graph.operators}
        return made.get(f"{node.name}.result", made.get(node.output))

    def result(self, node: Node) -> Any:
        return self.graph.tensors[self.operator(node).outputs[0]]

    def constant(self, node: Node, position: int, dtype: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        tensor = self.graph.tensors[self.operator(node).inputs[position]]
        values = np.frombuffer(self.model.buffers[tensor.buffer].data.tobytes(), dtype).reshape(tensor.shape)
        self.model.buffers[tensor.buffer].data = np.frombuffer(change(values).tobytes(), np.uint8)

    def scale(self, node: Node) -> None:
        self.result(node).quantization.scale = self.result(node).quantization.scale * np.float32(1.03)

    def zero_point(self, node: Node) -> None:
        self.result(node).quantization.zeroPoint = self.result(node).quantization.zeroPoint + 1

    def weights(self, node: Node, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        self.constant(node, 1, "int8", change)

    def bias(self, node: Node) -> None:
        self.constant(node, 2, "int32", lambda values: values + (np.arange(values.size) == 1).astype(np.int32))

    def stride(self, node: Node) -> None:
        self.operator(node).builtinOptions.strideH = 1

    def padding(self, node: Node) -> None:
        """Rows of zeros above instead of below: of the PAD in front of a depthwise layer."""
        paddings = self.tensor(f"{node.name}.paddings")
        rows = np.frombuffer(self.model.buffers[paddings.buffer].data.tobytes(), np.int32).reshape(4, 2).copy()
        rows[1] += 1, -1
        self.model.buffers[paddings.buffer].data = np.frombuffer(rows.tobytes(), np.uint8)

    def clamp(self, node: Node) -> None:
        self.operator(node).builtinOptions.fusedActivationFunction = self.generated.ActivationFunctionType.NONE

    def float_operator(self, node: Node) -> None:
        """What reads the result reads it dequantized, clamped in float and quantized again."""
        int8, position = self.result(node), self.graph.operators.index(self.operator(node))
        index = self.operator(node).outputs[0]
        names = [f"{node.output}.float", f"{node.output}.relu", f"{node.output}.again"]
        for name in names:
            tensor = self.generated.TensorT()
            tensor.name, tensor.shape, tensor.type, tensor.hasRank = name, int8.shape, 0, True
            self.graph.tensors.append(tensor)
        self.graph.tensors[-1].type, self.graph.tensors[-1].quantization = int8.type, int8.quantization
        first = len(self.graph.tensors) - 3
        for later in self.graph.operators[position + 1 :]:
            later.inputs = [first + 2 if i == index else i for i in later.inputs]
        kinds = (("DEQUANTIZE", 2), ("RELU", 1), ("QUANTIZE", 1))
        for step, (kind, version) in enumerate(kinds):
            code = self.generated.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = getattr(self.generated.BuiltinOperator, kind)
            code.version = version
            self.model.operatorCodes.append(code)
            operator = self.generated.OperatorT()
            operator.opcodeIndex = len(self.model.operatorCodes) - 1
            operator.inputs, operator.outputs = [index if step == 0 else first + step - 1], [first + step]
            self.graph.operators.insert(position + 1 + step, operator)

    def operand(self, node: Node) -> None:
        operator = self.operator(node)
        operator.inputs = [operator.inputs[1], operator.inputs[1]]

    def labels(self) -> None:
        self.files["labels.txt"] = b"".join(reversed(self.files["labels.txt"].splitlines(keepends=True)))

    def metadata(self) -> None:
        entry = next(entry for entry in self.model.metadata if entry.name.decode() == KEY)
        text = bytes(self.model.buffers[entry.buffer].data).decode()
        self.model.buffers[entry.buffer].data = np.frombuffer(stale(text).encode(), np.uint8)


class OnnxEditor:
    def __init__(self, good: Good) -> None:
        import onnx
        from onnx import numpy_helper

        self.numpy_helper, self.helper = numpy_helper, onnx.helper
        self.good, self.model = good, onnx.load(good.path)
        self.graph = self.model.graph

    def save(self, path: Path) -> None:
        path.write_bytes(self.model.SerializeToString())

    def node(self, output: str) -> Any:
        return next(node for node in self.graph.node if output in node.output)

    def constant(self, name: str, change: Callable[[NDArray[Any]], Any]) -> None:
        stored = next(entry for entry in self.graph.initializer if entry.name == name)
        values = self.numpy_helper.to_array(stored)
        stored.CopyFrom(self.numpy_helper.from_array(np.asarray(change(values), values.dtype), name))

    def computing(self, node: Node) -> Any:
        return self.node(f"{node.output}.real" if node.output in self.good.model.params else node.output)

    def scale(self, node: Node) -> None:
        self.constant(f"{node.output}.scale", lambda scale: scale * np.float32(1.03))

    def zero_point(self, node: Node) -> None:
        self.constant(f"{node.output}.zero_point", lambda zero_point: zero_point + 1)

    def weights(self, node: Node, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        self.constant(f"{node.inputs[1]}.stored", change)

    def bias(self, node: Node) -> None:
        self.constant(f"{node.inputs[2]}.stored", lambda values: values + (np.arange(values.size) == 1))

    def attribute(self, node: Node, name: str) -> Any:
        return next(entry for entry in self.computing(node).attribute if entry.name == name)

    def stride(self, node: Node) -> None:
        self.attribute(node, "strides").ints[0] = 1

    def padding(self, node: Node) -> None:
        pads = self.attribute(node, "pads").ints
        pads[0], pads[2] = pads[0] + 1, pads[2] - 1

    def clamp(self, node: Node) -> None:
        self.graph.node.remove(self.node(node.output))
        self.node(f"{node.output}.unclamped").output[0] = node.output

    def float_operator(self, node: Node) -> None:
        """Nothing quantizes the result: its readers take it as it is."""
        for name in (f"{node.output}.quantized", node.output):
            self.graph.node.remove(self.node(name))
        self.computing(node).output[0] = node.output

    def operand(self, node: Node) -> None:
        self.computing(node).input[0] = self.computing(node).input[1]

    def labels(self) -> None:
        self.replace("labels", lambda text: "\n".join(reversed(text.split("\n"))))

    def metadata(self) -> None:
        self.replace(KEY, stale)

    def replace(self, key: str, change: Callable[[str], str]) -> None:
        entry = next(entry for entry in self.model.metadata_props if entry.key == key)
        entry.value = change(entry.value)


class CoremlEditor:
    MODEL, WEIGHTS = "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"

    def __init__(self, good: Good) -> None:
        from edgekit.exporters.coreml.codec import names_in_file
        from edgekit.exporters.coreml.schema import schema

        self.good, self.names = good, names_in_file(good.model.graph)
        self.model = schema().model.Model.FromString((good.path / self.MODEL).read_bytes())
        self.block = self.model.mlProgram.functions["main"].block_specializations["CoreML7"]
        self.made = {operation.outputs[0].name: operation for operation in self.block.operations}
        self.blobs = bytearray((good.path / self.WEIGHTS).read_bytes())

    def save(self, path: Path) -> None:
        shutil.copytree(self.good.path, path)
        (path / self.MODEL).write_bytes(self.model.SerializeToString())
        (path / self.WEIGHTS).write_bytes(self.blobs)

    def argument(self, operation: Any, parameter: str) -> Any:
        """The message of a constant that an operation reads."""
        return self.made[operation.inputs[parameter].arguments[0].name].attributes["val"]

    def blob(self, literal: Any, dtype: str, shape: tuple[int, ...], change: Callable[[NDArray[Any]], Any]) -> None:
        start = literal.blobFileValue.offset + 64  # behind its header
        values = np.frombuffer(self.blobs, dtype, int(np.prod(shape)), start).reshape(shape).copy()
        raw = np.ascontiguousarray(change(values)).astype(dtype).tobytes()
        self.blobs[start : start + len(raw)] = raw

    def computing(self, node: Node) -> Any:
        name = self.names[node.output]
        return self.made[f"{name}_result" if node.output in self.good.model.params else name]

    def scale(self, node: Node) -> None:
        scale = self.argument(self.made[self.names[node.output]], "scale").immediateValue.tensor.floats
        scale.values[0] *= 1.03

    def zero_point(self, node: Node) -> None:
        integers = self.argument(self.made[self.names[node.output]], "zero_point").immediateValue.tensor.bytes
        integers.values = (np.frombuffer(integers.values, np.int8) + np.int8(1)).tobytes()

    def weights(self, node: Node, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        literal = self.made[self.names[node.inputs[1]]].attributes["quantized_data"]
        self.blob(literal, "int8", self.good.model.graph.constants[node.inputs[1]].shape, change)

    def bias(self, node: Node) -> None:
        """By one step of the accumulator."""
        model, (x, weight, bias) = self.good.model, node.inputs
        step = model.params[x].scale[0] * np.broadcast_to(model.params[weight].scale, model.graph.constants[bias].shape)
        literal, shape = self.argument(self.computing(node), "bias"), model.graph.constants[bias].shape
        self.blob(literal, "float32", shape, lambda values: values + step * (np.arange(values.size) == 1))

    def stride(self, node: Node) -> None:
        self.argument(self.computing(node), "strides").immediateValue.tensor.ints.values[0] = 1

    def padding(self, node: Node) -> None:
        pad = self.argument(self.computing(node), "pad").immediateValue.tensor.ints.values
        pad[0], pad[1] = pad[0] + 1, pad[1] - 1

    def clamp(self, node: Node) -> None:
        name = self.names[node.output]
        self.block.operations.remove(self.made[name])
        for operation in self.block.operations:
            for argument in operation.inputs.values():
                for binding in argument.arguments:
                    binding.name = f"{name}_unclamped" if binding.name == name else binding.name

    def float_operator(self, node: Node) -> None:
        """Nothing quantizes the result: its readers take it as it is."""
        name = self.names[node.output]
        for gone in (name, f"{name}_real"):
            self.block.operations.remove(self.made[gone])
        self.computing(node).outputs[0].name = f"{name}_real"

    def operand(self, node: Node) -> None:
        operation = self.computing(node)
        operation.inputs["x"].arguments[0].name = operation.inputs["y"].arguments[0].name

    def labels(self) -> None:
        entries = self.model.description.metadata.userDefined
        entries[KEY] = reversed_labels(entries[KEY])

    def metadata(self) -> None:
        entries = self.model.description.metadata.userDefined
        entries[KEY] = stale(entries[KEY])


class TorchEditor:
    CODE, ABOUT = "code/__torch__.py", f"extra/{KEY}.json"

    def __init__(self, good: Good) -> None:
        self.good, self.model = good, good.model
        with zipfile.ZipFile(good.path) as archive:
            self.entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
        self.code = self.entries[self.CODE].decode()

    def save(self, path: Path) -> None:
        self.entries[self.CODE] = self.code.encode()
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in self.entries.items():
                archive.writestr(f"archive/{name}", data)

    @staticmethod
    def plain(name: str) -> str:
        return re.sub(r"\W", "_", name)

    def rewrite(self, pattern: str, by: str | Callable[[re.Match[str]], str]) -> None:
        self.code, count = re.subn(pattern, by, self.code, count=1)
        assert count == 1, pattern

    def scale(self, node: Node) -> None:
        packed = self.plain(f"{node.name}.packed")
        self.rewrite(rf"({packed}, )([\d.e-]+)(, \d+\))", lambda m: f"{m[1]}{float(m[2]) * 1.03!r}{m[3]}")

    def zero_point(self, node: Node) -> None:
        packed = self.plain(f"{node.name}.packed")
        self.rewrite(rf"({packed}, [\d.e-]+, )(\d+)\)", lambda m: f"{m[1]}{int(m[2]) + 1})")

    def stored(self, node: Node) -> tuple[str, bool]:
        """The entry with the weights, and whether they lie as [O, kH, kW, I]."""
        weight = self.model.graph.constants[node.inputs[1]]
        last = weight.transpose(0, 2, 3, 1) if weight.ndim == 4 else weight
        for name, data in self.entries.items():
            if name.startswith("data/") and data in {weight.tobytes(), last.tobytes()}:
                return name, data != weight.tobytes()
        raise AssertionError(f"no entry holds the weights of {node.name}")

    def weights(self, node: Node, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
        name, channels_last = self.stored(node)
        changed = change(self.model.graph.constants[node.inputs[1]])
        self.entries[name] = (changed.transpose(0, 2, 3, 1) if channels_last else changed).tobytes()

    def bias(self, node: Node) -> None:
        """By one step of the accumulator; it is a real number, in the fourth entry from the weights."""
        number = int(self.stored(node)[0].rpartition("/")[2])
        entry = next(name for i in range(1, 5) if len(self.entries[name := f"data/{number + i}"]) == self.bytes(node))
        bias = np.frombuffer(self.entries[entry], np.float32)
        wanted = self.model.real_constant(node, node.inputs[2]).astype(np.float32)
        assert np.array_equal(bias, wanted)
        step = self.model.params[node.inputs[0]].scale[0] * self.model.params[node.inputs[1]].scale
        self.entries[entry] = (bias + step * (np.arange(bias.size) == 1)).astype(np.float32).tobytes()

    def bytes(self, node: Node) -> int:
        return 4 * self.model.graph.constants[node.inputs[2]].size

    def layout(self, node: Node, position: int, by: int) -> None:
        """Change a number of the packed layout: version, then stride and padding, (rows, columns) each."""
        attributes = re.findall(r"^  (\w+_packed) : ", self.code, re.MULTILINE)
        layouts = [name for name, data in self.entries.items() if name.startswith("data/") and len(data) == 22]
        entry = layouts[attributes.index(self.plain(f"{node.name}.packed"))]
        numbers = np.frombuffer(self.entries[entry], np.int16).copy()
        numbers[position] += by
        self.entries[entry] = numbers.tobytes()

    def stride(self, node: Node) -> None:
        self.layout(node, 1, -1)

    def padding(self, node: Node) -> None:
        self.layout(node, 3, -1)

    def clamp(self, node: Node) -> None:
        self.rewrite(rf"({self.plain(node.output)} = )torch\.clamp\((\w+), [\d.]+, [\d.]+\)", r"\1torch.mul(\2, 1.)")

    def float_operator(self, node: Node) -> None:
        name, params = self.plain(node.output), self.model.params[node.output]
        before, _, behind = self.code.partition(f"    {name} = ")
        statement, _, rest = behind.partition("\n")
        again = (
            f"    {name}_float = torch.relu(torch.dequantize({name}))\n"
            f"    {name}_again = torch.quantize_per_tensor({name}_float, {float(params.scale[0])!r}, "
            f"{params.zero_point + 128}, 13)\n"
        )
        rest = re.sub(rf"\b{name}\b", f"{name}_again", rest)
        self.code = f"{before}    {name} = {statement}\n{again}{rest}"

    def operand(self, node: Node) -> None:
        self.rewrite(rf"({self.plain(node.output)} = ops\.quantized\.add\()\w+, (\w+),", r"\1\2, \2,")

    def labels(self) -> None:
        self.entries[self.ABOUT] = reversed_labels(self.entries[self.ABOUT].decode()).encode()

    def metadata(self) -> None:
        self.entries[self.ABOUT] = stale(self.entries[self.ABOUT].decode()).encode()


EDITORS: dict[str, type[Editor]] = {
    "tflite": TfliteEditor, "onnx": OnnxEditor, "coreml": CoremlEditor, "torch": TorchEditor
}  # fmt: skip


# --- the faults -------------------------------------------------------------------------------------------------------


Spoil = Callable[[Any, Any], None]  # with an editor, and a node or None


@dataclass(frozen=True)
class Fault:
    """Something wrong with one layer, or with the file.

    Attributes:
        name: in a word or two.
        target: the format.
        network: which good file.
        layer: of the checkpoint, that has to be named; None for the file as a whole.
        words: of which one has to stand in the field or the text of the difference.
        spoil: plants it.
        unfelt: no image needs to show it: what it computes may be the same.
    """

    name: str
    target: str
    network: str
    layer: str | None
    words: tuple[str, ...]
    spoil: Spoil
    unfelt: bool = False

    def __str__(self) -> str:
        return f"{self.target}, {self.name}{f' of {self.layer}' if self.layer else ''}"


@dataclass(frozen=True, eq=False)
class Planted:
    """A fault in a copy of a good file."""

    fault: Fault
    path: Path
    model: IntegerModel


def _of_layers(target: str) -> Iterator[Fault]:
    """Each with the layers that it is planted at."""
    every = (FIRST, MIDDLE, LAST)
    kinds: dict[str, tuple[tuple[str, ...], tuple[str, ...], Spoil]] = {
        "wrong scale": (every, ("scale",), lambda editor, node: editor.scale(node)),
        "zero point off by one": (every, ("zero point",), lambda editor, node: editor.zero_point(node)),
        "swapped channels": (every, ("channels 3 and 7 swapped",), lambda e, node: e.weights(node, swapped)),
        "transposed weights": ((LAST,), ("transposed",), lambda e, node: e.weights(node, transposed)),
        "bias off by one": ((MIDDLE,), ("bias",), lambda editor, node: editor.bias(node)),
        "wrong stride": ((DEPTHWISE,), ("stride",), lambda editor, node: editor.stride(node)),
        "wrong padding": ((DEPTHWISE,), ("padding",), lambda editor, node: editor.padding(node)),
        "float operator": ((SUM,), ("float", "operator"), lambda editor, node: editor.float_operator(node)),
        "another operand": ((SUM,), ("first", "x"), lambda editor, node: editor.operand(node)),
    }
    for name, (layers, words, spoil) in kinds.items():
        for layer in layers:
            yield Fault(name, target, "shipped", layer, words, spoil, unfelt=name in UNFELT)
    yield Fault("missing clamp", target, "mixed", CLAMPED, ("clamp",), lambda e, n: e.clamp(n), unfelt=True)


def _of_files(target: str) -> Iterator[Fault]:
    yield Fault("label order", target, "shipped", None, ("labels",), lambda e, _: e.labels(), unfelt=True)
    yield Fault("stale metadata", target, "shipped", None, (KEY,), lambda e, _: e.metadata(), unfelt=True)


FAULTS = [fault for target in EDITORS for make in (_of_layers, _of_files) for fault in make(target)]


# --- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def good_files(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Good]:
    """A good int8 file by format and network: "shipped", or "mixed", a block of V3 with some layers in float."""
    shipped = IntegerModel.load(next(exported.glob("*.edgekit")))
    sketch = FloatSketch((3, 32, 32), seed=5)
    v3_block(sketch)
    mixed, folder = sketch.integer_model(MIXED_BLOCK), tmp_path_factory.mktemp("mixed")
    for form in FORMATS.values():
        form.write_integer_model(mixed, folder / f"mixed{form.suffix}", io_dtype=IoDtype.FLOAT32)

    def good(target: str, network: str) -> Good:
        suffix = FORMATS[target].suffix
        if network == "mixed":
            return Good(folder / f"mixed{suffix}", mixed)
        return Good(next(exported.glob(f"*.int8{suffix}")), shipped)

    return good


@pytest.fixture
def plant(good_files: Callable[[str, str], Good], tmp_path: Path) -> Callable[[Fault], Planted]:
    """Plants a fault into a copy."""

    def planted(fault: Fault) -> Planted:
        good = good_files(fault.target, fault.network)
        editor = EDITORS[fault.target](good)
        fault.spoil(editor, good.node(fault.layer))
        path = tmp_path / good.path.name
        editor.save(path)
        return Planted(fault, path, good.model)

    return planted


@pytest.fixture(params=FAULTS, ids=str)
def planted(request: pytest.FixtureRequest, plant: Callable[[Fault], Planted]) -> Planted:
    """Each of the faults."""
    return plant(request.param)


@pytest.fixture(scope="session")
def editors() -> dict[str, type[Editor]]:
    """By format."""
    return EDITORS
