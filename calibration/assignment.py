"""Ranges -> the integer model: every scale, zero point, int8 weight and int32 bias, decided once.

1. Wanted scales come from the ranges of the tensors, cut down to what a fused clamp lets through: afterwards the clamp
   is nothing but the saturation of int8.
2. Some are raised, so that no kernel refuses a ratio of them (``_Assignment._raise_wanted``).
3. A walk in topological order fixes them one after the other, so that every requantization ratio is tie-free
   (``edgekit.quantization``). Convolutions and linear layers set no conditions: an ADD moves the scale of an operand
   that is still free and that of the sum, a MUL or MEAN that of its result.
4. Weight scales take up what is left: S_w = r S_out / S_in with r the tie-free fraction nearest to what max|w| / 127
   asks for. Then weights and biases are rounded.

Scales are exact fractions until the very end, where files store them as float32.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.ranges import Range
from edgekit.errors import DataError, UnsupportedOperator
from edgekit.integer_model import IntegerModel
from edgekit.ir import Add, Conv2d, Flatten, Linear, Mean, Mul, Pad
from edgekit.preprocessing import Normalization
from edgekit.quantization import (
    BIAS_LIMIT,
    INT8_MAX,
    INT8_MIN,
    WEIGHT_MAX,
    WEIGHT_MIN,
    NoTieFreeScaleError,
    QuantParams,
    Ratio,
    activation_params,
    odd_fractions,
    solve_add,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph, Node

CONSTANT_TOLERANCE = 1e-3  # of an added constant and of that sum's scale: for hard-swish both are errors of its gain
# What scales are raised to, in relation to others. A grid much finer than the one its values come from gains nothing,
# and neither does an operand with a grid much finer than its sum's.
_SUM_OF_OPERAND = Fraction(1, 16)
_OPERAND_OF_SUM = Fraction(1, 64)
_MEAN_OF_INPUT = Fraction(1, 64)  # up to here a MEAN's smallest denominator is safe: edgekit.quantization
_RATIO = RATIO_LIMIT // 2  # the walk may still move scales a little


def quantize(model: FloatModel, ranges: Mapping[str, Range], *, pixel_input: bool = True) -> IntegerModel:
    """The integer model of ``model``.

    Args:
        model: in ``passes.integer_form``.
        ranges: of every tensor, by name.
        pixel_input: fold the normalization into the first convolution, so that the int8 input is pixel - 128.

    Raises:
        DataError: a tensor has no range.
        UnsupportedOperator: the graph holds an operator that has no integer form, or scales that no tie-free fraction fits.
    """
    graph, normalization = model.graph, model.preprocessing.normalization
    input_range = ranges.get(graph.input)
    if pixel_input:
        graph, normalization = fold_normalization(graph, normalization)
        input_range = Range(*((edge - normalization.mean[0]) / normalization.std[0] for edge in (0.0, 255.0)))
    missing = [name for name in graph.tensors if name not in ranges and name != graph.input]
    if missing or input_range is None:
        raise DataError(f"there is no range for {missing or [graph.input]}: calibrate this network again")
    assigned = _Assignment(graph, {**ranges, graph.input: input_range})
    try:
        assigned.walk()
    except NoTieFreeScaleError as error:
        raise UnsupportedOperator(f"{graph.name}: {error}") from error
    return IntegerModel(
        graph=graph.with_nodes([replace(node, activation=None) for node in graph], constants=assigned.constants),
        params=assigned.params(),
        ratios=assigned.ratios,
        preprocessing=model.preprocessing,
        normalization=normalization,
        pixel_input=pixel_input,
        labels=model.labels,
        provenance=model.provenance,
    )


def fold_normalization(graph: Graph, normalization: Normalization) -> tuple[Graph, Normalization]:
    """Move the normalization of pixels into the first convolution, as far as the int8 grid asks for.

    The int8 input q = pixel - 128 has one scale S and one integer zero point z, so it means x' = S (q - z) in every channel,
    where the network wants x_c = (pixel - m_c) / s_c. With S = 1 / s, s the mean of the s_c, and z the mean of m_c - 128
    rounded, x_c = (s / s_c) x' + (128 + z - m_c) / s_c: a gain for the weights and an offset for the bias. Padding with
    z stands for pixel 128 + z, not for m_c, so the border is off by at most the offset times the padded taps' weights.

    Returns:
        The graph, and what its input means: (pixel - (128 + z)) / s.

    Raises:
        UnsupportedOperator: the input goes anywhere but into one convolution.
    """
    readers = graph.consumers(graph.input)
    if len(readers) != 1 or not isinstance(readers[0].op, Conv2d):
        raise UnsupportedOperator(
            f"the input of {graph.name} does not go into one convolution, so the normalization cannot be folded: "
            f"use --input normalized"
        )
    mean, std = np.array(normalization.mean), np.array(normalization.std)
    common_std, centre = float(std.mean()), float(np.rint(mean.mean()))
    centre = float(np.rint(centre))
    _, weight, bias = readers[0].inputs
    offset = (centre - mean) / std  # [I], what x_c is where x' is 0
    kernel = graph.constants[weight].astype(np.float64)  # [O, I, kH, kW]
    constants = {
        weight: (kernel * (common_std / std)[None, :, None, None]).astype(np.float32),
        bias: (graph.constants[bias] + (kernel.sum((2, 3)) @ offset)).astype(np.float32),
    }
    channels = len(normalization.mean)
    return graph.with_nodes(graph.nodes, constants=constants), Normalization((centre,) * channels, (common_std,) * channels)


class _Assignment:
    """The walk over one graph: what has been decided so far."""

    def __init__(self, graph: Graph, ranges: Mapping[str, Range]) -> None:
        self.graph = graph
        self.wanted: dict[str, Fraction] = {}
        self.zero_points: dict[str, int] = {}
        for name in graph.tensors:
            scale, zero_point = activation_params(ranges[name].low, ranges[name].high)
            self.wanted[name], self.zero_points[name] = Fraction(scale), zero_point
        self.scales: dict[str, Fraction] = {}  # those that are fixed
        self.weight_params: dict[str, QuantParams] = {}
        self.ratios: dict[str, Ratio] = {}
        self.constants: dict[str, NDArray[Any]] = {}
        self.fix(graph.input)

    def walk(self) -> None:
        for node in self.graph:
            match node.op:
                case Conv2d() | Linear():
                    self.fix(node.inputs[0])
                case Add() if node.inputs[1] in self.graph.constants:
                    self._add_constant(node)
                case Add():
                    self._add(node)
                case Mul():
                    a, b = (self.fix(name) for name in node.inputs)
                    self._result(node, a * b)
                case Mean():
                    _, height, width = self.graph.tensors[node.inputs[0]].shape
                    self._result(node, self.fix(node.inputs[0]) / (height * width))
                case Pad() | Flatten():
                    self.scales[node.output] = self.fix(node.inputs[0])
                    self.zero_points[node.output] = self.zero_points[node.inputs[0]]
                case _:
                    raise UnsupportedOperator(
                        f"layer {node.name!r} ({type(node.op).__name__}) has no integer form: put it behind a convolution or "
                        f"linear layer, or replace it"
                    )
        for node in self.graph:
            if isinstance(node.op, Conv2d | Linear):
                self._weights(node)

    def fix(self, tensor: str) -> Fraction:
        """The scale of ``tensor``, from now on unchangeable."""
        return self.scales.setdefault(tensor, self.wanted[tensor])

    def params(self) -> dict[str, QuantParams]:
        """The parameters of every tensor and int8 constant."""
        activations = {
            name: QuantParams(np.array([float(self.fix(name))], np.float32), self.zero_points[name])
            for name in self.graph.tensors
        }
        return activations | self.weight_params

    def _result(self, node: Node, accumulator_scale: Fraction) -> None:
        """Fix the output of MUL or MEAN so that accumulator_scale / S_out is tie-free."""
        ratio = odd_fractions(np.array([float(accumulator_scale / self.wanted[node.output])]))
        self.ratios[node.name] = ratio
        self.scales[node.output] = accumulator_scale / ratio.fraction()

    def _add(self, node: Node) -> None:
        # The operand that is fixed already leads; where both are free, the first does.
        lead, other = sorted(node.inputs, key=lambda name: name not in self.scales)
        wanted_out = self.wanted[node.output]
        a, fixed_b = self.fix(lead), other in self.scales
        wanted_b = self.scales.get(other, max(self.wanted[other], wanted_out * ADD_RATIO_MIN))
        solution = solve_add(a, wanted_b, wanted_out, fixed_b=fixed_b)
        self.scales[other], self.scales[node.output] = solution.b, solution.out
        ratio = solution.ratio
        swapped = lead != node.inputs[0]
        self.ratios[node.name] = Ratio(ratio.numerator[::-1].copy(), ratio.denominator) if swapped else ratio

    def _add_constant(self, node: Node) -> None:
        """x + c: the constant is stored as one int8 value k with a scale of its own, so that k S_c is c nearly exactly."""
        x, constant = node.inputs
        value = float(self.graph.constants[constant].reshape(-1)[0])
        stored = int(math.copysign(INT8_MAX, value))
        solution = solve_add(
            self.fix(x), Fraction(value) / stored, self.wanted[node.output], fixed_b=False, tolerance=CONSTANT_TOLERANCE
        )
        self.scales[node.output], self.ratios[node.name] = solution.out, solution.ratio
        self.constants[constant] = np.array([stored], np.int8)
        self.weight_params[constant] = QuantParams(np.array([float(solution.b)], np.float32))

    def _weights(self, node: Node) -> None:
        x, weight, bias = node.inputs
        s_in, s_out = float(self.fix(x)), float(self.fix(node.output))
        real = self.graph.constants[weight].astype(np.float64)
        largest = np.abs(real).reshape(len(real), -1).max(1)  # [O]
        ratio = odd_fractions(largest / WEIGHT_MAX * s_in / s_out)
        scale = ratio.value * s_out / s_in  # [O]
        stored = np.rint(real / scale.reshape(-1, *[1] * (real.ndim - 1)))
        stored_bias = np.rint(self.graph.constants[bias].astype(np.float64) / (s_in * scale))
        if np.abs(stored_bias).max() > BIAS_LIMIT:
            channel = int(np.abs(stored_bias).argmax())
            raise UnsupportedOperator(
                f"channel {channel} of {node.name!r} has a bias of {self.graph.constants[bias][channel]:g}, which does not "
                f"fit int32 at an output range of {s_out * (INT8_MAX - INT8_MIN):g}: check that weight and the calibration images"
            )
        self.ratios[node.name] = ratio
        self.weight_params[weight] = QuantParams(scale.astype(np.float32))
        self.constants[weight] = np.clip(stored, WEIGHT_MIN, WEIGHT_MAX).astype(np.int8)
        self.constants[bias] = stored_bias.astype(np.int32)
