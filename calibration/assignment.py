"""Ranges -> the integer model: every scale, zero point, int8 weight and int32 bias, decided once.

1. The range of a tensor is cut down to what a fused clamp lets through: afterwards the clamp is nothing but the
   saturation of int8.
2. Tensors whose integers are only moved share a scale, and what cannot is rescaled (``scale_groups``).
3. A walk fixes scales one after the other, and weights and biases at the end (``scales``).

Layers that are kept in float or have 16-bit activations (``calibration.mixed_precision``) set no conditions: what is
quantized to int8 behind them takes the scale that its range asks for, or that an ADD wants. Tensors of 16 bits have the
scale of their range; weights there are scaled to the full of int8.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.calibration.int16 import assign_int16
from edgekit.calibration.mixed_precision import Kind, select_kinds, with_borders
from edgekit.calibration.pixel_input import fold_normalization
from edgekit.calibration.ranges import Range
from edgekit.calibration.scales import assign_scales
from edgekit.errors import DataError
from edgekit.integer_model import SEVEN_BIT, IntegerModel
from edgekit.ir.operators.operator import Border
from edgekit.quantization import INT8_MIN, WEIGHT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from edgekit.calibration.scale_groups import Grid
    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph


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
    fixed: dict[str, Grid] = {}
    if pixel_input:
        graph, normalization = fold_normalization(graph, normalization)
        fixed[graph.input] = (1 / normalization.std[0], int(normalization.mean[0]) + INT8_MIN)
    layer_kinds = select_kinds(graph, keep_float, int16)
    graph, kinds = with_borders(graph, layer_kinds)
    widened = {
        node.output for node in graph if node.op.border is Border.TO_ANOTHER_WIDTH and kinds[node.output] is Kind.INT16
    }
    unranged = widened | fixed.keys() | {name for name, kind in kinds.items() if kind is Kind.FLOAT}
    found = _ranges(graph, ranges, [name for name in kinds if name not in unranged])
    int8 = {name: found[name] for name in found if kinds[name] is Kind.INT8}
    assigned = assign_scales(
        graph, int8, fixed, per_tensor_weights=per_tensor_weights, weight_limit=WEIGHT_LIMITS[weight_bits]
    )
    kinds = dict.fromkeys(assigned.graph.tensors, Kind.INT8) | kinds  # what was rescaled is new
    params16, constants16 = assign_int16(
        assigned.graph, kinds, found, assigned.params, per_tensor_weights=per_tensor_weights
    )
    named = {kind: [node.name for node in graph if layer_kinds.get(node.name) is kind] for kind in Kind}
    notes = {key: named[kind] for key, kind in (("kept_float", Kind.FLOAT), ("int16", Kind.INT16)) if named[kind]}
    return IntegerModel(
        graph=assigned.graph.with_nodes(
            [replace(node, activation=None) if node.output in assigned.params else node for node in assigned.graph],
            constants=assigned.constants | constants16,
        ),
        params=assigned.params | params16,
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
        source = makers[name].operand("x") if name in makers and makers[name].op.border else name
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
