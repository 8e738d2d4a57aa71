"""Sums and products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.capture.onnx_call import Channels, View, axes_of, lowers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.capture.builder import GraphBuilder
    from edgekit.capture.onnx_call import Call

_ARITHMETIC = ("Add", "Div", "Mul", "Sub")


@lowers("Sum")
def _sum(call: Call, builder: GraphBuilder) -> View:
    if call.arity <= 2:
        return _sum_of_two(call, builder)
    first, *others = (call.view(index) for index in range(call.arity))
    if any(other.axes != first.axes for other in others):
        raise call.refuse("adds more than two tensors of several layouts")
    total = first.tensor
    for other in others:
        total = builder.add(call.name, total, other.tensor)
    return View(total, first.axes)


@lowers("Add")
def _add(call: Call, builder: GraphBuilder) -> View:
    return _sum_of_two(call, builder)


def _sum_of_two(call: Call, builder: GraphBuilder) -> View:
    if call.depends_on_image(0) and call.depends_on_image(1):
        a, b = _alike(call)
        return View(builder.add(call.name, a.tensor, b.tensor), a.axes)
    x, term = operands(call, builder)
    return View(builder.affine(call.name, x.tensor, np.ones(1), term), x.axes)


@lowers("Sub")
def _sub(call: Call, builder: GraphBuilder) -> View:
    if call.depends_on_image(0) and call.depends_on_image(1):
        a, b = _alike(call)
        return View(builder.sub(call.name, a.tensor, b.tensor), a.axes)
    x, term = operands(call, builder)
    sign = np.ones(1) if call.depends_on_image(0) else -np.ones(1)
    return View(builder.affine(call.name, x.tensor, sign, -sign * term), x.axes)


@lowers("Mul")
def _mul(call: Call, builder: GraphBuilder) -> View:
    if call.depends_on_image(0) and call.depends_on_image(1):
        a, b = _alike(call)
        return View(builder.mul(call.name, a.tensor, b.tensor), a.axes)
    x, factor = operands(call, builder)
    return View(builder.affine(call.name, x.tensor, factor, np.zeros(1)), x.axes)


@lowers("Div")
def _div(call: Call, builder: GraphBuilder) -> View:
    if call.depends_on_image(1):
        raise call.refuse("divides by what depends on the image")
    x, divisor = operands(call, builder)
    return View(builder.affine(call.name, x.tensor, 1 / divisor, np.zeros(1)), x.axes)


def _alike(call: Call) -> tuple[View, View]:
    """Both operands, laid out alike."""
    a, b = call.view(0), call.view(1)
    if a.axes != b.axes or call.arity > 2:
        raise call.refuse(f"has {call.arity} operands laid out as {a.axes} and {b.axes}")
    return a, b


def operands(call: Call, builder: GraphBuilder) -> tuple[View, NDArray[np.float64]]:
    """The operand that depends on the image, and the other, as ``GraphBuilder.affine`` takes it."""
    if call.arity > 2:
        raise call.refuse(f"has {call.arity} operands")
    index = 0 if call.depends_on_image(0) else 1
    x, values = call.view(index), call.array(1 - index).astype(np.float64)
    if values.size == 1:
        return x, values.reshape(1)
    shape = builder.shape(x.tensor)
    usual = "NCHW" if set(x.axes) <= set("NCHW") else axes_of(len(shape))
    sizes = dict(zip(usual[1:], (*shape, 1, 1), strict=False))
    wanted = tuple(sizes.get(axis, 1) for axis in x.axes)  # with a batch of one
    if values.ndim > len(wanted) or np.broadcast_shapes(values.shape, wanted) != wanted:
        raise call.refuse(f"has an operand of the shape {values.shape} beside a tensor of the shape {wanted}")
    aligned = values.reshape(*[1] * (len(wanted) - values.ndim), *values.shape)  # axes are aligned from the right
    ours = aligned.transpose([x.axes.index(axis) for axis in usual if axis in x.axes])[0]  # as the axes of x are
    return x, ours.reshape(-1) if ours.size == shape[0] == len(ours) else ours


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
