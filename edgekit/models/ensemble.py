"""Several networks as one: the mean of their logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence


class Ensemble(nn.Module):
    """The mean of the logits of several networks, which in integers is additions: each ADD is exact, as any other.

    Probabilities could be averaged as well, but have no integer form.

    Args:
        members: take the same images [N, C, H, W], and give logits [N, classes] of the same classes.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> logits [N, classes]."""
        first, *others = self.members
        total: Tensor = first(x)
        for member in others:
            total = total + member(x)
        return total / len(self.members)
