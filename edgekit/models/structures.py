"""What networks look like, of any kind: one classifier, several as one, or a backbone with heads. No torch in here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from edgekit.models.architecture import Architecture
from edgekit.models.ensemble_architecture import FAMILY, EnsembleArchitecture
from edgekit.models.task_architecture import HEADS, TaskArchitecture

if TYPE_CHECKING:
    from collections.abc import Mapping

Structure: TypeAlias = Architecture | EnsembleArchitecture | TaskArchitecture


def body(structure: Structure) -> Architecture | EnsembleArchitecture:
    """What sees the images: of a network with heads, its backbone."""
    return structure.backbone if isinstance(structure, TaskArchitecture) else structure


def from_dict(values: Mapping[str, Any]) -> Structure:
    """What ``to_dict`` of any of them gave.

    Raises:
        ArtifactError: a field is missing, unknown or invalid.
    """
    if HEADS in values:
        return TaskArchitecture.from_dict(values)
    if values.get("family") == FAMILY:
        return EnsembleArchitecture.from_dict(values)
    return Architecture.from_dict(values)
