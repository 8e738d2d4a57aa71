"""What each task makes of a network's outputs while it is trained; one task a file."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.tasks.task import Task
    from edgekit.training.objectives.objective import Objective

# Where each is, by the name of its task.
_OBJECTIVES: Final[Mapping[str, str]] = {
    "classification": "edgekit.training.objectives.classification:Classification",
    "detection": "edgekit.training.objectives.detection:Detection",
    "exits": "edgekit.training.objectives.exits:Exits",
    "regression": "edgekit.training.objectives.regression:Regression",
    "segmentation": "edgekit.training.objectives.segmentation:Segmentation",
    "several": "edgekit.training.objectives.several:Several",
    "tagging": "edgekit.training.objectives.tagging:Tagging",
}


def objective_of(task: Task[Any]) -> Objective:
    """What a network of this task is trained for."""
    module, _, name = _OBJECTIVES[task.name].partition(":")
    kind: Any = getattr(import_module(module), name)
    typed: Objective = kind.of(task)
    return typed
