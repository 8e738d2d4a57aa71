"""A float .onnx file, read, checked and simplified by onnxsim, as plain values."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import extras
from edgekit.errors import CheckpointError, UnsupportedOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_EXTRA = "onnx"


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
    """A network with one input and one output.

    Attributes:
        input: name of the input tensor.
        layout: what the input's axes mean: "NCHW" or "NHWC".
        output: name of the output tensor.
        operators: in topological order, without those that only hold constants.
        constants: by name.
        shapes: of the tensors, by name, with a batch of 1.
    """

    input: str
    layout: str
    output: str
    operators: tuple[Operator, ...]
    constants: Mapping[str, NDArray[Any]]
    shapes: Mapping[str, tuple[int, ...]]


def read(path: Path) -> OnnxFile:
    """Read, check and simplify a file.

    Raises:
        CheckpointError: it is missing, damaged or quantized, has other inputs or outputs than one image of a fixed
            size and one tensor, or onnxsim fails on it.
        UnsupportedOperator: an operator is not of ONNX itself.
        MissingDependency: onnx or onnxsim is not installed.
    """
    model = _read(path)
    _check(model)
    layout = _input_layout(model)
    return _parse(_simplify(model, _input_shape(model, layout)), layout)


def _read(path: Path) -> Any:  # noqa: ANN401 - a ModelProto; onnx is optional
    """The model in the file, checked, with functions inlined."""
    onnx, inliner = extras.load("onnx", _EXTRA), extras.load("onnx.inliner", _EXTRA)
    if not path.is_file():
        raise CheckpointError(
            f"it {'is a folder' if path.is_dir() else 'does not exist'}: give the path of an .onnx file"
        )
    try:
        model = onnx.load(path, format="protobuf")
        onnx.checker.check_model(model)
        return inliner.inline_local_functions(model) if model.functions else model
    except Exception as error:  # onnx and protobuf raise nearly anything on a damaged file
        raise CheckpointError(
            f"it is no ONNX file, damaged, or lacks its external data ({_first_line(error)}): export it again"
        ) from error


def _check(model: Any) -> None:  # noqa: ANN401 - see above
    """Refuse what is not a float network with one input and one output."""
    for node in model.graph.node:
        if re.search(r"Quantize|QLinear|QGemm|Integer", node.op_type):
            raise CheckpointError(
                f"it is quantized already ({node.op_type} {node.name!r}): give the float file that it was made from"
            )
        if node.domain not in {"", "ai.onnx"}:
            raise UnsupportedOperator(
                f"edgekit does not know the operator {node.domain}::{node.op_type} (node {node.name!r}): give the file "
                f"as it was exported, before a runtime optimized it"
            )
    inputs, outputs = [value.name for value in _inputs(model)], [value.name for value in model.graph.output]
    for what, names in {"input": inputs, "output": outputs}.items():
        if len(names) != 1:
            raise CheckpointError(
                f"it has {len(names)} {what}s ({', '.join(names)}), and edgekit wants one image and its logits: cut "
                f"the network out with onnx.utils.extract_model"
            )


def _inputs(model: Any) -> list[Any]:  # noqa: ANN401 - see above
    """The inputs that a caller gives; files of IR version 3 list the weights among the inputs, too."""
    initializers = {initializer.name for initializer in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initializers]


def _input_layout(model: Any) -> str:  # noqa: ANN401 - see above
    """What the axes of the input mean, found by going back from the first convolution: "NCHW" or "NHWC"."""
    (image,) = _inputs(model)
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


def _input_shape(model: Any, layout: str) -> tuple[int, ...]:  # noqa: ANN401 - see above
    """The input's shape with a batch of 1."""
    (image,) = _inputs(model)
    sizes = [axis.dim_value if axis.HasField("dim_value") else 0 for axis in image.type.tensor_type.shape.dim]
    if len(sizes) != len(layout):
        raise CheckpointError(f"its input {image.name!r} has the shape {sizes}, and edgekit wants images, [N, C, H, W]")
    free = [axis for axis, size in zip(layout, sizes, strict=True) if axis != "N" and size < 1]
    if free:
        raise CheckpointError(
            f"its input {image.name!r} leaves {', '.join(free)} open, and edgekit needs fixed sizes: set them with "
            f"python -m onnxruntime.tools.make_dynamic_shape_fixed --input_name {image.name} "
            f"--input_shape {','.join({'N': '1', 'C': '3'}.get(axis, '224') for axis in layout)} IN OUT"
        )
    return tuple(1 if axis == "N" else size for axis, size in zip(layout, sizes, strict=True))


def _simplify(model: Any, input_shape: Sequence[int]) -> Any:  # noqa: ANN401 - see above
    """The model with constants folded and shapes fixed, and compared with the original by onnxsim on random input."""
    onnxsim, inference = extras.load("onnxsim", _EXTRA), extras.load("onnx.shape_inference", _EXTRA)
    (image,) = _inputs(model)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints how far its check is
            simplified, is_equal = onnxsim.simplify(
                model,
                check_n=1,
                overwrite_input_shapes={image.name: list(input_shape)},
                skip_fuse_bn=True,  # edgekit folds it in float64, which dead channels need
            )
        if is_equal:
            return inference.infer_shapes(simplified)
    except Exception as error:  # onnxsim and ONNX Runtime raise nearly anything
        raise CheckpointError(f"onnxsim cannot simplify it ({_first_line(error)}): export it again") from error
    raise CheckpointError("onnxsim changes what it computes: export it again with another opset")


def _parse(model: Any, layout: str) -> OnnxFile:  # noqa: ANN401 - see above
    helper, numpy_helper = extras.load("onnx.helper", _EXTRA), extras.load("onnx.numpy_helper", _EXTRA)
    graph = model.graph
    operators = [
        Operator(
            readable(node.name) or node.op_type,
            node.op_type,
            tuple(node.input),
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
    (image,) = _inputs(model)
    return OnnxFile(image.name, layout, graph.output[0].name, others, constants, shapes)


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
