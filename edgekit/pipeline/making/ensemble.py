"""Several trained networks as one checkpoint: the mean of their logits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgekit import extras
from edgekit.errors import CheckpointError, ConfigError
from edgekit.words import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.models.checkpoint import Checkpoint
    from edgekit.models.recorded import Recorded

_SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class Member:
    """A network of an ensemble.

    Attributes:
        path: of its checkpoint.
        name: of its architecture ("mobilenet_v2_0.5_160").
        sha256: of the file.
    """

    path: Path
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Combined:
    """An ensemble that was written.

    Attributes:
        path: of its checkpoint.
        name: as files that are exported of it are called.
        members: in the order in which they were given.
        classes: how many they tell apart.
    """

    path: Path
    name: str
    members: tuple[Member, ...]
    classes: int


def combine(checkpoints: Sequence[Path], out: Path) -> Combined:
    """Write an ensemble of networks that edgekit trained, of any families; it is exported as any other checkpoint.

    Args:
        checkpoints: of edgekit's own, with what their trainings recorded: these have to be alike.
        out: a .safetensors file, which is overwritten.

    Raises:
        CheckpointError: one cannot be read, is an ensemble itself, or does not say how images become its input.
        ConfigError: they see images in another way, or tell other classes apart; or ``out`` has another suffix.
        BadInput: the file cannot be written.
    """
    extras.load("torch", "torch")
    from edgekit.models import checkpoint  # noqa: PLC0415 - needs torch
    from edgekit.models.ensemble import Ensemble  # noqa: PLC0415 - likewise
    from edgekit.models.ensemble_architecture import EnsembleArchitecture  # noqa: PLC0415 - needed by the above alone

    if out.suffix.lower() != _SUFFIX:
        raise ConfigError(f"the ensemble is to be written as {out}: a checkpoint of edgekit's own ends with {_SUFFIX}")
    loaded = [checkpoint.load(path) for path in checkpoints]
    records = [_recorded(path, one) for path, one in zip(checkpoints, loaded, strict=True)]
    for path, record in zip(checkpoints[1:], records[1:], strict=True):
        _check_alike(checkpoints[0], records[0], path, record)
    architecture = EnsembleArchitecture(tuple(one.architecture for one in loaded))
    recorded = replace(records[0], measured={})  # of the ensemble nothing is measured yet
    checkpoint.save(out, Ensemble([one.module for one in loaded]), architecture, recorded)
    named = [Member(path, one.architecture.name, one.sha256) for path, one in zip(checkpoints, loaded, strict=True)]
    return Combined(out, architecture.name, tuple(named), architecture.num_classes)


def _recorded(path: Path, loaded: Checkpoint) -> Recorded:
    """What the training of a member recorded.

    Raises:
        CheckpointError: nothing.
    """
    if loaded.recorded is None:
        raise CheckpointError(
            f"{path} does not say how images become its input, and networks of an ensemble have to see the same: give"
            " checkpoints that edgekit trained, or save what is known of it (edgekit.models.checkpoint.save, recorded)"
        )
    return loaded.recorded


def _check_alike(first: Path, ours: Recorded, second: Path, theirs: Recorded) -> None:
    """Refuse networks that see images in another way, or tell other classes apart."""
    one, other = (record.to_dict() for record in (ours, theirs))
    pairs: dict[str, tuple[Any, Any]] = {
        **{name: (value, other["preprocessing"][name]) for name, value in one["preprocessing"].items()},
        **{name: (one[name], other[name]) for name in ("task", "labels")},
    }
    for name, (mine, its) in pairs.items():
        if mine != its:
            raise ConfigError(
                f"{first} and {second} cannot be averaged: {name} is {plain(mine)} of the one, and {plain(its)} of the"
                " other. Train them on the same images and classes"
            )
