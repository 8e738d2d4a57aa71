"""A float .onnx file, read, checked and simplified by onnxsim, as plain values."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import extras
from edgekit.capture.onnx_batch import with_batch_of_one
from edgekit.capture.onnx_cut import ends, reads, way_out
from edgekit.errors import CheckpointError, ConfigError, UnsupportedOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_EXTRA = "onnx"
_DOMAINS = {"", "ai.onnx"}  # of ONNX's own operators


@dataclass(frozen=True, slots=True)
class Operator:
    """A NodeProto.

    Attributes:
        name: readable; not always unique.
        op_type: as in the operator specification.
        inputs: names of tensors; "" for one that is left out.
        outputs: names of tensors.
        attributes: numbers, lists, bytes.
    """

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class OnnxFile:
    """A network with one input.

    Attributes:
        input: name of the input tensor.
        layout: what the input's axes mean: "NCHW" or "NHWC".
        takes_integers: the input's elements are integers, so pixels of 0 to 255.
        outputs: names of the output tensors.
        operators: in topological order, without those that only hold constants.
        constants: by name.
        shapes: of the tensors, by name, with a batch of 1.
        opset: the version of ONNX's operators.
        path: of the file.
        named: the tensors that the file itself has, under the same names.
        notes: what was changed, for people.
    """

    input: str
    layout: str
    takes_integers: bool
    outputs: tuple[str, ...]
    operators: tuple[Operator, ...]
    constants: Mapping[str, NDArray[Any]]
    shapes: Mapping[str, tuple[int, ...]]
    opset: int
    path: Path
    named: frozenset[str]
    notes: tuple[str, ...]


def read(path: Path, size: tuple[int, int] | None = None) -> OnnxFile:
    """Read, check and simplify a file.

    Args:
        path: the file.
        size: (height, width) of the image in pixels, for a file that leaves them open.

    Raises:
        CheckpointError: it is missing, damaged or quantized, has other inputs than one image, leaves its size open, or
            onnxsim fails on it.
        ConfigError: ``size`` is another one than the file's.
        UnsupportedOperator: an operator is not of ONNX itself.
        MissingDependency: onnx or onnxsim is not installed.
    """
    model = _read(path)
    _check(model, path)
    notes = _without_unused_inputs(model)
    layout = _input_layout(model)
    shape = _input_shape(model, layout, size)
    notes += with_batch_of_one(model, image_of(model), shape)
    if layout != "NCHW":
        notes += (f"the file takes {layout}, as TensorFlow's do: edgekit's files have the layout of their format",)
    named = frozenset(name for node in model.graph.node for name in node.output)
    return _parse(_simplify(model, shape), layout, path, named, notes)


def _read(path: Path) -> Any:  # noqa: ANN401 - a ModelProto; onnx is optional
    """The model in the file, checked, with functions inlined."""
    onnx, inliner = extras.load("onnx", _EXTRA), extras.load("onnx.inliner", _EXTRA)
    if not path.is_file():
        raise CheckpointError(
            f"it {'is a folder' if path.is_dir() else 'does not exist'}: give the path of an .onnx file"
        )
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except Exception as error:  # protobuf raises nearly anything on a damaged file
        raise CheckpointError(f"it is no ONNX file, or damaged ({_first_line(error)}): export it again") from error
    for initializer in model.graph.initializer:
        for entry in initializer.external_data:
            if entry.key == "location" and not (path.parent / entry.value).is_file():
                raise CheckpointError(
                    f"its weights are in a file of their own, {entry.value!r}, which is not in {path.parent}: put it "
                    f"there, or save the network as one file (onnx.save, save_as_external_data=False)"
                )
    try:
        model = onnx.load(path, format="protobuf")
        onnx.checker.check_model(model)
        return inliner.inline_local_functions(model) if model.functions else model
    except Exception as error:  # onnx and protobuf raise nearly anything on a damaged file
        raise CheckpointError(f"it is no ONNX file, or damaged ({_first_line(error)}): export it again") from error


def _check(model: Any, path: Path) -> None:  # noqa: ANN401 - see above
    """Refuse what is no float network of ONNX's own operators."""
    for node in model.graph.node:
        if re.search(r"Quantize|QLinear|QGemm|Integer", node.op_type):
            raise CheckpointError(
                f"it is quantized already ({node.op_type} {node.name!r}): give the float file that it was made from"
            )
        if node.domain in _DOMAINS:
            continue
        theirs = "" if node.domain == "ai.onnx.ml" else "give the file as it was before a runtime optimized it, or "
        raise UnsupportedOperator(
            f"edgekit does not know the operator {node.domain}::{node.op_type} (node {node.name!r}), and cannot keep "
            f"it in float: {theirs}{_way_out(model, path)}"
        )


def _way_out(model: Any, path: Path) -> str:  # noqa: ANN401 - see above
    """How to go on without the operators that are not of ONNX itself."""
    nodes, image = model.graph.node, image_of(model).name
    foreign = [place for place, node in enumerate(nodes) if node.domain not in _DOMAINS]
    steps = [(reads(node), node.output) for node in nodes]
    return way_out(path, image, ends(steps, foreign, image, [value.name for value in model.graph.output]))


def _without_unused_inputs(model: Any) -> tuple[str, ...]:  # noqa: ANN401 - see above
    """Drop inputs that nothing reads; says which.

    Raises:
        CheckpointError: others than one image are left.
    """
    read = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    unused = [value.name for value in _inputs(model) if value.name not in read] if len(_inputs(model)) > 1 else []
    kept = [value for value in model.graph.input if value.name not in unused]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    names = [value.name for value in _inputs(model)]
    if len(names) != 1:
        raise CheckpointError(
            f"it has {len(names)} inputs ({', '.join(names)}), and edgekit's files take one image: cut out "
            f"the part that the image goes through, onnx.utils.extract_model(FILE, PART, [IMAGE], [OUTPUTS])"
        )
    return tuple(f"the input {name!r} left out: nothing reads it" for name in unused)


def image_of(model: Any) -> Any:  # noqa: ANN401 - see above
    """The declaration of the one input."""
    (image,) = _inputs(model)
    return image


def _inputs(model: Any) -> list[Any]:  # noqa: ANN401 - see above
    """The inputs that a caller gives; files of IR version 3 list the weights among the inputs, too."""
    initializers = {initializer.name for initializer in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initializers]


def _input_layout(model: Any) -> str:  # noqa: ANN401 - see above
    """What the axes of the input mean, found by going back from the first convolution: "NCHW" or "NHWC"."""
    image = image_of(model)
    makers = {output: node for node in model.graph.node for output in node.output}
    first = next((node for node in model.graph.node if node.op_type == "Conv"), None)
    name, layout = first.input[0] if first is not None else image.name, "NCHW"
    while name != image.name and name in makers:
        node = makers[name]
        if node.op_type == "Transpose":
            order = next((list(attribute.ints) for attribute in node.attribute), [3, 2, 1, 0])
            layout = "".join(axis for _, axis in sorted(zip(order, layout, strict=False)))
        made = [read for read in node.input if read in makers and makers[read].op_type != "Constant"]
        name = image.name if image.name in node.input else next(iter(made), "")
    return layout


def _input_shape(model: Any, layout: str, size: tuple[int, int] | None) -> tuple[int, ...]:  # noqa: ANN401 - see above
    """The input's shape with a batch of 1."""
    image = image_of(model)
    sizes = [axis.dim_value if axis.HasField("dim_value") else 0 for axis in image.type.tensor_type.shape.dim]
    if len(sizes) != len(layout):
        raise CheckpointError(f"its input {image.name!r} has the shape {sizes}, and edgekit wants images, [N, C, H, W]")
    by_axis = dict(zip(layout, sizes, strict=True)) | {"N": 1}
    by_axis["C"] = by_axis["C"] or _channels(model)
    own = by_axis["H"], by_axis["W"]
    if size is not None and any(fixed not in {0, wanted} for fixed, wanted in zip(own, size, strict=True)):
        raise ConfigError(
            f"model.resolution is {size[0]}x{size[1]}, and the ONNX file says that itself, {own[0]}x{own[1]}: leave it "
            f"out"
        )
    if size is None and not all(own):
        free = ", ".join(axis for axis in "HW" if not by_axis[axis])
        raise CheckpointError(
            f"its input {image.name!r} leaves {free} open, and edgekit needs a fixed size: say it, "
            f"--set model.resolution=224, or HEIGHTxWIDTH"
        )
    if size is not None:
        by_axis["H"], by_axis["W"] = size
    return tuple(by_axis[axis] for axis in layout)


def _channels(model: Any) -> int:  # noqa: ANN401 - see above
    """How many channels the first convolution reads: those of the image, where the input leaves them open."""
    first = next((node for node in model.graph.node if node.op_type == "Conv"), None)
    weights = {initializer.name: initializer.dims for initializer in model.graph.initializer}
    if first is None or first.input[1] not in weights:
        raise CheckpointError(f"its input {image_of(model).name!r} leaves C open: export it with fixed channels")
    return int(weights[first.input[1]][1])


def _simplify(model: Any, input_shape: Sequence[int]) -> Any:  # noqa: ANN401 - see above
    """The model with constants folded and shapes fixed, and compared with the original by onnxsim on random input."""
    onnxsim, inference = extras.load("onnxsim", _EXTRA), extras.load("onnx.shape_inference", _EXTRA)
    image = image_of(model)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints how far its check is
            simplified, is_equal = onnxsim.simplify(
                model,
                check_n=1,
                overwrite_input_shapes={image.name: list(input_shape)},
                skip_fuse_bn=True,  # edgekit folds it in float64, which dead channels need
                skipped_optimizers=[
                    "fuse_preceding_mul_into_conv",  # x / 255 says what the file takes
                    "eliminate_nop_monotone_argmax",  # classes that are equally probable are not equal as logits
                    "fuse_matmul_add_bias_into_gemm_batched",  # which joins the batch with the places of a feature map
                ],
            )
        if is_equal:
            return inference.infer_shapes(simplified)
    except Exception as error:  # onnxsim and ONNX Runtime raise nearly anything
        raise CheckpointError(f"onnxsim cannot simplify it ({_first_line(error)}): export it again") from error
    raise CheckpointError("onnxsim changes what it computes: export it again with another opset")


def _parse(model: Any, layout: str, path: Path, named: frozenset[str], notes: tuple[str, ...]) -> OnnxFile:  # noqa: ANN401 - see above
    helper, numpy_helper = extras.load("onnx.helper", _EXTRA), extras.load("onnx.numpy_helper", _EXTRA)
    graph = model.graph
    operators = [
        Operator(
            readable(node.name) or node.op_type,
            node.op_type,
            reads(node),
            tuple(node.output),
            {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute},
        )
        for node in graph.node
    ]
    shapes = {
        value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    constants = {initializer.name: numpy_helper.to_array(initializer) for initializer in graph.initializer}
    for operator in operators:
        if operator.op_type == "Constant":
            (value,) = operator.attributes.values()
            is_tensor = "value" in operator.attributes
            constants[operator.outputs[0]] = numpy_helper.to_array(value) if is_tensor else np.asarray(value)
    others = tuple(operator for operator in operators if operator.op_type != "Constant")
    image, float_types = image_of(model), {1, 10, 11, 16}  # TensorProto.DataType: FLOAT, FLOAT16, DOUBLE, BFLOAT16
    takes_integers = image.type.tensor_type.elem_type not in float_types
    outputs = tuple(value.name for value in graph.output)
    opset = next(int(entry.version) for entry in model.opset_import if entry.domain in _DOMAINS)
    return OnnxFile(image.name, layout, takes_integers, outputs, others, constants, shapes, opset, path, named, notes)


def readable(name: str) -> str:
    """A node's or tensor's name with dots, and without the repetitions of torch's exporter.

    >>> readable("/features/features.1/conv/conv.0/conv.0.0/Conv")
    'features.1.conv.0.0.Conv'
    """
    parts = [part for part in re.split(r"[/:]+", name) if part]
    followers = [*parts[1:], ""]
    return ".".join(
        part for part, follower in zip(parts, followers, strict=True) if not follower.startswith(f"{part}.")
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
