"""From what a network looks like to the module, whatever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.models.ensemble import Ensemble
from edgekit.models.ensemble_architecture import EnsembleArchitecture
from edgekit.models.network import TaskNetwork, build
from edgekit.models.task_architecture import TaskArchitecture

if TYPE_CHECKING:
    from torch import nn

    from edgekit.models.structures import Structure


def built(structure: Structure) -> nn.Module:
    """A network of random weights, in training mode.

    It gives logits [N, classes] of images [N, C, H, W]; one with heads a dict of outputs by name.

    Raises:
        ConfigError: a family is unknown, or a backbone has no feature map that a head takes.
    """
    if isinstance(structure, EnsembleArchitecture):
        return Ensemble([build(member) for member in structure.members])
    return TaskNetwork(structure) if isinstance(structure, TaskArchitecture) else build(structure)
