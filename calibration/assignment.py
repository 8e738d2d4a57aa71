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
from edgekit.calibration.mixed_precision import Kind, more_precise, select_kinds, with_borders
from edgekit.calibration.options import DEFAULT, Options
from edgekit.calibration.pixel_input import fold_normalization
from edgekit.calibration.ranges import Range
from edgekit.calibration.scales import assign_scales
from edgekit.errors import DataError
from edgekit.integer_model import SEVEN_BIT, IntegerModel
from edgekit.ir.operators.operator import Border
from edgekit.quantization import INT8_MIN

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from edgekit.calibration.scale_groups import Grid
    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph


def quantize(model: FloatModel, ranges: Mapping[str, Range], options: Options = DEFAULT) -> IntegerModel:
    """The integer model of ``model``.

    Args:
        model: in ``passes.integer_form``.
        ranges: of every tensor that is quantized, by name; that of the input is not needed with ``pixel_input``.
        options: how it becomes integers.

    Raises:
        ConfigError: an option names a layer that does not exist, or two name the same.
        DataError: a tensor has no range.
        UnsupportedOperator: an operator has no integer form, or scales that no kernel bridges.
    """
    graph, normalization = model.graph, model.preprocessing.normalization
    fixed: dict[str, Grid] = {}
    if options.pixel_input:
        graph, normalization = fold_normalization(graph, normalization)
        fixed[graph.input] = (1 / normalization.std[0], int(normalization.mean[0]) + INT8_MIN)
    layer_kinds = select_kinds(graph, options.keep_float, options.int16)
    graph, kinds = with_borders(graph, layer_kinds)
    widened = {
        node.output for node in graph if node.op.border is Border.TO_ANOTHER_WIDTH and kinds[node.output] is Kind.INT16
    }
    unranged = widened | fixed.keys() | {name for name, kind in kinds.items() if kind is Kind.FLOAT}
    found = _ranges(graph, ranges, [name for name in kinds if name not in unranged])
    int8 = {name: found[name] for name in found if kinds[name] is Kind.INT8}
    assigned = assign_scales(graph, int8, fixed, options)
    kinds = dict.fromkeys(assigned.graph.tensors, Kind.INT8) | kinds  # what was rescaled is new
    params16, constants16 = assign_int16(assigned.graph, kinds, found, assigned.params, options)
    notes = more_precise(graph, layer_kinds)
    return IntegerModel(
        graph=assigned.graph.with_nodes(
            [replace(node, activation=None) if node.output in assigned.params else node for node in assigned.graph],
            constants=assigned.constants | constants16,
        ),
        params=assigned.params | params16,
        ratios=assigned.ratios,
        preprocessing=model.preprocessing,
        normalization=normalization,
        pixel_input=options.pixel_input,
        labels=model.labels,
        lowering=_lowering(seven_bit=options.weight_bits == 7, mixed=bool(notes)),
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
