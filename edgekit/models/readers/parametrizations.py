"""Weights that a state dict holds in parts, made whole: pruning masks and weight normalization (torch.nn.utils)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

# The parts of a weight, by what follows its module's name, and what they make together.
_PARTS: tuple[tuple[str, str, str, Callable[[Tensor, Tensor], Tensor]], ...] = (
    ("{}_orig", "{}_mask", "a pruning mask", torch.mul),
    ("{}_v", "{}_g", "weight normalization", lambda v, g: torch._weight_norm(v, g, 0)),  # noqa: SLF001 - its only name
    (
        "parametrizations.{}.original1",
        "parametrizations.{}.original0",
        "weight normalization",
        lambda v, g: torch._weight_norm(v, g, 0),  # noqa: SLF001 - likewise
    ),
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
