"""Activations that stand by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.capture.torch_call import Call, lowers
from edgekit.ir import Clamp, HardSigmoid, HardSwish, Sigmoid, Softmax

if TYPE_CHECKING:
    from edgekit.capture.builder import GraphBuilder


@lowers("relu.default", "relu_.default")
def _relu(call: Call, builder: GraphBuilder) -> str:
    return builder.apply(call.name, Clamp(0.0), call.activation("input"))


@lowers("relu6.default", "relu6_.default")
def _relu6(call: Call, builder: GraphBuilder) -> str:
    return builder.apply(call.name, Clamp(0.0, 6.0), call.activation("input"))


@lowers("hardtanh.default", "hardtanh_.default")
def _hardtanh(call: Call, builder: GraphBuilder) -> str:
    clamp = Clamp(call.number("min_val"), call.number("max_val"))
    return builder.apply(call.name, clamp, call.activation("input"))


@lowers("clamp.default", "clamp_.default")
def _clamp(call: Call, builder: GraphBuilder) -> str:
    clamp = Clamp(call.number("min", -np.inf), call.number("max", np.inf))
    return builder.apply(call.name, clamp, call.activation("input"))


@lowers("hardswish.default", "hardswish_.default")
def _hardswish(call: Call, builder: GraphBuilder) -> str:
    return builder.apply(call.name, HardSwish(), call.activation("input"))


@lowers("hardsigmoid.default", "hardsigmoid_.default")
def _hardsigmoid(call: Call, builder: GraphBuilder) -> str:
    return builder.apply(call.name, HardSigmoid(), call.activation("input"))


@lowers("sigmoid.default", "sigmoid_.default")
def _sigmoid(call: Call, builder: GraphBuilder) -> str:
    return builder.apply(call.name, Sigmoid(), call.activation("input"))


@lowers("silu.default", "silu_.default")
def _silu(call: Call, builder: GraphBuilder) -> str:
    return builder.silu(call.name, call.activation("input"))


@lowers("softmax.int")
def _softmax(call: Call, builder: GraphBuilder) -> str:
    x, axis = call.activation("input"), int(call.number("dim")) % len(call.shape)
    if not axis:
        raise call.refuse("takes a soft-max over the batch")
    return builder.apply(call.name, Softmax(axis), x)


@lowers("leaky_relu.default", "leaky_relu_.default")
def _leaky_relu(call: Call, builder: GraphBuilder) -> str:
    return builder.prelu(call.name, call.activation("input"), np.array([call.number("negative_slope", 0.01)]))


@lowers("prelu.default")
def _prelu(call: Call, builder: GraphBuilder) -> str:
    return builder.prelu(call.name, call.activation("input"), call.array("weight"))
