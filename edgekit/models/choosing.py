"""Some heads of a trained network, without the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from edgekit.errors import ConfigError
from edgekit.models.building import built
from edgekit.models.head_tasks import EXITS
from edgekit.models.task_architecture import TaskArchitecture

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgekit.models.checkpoint import Checkpoint
    from edgekit.models.recorded import Recorded


def only(loaded: Checkpoint, heads: Collection[str]) -> Checkpoint:
    """The network of ``loaded`` with these of its heads; one of them gives what a network of one head gives.

    Raises:
        ConfigError: it has no heads, or not these.
    """
    whole = loaded.structure
    if not isinstance(whole, TaskArchitecture):
        raise ConfigError(f"model.heads is set, and {whole.name} has no heads to choose from: leave --heads out")
    chosen = whole.only(heads)
    if chosen == whole:
        return loaded
    with torch.device("meta"):  # no memory, and no random numbers
        module = built(chosen)
    weights = loaded.module.state_dict()
    module.load_state_dict({key: weights[key] for key in module.state_dict()}, assign=True)
    recorded = None if loaded.recorded is None else _of_heads(loaded.recorded, whole, chosen)
    facts = loaded.facts
    if recorded is not None:
        own = {fact.name: fact for fact in recorded.facts}
        facts = tuple(own.get(fact.name, fact) for fact in facts)
    return replace(loaded, module=module.eval(), structure=chosen, recorded=recorded, facts=facts)


def _of_heads(recorded: Recorded, whole: TaskArchitecture, chosen: TaskArchitecture) -> Recorded:
    """What is recorded of these heads; labels stand behind one another, head by head, and exits share them."""
    if whole.task == EXITS:
        return recorded
    labels, start = list[str](), 0
    for head in whole.heads:
        if head in chosen.heads:
            labels += recorded.labels[start : start + head.things]
        start += head.things
    task = recorded.task if len(chosen.heads) > 1 else chosen.heads[0].task
    return replace(recorded, labels=tuple(labels), task=task)
