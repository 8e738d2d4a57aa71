"""Sums and products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.capture.torch_call import Call, lowers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.capture.builder import GraphBuilder


@lowers("add.Tensor", "add_.Tensor")
def _add(call: Call, builder: GraphBuilder) -> str:
    if call.number("alpha") != 1:
        raise call.refuse("adds with a factor (alpha)")
    if call.depends_on_image("input") and call.depends_on_image("other"):
        return builder.add(call.name, call.activation("input"), call.activation("other"))
    x, term = _operands(call)
    return builder.affine(call.name, x, np.ones(1), term)


@lowers("sub.Tensor", "sub_.Tensor")
def _sub(call: Call, builder: GraphBuilder) -> str:
    if call.number("alpha") != 1 or call.depends_on_image("other"):
        raise call.refuse("subtracts what depends on the image")
    x, term = _operands(call)
    return builder.affine(call.name, x, np.ones(1), -term)


@lowers("rsub.Scalar", "rsub.Tensor")
def _rsub(call: Call, builder: GraphBuilder) -> str:
    if call.number("alpha") != 1 or call.depends_on_image("other"):
        raise call.refuse("subtracts what depends on the image")
    x, minuend = _operands(call)
    return builder.affine(call.name, x, -np.ones(1), minuend)


@lowers("mul.Tensor", "mul_.Tensor")
def _mul(call: Call, builder: GraphBuilder) -> str:
    if call.depends_on_image("input") and call.depends_on_image("other"):
        return builder.mul(call.name, call.activation("input"), call.activation("other"))
    x, factor = _operands(call)
    return builder.affine(call.name, x, factor, np.zeros(1))


@lowers("div.Tensor", "div_.Tensor")
def _div(call: Call, builder: GraphBuilder) -> str:
    if call.depends_on_image("other"):
        raise call.refuse("divides by what depends on the image")
    x, divisor = _operands(call)
    return builder.affine(call.name, x, 1 / divisor, np.zeros(1))


def _operands(call: Call) -> tuple[str, NDArray[np.float64]]:
    """The operand that depends on the image, and the other: one number, or one a channel."""
    names = ("input", "other") if call.depends_on_image("input") else ("other", "input")
    x, values = call.activation(names[0]), call.array(names[1]).astype(np.float64)
    _, channels, *rest = call.shape
    if values.size == 1:
        return x, values.reshape(1)
    # Axes are aligned from the right: [C, 1, 1] or [1, C, 1, 1] beside an image, [C] or [1, C] beside a vector.
    if values.size != channels or values.shape[-1 - len(rest) :] != (channels, *(1 for _ in rest)):
        raise call.refuse(f"has an operand of the shape {values.shape}, neither one number nor one a channel")
    return x, values.reshape(channels)
