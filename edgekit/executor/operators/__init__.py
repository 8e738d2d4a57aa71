"""One function an operator, in torch; a module for each kind, the tables in ``table``."""

from edgekit.executor.operators import arithmetic, borders, layers, movement, pooling, resizing
from edgekit.executor.operators.activations import clamp
from edgekit.executor.operators.table import FLOAT, INTEGER, LARGEST

__all__ = ["FLOAT", "INTEGER", "LARGEST", "arithmetic", "borders", "clamp", "layers", "movement", "pooling", "resizing"]
