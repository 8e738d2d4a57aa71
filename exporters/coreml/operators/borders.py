"""Where reals become integers and integers reals."""

from __future__ import annotations

from edgekit.exporters.coreml.operators.table import OPERATORS
from edgekit.ir import (
    Dequantize,
    Quantize,
    Requantize,
)

for _border in (Quantize, Dequantize):
    OPERATORS.refuses(_border, "the writer of integer models converts at borders itself")
OPERATORS.refuses(Requantize, "its programs have no integers of 16 bits")
