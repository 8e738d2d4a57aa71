"""One function an operator, written as TFLite operators; a module for each kind, the table in ``table``."""

from edgekit.exporters.tflite.operators import (
    activations,
    arithmetic,
    borders,
    layers,
    movement,
    parts,
    pooling,
    resizing,
)
from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.versions import KERNELS, RELEASES, oldest_runtime

__all__ = [
    "KERNELS",
    "OPERATORS",
    "RELEASES",
    "activations",
    "arithmetic",
    "borders",
    "layers",
    "movement",
    "oldest_runtime",
    "parts",
    "pooling",
    "resizing",
]
