"""A network without some of its channels: fewer numbers in its weights, and a structure that says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.errors import ConfigError
from edgekit.models.building import built
from edgekit.models.resizing import resized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgekit.compression.pruning.groups import Group
    from edgekit.models.architecture import Architecture
    from edgekit.models.task_architecture import TaskArchitecture


@dataclass(frozen=True, slots=True, eq=False)  # modules have no equality
class Cut:
    """A network without some of its channels.

    Attributes:
        module: in evaluation mode.
        structure: what it looks like.
    """

    module: nn.Module = field(repr=False)
    structure: Architecture | TaskArchitecture


def cut(
    module: nn.Module,
    structure: Architecture | TaskArchitecture,
    groups: Sequence[Group],
    kept: Sequence[NDArray[np.bool_]],
) -> Cut:
    """The network without the channels that are not kept: what it gives is as if nobody read them.

    Args:
        module: what ``built(structure)`` made, which is left as it is.
        structure: of it.
        groups: of its channels.
        kept: of each group, which channels stay, [K].

    Raises:
        ConfigError: a group would lose all of its channels, or the family has no network of these channels.
    """
    empty = [group.name for group, stays in zip(groups, kept, strict=True) if not stays.any()]
    if empty:
        raise ConfigError(f"no channel of {empty[0]} would be left, and a layer needs one: cut less")
    weights = {name: tensor.detach() for name, tensor in module.state_dict().items()}
    gone: dict[tuple[str, int], list[NDArray[np.intp]]] = {}
    for group, stays in zip(groups, kept, strict=True):
        for axis, places in ((0, group.made), (1, group.read)):
            for name, at in places.items():
                gone.setdefault((name, axis), []).append(at[~stays])
    for (name, axis), several in gone.items():
        _drop(weights, name, axis, torch.from_numpy(np.concatenate(several)))
    found = resized(structure, {name: tuple(tensor.shape) for name, tensor in weights.items()})
    with torch.device("meta"):  # no memory, and no random numbers
        smaller = built(found)
    try:
        smaller.load_state_dict({name: tensor.clone().contiguous() for name, tensor in weights.items()}, assign=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ConfigError(
            f"networks of the family {structure.family} cannot have these channels ({reason}): choose another network"
        ) from error
    return Cut(smaller.eval(), found)


def _drop(weights: dict[str, Tensor], module: str, axis: int, places: Tensor) -> None:
    """Take places of an axis out of the weights of a layer, and of all that it has one number a channel of."""
    for leaf in ("weight",) if axis else ("weight", "bias", "running_mean", "running_var"):
        name = f"{module}.{leaf}"
        if name in weights:
            stays = torch.ones(weights[name].shape[axis], dtype=torch.bool)
            stays[places] = False
            weights[name] = weights[name].index_select(axis, stays.nonzero().flatten())
