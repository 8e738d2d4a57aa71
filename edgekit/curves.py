"""Functions of one number whose integer kernels are tables: 256 entries, and each of them the same in every kernel.

A kernel makes the real number that a stored integer stands for, the function of it, in float32, and rounds that to the
grid of the result, which is fixed. Kernels differ in how they compute the function, so they differ in the last bits.
Where no entry lies within ``MARGIN`` of a tie, in steps of the result, every kernel that errs by less rounds all 256
to the same integers. All 256 are computed here, in float64, so nothing is left to chance. The walk that assigns scales
moves that of the operand until it is so (``calibration.scale_rules``).

**How far off kernels are.** For LOGISTIC a step is 1/256, so MARGIN is 7.6e-6 of the function.

float32: the operand is one product, off by u = 2**-24 of itself; that costs 256 max |x sigmoid'(x)| u = 3.4e-6 steps,
    the maximum being 0.224. An exp that is off by k units in its last place costs at most 256 * k 2**-23 / 4, which is
    7.6e-6 k, and sum, quotient and product cost 256 u = 1.5e-5 each: 8e-5 for k = 4. XNNPACK
    (src/reference/unary-elementwise.cc, with which src/operators/unary-elementwise-nc.c fills its table), TFLite
    (tensorflow/lite/kernels/activations.cc: PopulateLookupTable) and torch
    (aten/src/ATen/native/quantized/cpu/qsigmoid.cpp; qnnpack/src/sigmoid.c) compute so.
MLAS: a rational function of degree 9 over 10 (core/mlas/lib/logistic.cpp), with which
    contrib_ops/cpu/quantization/qlinear_lookup_table.cc fills the table of QLinearSigmoid.
Measured on 4000 scales from 0.001 to 0.5 with random zero points, 1,024,000 entries: LiteRT, ONNX Runtime at every
level, torch with every engine and the interpreter of Core ML's programs rounded at most 3 to the wrong side, none of
which was further than 1.2e-5 steps from a tie. MARGIN is 160 times that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.ir import Op, Sigmoid
from edgekit.ir.registry import OperatorTable
from edgekit.quantization import INT8_MAX, INT8_MIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Node
    from edgekit.quantization import QuantParams

MARGIN = 2.0**-9  # in steps of the result
_LARGEST = 700.0  # exp of it is within float64, and sigmoid of its negative is 0 on every grid


def _tabulated(op: type[Op]) -> str:
    """The scope of what is computed by a table."""
    return "" if op.tabulated else "its integers are no table"


CURVES: OperatorTable[[NDArray[np.float64]], NDArray[np.float64]] = OperatorTable("the table of curves", _tabulated)


@CURVES.implements(Sigmoid)
def sigmoid(_: Sigmoid, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logistic function of any numbers."""
    return 1 / (1 + np.exp(-np.clip(x, -_LARGEST, _LARGEST)))


def entries(node: Node, x: QuantParams, y: QuantParams) -> NDArray[np.int8]:
    """What ``node`` makes of -128, -127, ..., 127 [256].

    Args:
        node: whose operator has a curve.
        x: parameters of what it reads, 8 bits.
        y: of what it makes.
    """
    return y.quantize(_values(node, x))


def distance(node: Node, x: QuantParams, y: QuantParams) -> float:
    """How near an entry lies to a tie at the nearest, in steps of the result; arguments as for ``entries``."""
    steps = _values(node, x) / np.float64(y.scale[0]) + y.zero_point
    inside = steps[(steps > INT8_MIN) & (steps < INT8_MAX)]  # beyond, either way of breaking a tie saturates
    return float(np.abs(inside - np.floor(inside) - 0.5).min(initial=0.5))


def _values(node: Node, x: QuantParams) -> NDArray[np.float64]:
    stored = np.arange(INT8_MIN, INT8_MAX + 1)
    real: NDArray[Any] = (stored - x.zero_point) * np.float64(x.scale[0])
    return CURVES[node](real)
