"""Where reals become integers and integers reals."""

from __future__ import annotations

from edgekit.executor.operators.table import FLOAT, INTEGER
from edgekit.ir import (
    Dequantize,
    Quantize,
    Requantize,
)

for _border in (Quantize, Requantize, Dequantize):
    FLOAT.refuses(_border, "float graphs hold no integers")
    INTEGER.refuses(_border, "the executor converts at borders itself")
