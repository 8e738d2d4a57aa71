"""Sums of products that come to the same bits on every processor.

A library's matrix product adds in the order that suits its kernels, so its last bits are theirs. Weights that are made
from those of a checkpoint have to be the same everywhere, or ``verify`` on another machine calls good files wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def sum_of_products(left: Tensor, right: Tensor) -> Tensor:
    """The sum of left[k] right[k] over k, one term after another, in float64.

    Args:
        left: [K, ...], float32 numbers.
        right: [K, ...], likewise; each right[k] broadcasts with left[k].
    """
    total = torch.zeros_like(left[0] * right[0], dtype=torch.float64)
    # Products of two float32 are exact in float64 (2 x 24 bits of 53): a fused multiply-add rounds as a plain one.
    for one, other in zip(left.float().double(), right.float().double(), strict=True):
        total.addcmul_(one, other)
    return total
