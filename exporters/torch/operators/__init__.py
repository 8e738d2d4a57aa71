"""One function an operator: the expression of a node's output; a module for each kind, tables in ``table``."""

from edgekit.exporters.torch.operators import activations, arithmetic, borders, layers, movement, pooling, resizing
from edgekit.exporters.torch.operators.table import FLOAT, INTEGER

__all__ = ["FLOAT", "INTEGER", "activations", "arithmetic", "borders", "layers", "movement", "pooling", "resizing"]
