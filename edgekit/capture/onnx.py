"""A float ONNX file -> Graph: simplified by onnxsim and checked by it, then one function an operator.

Files differ in how they lay tensors out: converters from TensorFlow begin with a Transpose from NHWC, squeeze and
reshape around the head, and write a batch normalization as Mul and Add. So every tensor of the file is a view of one of
ours, with a name for each of its axes, and whatever only moves axes about leaves no node behind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.capture.builder import GraphBuilder
from edgekit.capture.onnx_file import read, readable
from edgekit.errors import CheckpointError, UnsupportedOperator
from edgekit.ir import Add, BatchNorm, Clamp, Graph, HardSigmoid, HardSwish, Mul, Padding

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.capture.onnx_file import OnnxFile, Operator

    Lowering = Callable[["_Call", GraphBuilder], "_View"]

_LOWERINGS: dict[str, Lowering] = {}
_RESHAPES = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
_SAME_VALUES = ("Cast", "Dropout", "Identity")
_FLOAT_TYPES = {1, 10, 11, 16}  # TensorProto.DataType: FLOAT, FLOAT16, DOUBLE, BFLOAT16


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Captured:
    """What was captured from a file.

    Attributes:
        graph: takes [N, C, H, W] and gives logits, whatever the file does before and after.
        normalization: mean and std, one number a channel, if the file normalizes its input by itself: its first layer
            reads (input - mean) / std. That is left out of the graph, and so belongs into the preprocessing.
        notes: what was left out, for people.
    """

    graph: Graph
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None
    notes: tuple[str, ...]


def capture(path: Path) -> Captured:
    """The inference graph of a float MobileNet in an .onnx file.

    Args:
        path: the file; one image input of fixed height and width, one output.

    Raises:
        CheckpointError: the file is missing, damaged or quantized, has other inputs or outputs than that, or onnxsim
            fails on it.
        UnsupportedOperator: the network uses an operator, or an attribute of one, that edgekit does not know.
        MissingDependency: onnx or onnxsim is not installed.
    """
    try:
        return _Walk(read(path)).captured(path.stem)
    except (CheckpointError, UnsupportedOperator) as error:
        raise type(error)(f"{path}: {error}") from error


def _lowers(*op_types: str) -> Callable[[Lowering], Lowering]:
    """Register the decorated function for operators of ONNX."""

    def register(function: Lowering) -> Lowering:
        for op_type in op_types:
            assert op_type not in _LOWERINGS, f"{op_type} already belongs to {_LOWERINGS[op_type].__name__}"
            _LOWERINGS[op_type] = function
        return function

    return register


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor of the file as a view of one of ours.

    Attributes:
        tensor: ours, [C, H, W] or [C].
        axes: what the axes of the file's tensor mean: "NCHW", "NHWC", "NC".
    """

    tensor: str
    axes: str


class _Walk:
    """What is known while the operators of a file are walked through."""

    def __init__(self, file: OnnxFile) -> None:
        self.file = file
        sizes = dict(zip(file.layout, file.shapes[file.input], strict=True))
        self.builder = GraphBuilder(readable(file.input) or "input", (sizes["C"], sizes["H"], sizes["W"]))
        self.values: dict[str, _View | NDArray[Any]] = dict(file.constants)
        self.values[file.input] = _View(self.builder.input, file.layout)

    def captured(self, name: str) -> Captured:
        notes = []
        softmax = self._final_softmax()
        for operator in self.file.operators:
            call = _Call(operator, self.values, self.file.shapes)
            if operator is softmax:
                notes.append(f"{operator.op_type} at the end left out: edgekit's networks give logits")
                result = call.view(0)
            elif operator.op_type in _LOWERINGS:
                result = _LOWERINGS[operator.op_type](call, self.builder)
            else:
                raise UnsupportedOperator(
                    f"edgekit does not know the operator {operator.op_type} (node {operator.name!r}): replace it by "
                    f"Conv, BatchNormalization, Relu, Clip, HardSwish, HardSigmoid, Add, Mul, GlobalAveragePool or Gemm"
                )
            self.values[operator.outputs[0]] = result
        logits = self.values[self.file.output]
        if not isinstance(logits, _View):
            raise CheckpointError("its output does not depend on its input")
        graph, normalization = _without_normalization(self.builder.finish(name, logits.tensor))
        if normalization is not None:
            mean, std = ([float(f"{value:.6g}") for value in values] for values in normalization)
            notes.append(
                f"normalization at the start left out: the preprocessing must compute (x - {mean}) / {std}, with x in "
                f"the units of the file's input"
            )
        return Captured(graph, normalization, tuple(notes))

    def _final_softmax(self) -> Operator | None:
        """The Softmax that makes the output, perhaps reshaped after it."""
        makers = {output: operator for operator in self.file.operators for output in operator.outputs}
        last = makers.get(self.file.output)
        while last is not None and last.op_type in {*_RESHAPES, *_SAME_VALUES}:
            last = makers.get(last.inputs[0])
        return last if last is not None and last.op_type in {"Softmax", "LogSoftmax"} else None


def _without_normalization(graph: Graph) -> tuple[Graph, tuple[tuple[float, ...], tuple[float, ...]] | None]:
    """The graph from its first layer on, and mean and std of the normalization before that, if there was one."""
    channels = graph.tensors[graph.input].shape[:1]
    scale, shift = np.ones(channels), np.zeros(channels)
    while len(graph.consumers(graph.input)) == 1:
        (node,) = graph.consumers(graph.input)
        values = [graph.constants[name].astype(np.float64) for name in node.inputs[1:] if name in graph.constants]
        match node.op:
            case Mul() if values:
                scale, shift = scale * values[0], shift * values[0]
            case Add() if values:
                shift = shift + values[0]
            case BatchNorm(eps=eps):
                gamma, beta, mean, variance = values
                gain = gamma / np.sqrt(variance + eps)
                scale, shift = scale * gain, (shift - mean) * gain + beta
            case _:
                break
        others = [other for other in graph if other is not node]
        names = {node.output: graph.input}
        graph = graph.with_nodes(
            [replace(other, inputs=tuple(names.get(name, name) for name in other.inputs)) for other in others]
        )
    if np.all(scale == 1) and not np.any(shift):
        return graph, None
    return graph, (tuple((-shift / scale).tolist()), tuple((1 / scale).tolist()))


class _Call:
    """An operator of the file with its operands."""

    def __init__(
        self,
        operator: Operator,
        values: Mapping[str, _View | NDArray[Any]],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        self._operator, self._values = operator, values
        self.name = operator.name
        self.op_type = operator.op_type
        self.arity = len(operator.inputs)
        self.shape = shapes.get(operator.outputs[0], ())  # of the result, the batch included

    def view(self, index: int) -> _View:
        """An operand that depends on the image."""
        value = self._value(index)
        if not isinstance(value, _View):
            raise self.refuse(f"has no operand {index} that depends on the image")
        return value

    def image(self, index: int) -> str:
        """Our name of an operand that is laid out as [N, C, H, W]."""
        view = self.view(index)
        if view.axes != "NCHW":
            raise self.refuse(f"reads a tensor laid out as {view.axes} and not as NCHW")
        return view.tensor

    def constant(self, index: int) -> NDArray[Any] | None:
        """An operand that does not depend on the image; None if it is left out."""
        value = self._value(index)
        if isinstance(value, _View):
            raise self.refuse(f"computes its operand {index} from the image")
        return value

    def array(self, index: int) -> NDArray[Any]:
        """As ``constant``, of an operand that must not be left out."""
        values = self.constant(index)
        if values is None:
            raise self.refuse(f"has no operand {index}")
        return values

    def depends_on_image(self, index: int) -> bool:
        """Whether an operand depends on the image."""
        return isinstance(self._value(index), _View)

    def number(self, attribute: str, default: float) -> float:
        """An attribute that is a number."""
        return float(self._operator.attributes.get(attribute, default))

    def numbers(self, attribute: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        """An attribute that is a list of integers."""
        return tuple(int(value) for value in self._operator.attributes.get(attribute, default))

    def text(self, attribute: str, default: str) -> str:
        """An attribute that is a word."""
        value: bytes = self._operator.attributes.get(attribute, default.encode())
        return value.decode()

    def integers(self, index: int, attribute: str) -> tuple[int, ...]:
        """Integers that older opsets have as an attribute and newer ones as an operand; empty if left out."""
        values = self.constant(index)
        return self.numbers(attribute) if values is None else tuple(int(value) for value in values.reshape(-1))

    def bound(self, index: int, attribute: str, default: float) -> float:
        """A number that older opsets have as an attribute and newer ones as an operand."""
        values = self.constant(index)
        return self.number(attribute, default) if values is None else float(values.item())

    def refuse(self, what: str) -> UnsupportedOperator:
        """An error that says where; ``what`` continues "node 'Conv_3' (Conv) ..."."""
        return UnsupportedOperator(f"node {self.name!r} ({self.op_type}) {what}, which edgekit does not support")

    def _value(self, index: int) -> _View | NDArray[Any] | None:
        name = self._operator.inputs[index] if index < len(self._operator.inputs) else ""
        return self._values[name] if name else None


@_lowers("Conv")
def _conv(call: _Call, builder: GraphBuilder) -> _View:
    x, weight = call.image(0), call.array(1)
    (height, width), stride = weight.shape[2:], call.numbers("strides", (1, 1))
    top, left, bottom, right = call.numbers("pads", (0, 0, 0, 0))
    padding = Padding(top, bottom, left, right)
    if (auto_pad := call.text("auto_pad", "NOTSET")).startswith("SAME"):
        rows, columns = builder.shape(x)[1:]
        same = Padding.same((rows, columns), (height, width), (stride[0], stride[1]))
        is_upper = auto_pad == "SAME_UPPER"
        padding = same if is_upper else Padding(same.bottom, same.top, same.right, same.left)
    made = builder.conv2d(
        call.name,
        x,
        weight,
        call.constant(2),
        stride=(stride[0], stride[1]),
        padding=padding,
        dilation=call.numbers("dilations", (1, 1)),
        groups=int(call.number("group", 1)),
    )
    return _View(made, "NCHW")


@_lowers("Gemm")
def _gemm(call: _Call, builder: GraphBuilder) -> _View:
    x, weight, bias = call.view(0), call.array(1), call.constant(2)
    if x.axes != "NC" or call.number("transA", 0):
        raise call.refuse(f"reads a tensor laid out as {x.axes} or transposed")
    weight = (weight if call.number("transB", 0) else weight.T) * call.number("alpha", 1)  # [O, I]
    if bias is not None:
        bias = np.broadcast_to(bias * call.number("beta", 1), (1, weight.shape[0]))[0]
    return _View(builder.linear(call.name, x.tensor, weight, bias), "NC")


@_lowers("MatMul")
def _mat_mul(call: _Call, builder: GraphBuilder) -> _View:
    x, weight = call.view(0), call.array(1).T  # [O, I]
    if x.axes == "NC":
        return _View(builder.linear(call.name, x.tensor, weight, None), x.axes)
    if x.axes != "NHWC":
        raise call.refuse(f"reads a tensor laid out as {x.axes}")
    # A dense layer of Keras on feature maps: the same at every pixel.
    made = builder.conv2d(
        call.name,
        x.tensor,
        weight[:, :, None, None],
        None,
        stride=(1, 1),
        padding=Padding(),
        dilation=(1, 1),
        groups=1,
    )
    return _View(made, x.axes)


@_lowers("BatchNormalization")
def _batch_normalization(call: _Call, builder: GraphBuilder) -> _View:
    x = call.view(0)
    if x.axes[1:2] != "C" or call.number("training_mode", 0):
        raise call.refuse(f"reads a tensor laid out as {x.axes}, or is in training mode")
    weight, bias, mean, variance = (call.array(index) for index in range(1, 5))
    made = builder.batch_norm(
        call.name,
        x.tensor,
        weight=weight,
        bias=bias,
        running_mean=mean,
        running_var=variance,
        eps=call.number("epsilon", 1e-5),
    )
    return _View(made, x.axes)


@_lowers("Relu")
def _relu(call: _Call, builder: GraphBuilder) -> _View:
    return _View(builder.unary(call.name, Clamp(0.0), call.view(0).tensor), call.view(0).axes)


@_lowers("Clip")
def _clip(call: _Call, builder: GraphBuilder) -> _View:
    clamp = Clamp(call.bound(1, "min", -math.inf), call.bound(2, "max", math.inf))
    return _View(builder.unary(call.name, clamp, call.view(0).tensor), call.view(0).axes)


@_lowers("Max", "Min")
def _max(call: _Call, builder: GraphBuilder) -> _View:
    x, bound = _operands(call)
    if bound.size != 1:
        raise call.refuse("has a bound for each channel")
    clamp = Clamp(bound.item()) if call.op_type == "Max" else Clamp(-math.inf, bound.item())
    return _View(builder.unary(call.name, clamp, x.tensor), x.axes)


@_lowers("HardSwish")
def _hard_swish(call: _Call, builder: GraphBuilder) -> _View:
    return _View(builder.unary(call.name, HardSwish(), call.view(0).tensor), call.view(0).axes)


@_lowers("HardSigmoid")
def _hard_sigmoid(call: _Call, builder: GraphBuilder) -> _View:
    x, slope, offset = call.view(0), call.number("alpha", 0.2), call.number("beta", 0.5)
    if math.isclose(slope, 1 / 6, rel_tol=1e-4) and offset == 0.5:
        return _View(builder.unary(call.name, HardSigmoid(), x.tensor), x.axes)
    inner = builder.affine(f"{call.name}.affine", x.tensor, np.array([slope]), np.array([offset]))
    return _View(builder.unary(call.name, Clamp(0.0, 1.0), inner), x.axes)


@_lowers("Add", "Sum")
def _add(call: _Call, builder: GraphBuilder) -> _View:
    if call.depends_on_image(0) and call.depends_on_image(1):
        a, b = _alike(call)
        return _View(builder.add(call.name, a.tensor, b.tensor), a.axes)
    x, term = _operands(call)
    return _View(builder.affine(call.name, x.tensor, np.ones(1), term), x.axes)


@_lowers("Sub")
def _sub(call: _Call, builder: GraphBuilder) -> _View:
    x, term = _operands(call)
    sign = np.ones(1) if call.depends_on_image(0) else -np.ones(1)
    return _View(builder.affine(call.name, x.tensor, sign, -sign * term), x.axes)


@_lowers("Mul")
def _mul(call: _Call, builder: GraphBuilder) -> _View:
    if call.depends_on_image(0) and call.depends_on_image(1):
        a, b = _alike(call)
        return _View(builder.mul(call.name, a.tensor, b.tensor), a.axes)
    x, factor = _operands(call)
    return _View(builder.affine(call.name, x.tensor, factor, np.zeros(1)), x.axes)


@_lowers("Div")
def _div(call: _Call, builder: GraphBuilder) -> _View:
    if call.depends_on_image(1):
        raise call.refuse("divides by what depends on the image")
    x, divisor = _operands(call)
    return _View(builder.affine(call.name, x.tensor, 1 / divisor, np.zeros(1)), x.axes)


def _alike(call: _Call) -> tuple[_View, _View]:
    """Both operands, laid out alike."""
    a, b = call.view(0), call.view(1)
    if a.axes != b.axes or call.arity > 2:
        raise call.refuse(f"has {call.arity} operands laid out as {a.axes} and {b.axes}")
    return a, b


def _operands(call: _Call) -> tuple[_View, NDArray[np.float64]]:
    """The operand that depends on the image, and the other: one number, or one a channel."""
    if call.arity > 2:
        raise call.refuse(f"has {call.arity} operands")
    index = 0 if call.depends_on_image(0) else 1
    x, values = call.view(index), call.array(1 - index).astype(np.float64)
    if values.size == 1:
        return x, values.reshape(1)
    place = len(x.axes) - x.axes.index("C")  # axes are aligned from the right
    if values.ndim < place or values.size != values.shape[-place]:
        raise call.refuse(f"has an operand of the shape {values.shape}, neither one number nor one a channel")
    return x, values.reshape(-1)


@_lowers("GlobalAveragePool")
def _global_average_pool(call: _Call, builder: GraphBuilder) -> _View:
    return _View(builder.mean(call.name, call.image(0)), "NCHW")


@_lowers("AveragePool")
def _average_pool(call: _Call, builder: GraphBuilder) -> _View:
    x, kernel = call.image(0), call.numbers("kernel_shape")
    if kernel != builder.shape(x)[1:] or any(call.numbers("pads")) or call.shape[2:] != (1, 1):
        raise call.refuse(f"pools {kernel} of {builder.shape(x)[1:]} pixels and not all of them")
    return _View(builder.mean(call.name, x), "NCHW")


@_lowers("ReduceMean")
def _reduce_mean(call: _Call, builder: GraphBuilder) -> _View:
    x = call.view(0)
    reduced = {x.axes[axis] for axis in call.integers(1, "axes")}
    if reduced != {"H", "W"}:
        raise call.refuse(f"takes a mean over {sorted(reduced) or 'all axes'} and not over height and width")
    kept = x.axes if call.number("keepdims", 1) else "NC"
    return _View(builder.mean(call.name, x.tensor), kept)


@_lowers("Pad")
def _pad(call: _Call, builder: GraphBuilder) -> _View:
    x, pads = call.view(0), call.integers(1, "pads")
    mode, value = call.text("mode", "constant"), call.bound(2, "value", 0.0)
    axes = [x.axes[axis] for axis in call.integers(3, "axes")] or list(x.axes)
    before, after = dict(zip(axes, pads, strict=False)), dict(zip(axes, pads[len(axes) :], strict=True))
    others = [size for axis in axes if axis not in "HW" for size in (before[axis], after[axis])]
    if mode != "constant" or value != 0 or any(others):
        raise call.refuse(f"pads {pads} in mode {mode!r} with {value:g}")
    padding = Padding(before.get("H", 0), after.get("H", 0), before.get("W", 0), after.get("W", 0))
    return _View(builder.pad(call.name, x.tensor, padding), x.axes)


@_lowers("Transpose")
def _transpose(call: _Call, builder: GraphBuilder) -> _View:  # noqa: ARG001 - the signature of all lowerings
    x = call.view(0)
    order = call.numbers("perm", range(len(x.axes))[::-1])
    return _View(x.tensor, "".join(x.axes[axis] for axis in order))


@_lowers(*_RESHAPES)
def _reshape(call: _Call, builder: GraphBuilder) -> _View:
    x = call.view(0)
    channels, *rest = builder.shape(x.tensor)
    height, width = rest or (1, 1)
    sizes = {"N": 1, "C": channels, "H": height, "W": width}
    if call.shape == tuple(sizes[axis] for axis in x.axes):
        return x
    place = next((i for i, size in enumerate(call.shape) if i and size == channels), 0)
    if (height, width) != (1, 1) or not place or math.prod(call.shape) != channels:
        raise call.refuse(f"reshapes {tuple(sizes[axis] for axis in x.axes)} to {call.shape}")
    spatial = iter("HW")
    axes = "N" + "".join("C" if i == place else next(spatial, "?") for i in range(1, len(call.shape)))
    if axes == "NC":
        return _View(builder.flatten(call.name, x.tensor), axes)
    return _View(builder.image(x.tensor), axes)


@_lowers("Identity")
def _identity(call: _Call, builder: GraphBuilder) -> _View:  # noqa: ARG001 - the signature of all lowerings
    return call.view(0)


@_lowers("Dropout")
def _dropout(call: _Call, builder: GraphBuilder) -> _View:  # noqa: ARG001 - see above
    if np.any(call.constant(2)):
        raise call.refuse("is in training mode")
    return call.view(0)


@_lowers("Cast")
def _cast(call: _Call, builder: GraphBuilder) -> _View:  # noqa: ARG001 - see above
    if call.number("to", 1) not in _FLOAT_TYPES:
        raise call.refuse("casts to integers")
    return call.view(0)
