"""What a file holds, before anybody has looked what network it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.models.architecture import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from edgekit.facts import Fact
    from edgekit.models.recorded import Recorded
    from edgekit.models.structures import Structure

# In the metadata of a .safetensors file.
ARCHITECTURE_KEY, RECORDED_KEY, ASSUMED_KEY = "edgekit.architecture", "edgekit.recorded", "edgekit.assumed"


@dataclass(frozen=True, slots=True, eq=False)  # tensors have no single truth value
class Group:
    """Tensors that stand together in one mapping.

    Attributes:
        path: of keys to the mapping ("checkpoint", "state_dict").
        weights: by their names there.
        beside: names of what else stands there, and beside each mapping on the way.
    """

    path: tuple[str, ...]
    weights: Mapping[str, Tensor] = field(repr=False)
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """What a file holds.

    Attributes:
        groups: every mapping that has tensors, in the file's order.
        architecture: that edgekit saved with them, else None.
        recorded: what edgekit's training recorded, else None.
        assumed: what of the architecture edgekit had only assumed when it saved the file.
        stated: what leaves no trace in the weights and the file says.
        facts: what the file says about the images.
        classes: how many the file says.
        strides: of the first convolution and of each depthwise one, where the file tells them.
        by: what says so ("config.json").
        notes: what was chosen on the way, for people.
    """

    groups: tuple[Group, ...]
    architecture: Structure | None = None
    recorded: Recorded | None = None
    assumed: tuple[str, ...] = ()
    stated: Options = field(default_factory=Options)
    facts: tuple[Fact, ...] = ()
    classes: int | None = None
    strides: tuple[int, ...] = ()
    by: str = "the file"
    notes: tuple[str, ...] = ()
