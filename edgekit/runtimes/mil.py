"""Programs of the Model Intermediate Language, interpreted: one function an operator, by Apple's specification of it.

Parameters are called as in the specification, and have its defaults. What an operator computes is what its docstring
and its value inference say in coremltools/converters/mil/mil/ops/defs (version 9.0), where "Source" names the file.

**Arithmetic.** Every operator computes in float32, and its result is rounded once to the type that the program declares
for it. So a float32 program is computed as it says. Of a float16 program this is one reading among several: nothing
specifies in which order the Neural Engine or the GPU sum, nor that they round between each operator and the next.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ArtifactError
from edgekit.exporters.coreml.codec import Reference
from edgekit.ir import Conv2d, MaxPool2d, Padding, Resize
from edgekit.ir.operators.operator import Window
from edgekit.ir.operators.resize import ALIGNED, ASYMMETRIC, HALF_PIXEL
from edgekit.reference.convolution import convolve, largest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.exporters.coreml.codec import Operation, Program, ValueType

Array = Any  # NDArray of float32, or of the integers that quantize makes
Real = Any  # NDArray[np.float32]

_CONSTANT_EXPRESSION = "constexpr_"
_SAMPLING = {"UNALIGN_CORNERS": HALF_PIXEL, "STRICT_ALIGN_CORNERS": ALIGNED, "DEFAULT": ASYMMETRIC}
_FLOATS = {"fp16": np.float16, "fp32": np.float32}  # as cast spells them

_TABLE: dict[str, Callable[..., Any]] = {}


class Interpreter:
    """Runs a program. Constant expressions are computed once, when it is loaded."""

    def __init__(self, program: Program) -> None:
        """Prepare ``program``.

        Raises:
            ArtifactError: it has an operator or a parameter that is not known here, or lacks one.
        """
        self.program = program
        self._constants: dict[str, Any] = {}
        self._steps: list[_Step] = []
        for operation in program.operations:
            step = _Step(operation)
            if operation.operator.startswith(_CONSTANT_EXPRESSION):
                self._constants |= {name: _widened(value) for name, value in step.run({}).items()}
            else:
                self._steps.append(step)
        self._last_reader = {name: step for step in self._steps for name in step.reads}

    @property
    def values(self) -> tuple[str, ...]:
        """The names of all arrays that follow from the input, which is among them, in the order of their making."""
        made = (item for step in self._steps for item in step.operation.outputs.items())
        return (*self.program.inputs, *(name for name, value in made if _is_array(value)))

    def run(self, inputs: Mapping[str, NDArray[Any]], keep: Collection[str]) -> dict[str, Any]:
        """Run every operation.

        Args:
            inputs: by name, in the shapes that the program declares.
            keep: names of the values to return. Others are forgotten after their last reader.

        Returns:
            The values in ``keep`` by name, in the types that the program declares.

        Raises:
            ArtifactError: an operation cannot be computed, or makes something else than the program says.
        """
        declared = self.program.inputs
        given = {name: _fitted(value, declared[name], f"input {name!r}") for name, value in inputs.items()}
        values = self._constants | given
        with np.errstate(over="ignore"):  # exp of what is far from 0, and float16's early infinity
            for step in self._steps:
                values |= step.run(values)
                for name in step.reads:
                    if self._last_reader[name] is step and name not in keep:
                        values.pop(name, None)  # one operation may read it twice
        return {name: values[name] for name in keep}


class _Step:
    """An operation with the function that computes it."""

    def __init__(self, operation: Operation) -> None:
        if operation.operator not in _TABLE:
            raise ArtifactError(f"operation {operation.output!r} is a {operation.operator}, which edgekit does not run")
        self.operation = operation
        self._title = f"operation {operation.output!r} ({operation.operator})"
        self._function = _TABLE[operation.operator]
        self.reads = operation.reads
        arguments = {name: _widened(argument) for name, argument in operation.arguments.items()}
        try:
            inspect.signature(self._function).bind(**arguments)
        except TypeError as error:
            raise ArtifactError(f"{self._title}: {error}") from error
        self._read = {name: argument for name, argument in arguments.items() if _is_read(argument)}
        self._constant = {name: argument for name, argument in arguments.items() if name not in self._read}

    def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What the operation makes of ``values``, by name."""
        arguments = {name: _resolved(argument, values) for name, argument in self._read.items()}
        try:
            result = self._function(**self._constant, **arguments)
        except (ValueError, TypeError, IndexError) as error:
            raise ArtifactError(f"{self._title} cannot be computed: {error}") from error
        outputs = self.operation.outputs
        results = result if len(outputs) > 1 else (result,)
        return {
            name: _fitted(value, declared, self._title) if _is_array(declared) else value
            for (name, declared), value in zip(outputs.items(), results, strict=True)
        }


def _is_read(argument: Any) -> bool:  # noqa: ANN401 - any argument
    """Whether an argument names what others provide, alone or in a list."""
    return isinstance(argument, Reference) or (isinstance(argument, tuple) and any(map(_is_read, argument)))


def _resolved(argument: Any, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any argument
    """An argument with values for the names in it."""
    if isinstance(argument, Reference):
        return _widened(values[argument.name])
    return tuple(_resolved(element, values) for element in argument) if isinstance(argument, tuple) else argument


def _is_array(value: ValueType) -> bool:
    return value.dtype not in {"string", "dictionary"}


def _widened(value: Any) -> Any:  # noqa: ANN401 - any argument
    """float16 in float32, which operators compute in; anything else as it is."""
    return value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == np.float16 else value


def _fitted(value: NDArray[Any], declared: ValueType, title: str) -> NDArray[Any]:
    """A result rounded to the type that is declared for it, whose shape it must have."""
    is_declared = value.dtype == declared.dtype or (
        value.dtype.kind == "f" and declared.dtype in {"float16", "float32"}
    )
    if not is_declared or not _fits(value.shape, declared.shape):
        raise ArtifactError(
            f"{title} is {value.dtype} {list(value.shape)}, but declared as {declared.dtype} {list(declared.shape)}"
        )
    return value.astype(declared.dtype, copy=False)


def _fits(shape: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    """Whether an array has the shape that is declared, where -1 is any size."""
    return shape == declared or (
        len(shape) == len(declared) and all(there in {here, -1} for here, there in zip(shape, declared, strict=True))
    )


# --- operators --------------------------------------------------------------------------------------------------------


def _implements(operator: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        assert operator not in _TABLE, operator
        _TABLE[operator] = function
        return function

    return register


@_implements("conv")
def _conv(  # noqa: PLR0913 - the specification's parameters
    *,
    x: Real,
    weight: Real,
    bias: Real | None = None,
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Real:
    """Of x [N, I, H, W], weight [O, I / groups, kH, kW], bias [O]. Source: iOS15/conv.py and iOS17/conv.py."""
    if x.ndim != 4:
        raise ValueError("edgekit runs convolutions over two axes")
    stride, dilation = (int(strides[0]), int(strides[1])), (int(dilations[0]), int(dilations[1]))
    reach = Window(stride, Padding(), dilation).reach(weight.shape[2:])
    padding = _padding(pad_type, pad, x.shape[2:], reach, stride)
    if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ValueError(f"weights {list(weight.shape)} in {groups} groups do not fit an input {list(x.shape)}")
    y = convolve(Conv2d(stride, padding, int(groups), dilation), x, weight)
    if bias is not None:
        y += bias[:, None, None]
    return y


def _padding(
    pad_type: str, pad: Sequence[int], size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]
) -> Padding:
    """Rows and columns around the input of a convolution or pool. Source: aggregated_pad in _utils.py."""
    match pad_type:
        case "valid":
            return Padding()
        case "custom":
            return Padding(*(int(width) for width in pad))
        case "same":
            return Padding.same(size, kernel, stride)
        case "same_lower":
            p = Padding.same(size, kernel, stride)
            return Padding(p.bottom, p.top, p.right, p.left)
        case _:
            raise ValueError(f"the specification has no padding {pad_type!r}")


@_implements("linear")
def _linear(*, x: Real, weight: Real, bias: Real | None = None) -> Real:
    """Of x [N, I], weight [O, I], bias [O]. Source: iOS15/linear.py."""
    y = x @ weight.T
    return y if bias is None else y + bias


@_implements("batch_norm")
def _batch_norm(  # noqa: PLR0913 - the specification's parameters
    *,
    x: Real,
    mean: Real,
    variance: Real,
    gamma: Real | None = None,
    beta: Real | None = None,
    epsilon: float | Real = 1e-5,
) -> Real:
    """``gamma (x - mean) / sqrt(variance + epsilon) + beta``, a channel each. Source: iOS15/normalization.py."""
    scale = (1 if gamma is None else gamma) / np.sqrt(variance + np.float32(epsilon))
    shift = (0 if beta is None else beta) - mean * scale
    return x * _along(scale, 1, x.ndim) + _along(shift, 1, x.ndim)


@_implements("add")
def _add(*, x: Real, y: Real) -> Real:
    """``x + y``, broadcast. Source: iOS15/elementwise_binary.py."""
    return x + y


@_implements("sub")
def _sub(*, x: Real, y: Real) -> Real:
    """``x - y``, broadcast. Source: iOS15/elementwise_binary.py."""
    return x - y


@_implements("mul")
def _mul(*, x: Real, y: Real) -> Real:
    """``x y``, broadcast. Source: iOS15/elementwise_binary.py."""
    return x * y


@_implements("real_div")
def _real_div(*, x: Real, y: Real) -> Real:
    """``x / y``, broadcast. Source: iOS15/elementwise_binary.py."""
    return x / y


@_implements("maximum")
def _maximum(*, x: Real, y: Real) -> Real:
    """The larger of two, broadcast. Source: iOS15/elementwise_binary.py."""
    return np.maximum(x, y)


@_implements("minimum")
def _minimum(*, x: Real, y: Real) -> Real:
    """The smaller of two, broadcast. Source: iOS15/elementwise_binary.py."""
    return np.minimum(x, y)


@_implements("relu")
def _relu(*, x: Real) -> Real:
    """``max(x, 0)``. Source: iOS15/activation.py."""
    return np.maximum(x, 0)


@_implements("relu6")
def _relu6(*, x: Real) -> Real:
    """``min(max(x, 0), 6)``. Source: iOS15/activation.py."""
    return np.clip(x, 0, 6)


@_implements("leaky_relu")
def _leaky_relu(*, x: Real, alpha: Real) -> Real:
    """``x`` where it is above 0, else ``alpha x``. Source: iOS15/activation.py."""
    return np.where(x >= 0, x, alpha * x)


@_implements("prelu")
def _prelu(*, x: Real, alpha: Real) -> Real:
    """As ``leaky_relu``, with an alpha a channel. Source: iOS15/activation.py."""
    return np.where(x >= 0, x, _along(alpha, 1, x.ndim) * x)


@_implements("clip")
def _clip(*, x: Real, alpha: Real, beta: Real) -> Real:
    """``min(max(x, alpha), beta)``. Source: iOS15/elementwise_unary.py."""
    return np.clip(x, alpha, beta)


@_implements("sigmoid")
def _sigmoid(*, x: Real) -> Real:
    """``1 / (1 + exp(-x))``. Source: iOS15/activation.py."""
    return 1 / (1 + np.exp(-x))


@_implements("floor")
def _floor(*, x: Real) -> Real:
    """The largest integers that are not above. Source: iOS15/elementwise_unary.py."""
    return np.floor(x)


@_implements("sigmoid_hard")
def _sigmoid_hard(*, x: Real, alpha: Real, beta: Real) -> Real:
    """``min(max(alpha x + beta, 0), 1)``. Source: iOS15/activation.py."""
    return np.clip(alpha * x + beta, 0, 1)


@_implements("softmax")
def _softmax(*, x: Real, axis: int = -1) -> Real:
    """``exp(x)`` over its sum along an axis. Source: iOS15/activation.py."""
    y = np.exp(x - x.max(axis, keepdims=True))
    return y / y.sum(axis, keepdims=True)


@_implements("reduce_argmax")
def _reduce_argmax(*, x: Real, axis: int = -1, keep_dims: bool = False) -> Array:
    """The first of equal ones, of which the specification promises nothing. Source: iOS15/reduction.py."""
    return np.argmax(x, axis=int(axis), keepdims=bool(keep_dims)).astype(np.int32)


@_implements("reduce_mean")
def _reduce_mean(*, x: Real, axes: Sequence[int] | None = None, keep_dims: bool = False) -> Real:
    """The mean over axes, all if none are named. Source: iOS15/reduction.py."""
    return x.mean(None if axes is None else tuple(axes), keepdims=bool(keep_dims))


@_implements("avg_pool")
def _avg_pool(  # noqa: PLR0913 - the specification's parameters
    *,
    x: Real,
    kernel_sizes: Sequence[int],
    pad_type: str,
    strides: Sequence[int] = (1, 1),
    pad: Sequence[int] = (0, 0, 0, 0),
    ceil_mode: bool = False,
    exclude_padding_from_average: bool = False,
) -> Real:
    """The mean of each window, with or without the padding in it. Source: iOS15/pool.py."""
    if x.ndim != 4 or ceil_mode:
        raise ValueError("edgekit pools over two axes, without ceil_mode")
    stride, kernel = (int(strides[0]), int(strides[1])), (int(kernel_sizes[0]), int(kernel_sizes[1]))
    op = Conv2d(stride, _padding(pad_type, pad, x.shape[2:], kernel, stride), groups=x.shape[1])
    ones = np.ones((x.shape[1], 1, *kernel), np.float32)
    if exclude_padding_from_average:
        return convolve(op, x, ones) / convolve(op, np.ones_like(x), ones)
    return convolve(op, x, ones) / ones[0].size


@_implements("max_pool")
def _max_pool(  # noqa: PLR0913 - the specification's parameters
    *,
    x: Real,
    kernel_sizes: Sequence[int],
    pad_type: str,
    strides: Sequence[int] = (1, 1),
    pad: Sequence[int] = (0, 0, 0, 0),
    ceil_mode: bool = False,
) -> Real:
    """The largest number of each window; what is around x is smaller than any. Source: iOS15/pool.py."""
    if x.ndim != 4 or ceil_mode:
        raise ValueError("edgekit pools over two axes, without ceil_mode")
    stride, kernel = (int(strides[0]), int(strides[1])), (int(kernel_sizes[0]), int(kernel_sizes[1]))
    return largest(MaxPool2d(kernel, stride, _padding(pad_type, pad, x.shape[2:], kernel, stride)), x, -np.inf)


@_implements("pad")
def _pad(*, x: Real, pad: Sequence[int], mode: str = "constant", constant_val: float | Real = 0.0) -> Real:
    """Widths are (before, after) for each of the last axes. Source: iOS15/tensor_operation.py."""
    widths = np.reshape(pad, (-1, 2))
    widths = np.concatenate([np.zeros((x.ndim - len(widths), 2), int), widths])
    match mode:
        case "constant":
            return np.pad(x, widths, constant_values=constant_val)
        case "reflect":
            return np.pad(x, widths, "reflect")
        case "replicate":
            return np.pad(x, widths, "edge")
        case _:
            raise ValueError(f"the specification has no mode {mode!r}")


@_implements("reshape")
def _reshape(*, x: Array, shape: Sequence[int]) -> Array:
    """A 0 keeps the axis that is as far from the last. Source: iOS17/tensor_transformation.py, reshape."""
    kept = (*[1] * len(shape), *x.shape)[-len(shape) :]
    return x.reshape([int(size) or there for size, there in zip(shape, kept, strict=True)])


@_implements("transpose")
def _transpose(*, x: Array, perm: Sequence[int]) -> Array:
    """Source: iOS15/tensor_transformation.py."""
    return np.ascontiguousarray(x.transpose(perm))


@_implements("squeeze")
def _squeeze(*, x: Array, axes: Sequence[int] | None = None) -> Array:
    """Source: iOS15/tensor_transformation.py."""
    return x.squeeze(None if axes is None else tuple(axes))


@_implements("expand_dims")
def _expand_dims(*, x: Array, axes: Sequence[int]) -> Array:
    """Source: iOS15/tensor_transformation.py."""
    return np.expand_dims(x, tuple(axes))


@_implements("concat")
def _concat(*, values: Sequence[Array], axis: int, interleave: bool = False) -> Array:
    """Source: iOS15/tensor_operation.py."""
    if interleave:
        raise ValueError("edgekit does not interleave")
    return np.concatenate(values, axis)


@_implements("upsample_nearest_neighbor")
def _upsample_nearest_neighbor(*, x: Real, scale_factor_height: int = 1, scale_factor_width: int = 1) -> Real:
    """By whole factors, over the last two axes. Source: iOS15/image_resizing.py."""
    factors = float(scale_factor_height), float(scale_factor_width)
    if not all(factor.is_integer() for factor in factors):
        raise ValueError("edgekit enlarges by whole factors")
    return x.repeat(int(factors[0]), x.ndim - 2).repeat(int(factors[1]), x.ndim - 1)


@_implements("resize_bilinear")
def _resize_bilinear(
    *, x: Real, target_size_height: int = 1, target_size_width: int = 1, sampling_mode: str = "DEFAULT"
) -> Real:
    """Of the last two axes, one after the other. Source: iOS15/image_resizing.py."""
    if sampling_mode not in _SAMPLING:
        raise ValueError(f"edgekit does not sample as {sampling_mode!r}")
    op = Resize((int(target_size_height), int(target_size_width)), _SAMPLING[sampling_mode])
    rows, columns = (weights.astype(np.float32) for weights in op.weights(x.shape[1:]))
    return rows @ x @ columns.T


@_implements("slice_by_index")
def _slice_by_index(
    *, x: Array, begin: Sequence[int], end: Sequence[int], stride: Sequence[int] | None = None
) -> Array:
    """Source: iOS15/tensor_transformation.py; edgekit writes none of its masks."""
    ends = zip(begin, end, [1] * len(begin) if stride is None else stride, strict=True)
    return np.ascontiguousarray(x[tuple(slice(*map(int, places)) for places in ends)])


@_implements("identity")
def _identity(*, x: Array) -> Array:
    """Source: iOS15/tensor_operation.py."""
    return x


@_implements("cast")
def _cast(*, x: Real, dtype: str) -> Real:
    """Between the floating-point types. Source: iOS15/elementwise_unary.py."""
    if dtype not in _FLOATS:
        raise ValueError(f"edgekit casts to {' and '.join(_FLOATS)}, not to {dtype}")
    return x.astype(_FLOATS[dtype])


@_implements("quantize")
def _quantize(
    *,
    input: Real,  # noqa: A002 - the specification's name
    scale: Real,
    output_dtype: str,
    zero_point: Array | None = None,
    axis: int | None = None,
) -> Array:
    """``clip(round(input / scale) + zero_point)``, halves to the even integer.

    Source: iOS17/quantization_ops.py, and quantize_by_scale_and_zp in coremltools/optimize/_utils.py.
    """
    if output_dtype not in {"int8", "uint8"}:
        raise ValueError(f"the specification has no integers {output_dtype}")
    y = input / _along(scale, axis, input.ndim)
    np.rint(y, out=y)
    if zero_point is not None:
        y += _along(zero_point, axis, input.ndim)
    limits = np.iinfo(output_dtype)
    return np.clip(y, limits.min, limits.max, out=y).astype(output_dtype)


@_implements("dequantize")
def _dequantize(
    *,
    input: Array,  # noqa: A002 - the specification's name
    scale: Real,
    zero_point: Array | None = None,
    axis: int | None = None,
) -> Real:
    """``scale (input - zero_point)``. Source: iOS17/quantization_ops.py."""
    y = input.astype(np.float32)
    if zero_point is not None:
        y -= _along(zero_point, axis, input.ndim)
    y *= _along(scale, axis, input.ndim)
    return y


@_implements("constexpr_affine_dequantize")
def _affine(*, quantized_data: Array, zero_point: Array, scale: Real, axis: int) -> Real:
    """As ``dequantize``. Source: iOS16/constexpr_ops.py."""
    return _dequantize(input=quantized_data, scale=scale, zero_point=zero_point, axis=axis)


@_implements("constexpr_blockwise_shift_scale")
def _blockwise(*, data: Array, scale: Real, offset: Array | None = None) -> Real:
    """``scale (data - offset)``, for each block of ``data``. Source: iOS18/compression.py."""

    def spread(array: Array) -> Array:
        for axis, (size, blocks) in enumerate(zip(data.shape, scale.shape, strict=True)):
            array = np.repeat(array, size // blocks, axis)
        return array

    y = data.astype(np.float32)
    if offset is not None:
        y -= spread(offset)
    return y * spread(scale)


@_implements("classify")
def _classify(*, probabilities: Real, classes: Sequence[str]) -> tuple[str, dict[str, float]]:
    """The class with the highest score, and the scores of all. Source: iOS15/classify.py."""
    scores = probabilities.reshape(-1)
    return classes[int(scores.argmax())], dict(zip(classes, scores.tolist(), strict=True))


def _along(parameter: Array, axis: int | None, rank: int) -> Array:
    """A scalar as it is, a vector so that it broadcasts along ``axis``.

    Source: promote_rank_to_same_as_data in coremltools/optimize/_utils.py.
    """
    if parameter.ndim == 0:
        return parameter
    if axis is None:
        raise ValueError("several scales need an axis")
    shape = [1] * rank
    shape[axis] = -1
    return parameter.reshape(shape)
