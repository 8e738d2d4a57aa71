"""One function an operator of ONNX: what it becomes in the Graph.

Every tensor of the file is a view of one of ours, with a name for each of its axes, and whatever only moves axes about
leaves no node behind. Channels that are taken from a tensor and joined again, as colours are flipped, are a 1 x 1
convolution.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.capture.onnx_call import Channels, View, lowers
from edgekit.ir import Clamp, Concat, HardSigmoid, HardSwish, Padding
from edgekit.ir.operators.padding import Same

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.capture.builder import GraphBuilder
    from edgekit.capture.onnx_call import Call

RESHAPES = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
SAME_VALUES = ("Cast", "Dropout", "Identity")
_ARITHMETIC = ("Add", "Div", "Mul", "Sub")
_FLOAT_TYPES = {1, 10, 11, 16}  # TensorProto.DataType: FLOAT, FLOAT16, DOUBLE, BFLOAT16


@lowers("Conv")
def _conv(call: Call, builder: GraphBuilder) -> View:
    stride = call.numbers("strides", (1, 1))
    top, left, bottom, right = call.numbers("pads", (0, 0, 0, 0))
    padding: Padding | Same = Padding(top, bottom, left, right)
    if (auto_pad := call.text("auto_pad", "NOTSET")).startswith("SAME"):
        padding = Same.UPPER if auto_pad == "SAME_UPPER" else Same.LOWER
    made = builder.conv2d(
        call.name,
        call.image(0),
        call.array(1),
        call.constant(2),
        stride=(stride[0], stride[1]),
        padding=padding,
        dilation=call.numbers("dilations", (1, 1)),
        groups=int(call.number("group", 1)),
    )
    return View(made, "NCHW")


@lowers("Gemm")
def _gemm(call: Call, builder: GraphBuilder) -> View:
    x, weight, bias = call.view(0), call.array(1), call.constant(2)
    if x.axes != "NC" or call.number("transA", 0):
        raise call.refuse(f"reads a tensor laid out as {x.axes} or transposed")
    weight = (weight if call.number("transB", 0) else weight.T) * call.number("alpha", 1)  # [O, I]
    if bias is not None:
        bias = np.broadcast_to(bias * call.number("beta", 1), (1, weight.shape[0]))[0]
    return View(builder.linear(call.name, x.tensor, weight, bias), "NC")


@lowers("MatMul")
def _mat_mul(call: Call, builder: GraphBuilder) -> View:
    x, weight = call.view(0), call.array(1).T  # [O, I]
    if x.axes == "NC":
        return View(builder.linear(call.name, x.tensor, weight, None), x.axes)
    if x.axes != "NHWC":
        raise call.refuse(f"reads a tensor laid out as {x.axes}")
    # A dense layer of Keras on feature maps: the same at every pixel.
    made = builder.conv2d(
        call.name,
        x.tensor,
        weight[:, :, None, None],
        None,
    )
    return View(made, x.axes)


@lowers("BatchNormalization")
def _batch_normalization(call: Call, builder: GraphBuilder) -> View:
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
    return View(made, x.axes)


@lowers("Relu")
def _relu(call: Call, builder: GraphBuilder) -> View:
    return View(builder.apply(call.name, Clamp(0.0), call.view(0).tensor), call.view(0).axes)


@lowers("Clip")
def _clip(call: Call, builder: GraphBuilder) -> View:
    clamp = Clamp(call.bound(1, "min", -math.inf), call.bound(2, "max", math.inf))
    return View(builder.apply(call.name, clamp, call.view(0).tensor), call.view(0).axes)


@lowers("Max", "Min")
def _max(call: Call, builder: GraphBuilder) -> View:
    x, bound = _operands(call)
    if bound.size != 1:
        raise call.refuse("has a bound for each channel")
    clamp = Clamp(bound.item()) if call.op_type == "Max" else Clamp(-math.inf, bound.item())
    return View(builder.apply(call.name, clamp, x.tensor), x.axes)


@lowers("HardSwish")
def _hard_swish(call: Call, builder: GraphBuilder) -> View:
    return View(builder.apply(call.name, HardSwish(), call.view(0).tensor), call.view(0).axes)


@lowers("HardSigmoid")
def _hard_sigmoid(call: Call, builder: GraphBuilder) -> View:
    x, slope, offset = call.view(0), call.number("alpha", 0.2), call.number("beta", 0.5)
    if math.isclose(slope, 1 / 6, rel_tol=1e-4) and offset == 0.5:
        return View(builder.apply(call.name, HardSigmoid(), x.tensor), x.axes)
    inner = builder.affine(f"{call.name}.affine", x.tensor, np.array([slope]), np.array([offset]))
    return View(builder.apply(call.name, Clamp(0.0, 1.0), inner), x.axes)


@lowers("Add", "Sum")
def _add(call: Call, builder: GraphBuilder) -> View:
    if call.depends_on_image(0) and call.depends_on_image(1):
        a, b = _alike(call)
        return View(builder.add(call.name, a.tensor, b.tensor), a.axes)
    x, term = _operands(call)
    return View(builder.affine(call.name, x.tensor, np.ones(1), term), x.axes)


@lowers("Sub")
def _sub(call: Call, builder: GraphBuilder) -> View:
    x, term = _operands(call)
    sign = np.ones(1) if call.depends_on_image(0) else -np.ones(1)
    return View(builder.affine(call.name, x.tensor, sign, -sign * term), x.axes)


@lowers("Mul")
def _mul(call: Call, builder: GraphBuilder) -> View:
    if call.depends_on_image(0) and call.depends_on_image(1):
        a, b = _alike(call)
        return View(builder.mul(call.name, a.tensor, b.tensor), a.axes)
    x, factor = _operands(call)
    return View(builder.affine(call.name, x.tensor, factor, np.zeros(1)), x.axes)


@lowers("Div")
def _div(call: Call, builder: GraphBuilder) -> View:
    if call.depends_on_image(1):
        raise call.refuse("divides by what depends on the image")
    x, divisor = _operands(call)
    return View(builder.affine(call.name, x.tensor, 1 / divisor, np.zeros(1)), x.axes)


def _alike(call: Call) -> tuple[View, View]:
    """Both operands, laid out alike."""
    a, b = call.view(0), call.view(1)
    if a.axes != b.axes or call.arity > 2:
        raise call.refuse(f"has {call.arity} operands laid out as {a.axes} and {b.axes}")
    return a, b


def _operands(call: Call) -> tuple[View, NDArray[np.float64]]:
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


@lowers("GlobalAveragePool")
def _global_average_pool(call: Call, builder: GraphBuilder) -> View:
    return View(builder.mean(call.name, call.image(0)), "NCHW")


@lowers("AveragePool")
def _average_pool(call: Call, builder: GraphBuilder) -> View:
    x, kernel = call.image(0), call.numbers("kernel_shape")
    if kernel != builder.shape(x)[1:] or any(call.numbers("pads")) or call.shape[2:] != (1, 1):
        raise call.refuse(f"pools {kernel} of {builder.shape(x)[1:]} pixels and not all of them")
    return View(builder.mean(call.name, x), "NCHW")


@lowers("ReduceMean")
def _reduce_mean(call: Call, builder: GraphBuilder) -> View:
    x = call.view(0)
    reduced = {x.axes[axis] for axis in call.integers(1, "axes")}
    if reduced != {"H", "W"}:
        raise call.refuse(f"takes a mean over {sorted(reduced) or 'all axes'} and not over height and width")
    kept = x.axes if call.number("keepdims", 1) else "NC"
    return View(builder.mean(call.name, x.tensor), kept)


@lowers("Pad")
def _pad(call: Call, builder: GraphBuilder) -> View:
    x, pads = call.view(0), call.integers(1, "pads")
    mode, value = call.text("mode", "constant"), call.bound(2, "value", 0.0)
    axes = [x.axes[axis] for axis in call.integers(3, "axes")] or list(x.axes)
    before, after = dict(zip(axes, pads, strict=False)), dict(zip(axes, pads[len(axes) :], strict=True))
    others = [size for axis in axes if axis not in "HW" for size in (before[axis], after[axis])]
    if mode != "constant" or value != 0 or any(others):
        raise call.refuse(f"pads {pads} in mode {mode!r} with {value:g}")
    padding = Padding(before.get("H", 0), after.get("H", 0), before.get("W", 0), after.get("W", 0))
    return View(builder.pad(call.name, x.tensor, padding), x.axes)


@lowers("Gather")
def _gather(call: Call, builder: GraphBuilder) -> Channels:
    x, indices = call.channels(0, builder), call.array(1)
    place = int(call.number("axis", 0)) % len(x.axes)
    if x.axes[place] != "C" or indices.ndim > 1:
        raise call.refuse(f"takes parts of the axis {x.axes[place]}")
    axes = x.axes if indices.ndim else x.axes[:place] + x.axes[place + 1 :]
    return x.taken(indices.reshape(-1).tolist(), axes)


@lowers("Slice")
def _slice(call: Call, builder: GraphBuilder) -> Channels:
    x = call.channels(0, builder)
    starts, ends = call.integers(1, "starts"), call.integers(2, "ends")
    axes, steps = call.integers(3, "axes") or range(len(starts)), call.integers(4, "steps") or (1,) * len(starts)
    places = range(len(x.chosen))
    sizes = dict(zip(x.axes, (1, *call.sizes(x, builder)), strict=True))
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        kind = x.axes[axis]
        # NumPy's rules but for one: ONNX writes "to the front, the first included" as a number far below 0.
        part = slice(start, None if step < 0 and end < -sizes[kind] else end, step)
        if kind == "C":
            places = places[part]
        elif len(range(*part.indices(sizes[kind]))) != sizes[kind] or step != 1:
            raise call.refuse(f"takes a part of the axis {kind} (of images: crop them before)")
    return x.taken(places)


@lowers("Tile", "Expand")
def _tile(call: Call, builder: GraphBuilder) -> Channels:
    """One channel, several times, as grey images become colours."""
    x = call.channels(0, builder)
    sizes = (1, *call.sizes(x, builder))
    if len(x.chosen) != 1 or len(call.shape) != len(sizes) or "C" not in x.axes:
        raise call.refuse(f"repeats {sizes} to {call.shape}")
    repeats = call.shape[x.axes.index("C")]
    if call.shape != tuple(repeats if axis == "C" else size for axis, size in zip(x.axes, sizes, strict=True)):
        raise call.refuse(f"repeats {sizes} to {call.shape}")
    return x.taken([0] * repeats)


@lowers("Split")
def _split(call: Call, builder: GraphBuilder) -> tuple[Channels, ...]:
    x = call.channels(0, builder)
    place = int(call.number("axis", 0)) % len(x.axes)
    parts = len(call.outputs)
    sizes = call.integers(1, "split") or (-(-len(x.chosen) // parts),) * parts
    if x.axes[place] != "C":
        raise call.refuse(f"splits the axis {x.axes[place]}")
    ends = np.cumsum(sizes)
    return tuple(x.taken(range(end - size, end)) for end, size in zip(ends, sizes, strict=True))


@lowers("Concat")
def _concat(call: Call, builder: GraphBuilder) -> View | Channels:
    parts = [call.channels(index, builder) for index in range(call.arity)]
    first, place = parts[0], int(call.number("axis", 0)) % len(parts[0].axes)
    if first.axes[place] != "C" or any(part.axes != first.axes for part in parts):
        raise call.refuse(f"joins tensors along {first.axes[place]}, or such that are laid out otherwise")
    if all(part.is_whole and len(part.chosen) == builder.shape(part.tensor)[0] for part in parts):
        return View(builder.apply(call.name, Concat(), *(part.tensor for part in parts)), first.axes)
    if any(part.tensor != first.tensor for part in parts):
        raise call.refuse("joins some channels of several tensors")
    scale, shift = (sum((part.scale for part in parts), ()), sum((part.shift for part in parts), ()))
    return Channels(first.tensor, first.axes, sum((part.chosen for part in parts), ()), scale, shift)


@lowers("Transpose")
def _transpose(call: Call, builder: GraphBuilder) -> View:  # noqa: ARG001 - the signature of all lowerings
    x = call.view(0)
    order = call.numbers("perm", range(len(x.axes))[::-1])
    return View(x.tensor, "".join(x.axes[axis] for axis in order))


@lowers(*RESHAPES)
def _reshape(call: Call, builder: GraphBuilder) -> View | Channels:
    if call.is_channels(0):
        return _unsqueezed(call, builder)
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
        return View(builder.flatten(call.name, x.tensor), axes)
    return View(builder.image(x.tensor), axes)


def _unsqueezed(call: Call, builder: GraphBuilder) -> Channels:
    """One channel that was taken out without its axis, with it."""
    x = call.channels(0, builder)
    places = [axis % len(call.shape) for axis in call.integers(1, "axes")]
    if call.op_type != "Unsqueeze" or "C" in x.axes or len(places) != 1:
        raise call.refuse("reshapes some channels of a tensor")
    return replace(x, axes=f"{x.axes[: places[0]]}C{x.axes[places[0] :]}")


def on_channels(call: Call, builder: GraphBuilder) -> Channels | None:
    """The result of arithmetic with a constant on some channels of a tensor; None if it is something else."""
    index = 0 if call.is_channels(0) else 1
    if call.op_type not in _ARITHMETIC or not call.is_channels(index) or call.depends_on_image(1 - index):
        return None
    x, values = call.channels(index, builder), call.array(1 - index).astype(np.float64).reshape(-1)
    if values.size not in {1, len(x.chosen)} or (call.op_type == "Div" and index):
        return None
    sign = -np.ones(1) if call.op_type == "Sub" and index else np.ones(1)
    scale = values if call.op_type == "Mul" else 1 / values if call.op_type == "Div" else sign
    shift = {"Add": values, "Sub": -sign * values}.get(call.op_type, np.zeros(1))
    return x.then(scale, shift)


@lowers("Neg")
def _neg(call: Call, builder: GraphBuilder) -> View:
    x = call.view(0)
    return View(builder.affine(call.name, x.tensor, -np.ones(1), np.zeros(1)), x.axes)


@lowers("Identity")
def _identity(call: Call, builder: GraphBuilder) -> View:  # noqa: ARG001 - the signature of all lowerings
    return call.view(0)


@lowers("Dropout")
def _dropout(call: Call, builder: GraphBuilder) -> View:  # noqa: ARG001 - see above
    if np.any(call.constant(2)):
        raise call.refuse("is in training mode")
    return call.view(0)


@lowers("Cast")
def _cast(call: Call, builder: GraphBuilder) -> View:  # noqa: ARG001 - see above
    if call.number("to", 1) not in _FLOAT_TYPES:
        raise call.refuse("casts to integers")
    return call.view(0)
