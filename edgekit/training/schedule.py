"""The learning rate of each step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.training.recipe import Recipe


def rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step, counted from 0.

    It rises linearly to ``recipe.lr`` while the network warms up. Then it falls along half a cosine to nearly 0
    (arXiv:1608.03983, one cycle), or by a factor after certain epochs.
    """
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    if recipe.sched == "step":
        passed = sum(step >= epoch * steps_per_epoch for epoch in recipe.decay_epochs)
        return recipe.lr * recipe.decay_rate**passed
    left = max(recipe.epochs * steps_per_epoch - warmup, 1)
    return recipe.lr * (1 + math.cos(math.pi * (step - warmup) / left)) / 2
