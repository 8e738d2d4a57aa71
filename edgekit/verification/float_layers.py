"""The float operators of an int8 file against the layers that were to be kept in float, no more and no less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.exporters.names import public_names
from edgekit.exporters.spelling import as_identifier

if TYPE_CHECKING:
    from edgekit.exporters.summary import Summary
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node

# What exporters append to the name of a layer's result where they write the layer as several operators.
_PARTS = ("inner", "padded", "pooled", "unclamped", "unclamped_maximum", "unclamped_minimum")


@dataclass(frozen=True, slots=True)
class FloatLayers:
    """How a file differs from what was asked for.

    Attributes:
        surplus: float operators that belong to no layer that was to be kept ("CONV_2D features.3").
        missing: layers that were to be kept, and that no float operator of the file computes.
    """

    surplus: tuple[str, ...]
    missing: tuple[str, ...]


def compare_float_layers(summary: Summary, model: IntegerModel) -> FloatLayers:
    """Compare the float operators of a file with the layers that ``model`` keeps in float.

    Operators are known by the names of their results, which every exporter derives from the model's tensors. Layers
    without weights are not missed: in Core ML a float sum of integers that becomes an integer at once is spelt like an
    integer one, and computes the same.
    """
    borders = [node for node in model.graph if node.op.border]
    names = {as_identifier(name): node for node in (*model.float_nodes, *borders) for name in _names(model, node)}
    found = [(operator, _layer(operator.rpartition(" ")[2], names)) for operator in summary.float_operators]
    computed = {node.name for _, node in found if node is not None}
    return FloatLayers(
        surplus=tuple(operator for operator, node in found if node is None),
        missing=tuple(node.name for node in model.float_nodes if node.op.has_weights and node.name not in computed),
    )


def _names(model: IntegerModel, node: Node) -> tuple[str, ...]:
    """What the result of a node may be called in a file."""
    return (node.name, node.output, public_names(model.graph).get(node.output, node.output))


def _layer(result: str, names: dict[str, Node]) -> Node | None:
    """The node whose result, or a part of it, has the name ``result``."""
    plain = as_identifier(result)
    stems = [plain, *(plain.removesuffix(f"_{part}") for part in _PARTS)]
    return next((names[stem] for stem in stems if stem in names), None)
