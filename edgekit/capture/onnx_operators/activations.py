"""Activations that stand by themselves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgekit.capture.advice import replacement
from edgekit.capture.onnx_call import View, axes_of, lowers
from edgekit.capture.onnx_operators.arithmetic import operands
from edgekit.ir import Clamp, HardSigmoid, HardSwish, Sigmoid, Softmax

if TYPE_CHECKING:
    from edgekit.capture.builder import GraphBuilder
    from edgekit.capture.onnx_call import Call

_SOFTMAX_OF_ONE_AXIS = 13  # the first opset whose Softmax sums along one axis


@lowers("Relu")
def _relu(call: Call, builder: GraphBuilder) -> View:
    return View(builder.apply(call.name, Clamp(0.0), call.view(0).tensor), call.view(0).axes)


@lowers("Clip")
def _clip(call: Call, builder: GraphBuilder) -> View:
    clamp = Clamp(call.bound(1, "min", -math.inf), call.bound(2, "max", math.inf))
    return View(builder.apply(call.name, clamp, call.view(0).tensor), call.view(0).axes)


@lowers("Max", "Min")
def _max(call: Call, builder: GraphBuilder) -> View:
    if call.depends_on_image(0) and call.depends_on_image(1):
        raise call.refuse("compares two tensors", replacement(call.op_type))
    x, bound = operands(call, builder)
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


@lowers("Sigmoid")
def _sigmoid(call: Call, builder: GraphBuilder) -> View:
    return View(builder.apply(call.name, Sigmoid(), call.view(0).tensor), call.view(0).axes)


@lowers("Softmax")
def _softmax(call: Call, builder: GraphBuilder) -> View:
    """Before opset 13, all axes from the given one on count as one: https://onnx.ai/onnx/operators/onnx__Softmax.html."""
    x, is_old = call.view(0), call.opset < _SOFTMAX_OF_ONE_AXIS
    place = int(call.number("axis", 1 if is_old else -1)) % len(x.axes)
    sizes = dict(zip(axes_of(len(builder.shape(x.tensor))), (1, *builder.shape(x.tensor)), strict=True))
    if not place or (is_old and any(sizes[axis] > 1 for axis in x.axes[place + 1 :])):
        raise call.refuse(f"takes a soft-max over the axes {x.axes[place:]} together")
    return View(builder.apply(call.name, Softmax([*sizes].index(x.axes[place])), x.tensor), x.axes)


@lowers("LeakyRelu")
def _leaky_relu(call: Call, builder: GraphBuilder) -> View:
    x = call.view(0)
    return View(builder.prelu(call.name, x.tensor, np.array([call.number("alpha", 0.01)])), x.axes)


@lowers("PRelu")
def _prelu(call: Call, builder: GraphBuilder) -> View:
    x, slope = operands(call, builder)
    return View(builder.prelu(call.name, x.tensor, slope), x.axes)
