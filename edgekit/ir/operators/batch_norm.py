"""Batch normalization at inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from edgekit.ir.operators.operator import Factors, Gains, Op, Scales, Shape


@dataclass(frozen=True, slots=True)
class BatchNorm(Op):
    """x [N, C, H, W], gamma [C], beta [C], mean [C], variance [C] -> gamma (x - mean) / sqrt(variance + eps) + beta."""

    roles: ClassVar = ("x", "gamma", "beta", "mean", "variance")
    scales: ClassVar = Scales.NONE
    factors: ClassVar = Factors.NONE
    keeps_channels: ClassVar = True
    lowered: ClassVar = "it is folded into the layer before it (passes.fold_batch_norm)"

    eps: float

    def output_shape(self, *operands: Shape) -> Shape:
        """That of x."""
        x, *parameters = operands
        if set(parameters) != {x[:1]}:
            raise ValueError(f"has parameters of the shapes {parameters} for {x[0]} channels")
        return x

    def gains(self, *_: Shape) -> Gains:
        """None: it is folded before gains are looked for."""
        return Gains.NONE
