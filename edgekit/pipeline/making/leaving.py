"""A trained network with exits -> the same with temperatures and confidences, which say from where images leave."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from edgekit.models.head_specs import ExitSpec
from edgekit.models.head_tasks import EXITS
from edgekit.models.task_architecture import TaskArchitecture

if TYPE_CHECKING:
    from edgekit.models.structures import Structure
    from edgekit.tasks.exits import Exits
    from edgekit.tasks.leaving import Leavings
    from edgekit.tasks.values import Outputs


def exits_of(structure: Structure) -> TaskArchitecture | None:
    """The network, if it has exits."""
    has = isinstance(structure, TaskArchitecture) and structure.task == EXITS and len(structure.heads) > 1
    return structure if has and isinstance(structure, TaskArchitecture) else None


def are_chosen(architecture: TaskArchitecture) -> bool:
    """Whether it is known from where images leave."""
    return any(isinstance(head, ExitSpec) and head.confidence is not None for head in architecture.heads)


def chosen(
    architecture: TaskArchitecture, outputs: Outputs, targets: tuple[int | None, ...], drop: float
) -> tuple[TaskArchitecture, Leavings]:
    """The network with temperatures and confidences, and what happens at its exits.

    Args:
        architecture: with exits.
        outputs: the logits of each on labelled images, [N, classes], by name.
        targets: the class of each image; None where it is not known.
        drop: points of top-1 that may be lost against the last exit.
    """
    from edgekit.models.complexity import macs_at_exits  # noqa: PLC0415 - needs torch
    from edgekit.tasks import leaving  # noqa: PLC0415 - as tasks are imported where they are used
    from edgekit.tasks.registry import heads_of, kind  # noqa: PLC0415 - likewise

    known = [place for place, target in enumerate(targets) if target is not None]
    right = np.array([targets[place] for place in known], np.intp)
    logits = [outputs[name][known] for head in architecture.heads for name in architecture.output_names(head).values()]
    macs = macs_at_exits(architecture)
    temperatures, confidences = found = leaving.choose(logits, right, macs, drop)
    heads = tuple(
        replace(cast("ExitSpec", head), temperature=temperature, confidence=confidence)
        for head, temperature, confidence in zip(architecture.heads, temperatures, (*confidences, None), strict=True)
    )
    decided = replace(architecture, heads=heads)
    shapes = {head.name: own.shape[1:] for head, own in zip(heads, logits, strict=True)}
    task = cast("Exits", kind(EXITS).of(shapes, (), {"heads": heads_of({"architecture": decided.to_dict()})}))
    taken = task.taken(dict(zip(shapes, logits, strict=True)))
    names = [head.name for head in heads]
    return decided, leaving.told(names, logits, right, taken, macs, chosen=found)
