"""One function an operator, written as ONNX nodes; a module for each kind, the table in ``table``."""

from edgekit.exporters.onnx.operators import activations, arithmetic, borders, layers, movement, pooling, resizing
from edgekit.exporters.onnx.operators.table import OPERATORS

__all__ = ["OPERATORS", "activations", "arithmetic", "borders", "layers", "movement", "pooling", "resizing"]
