"""The float operators of an int8 file against the layers that were to be kept in float, no more and no less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.integer_model import IntegerModel


@dataclass(frozen=True, slots=True)
class FloatLayers:
    """How a file differs from what was asked for.

    Attributes:
        surplus: float operators that belong to no layer that was to be kept ("CONV_2D features.3").
        missing: layers that were to be kept, and that no float operator of the file computes.
    """

    surplus: tuple[str, ...]
    missing: tuple[str, ...]


def compare_float_layers(operators: Sequence[str], nodes: Mapping[str, str], model: IntegerModel) -> FloatLayers:
    """Compare the float operators of a file with the layers that ``model`` keeps in float.

    Layers without weights are not missed: in Core ML a float sum of integers that becomes an integer at once is spelt
    like an integer one, and computes the same.

    Args:
        operators: of the file, that compute in float (``Summary.float_operators``).
        nodes: which node each operator of the file comes from (``Contents.nodes``).
        model: that the file was written of.
    """
    kept = {node.name for node in (*model.float_nodes, *(node for node in model.graph if node.op.border))}
    sources = [nodes.get(operator.rpartition(" ")[2]) for operator in operators]
    return FloatLayers(
        surplus=tuple(operator for operator, node in zip(operators, sources, strict=True) if node not in kept),
        missing=tuple(node.name for node in model.float_nodes if node.op.has_weights and node.name not in sources),
    )
