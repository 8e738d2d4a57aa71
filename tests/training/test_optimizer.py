from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from edgekit.config import TrainSettings
from edgekit.training.optimizer import SCALE, groups, optimizer
from edgekit.training.recipe import resolve

MODULE = torch.nn.ModuleDict(
    {
        "stem": torch.nn.Conv2d(1, 2, 3, bias=False),
        "block": torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1, bias=False), torch.nn.BatchNorm2d(2)),
        "head": torch.nn.Linear(2, 3),
    }
)


def test_blocks_in_front_learn_more_slowly_and_only_matrices_decay() -> None:
    recipe = replace(resolve(TrainSettings(), 224), layer_decay=0.5, weight_decay=0.1)
    found = {
        name: (group[SCALE], group["weight_decay"])
        for group in groups(MODULE, ["stem", "block"], recipe)
        for name, parameter in MODULE.named_parameters()
        if any(parameter is one for one in group["params"])
    }
    assert found == {
        "stem.weight": (0.25, 0.1),
        "block.0.weight": (0.5, 0.1),
        "block.1.weight": (0.5, 0.0),
        "block.1.bias": (0.5, 0.0),
        "head.weight": (1.0, 0.1),
        "head.bias": (1.0, 0.0),
    }


@pytest.mark.parametrize(("opt", "kind"), [("sgd", torch.optim.SGD), ("adamw", torch.optim.AdamW)])
def test_the_optimizer_is_torchs(opt: str, kind: type[torch.optim.Optimizer]) -> None:
    recipe = replace(resolve(TrainSettings(), 224), opt=opt)
    assert type(optimizer(groups(MODULE, [], recipe), recipe)) is kind
