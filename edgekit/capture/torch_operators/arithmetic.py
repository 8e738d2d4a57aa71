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
    if call.depends_on_image("input") and call.depends_on_image("other"):
        return builder.add(call.name, call.activation("input"), _times_alpha(call, builder))
    x, terms = _operands(call, builder)
    return builder.affine(call.name, x, *_affine_sum(call, terms, "input", 1.0))


@lowers("sub.Tensor", "sub_.Tensor")
def _sub(call: Call, builder: GraphBuilder) -> str:
    if call.depends_on_image("input") and call.depends_on_image("other"):
        return builder.sub(call.name, call.activation("input"), _times_alpha(call, builder))
    x, terms = _operands(call, builder)
    return builder.affine(call.name, x, *_affine_sum(call, terms, "input", -1.0))


@lowers("rsub.Scalar", "rsub.Tensor")
def _rsub(call: Call, builder: GraphBuilder) -> str:
    if call.depends_on_image("input") and call.depends_on_image("other"):
        x = builder.affine(f"{call.name}.alpha", call.activation("input"), *_alpha(call))
        return builder.sub(call.name, call.activation("other"), x)
    x, terms = _operands(call, builder)
    return builder.affine(call.name, x, *_affine_sum(call, terms, "other", -1.0))


@lowers("neg.default", "neg_.default")
def _neg(call: Call, builder: GraphBuilder) -> str:
    return builder.affine(call.name, call.activation("input"), -np.ones(1), np.zeros(1))


@lowers("mul.Tensor", "mul_.Tensor")
def _mul(call: Call, builder: GraphBuilder) -> str:
    if call.depends_on_image("input") and call.depends_on_image("other"):
        return builder.mul(call.name, call.activation("input"), call.activation("other"))
    x, factor = _operands(call, builder)
    return builder.affine(call.name, x, factor, np.zeros(1))


@lowers("div.Tensor", "div_.Tensor")
def _div(call: Call, builder: GraphBuilder) -> str:
    if call.depends_on_image("other"):
        raise call.refuse("divides by what depends on the image", "multiply by what a layer makes instead")
    x, divisor = _operands(call, builder)
    return builder.affine(call.name, x, 1 / divisor, np.zeros(1))


def _alpha(call: Call) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the subtrahend or second summand is multiplied by, as a scale and a shift."""
    return np.array([call.number("alpha", 1.0)]), np.zeros(1)


def _times_alpha(call: Call, builder: GraphBuilder) -> str:
    """The second operand, multiplied by alpha."""
    return builder.affine(f"{call.name}.alpha", call.activation("other"), *_alpha(call))


def _affine_sum(
    call: Call, terms: NDArray[np.float64], first: str, sign: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and shift of the operand that depends on the image in ``first + sign alpha second``."""
    factor = sign * _alpha(call)[0]
    return (np.ones(1), factor * terms) if call.depends_on_image(first) else (factor, terms)


def _operands(call: Call, builder: GraphBuilder) -> tuple[str, NDArray[np.float64]]:
    """The operand that depends on the image, and the other, as ``GraphBuilder.affine`` takes it."""
    names = ("input", "other") if call.depends_on_image("input") else ("other", "input")
    x, values = call.activation(names[0]), call.array(names[1]).astype(np.float64)
    if values.size == 1:
        return x, values.reshape(1)
    # Axes are aligned from the right, and the first of them is the batch.
    aligned = values.reshape(*[1] * (len(call.shape) - values.ndim), *values.shape)
    shape = builder.shape(x)
    if len(aligned) == 1 and aligned.size == shape[0] == aligned.shape[1]:
        return x, aligned.reshape(-1)
    if len(aligned) > 1 or aligned.ndim != len(shape) + 1 or np.broadcast_shapes(aligned.shape[1:], shape) != shape:
        raise call.refuse(f"has an operand of the shape {values.shape} beside a tensor of the shape {(1, *shape)}")
    return x, aligned[0]
