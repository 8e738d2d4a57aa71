"""Ranges -> the integer model: every scale, zero point, int8 weight and int32 bias, decided once.

1. Wanted scales come from the ranges of the tensors, cut down to what a fused clamp lets through: afterwards the clamp
   is nothing but the saturation of int8.
2. Some are raised, so that no kernel refuses a ratio of them (``_Assignment._raise_wanted``).
3. A walk in topological order fixes them one after the other, so that every requantization ratio is tie-free
   (``edgekit.quantization``). Convolutions and linear layers set no conditions: an ADD moves the scale of an operand
   that is still free and that of the sum, a MUL or MEAN that of its result.
4. Weight scales take up what is left: S_w = r S_out / S_in with r the tie-free fraction nearest to what max|w| / 127
   asks for (/ 64 with weights of seven bits). Then weights and biases are rounded.

Scales are exact fractions until the very end, where files store them as float32.

Layers that are kept in float or have 16-bit activations (``calibration.mixed_precision``) set no conditions: what is
quantized to int8 behind them takes the scale that its range asks for, or that an ADD wants. Tensors of 16 bits have the
scale of their range; weights there are scaled to the full of int8.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import mean
from edgekit.calibration.int16 import assign_int16
from edgekit.calibration.mixed_precision import Kind, select_kinds, with_borders
from edgekit.calibration.ranges import MIN_RANGE, Range
from edgekit.errors import DataError, UnsupportedOperator
from edgekit.integer_model import SEVEN_BIT, IntegerModel
from edgekit.ir import Add, Conv2d, Flatten, Linear, Mean, Mul, Pad, Quantize, Requantize
from edgekit.preprocessing import Normalization
from edgekit.quantization import (
    BIAS_LIMIT,
    INT8_MAX,
    INT8_MIN,
    MAX_DENOMINATOR,
    RATIO_LIMIT,
    SCALE_TOLERANCE,
    WEIGHT_LIMITS,
    WEIGHT_MAX,
    NoTieFreeScaleError,
    QuantParams,
    Ratio,
    activation_params,
    odd_fractions,
    solve_add,
    solve_add_constant,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph, Node

CONSTANT_TOLERANCE = 1e-3  # of an added constant and of that sum's scale: for hard-swish both are errors of its gain
# What scales are raised to, in relation to others. A grid much finer than the one its values come from gains nothing,
# and neither does an operand with a grid much finer than its sum's.
_SUM_OF_OPERAND = Fraction(1, 16)
_OPERAND_OF_SUM = Fraction(1, 64)
_MEAN_OF_INPUT = Fraction(1, 64)  # up to here a MEAN's smallest denominator is safe: edgekit.quantization
_TRIES = 200  # denominators for a MEAN of so many values that the smallest may not serve; one in two does
_RATIO = RATIO_LIMIT // 2  # the walk may still move scales a little


def quantize(  # noqa: PLR0913 - each is a choice of the user's
    model: FloatModel,
    ranges: Mapping[str, Range],
    *,
    pixel_input: bool = True,
    per_tensor_weights: bool = False,
    weight_bits: int = 8,
    keep_float: Collection[str] = (),
    int16: Collection[str] = (),
) -> IntegerModel:
    """The integer model of ``model``.

    Args:
        model: in ``passes.integer_form``.
        ranges: of every tensor that is quantized, by name; that of the input is not needed with ``pixel_input``.
        pixel_input: fold the normalization into the first convolution, so that the int8 input is pixel - 128.
        per_tensor_weights: one scale for all output channels of a layer, as some targets want it.
        weight_bits: 8, or 7 for weights in [-64, 64]; those of layers with 16-bit activations have 8 in any case.
        keep_float: layers that stay in float, named as in ``mixed_precision.select_layers``.
        int16: layers with 16-bit activations, likewise: they read and make tensors of 16 bits.

    Raises:
        ConfigError: ``keep_float`` or ``int16`` names a layer that does not exist, or both name the same.
        DataError: a tensor has no range.
        UnsupportedOperator: an operator has no integer form, or scales that no kernel bridges.
    """
    graph, normalization = model.graph, model.preprocessing.normalization
    grids: dict[str, tuple[float, int]] = {}
    if pixel_input:
        graph, normalization = fold_normalization(graph, normalization)
        grids[graph.input] = (1 / normalization.std[0], int(normalization.mean[0]) + INT8_MIN)
    layer_kinds = select_kinds(graph, keep_float, int16)
    graph, kinds = with_borders(graph, layer_kinds)
    widened = {node.output for node in graph if isinstance(node.op, Requantize) and kinds[node.output] is Kind.INT16}
    unranged = widened | grids.keys() | {name for name, kind in kinds.items() if kind is Kind.FLOAT}
    found = _ranges(graph, ranges, [name for name in kinds if name not in unranged])
    grids = {name: _grid(found[name]) for name in found if kinds[name] is Kind.INT8} | grids
    assigned = _Assignment(graph, grids, per_tensor_weights=per_tensor_weights, weight_limit=WEIGHT_LIMITS[weight_bits])
    assigned.walk()
    params = assigned.params()
    params16, constants16 = assign_int16(graph, kinds, found, params, per_tensor_weights=per_tensor_weights)
    named = {kind: [node.name for node in graph if layer_kinds.get(node.name) is kind] for kind in Kind}
    notes = {key: named[kind] for key, kind in (("kept_float", Kind.FLOAT), ("int16", Kind.INT16)) if named[kind]}
    return IntegerModel(
        graph=graph.with_nodes(
            [replace(node, activation=None) if kinds[node.output] is Kind.INT8 else node for node in graph],
            constants=assigned.constants | constants16,
        ),
        params=params | params16,
        ratios=assigned.ratios,
        preprocessing=model.preprocessing,
        normalization=normalization,
        pixel_input=pixel_input,
        labels=model.labels,
        lowering=_lowering(seven_bit=weight_bits == 7, mixed=bool(notes)),
        provenance={**model.provenance, **notes},
    )


def _lowering(*, seven_bit: bool, mixed: bool) -> str:
    parts = [name for name, on in ((SEVEN_BIT, seven_bit), ("mixed", mixed)) if on]
    return "-".join(parts) or "universal"


def _ranges(graph: Graph, ranges: Mapping[str, Range], tensors: Collection[str]) -> dict[str, Range]:
    """What of the range of each of ``tensors`` lies within its clamp.

    What a border quantizes has the range and the clamp of what it was before; int8 that becomes int16 needs neither.

    Raises:
        DataError: a tensor has no range.
    """
    makers = {node.output: node for node in graph}
    found: dict[str, Range] = {}
    missing: list[str] = []
    for name in tensors:
        source = (
            makers[name].inputs[0] if name in makers and isinstance(makers[name].op, Quantize | Requantize) else name
        )
        if source not in ranges:
            missing.append(source)
            continue
        clamp = makers[source].activation if source in makers else None
        low, high = min(ranges[source].low, 0.0), max(ranges[source].high, 0.0)
        if clamp is not None:
            low, high = max(low, min(clamp.low, 0.0)), min(high, max(clamp.high, 0.0))
        found[name] = Range(low, high)
    if missing:
        raise DataError(f"there is no range for {', '.join(missing)}: calibrate this network again")
    return found


def fold_normalization(graph: Graph, normalization: Normalization) -> tuple[Graph, Normalization]:
    """Move the normalization of pixels into the first convolution, as far as the int8 grid asks for.

    The int8 input q = pixel - 128 has one scale S and one integer zero point z, so it means x' = S (q - z) in every
    channel, where the network wants x_c = (pixel - m_c) / s_c. With S = 1 / s, s the mean of the s_c, and 128 + z the
    mean of the m_c, rounded to a pixel, x_c = (s / s_c) x' + (128 + z - m_c) / s_c: a gain for the weights and an
    offset for the bias.

    Padding with z stands for pixel 128 + z, not for m_c. So where a tap of the kernel lies outside of the image, the
    result is off by (128 + z - m_c) / s_c times its weight: half a level of 255 for a mean of 0.5, up to 11 levels for
    ImageNet's means, which differ from channel to channel. Measured on MobileNetV2 and V3-Small at 224, that moves the
    float logits by 0.04 to 0.1 % (rms) for a mean of 0.5, and by 0.5 to 3 % for ImageNet's.

    Returns:
        The graph, and what its input means: (pixel - (128 + z)) / s.

    Raises:
        UnsupportedOperator: the input goes anywhere but into convolutions.
    """
    mean, std = np.array(normalization.mean), np.array(normalization.std)
    common_std, centre = float(std.mean()), float(np.clip(np.rint(mean.mean()), 0, 255))
    offset = (centre - mean) / std  # [I], what x_c is where x' is 0
    constants = {}
    for reader in graph.consumers(graph.input):
        if not isinstance(reader.op, Conv2d):
            raise UnsupportedOperator(
                f"the input of {graph.name} goes into {reader.name!r}, which is no convolution: the normalization "
                f"cannot become part of its weights, so put a 1 x 1 convolution before it"
            )
        _, weight, bias = reader.inputs
        kernel = graph.constants[weight].astype(np.float64)  # [O, I / groups, kH, kW]
        read = np.arange(len(mean)).reshape(reader.op.groups, -1).repeat(len(kernel) // reader.op.groups, axis=0)
        constants[weight] = (kernel * (common_std / std)[read][:, :, None, None]).astype(np.float32)
        constants[bias] = (graph.constants[bias] + _sums(kernel * offset[read][:, :, None, None])).astype(np.float32)
    folded = Normalization(*((value,) * len(normalization.mean) for value in (centre, common_std)))
    return graph.with_nodes(graph.nodes, constants=constants), folded


def _sums(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over all axes but the first, [O, ...] to [O], correctly rounded.

    BLAS sums up in an order that depends on the processor, and a model made again elsewhere has to have the same bits.
    """
    return np.array([math.fsum(row) for row in terms.reshape(len(terms), -1).tolist()])


def _grid(found: Range) -> tuple[float, int]:
    """Scale and zero point for a range, at least ``MIN_RANGE``."""
    low, high = found.low, found.high
    if high - low < MIN_RANGE:
        low, high = (low, low + MIN_RANGE) if high >= -low else (high - MIN_RANGE, high)
    return activation_params(low, high)


class _Assignment:
    """The walk over one graph: what has been decided so far."""

    def __init__(
        self, graph: Graph, grids: Mapping[str, tuple[float, int]], *, per_tensor_weights: bool, weight_limit: int
    ) -> None:
        self.graph = graph
        self.nodes = [node for node in graph if node.output in grids and not isinstance(node.op, Quantize | Requantize)]
        self.per_tensor_weights, self.weight_limit = per_tensor_weights, weight_limit
        self.wanted = {name: Fraction(scale) for name, (scale, _) in grids.items()}
        self.zero_points = {name: zero_point for name, (_, zero_point) in grids.items()}
        self.scales: dict[str, Fraction] = {}  # those that are fixed
        self.constant_params: dict[str, QuantParams] = {}
        self.ratios: dict[str, Ratio] = {}
        self.constants: dict[str, NDArray[Any]] = {}

    def walk(self) -> None:
        self._raise_wanted()
        self.fix(self.graph.input)
        for node in self.nodes:
            try:
                self._assign(node)
            except NoTieFreeScaleError as error:
                raise UnsupportedOperator(
                    f"layer {node.name!r}: {error}. Check the mean and std of the calibration images, or put a "
                    f"convolution between the layer and an operand that is not one's output"
                ) from error
        for node in self.nodes:
            if isinstance(node.op, Conv2d | Linear):
                self._weights(node)

    def fix(self, tensor: str) -> Fraction:
        """The scale of ``tensor``, from now on unchangeable."""
        return self.scales.setdefault(tensor, self.wanted[tensor])

    def params(self) -> dict[str, QuantParams]:
        """The parameters of every quantized tensor and int8 constant."""
        return {name: self._params_of(name) for name in self.wanted} | self.constant_params

    def _raise_wanted(self) -> None:
        """Raise scales that are so small in relation to others that a kernel would refuse their ratio.

        That takes a tensor that is (nearly) always zero, or a sum of operands that cancel each other. Results first,
        then operands; those may raise results again.
        """
        for _ in range(2):
            for node in self.nodes:
                self._raise_result(node)
            for node in reversed(self.nodes):
                self._raise_operands(node)

    def _raise_result(self, node: Node) -> None:
        inputs = [self.wanted[name] for name in self.graph.activations(node)]
        match node.op:
            case Conv2d() | Linear():
                largest = Fraction(float(np.abs(self.graph.constants[node.inputs[1]]).max()))
                self._raise(node, inputs[0] * largest / self.weight_limit / _RATIO)
            case Add():
                added = [self.graph.constants[name] for name in node.inputs if name in self.graph.constants]
                inputs += [Fraction(float(np.abs(constant).max())) / WEIGHT_MAX for constant in added]
                self._raise(node, max(inputs) * _SUM_OF_OPERAND)
            case Mul():
                self._raise(node, inputs[0] * inputs[-1] / _RATIO)
            case Mean():
                self._raise(node, inputs[0] * _MEAN_OF_INPUT)
            case _:
                self.wanted[node.output] = inputs[0]

    def _raise_operands(self, node: Node) -> None:
        operands = self.graph.activations(node)
        for name in operands:
            match node.op:
                case Add():
                    scale = max(self.wanted[other] for other in (node.output, *operands)) * _OPERAND_OF_SUM
                case Mul():  # to a ratio of 1 / 4095: one step of an operand is at most a 16th of one of the product
                    product = self.wanted[operands[0]] * self.wanted[operands[1]]
                    scale = self.wanted[name] * self.wanted[node.output] / product / MAX_DENOMINATOR
                case Pad() | Flatten():
                    scale = self.wanted[node.output]
                case _:
                    return
            producer = self.graph.producer(name)
            if producer is not None:  # the input's grid is that of pixels
                self._raise(producer, scale)

    def _raise(self, producer: Node, scale: Fraction) -> None:
        """Raise the wanted scale of a node's output, but not so far that its range exceeds the clamp."""
        steps = INT8_MAX - self.zero_points[producer.output]
        if producer.activation is not None and producer.activation.high < math.inf and steps > 0:
            scale = min(scale, Fraction(producer.activation.high) / steps)
        self.wanted[producer.output] = max(self.wanted[producer.output], scale)

    def _assign(self, node: Node) -> None:
        match node.op:
            case Conv2d() | Linear():
                pass  # its weights adapt to whatever scales its input and output get
            case Add() if node.inputs[1] in self.graph.constants:
                self._add_constant(node)
            case Add():
                self._add(node)
            case Mul():
                a, b = (self.fix(name) for name in node.inputs)
                # A ratio that is raised to 1 / 4095 leaves nothing to saturate, the largest product being 255 * 255.
                self._result(node, a * b, MAX_DENOMINATOR)
            case Mean():
                self._mean(node)
            case Pad() | Flatten():
                self.scales[node.output] = self.fix(node.inputs[0])
                self.zero_points[node.output] = self.zero_points[node.inputs[0]]
            case _:
                raise UnsupportedOperator(
                    f"layer {node.name!r} ({type(node.op).__name__}) has no integer form: put it behind a convolution "
                    f"or linear layer, or replace it"
                )

    def _mean(self, node: Node) -> None:
        """Fix the output of a MEAN so that every kernel gives one integer for every sum, as far as a few tries go.

        What a few do not find, ``edgekit verify`` names.
        """
        (x,) = node.inputs
        count = math.prod(self.graph.tensors[x].shape[1:])
        scale, wanted = self.fix(x) / count, self.wanted[node.output]
        # Raising the ratio would saturate, so the denominator may be as large as it has to.
        self._result(node, scale, max(MAX_DENOMINATOR, 2 * math.ceil(wanted / scale) + 1))
        smallest = self.ratios[node.name].fraction().denominator
        for q in range(smallest, smallest + 2 * _TRIES, 2):
            fraction = Fraction(max(round(scale / wanted * q), 1), q)
            if abs(fraction * wanted / scale - 1) > SCALE_TOLERANCE:
                continue
            self.scales[node.output] = scale / fraction
            if mean.disagreement(fraction, count, self._params_of(x), self._params_of(node.output)) is None:
                self.ratios[node.name] = Ratio.of((fraction.numerator, fraction.denominator))
                return
        self._result(node, scale, max(MAX_DENOMINATOR, 2 * math.ceil(wanted / scale) + 1))

    def _params_of(self, tensor: str) -> QuantParams:
        return QuantParams(np.array([float(self.fix(tensor))], np.float32), self.zero_points[tensor])

    def _result(self, node: Node, accumulator_scale: Fraction, limit: int) -> None:
        """Fix the output of MUL or MEAN so that accumulator_scale / S_out is tie-free."""
        ratio = self._ratio(node, np.array([float(accumulator_scale / self.wanted[node.output])]), limit)
        self.scales[node.output] = accumulator_scale / ratio.fraction()

    def _ratio(self, node: Node, wanted: NDArray[np.float64], limit: int) -> Ratio:
        ratio = self.ratios[node.name] = odd_fractions(wanted, limit=limit)
        if ratio.value.max() >= RATIO_LIMIT:
            raise UnsupportedOperator(
                f"layer {node.name!r} has inputs or weights far too large for the clamp behind it: check the weights, "
                f"and the mean and std of the images"
            )
        return ratio

    def _add(self, node: Node) -> None:
        # The operand that is fixed already leads; where both are free, the first does.
        lead, other = sorted(node.inputs, key=lambda name: name not in self.scales)
        a, fixed_b = self.fix(lead), other in self.scales
        wanted_b = self.scales.get(other, self.wanted[other])
        solution = solve_add(a, wanted_b, self.wanted[node.output], fixed_b=fixed_b)
        self.scales[other], self.scales[node.output] = solution.b, solution.out
        ratio = solution.ratio
        swapped = lead != node.inputs[0]
        self.ratios[node.name] = Ratio(ratio.numerator[::-1].copy(), ratio.denominator) if swapped else ratio

    def _add_constant(self, node: Node) -> None:
        """The constant is stored as one int8 value with a scale of its own."""
        x, constant = node.inputs
        value = float(self.graph.constants[constant].reshape(-1)[0])
        solution = solve_add_constant(self.fix(x), value, self.wanted[node.output], tolerance=CONSTANT_TOLERANCE)
        self.scales[node.output], self.ratios[node.name] = solution.out, solution.ratio
        self.constants[constant] = np.array([solution.stored], np.int8)
        self.constant_params[constant] = QuantParams(np.array([float(solution.constant)], np.float32))

    def _weights(self, node: Node) -> None:
        x, weight, bias = node.inputs
        s_in, s_out = float(self.fix(x)), float(self.fix(node.output))
        real = self.graph.constants[weight].astype(np.float64)
        largest = np.abs(real).reshape(len(real), -1).max(1)  # [O]
        if self.per_tensor_weights:  # the same scale in every channel: no runtime knows the difference
            largest = np.full_like(largest, largest.max())
        ratio = self._ratio(node, largest / self.weight_limit * s_in / s_out, MAX_DENOMINATOR)
        scale = ratio.value * s_out / s_in  # [O]
        stored = np.rint(real / scale.reshape(-1, *[1] * (real.ndim - 1)))
        # A bias that is cut off here is 2**30 / 4095 steps of the output or more: it saturates as it would have.
        stored_bias = np.clip(np.rint(self.graph.constants[bias] / (s_in * scale)), -BIAS_LIMIT, BIAS_LIMIT)
        self.constant_params[weight] = QuantParams((scale[:1] if self.per_tensor_weights else scale).astype(np.float32))
        self.constants[weight] = np.clip(stored, -self.weight_limit, self.weight_limit).astype(np.int8)
        self.constants[bias] = stored_bias.astype(np.int32)
