"""Files that compute what they have to on this machine, and break, slow down or change elsewhere: each is named.

Spoilt as a sloppy tool or an attacker would: what one reader of a file sees is not what another sees.
"""

from __future__ import annotations

import copy
import json
import shutil
import struct
import warnings
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.config import Settings
from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import KEY
from edgekit.pipeline.making.check import check
from edgekit.pipeline.proving.inspect import inspect
from edgekit.pipeline.proving.verify import verify
from edgekit.profiles.profile import profile
from edgekit.verification.well_formed import well_formed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgekit.exporters.contents import ContentDifference
    from edgekit.integer_model import IntegerModel
    from edgekit.verification.well_formed import Problem

for needed in ("torch", "onnx", "onnxruntime", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

INNER = "layer.3"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"


@dataclass(frozen=True)
class Fault:
    """Something that no image shows.

    Attributes:
        target: the format.
        name: in a few words.
        words: that have to be said.
        edit: spoils the file in memory, with its editor.
        spoil: spoils the finished file.
        layer: of the checkpoint, that has to be named, where it is one.
        alone: it is found without the integer model, too.
        network: which good file.
    """

    target: str
    name: str
    words: str
    edit: Callable[[Any], object] = lambda _: None
    spoil: Callable[[Path], object] = lambda _: None
    layer: str | None = None
    alone: bool = True
    network: str = "mixed"

    def __str__(self) -> str:
        return f"{self.target}, {self.name}"


# --- TFLite -----------------------------------------------------------------------------------------------------------


def second_subgraph(e: Any) -> None:
    e.model.subgraphs.append(copy.copy(e.graph))


def signature_elsewhere(e: Any) -> None:
    second_subgraph(e)
    e.model.signatureDefs[0].subgraphIndex = 1


def another_signature(e: Any) -> None:
    e.model.signatureDefs.append(copy.copy(e.model.signatureDefs[0]))


def signature_without_input(e: Any) -> None:
    e.model.signatureDefs[0].inputs = []


def signature_of_an_inner_tensor(e: Any) -> None:
    inner = e.operator(e.good.node(INNER)).outputs[0]
    e.model.signatureDefs[0].outputs[0].tensorIndex = inner


def other_for_old_runtimes(e: Any) -> None:
    e.model.operatorCodes[e.operator(e.good.node(INNER)).opcodeIndex].deprecatedBuiltinCode = 0


def custom_operator_listed(e: Any) -> None:
    code = e.generated.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.customCode = 32, 32, "FlexErf"
    e.model.operatorCodes.append(code)


def two_tensors_of_one_name(e: Any) -> None:
    e.tensor(f"{INNER}.bias").name = "layer.4.bias"


def metadata_twice(e: Any) -> None:
    entry = next(entry for entry in e.model.metadata if entry.name.decode() == KEY)
    e.model.metadata.append(copy.copy(entry))


def buffer_behind_the_model(e: Any) -> None:
    """Only some readers follow such an offset."""
    place, align = e.tensor(f"{INNER}.bias").buffer, e.schema.aligned_buffer

    def save(path: Path) -> None:
        e.model.buffers = [align(e.generated, buffer.data) for buffer in e.model.buffers]
        e.model.buffers[place] = e.generated.BufferT()
        e.model.buffers[place].offset, e.model.buffers[place].size = 4096, 32
        builder = e.schema.flatbuffer_builder(2**20)
        builder.Finish(e.model.Pack(builder), file_identifier=e.schema.FILE_IDENTIFIER)
        path.write_bytes(bytes(builder.Output()))

    e.save = save


def free_batch(e: Any) -> None:
    e.tensor("image").shapeSignature = [-1, *e.tensor("image").shape[1:]]


def variable(e: Any) -> None:
    e.result(e.good.node(INNER)).isVariable = True


def parameters_on_a_float_input(e: Any) -> None:
    quantization = e.generated.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = [0.5], [3]
    e.tensor("image").quantization = quantization


def inner_output(e: Any) -> None:
    e.graph.outputs = [*e.graph.outputs, e.operator(e.good.node(INNER)).outputs[0]]


def other_release(e: Any) -> None:
    entry = next(entry for entry in e.model.metadata if entry.name.decode() == "min_runtime_version")
    e.model.buffers[entry.buffer].data = np.frombuffer(b"1.5.0".ljust(16, b"\0"), np.uint8)


def scales_as_limits(e: Any) -> None:
    """What old converters leave beside scales, and some delegates read instead."""
    quantization = e.result(e.good.node(INNER)).quantization
    quantization.min, quantization.max = [-1.0], [1.0]


def labels_twice(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the name is there already
        archive.writestr("labels.txt", "\n".join("abcdefghij"))


def appended(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(range(100)))


def between_model_and_labels(behind: bytes) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        data = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            files = [(i.filename, archive.read(i)) for i in archive.infolist()]
            start = archive.infolist()[0].header_offset
        path.write_bytes(data[:start] + behind)
        with zipfile.ZipFile(path, "a") as archive:
            for name, text in files:
                archive.writestr(name, text)

    return spoil


def buffers_in_one_place(path: Path) -> None:
    """The bytes of one constant are those of another of the same size."""
    from edgekit.exporters.tflite import schema as tflite_schema

    data = bytearray(path.read_bytes())
    root = tflite_schema.load().Model.GetRootAs(bytes(data), 0)
    places: dict[int, list[tuple[int, int]]] = {}
    for index in range(root.BuffersLength()):
        table = root.Buffers(index)._tab
        if field := table.Offset(4):
            places.setdefault(table.VectorLen(field), []).append((table.Pos + field, table.Vector(field) - 4))
    pair = next(pair for size, pair in places.items() if size > 8 and len(pair) > 1)
    field, _ = min(pair)
    _, other = max(pair, key=lambda place: place[1])
    struct.pack_into("<I", data, field, other - field)
    path.write_bytes(bytes(data))


TFLITE = [
    Fault("tflite", "second subgraph", "signatures run the subgraphs 0 of 2", second_subgraph),
    Fault("tflite", "signature of another subgraph", "signatures run the subgraphs 1 of 2", signature_elsewhere),
    Fault("tflite", "signature of no subgraph", "names a subgraph of index 3",
          lambda e: setattr(e.model.signatureDefs[0], "subgraphIndex", 3)),
    Fault("tflite", "signature twice", "is what 2 signatures are called", another_signature),
    Fault("tflite", "signature without input", "are nothing, and those of its graph image", signature_without_input),
    Fault("tflite", "signature of an inner tensor", "the outputs of the signature", signature_of_an_inner_tensor),
    Fault("tflite", "another operator for old runtimes", "runtimes before 2.4 read ADD", other_for_old_runtimes),
    Fault("tflite", "an operator that nothing uses", "FlexErf version 1 is listed", custom_operator_listed),
    Fault("tflite", "two tensors of one name", "is what 2 tensors are called", two_tensors_of_one_name),
    Fault("tflite", "metadata twice", "is what 2 entries of the metadata are called", metadata_twice),
    Fault("tflite", "buffer behind the model", "has offset", buffer_behind_the_model),
    Fault("tflite", "free batch", "has shapeSignature", free_batch),
    Fault("tflite", "variable tensor", "has isVariable", variable, layer=INNER),
    Fault("tflite", "parameters on a float input", "of image", parameters_on_a_float_input, alone=False),
    Fault("tflite", "inner tensor as output", "outputs", inner_output, alone=False),
    Fault("tflite", "another oldest release", "min_runtime_version", other_release, alone=False),
    Fault("tflite", "limits beside scales", "minimum", scales_as_limits, layer=INNER, alone=False),
    Fault("tflite", "labels twice", "2 entries of the archive are called labels.txt", spoil=labels_twice),
    Fault("tflite", "bytes behind the labels", "100 bytes stand behind the archive", spoil=appended),
    Fault("tflite", "two buffers in one place", "bytes in common", spoil=buffers_in_one_place),
    *(
        Fault("tflite", f"{len(behind)} bytes {set(behind)} behind the model", f"{len(behind)} bytes stand behind the",
              spoil=between_model_and_labels(behind))
        for size in (1, 4, 8, 15, 16, 200)
        for behind in (bytes(size), b"x" * size)
    ),
]  # fmt: skip


# --- ONNX -------------------------------------------------------------------------------------------------------------


def constants_as_inputs(e: Any) -> None:
    for tensor in e.graph.initializer:
        e.graph.input.append(e.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))


def outside(path: Path) -> None:
    import onnx

    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=64)


def outside_and_lost(path: Path) -> None:
    outside(path)
    (path.parent / "weights.bin").unlink()


def function(e: Any) -> None:
    e.model.functions.append(
        e.helper.make_function(
            "team.vision", "Twice", ["x"], ["y"], [e.helper.make_node("Add", ["x", "x"], ["y"])],
            [e.helper.make_opsetid("", 17)],
        )
    )  # fmt: skip


def sparse(e: Any) -> None:
    stored = e.helper.make_tensor("sparse", 1, [1], [1.0])
    place = e.helper.make_tensor("places", 7, [1], [0])
    e.graph.sparse_initializer.append(e.helper.make_sparse_tensor(stored, place, [4]))


def annotation(e: Any) -> None:
    e.graph.quantization_annotation.add(tensor_name="image")


def training(e: Any) -> None:
    e.model.training_info.add().algorithm.name = "more"


def unknown_field(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\xba\x3e\x04code")  # field 999, four bytes


def batch_of_two(e: Any) -> None:
    for value in (*e.graph.input, *e.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2


def inner_result(e: Any) -> None:
    name = e.good.node(INNER).output
    e.graph.output.append(e.helper.make_tensor_value_info(name, 1, ["N", "c", "h", "w"]))


ONNX = [
    Fault("onnx", "constants that are inputs", "an input of the graph as well as a constant", constants_as_inputs),
    Fault("onnx", "weights in another file", "stands in another file, weights.bin", spoil=outside),
    Fault("onnx", "weights in a file that is lost", "stands in another file, weights.bin", spoil=outside_and_lost),
    Fault("onnx", "function", "a function team.vision.Twice", function),
    Fault("onnx", "another domain", "operators of com.microsoft are asked for",
          lambda e: e.model.opset_import.append(e.helper.make_opsetid("com.microsoft", 1))),
    Fault("onnx", "two opsets", "opsets [13, 17] are named",
          lambda e: e.model.opset_import.append(e.helper.make_opsetid("ai.onnx", 13))),
    Fault("onnx", "training", "training_info", training),
    Fault("onnx", "metadata twice", "is what 2 entries of the metadata are called",
          lambda e: e.model.metadata_props.add(key=KEY, value="{}")),
    Fault("onnx", "sparse constant", "graph.sparse_initializer", sparse),
    Fault("onnx", "annotation", "graph.quantization_annotation", annotation),
    Fault("onnx", "overload", "graph.node.overload",
          lambda e: setattr(e.computing(e.good.node(INNER)), "overload", "fast"), layer=INNER),
    Fault("onnx", "an unknown field", "that the format does not have", spoil=unknown_field),
    Fault("onnx", "batch of two", "inputs", batch_of_two, alone=False),
    Fault("onnx", "inner result as output", "outputs", inner_result, alone=False),
]  # fmt: skip


# --- Core ML ----------------------------------------------------------------------------------------------------------


def manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        values = json.loads((path / "Manifest.json").read_text())
        change(values)
        (path / "Manifest.json").write_text(json.dumps(values))

    return spoil


def item(values: dict[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    return next((key, entry) for key, entry in values["itemInfoEntries"].items() if entry["name"] == name)


def key_twice(path: Path) -> None:
    text = (path / "Manifest.json").read_text()
    (path / "Manifest.json").write_text(text.replace("{", '{"rootModelIdentifier": "another", ', 1))


def second_item(values: dict[str, Any]) -> None:
    values["itemInfoEntries"]["ANOTHER"] = item(values, "weights")[1]


def unlisted_weights(values: dict[str, Any]) -> None:
    del values["itemInfoEntries"][item(values, "weights")[0]]


def linked_weights(path: Path) -> None:
    weights = path / WEIGHTS
    elsewhere = path.parent / "weight.bin"
    shutil.move(weights, elsewhere)
    weights.symlink_to(elsewhere)


def more_weights(behind: bytes) -> Callable[[Path], object]:
    return lambda path: (path / WEIGHTS).write_bytes((path / WEIGHTS).read_bytes() + behind)


def weights_between(path: Path) -> None:
    """In the bytes that fill up to the next array, where nobody looks."""
    data = bytearray((path / WEIGHTS).read_bytes())
    _, _, size, start = struct.unpack_from("<IIQQ", data, 64)
    assert (start + size) % 64
    data[start + size] = 1
    (path / WEIGHTS).write_bytes(data)


def arrays_in_one_place(path: Path) -> None:
    """The first array reads its numbers where the second has its own, if that is there, and as many."""
    data = bytearray((path / WEIGHTS).read_bytes())
    _, _, size, start = struct.unpack_from("<IIQQ", data, 64)
    second = start + size + (-(start + size) % 64)
    struct.pack_into("<Q", data, 64 + 16, second)
    (path / WEIGHTS).write_bytes(data)


def image(e: Any) -> Any:
    return e.model.description.input[0].type.imageType


def second_function(e: Any) -> None:
    e.model.mlProgram.functions["fast"].CopyFrom(e.model.mlProgram.functions["main"])


def second_program(e: Any) -> None:
    programs = e.model.mlProgram.functions["main"].block_specializations
    programs["CoreML8"].CopyFrom(programs["CoreML7"])


def weights_elsewhere(e: Any) -> None:
    for operation in e.block.operations:
        for value in operation.attributes.values():
            if value.WhichOneof("value") == "blobFileValue":
                value.blobFileValue.fileName = "weights/../weights/weight.bin"


def made_twice(e: Any) -> None:
    e.block.operations.insert(0, e.block.operations[0])


def other_output_name(e: Any) -> None:
    e.model.description.output[0].name = "class"


def flexible(e: Any) -> None:
    sizes = image(e).imageSizeRange
    sizes.widthRange.lowerBound = sizes.heightRange.lowerBound = 16


COREML = [
    Fault("coreml", "second function", "holds a second function, fast", second_function),
    Fault("coreml", "second program", "holds a second program, for CoreML8", second_program),
    Fault("coreml", "another function to run", "description.defaultFunctionName",
          lambda e: setattr(e.model.description, "defaultFunctionName", "fast")),
    Fault("coreml", "updatable", "isUpdatable", lambda e: setattr(e.model, "isUpdatable", True)),
    Fault("coreml", "BGR image", "is a BGR image, and the network was trained on RGB",
          lambda e: setattr(image(e), "colorSpace", 30), network="shipped"),
    Fault("coreml", "image of another size", "is an image of 64 x 32", lambda e: setattr(image(e), "height", 64),
          network="shipped"),
    Fault("coreml", "image of any size", "imageSizeRange", flexible, network="shipped"),
    Fault("coreml", "optional input", "isOptional",
          lambda e: setattr(e.model.description.input[0].type, "isOptional", True)),
    Fault("coreml", "output of another name", "the outputs that callers see", other_output_name),
    Fault("coreml", "value made twice", "is what 2 values of the program are called", made_twice),
    Fault("coreml", "weights elsewhere", "where Core ML does not look", weights_elsewhere),
    Fault("coreml", "manifest with a key twice", "the manifest says rootModelIdentifier twice", spoil=key_twice),
    Fault("coreml", "two items of one name", "2 items of the manifest have the name weights",
          spoil=manifest(second_item)),
    Fault("coreml", "weights that are not listed", "the manifest does not list", spoil=manifest(unlisted_weights)),
    Fault("coreml", "stray file", "the file Data/run.sh belongs to nothing",
          spoil=lambda path: (path / "Data/run.sh").write_text("ls")),
    Fault("coreml", "linked weights", "is a link to elsewhere", spoil=linked_weights),
    *(
        Fault("coreml", f"{size} bytes more weights", "bytes of the weights file belong to nothing",
              spoil=more_weights(bytes(size)))
        for size in (1, 16, 1000)
    ),
    Fault("coreml", "weights between arrays", "bytes of the weights file before offset", spoil=weights_between),
    Fault("coreml", "arrays in one place", "begins within the one before it", spoil=arrays_in_one_place),
]  # fmt: skip


# --- torch ------------------------------------------------------------------------------------------------------------


def archive_again(path: Path, change: Callable[[list[tuple[str, bytes]]], object]) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    change(entries)
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a name is there already
        for name, data in entries:
            archive.writestr(name, data)


def entry_twice(suffix: str) -> Callable[[Path], None]:
    """Another one in front: torch reads it, and Python's zipfile the one behind."""

    def spoil(path: Path) -> None:
        def change(entries: list[tuple[str, bytes]]) -> None:
            name, data = next((name, data) for name, data in entries if name.endswith(suffix))
            entries.insert(0, (name, data[::-1]))

        archive_again(path, change)

    return spoil


def another_entry(name: str) -> Callable[[Path], None]:
    return lambda path: archive_again(path, lambda entries: entries.append((name, b"x = 1\n")))


def between_entries(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries:
            archive.writestr(name, data)
            assert archive.fp is not None
            archive.fp.write(b"12345678")
            archive.start_dir += 8


def entries_in_one_place(path: Path) -> None:
    """The first entry goes on into the second."""
    archive_again(path, lambda _: None)
    data = bytearray(path.read_bytes())
    directory = data.find(b"PK\1\2")
    (size,) = struct.unpack_from("<I", data, directory + 20)
    struct.pack_into("<II", data, directory + 20, size + 40, size + 40)
    path.write_bytes(data)


def in_front(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(b"#!/bin/sh\nls\n" + bytes(100) + data)


def another_method(e: Any) -> None:
    e.code += "  def predict(self: __torch__.Network,\n    x: Tensor) -> Tensor:\n    return x\n"


def other_bytecode(e: Any) -> None:
    e.entries["bytecode.pkl"] = e.entries["bytecode.pkl"].replace(b"forward", b"backwar")


TORCH = [
    Fault("torch", "array twice", "2 entries of the archive are called", spoil=entry_twice("/data/3")),
    Fault("torch", "metadata twice", "2 entries of the archive are called", spoil=entry_twice(f"{KEY}.json")),
    Fault("torch", "program twice", "2 entries of the archive are called", spoil=entry_twice("__torch__.py")),
    Fault("torch", "second folder", "the archive holds 2 folders", spoil=another_entry("another/code/__torch__.py")),
    Fault("torch", "another program", "it holds 'code/helpers.py'", spoil=another_entry("archive/code/helpers.py")),
    Fault("torch", "bytes in front", "113 bytes before the entry", spoil=in_front),
    Fault("torch", "bytes between entries", "bytes before the entry", spoil=between_entries),
    Fault("torch", "entries in one place", "begins within the one before it", spoil=entries_in_one_place),
    Fault("torch", "bytes behind", "100 bytes stand behind the archive", spoil=appended),
    Fault("torch", "other bytecode", "bytecode", other_bytecode, alone=False),
    Fault("torch", "another method", "the method predict", another_method),
]

FAULTS = [*TFLITE, *ONNX, *COREML, *TORCH]


@pytest.fixture
def spoilt(
    good_files: Callable[[str, str], Any], editors: dict[str, Any], tmp_path: Path
) -> Callable[[Fault], tuple[Path, IntegerModel]]:
    """A copy of a good file with a fault, and the model of the good one."""

    def make(fault: Fault) -> tuple[Path, IntegerModel]:
        good = good_files(fault.target, fault.network)
        editor, path = editors[fault.target](good), tmp_path / good.path.name
        fault.edit(editor)
        editor.save(path)
        fault.spoil(path)
        return path, good.model

    return make


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_it_is_named(fault: Fault, spoilt: Callable[[Fault], tuple[Path, IntegerModel]]) -> None:
    path, model = spoilt(fault)
    found: Sequence[Problem | ContentDifference] = well_formed(path, model if fault.layer else None)
    if not fault.alone:
        found = format_of(path).differences(path, model)
    assert any(fault.words in str(problem) for problem in found), [str(problem) for problem in found]
    assert fault.layer is None or fault.layer in {problem.layer for problem in found}


@pytest.mark.parametrize("fault", [TFLITE[0], TFLITE[-1], ONNX[0], ONNX[1], COREML[0], TORCH[0]], ids=str)
def test_verify_fails(fault: Fault, spoilt: Callable[[Fault], tuple[Path, IntegerModel]]) -> None:
    path, model = spoilt(fault)
    saved = path.parent / "reference.edgekit"
    model.save(saved)
    (file,) = verify([path, saved], Settings()).files
    assert any(fault.words in gate.problem for gate in file.gates if not gate.passed)


TOO_MUCH = [
    *("two buffers in one place", "8 bytes {0} behind the model", "16 bytes {120} behind the model"),
    *("1 bytes more weights", "arrays in one place", "bytes behind"),
]


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.name in TOO_MUCH], ids=str)
def test_inspect_and_check_say_so(fault: Fault, spoilt: Callable[[Fault], tuple[Path, IntegerModel]]) -> None:
    path, _ = spoilt(fault)
    assert any(fault.words in text for text in inspect(path).irregular)
    device = {"tflite": "raspberrypi4", "coreml": "apple-neural-engine", "torch": "x86"}[fault.target]
    if fault.target in profile(device).formats:
        (file,) = check([path], device).files
        assert any(fault.words in text for text in file.irregular)
        assert not file.passed


def test_there_are_enough() -> None:
    assert len({str(fault) for fault in FAULTS}) == len(FAULTS) >= 40


@pytest.mark.parametrize("target", ["tflite", "onnx", "coreml", "torch"])
def test_editing_alone_breaks_nothing(
    target: str, good_files: Callable[[str, str], Any], editors: dict[str, Any], tmp_path: Path
) -> None:
    """So that what is found is the fault's and not the editor's."""
    good = good_files(target, "mixed")
    path = tmp_path / good.path.name
    editors[target](good).save(path)
    assert well_formed(path, good.model) == ()
