"""What each task makes of a network's outputs while it is trained; one task a file."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.training.objectives.objective import Objective

# Where each is, by the name of its task.
_OBJECTIVES: Final[Mapping[str, str]] = {
    "classification": "edgekit.training.objectives.classification:CLASSIFICATION",
    "regression": "edgekit.training.objectives.regression:REGRESSION",
    "tagging": "edgekit.training.objectives.tagging:TAGGING",
}


def objective_of(task: str) -> Objective:
    """What a network of this task is trained for."""
    module, _, name = _OBJECTIVES[task].partition(":")
    found: Any = getattr(import_module(module), name)
    typed: Objective = found
    return typed
