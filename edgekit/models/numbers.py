"""Weights as numbers: finite, in float32, and not quantized yet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from edgekit.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

# What torch.ao.quantization, bitsandbytes and GPTQ put beside or in place of weights.
_QUANTIZED = re.compile(
    r"_packed_params|\.zero_point$|fake_quant|activation_post_process|weight_bit_width|\.(SCB|qweight|qzeros|absmax)$"
)


def refuse_quantized(names: Iterable[str]) -> None:
    """Refuses weights that a tool has quantized, by the names that it leaves.

    Raises:
        CheckpointError: one of them is there.
    """
    mark = next(filter(_QUANTIZED.search, names), None)
    if mark is not None:
        raise _quantized(mark)


def as_float32(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in float32, counters as they are.

    Raises:
        CheckpointError: one is quantized, or holds what is no finite real number.
    """
    return {key: float32(key, tensor) for key, tensor in weights.items()}


def float32(key: str, tensor: Tensor) -> Tensor:
    """A weight in float32; a counter as it is.

    Raises:
        CheckpointError: it is quantized, or holds what is no finite real number.
    """
    if tensor.is_meta:
        raise CheckpointError(
            f"{key} is a meta tensor, which has a shape and no values: save the state_dict once the weights are loaded"
        )
    if key.endswith("num_batches_tracked"):
        return tensor
    if tensor.is_quantized or tensor.dtype in {torch.int8, torch.uint8}:
        raise _quantized(key)
    if not tensor.dtype.is_floating_point:
        raise CheckpointError(f"{key} is {tensor.dtype}, and weights are floating-point numbers")
    values = (tensor.to_dense() if tensor.layout is not torch.strided else tensor).float()
    if not bool(torch.isfinite(values).all()):
        raise CheckpointError(f"{key} holds NaN or infinity: the training diverged, take an earlier epoch")
    if key.endswith(("running_var", "moving_variance")) and bool((values < 0).any()):
        raise CheckpointError(f"{key} holds a negative variance: the checkpoint is damaged")
    return values


def _quantized(key: str) -> CheckpointError:
    return CheckpointError(
        f"the network is quantized already ({key}), and edgekit quantizes a float network itself: give the float"
        " checkpoint that it was made from"
    )
