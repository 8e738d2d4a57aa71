"""Optimizers, and which weights learn at which rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import nn

    from edgekit.training.recipe import Recipe

SCALE = "scale"  # the key of a parameter group that holds its rate over the schedule's
_SECOND_BETA = 0.999  # of AdamW (arXiv:1711.05101)


def groups(module: nn.Module, stages: Sequence[str], recipe: Recipe) -> list[dict[str, Any]]:
    """Parameter groups: by depth, and with or without weight decay.

    Biases and batch normalization do not decay: it would only change a scale that the next layer takes back
    (arXiv:1812.01187, section 3.1).

    Args:
        module: the network.
        stages: names of its modules from the image on; what belongs to none of them stands behind the last.
        recipe: weight decay, and the rate of a stage over that of the one behind it.
    """
    found: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            depth = next((i for i, stage in enumerate(stages) if name.startswith(f"{stage}.")), len(stages))
            found.setdefault((depth, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": recipe.weight_decay if decays else 0.0,
            SCALE: recipe.layer_decay ** (len(stages) - depth),
        }
        for (depth, decays), parameters in sorted(found.items(), key=lambda item: item[0])
    ]


def optimizer(parameter_groups: Iterable[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov's momentum, or AdamW; the schedule sets the rates."""
    if recipe.opt == "sgd":
        return torch.optim.SGD(parameter_groups, lr=0.0, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    return torch.optim.AdamW(parameter_groups, lr=0.0, betas=(recipe.momentum, _SECOND_BETA))
