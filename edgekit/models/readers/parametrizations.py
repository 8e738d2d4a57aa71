"""Weights that a state dict holds in parts, made whole: pruning masks and weight normalization (torch.nn.utils)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.models.sums import sum_of_products

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor


def _normalized(v: Tensor, g: Tensor) -> Tensor:
    """Weights g v / |v|; |v| is taken over the axes along which g has one number (arXiv:1602.07868, equation 2)."""
    kept = tuple(axis for axis in range(g.ndim) if g.shape[axis] > 1)
    terms = v.movedim(kept, tuple(range(-len(kept), 0))).reshape(-1, *(v.shape[axis] for axis in kept))
    lengths = sum_of_products(terms, terms).sqrt().reshape(g.shape)
    return (v.double() * (g.double() / lengths)).float()


# The parts of a weight, by what follows its module's name, and what they make together.
_PARTS: tuple[tuple[str, str, str, Callable[[Tensor, Tensor], Tensor]], ...] = (
    ("{}_orig", "{}_mask", "a pruning mask", torch.mul),
    ("{}_v", "{}_g", "weight normalization", _normalized),
    ("parametrizations.{}.original1", "parametrizations.{}.original0", "weight normalization", _normalized),
)


def made_whole(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Weights with their parts put together, in their order, and notes of what was done."""
    whole, done = dict(tensors), dict[str, int]()
    for first, second, what, compute in _PARTS:
        for name in ("weight", "bias"):
            one, other = first.format(name), second.format(name)
            for key in [key for key in whole if key.endswith(f".{one}")]:
                module = key.removesuffix(one)
                if f"{module}{other}" not in whole:
                    continue
                value = compute(whole[key].float(), whole[f"{module}{other}"].float())
                whole = {f"{module}{name}" if k == key else k: value if k == key else v for k, v in whole.items()}
                del whole[f"{module}{other}"]
                done[what] = done.get(what, 0) + 1
    return whole, tuple(f"{what} applied to {count} weights" for what, count in done.items())
