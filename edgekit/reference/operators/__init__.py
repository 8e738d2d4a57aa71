"""One function an operator, in float64 and on integers; a module for each kind, the tables in ``table``."""

from edgekit.reference.operators import arithmetic, borders, layers, movement, pooling, resizing
from edgekit.reference.operators.activations import clamp
from edgekit.reference.operators.table import FLOAT, INTEGER

__all__ = ["FLOAT", "INTEGER", "arithmetic", "borders", "clamp", "layers", "movement", "pooling", "resizing"]
