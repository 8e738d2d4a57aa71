"""One function an operator, as a program of Core ML; a module for each kind, the table in ``table``."""

from edgekit.exporters.coreml.operators import arithmetic, borders, layers, movement, pooling, resizing
from edgekit.exporters.coreml.operators.activations import clamp, float_layer
from edgekit.exporters.coreml.operators.resizing import rounded_up, told_apart
from edgekit.exporters.coreml.operators.table import OPERATORS
from edgekit.exporters.coreml.operators.versions import SINCE

__all__ = [
    "OPERATORS",
    "SINCE",
    "arithmetic",
    "borders",
    "clamp",
    "float_layer",
    "layers",
    "movement",
    "pooling",
    "resizing",
    "rounded_up",
    "told_apart",
]
