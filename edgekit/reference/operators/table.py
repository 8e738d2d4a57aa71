"""One function an operator, in float64 and on integers: what numpy computes for each, side by side.

The float functions take the operator and the values of its inputs. The integer functions take the operator, the model
that runs, the node, and the stored values of its inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edgekit.ir.registry import OperatorTable, canonical

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node

Float = Any  # NDArray[np.float64]
Stored = Any  # NDArray[np.int8], or of 16 bits


class Arithmetic(Protocol):
    """What the integer functions ask of the interpreter that runs them (``edgekit.reference.integer.Reference``)."""

    model: IntegerModel

    def layer(self, node: Node) -> tuple[Float, Float]:
        """Weight and bias, in the type that the layer accumulates in."""

    def centred(self, name: str, stored: Stored, dtype: DTypeLike = np.float64) -> Float:
        """``stored - zero_point``."""

    def requantize(self, node: Node, total: Float) -> Stored:
        """The output of ``node`` for its accumulators."""


FLOAT: OperatorTable[..., Float] = OperatorTable("the float reference")
INTEGER: OperatorTable[..., Stored] = OperatorTable("the integer reference", canonical)
