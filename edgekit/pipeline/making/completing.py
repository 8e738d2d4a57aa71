"""What stands on the backbone of a network that is to be trained: its family's classifier, or the head of a task."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from edgekit.errors import ConfigError
from edgekit.models.head_specs import SsdSpec
from edgekit.models.head_tasks import EXITS, SEVERAL
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.tasks.classification import Classification

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.config import Settings, TrainSettings
    from edgekit.models.architecture import Architecture
    from edgekit.models.head_specs import HeadSpec, VectorTask
    from edgekit.models.heads.making import Kind
    from edgekit.training.data.opening import Data

# The heads of each task that has some; the first is usual where no family says another.
_HEADS: Final[Mapping[str, tuple[Kind, ...]]] = {
    "detection": ("ssdlite", "ssd"),
    "segmentation": ("deeplab", "lraspp"),
}
# arXiv:1704.04861, section 4.6, and arXiv:1905.02244, section 6.4.
_USUAL: Final[Mapping[tuple[str, str], Kind]] = {
    ("detection", "mobilenet_v1"): "ssd",
    ("segmentation", "mobilenet_v3_large"): "lraspp",
    ("segmentation", "mobilenet_v3_small"): "lraspp",
}


def check_head(wanted: TrainSettings) -> None:
    """Refuse a head that the task has not, and exits of what is no classifier.

    Raises:
        ConfigError: there is one.
    """
    if wanted.task == EXITS:
        raise ConfigError("a classifier has exits: leave --task out, and say how many or where, as in --exits 2")
    if wanted.exits and wanted.task != Classification.name:
        raise ConfigError(f"a classifier has exits, and the task is {wanted.task}: leave --exits out")
    known = _HEADS.get(wanted.task, ())
    if wanted.head is not None and wanted.head not in known:
        has = f"has {' or '.join(known)}" if known else "has none to choose from"
        raise ConfigError(f"--head is {wanted.head}, and the task {wanted.task} {has}: leave --head out, or set --task")


def check_exits(structure: Architecture | TaskArchitecture, settings: Settings) -> None:
    """Refuse what says when images leave a network that they cannot leave.

    Raises:
        ConfigError: it is said.
    """
    has_exits = isinstance(structure, TaskArchitecture) and structure.task == EXITS
    if not has_exits and "train.exit_drop" in settings.origins:
        raise ConfigError(
            f"{structure.name} has no early exits, and train.exit_drop says what leaving early may lose: add --exits, "
            f"or leave --exit-drop out"
        )


def completed(
    structure: Architecture | TaskArchitecture, wanted: TrainSettings, data: Data
) -> Architecture | TaskArchitecture:
    """The network for a task, on a backbone.

    A network that has a head of this task already keeps it, and only the number of classes changes.

    Args:
        structure: of a network whose size is settled.
        wanted: the task and its head.
        data: how many classes or numbers there are; a detector's prior boxes are fitted to the objects in them.

    Raises:
        ConfigError: the backbone cannot have such a head, or the network has another, or heads of other tasks.
    """
    if isinstance(structure, TaskArchitecture):
        return _retrained(structure, wanted, data)
    if wanted.task == SEVERAL:
        return TaskArchitecture(structure, tuple(_head(structure, one) for one in data.each))
    if wanted.exits:
        from edgekit.models.complexity import at_equal_shares  # noqa: PLC0415 - needs torch
        from edgekit.models.heads.making import exits  # noqa: PLC0415 - likewise

        first, *others = wanted.exits
        places = at_equal_shares(structure, int(first)) if first.isdigit() and not others else wanted.exits
        return exits(structure, data.outputs, places)
    if wanted.task not in _HEADS:
        return replace(structure, num_classes=data.outputs)

    from edgekit.models.heads.making import network_for  # noqa: PLC0415 - needs torch

    kind = wanted.head or _usual(wanted.task, structure)
    shapes = _shapes(data) if wanted.task == "detection" else None
    return network_for(structure, kind, data.outputs, shapes=shapes)


def _retrained(structure: TaskArchitecture, wanted: TrainSettings, data: Data) -> TaskArchitecture:
    if structure.task == EXITS and wanted.task == Classification.name:
        if wanted.exits:
            raise ConfigError("the pretrained network has exits: leave --exits out, or give a classifier's checkpoint")
        undecided: dict[str, Any] = {"things": data.outputs, "temperature": 1.0, "confidence": None}
        return replace(structure, heads=tuple(replace(head, **undecided) for head in structure.heads))
    tasks = tuple(head.task for head in structure.heads)
    if tasks != tuple(one.task for one in data.each):
        raise ConfigError(
            f"the pretrained network is for {' and '.join(tasks)}, and the images are for "
            f"{' and '.join(one.task for one in data.each)}: give --task, or a classifier's checkpoint"
        )
    if wanted.head is not None and [wanted.head] != (own := [_kind(head) for head in structure.heads]):
        raise ConfigError(
            f"--head is {wanted.head}, and the pretrained network has {' and '.join(own)}: leave --head out, or give a "
            f"classifier's checkpoint"
        )
    heads = [replace(head, things=one.outputs) for head, one in zip(structure.heads, data.each, strict=True)]
    return replace(structure, heads=tuple(heads))


def _kind(head: HeadSpec) -> str:
    """What ``--head`` calls it."""
    return "ssdlite" if isinstance(head, SsdSpec) and head.separable else head.kind


def _usual(task: str, backbone: Architecture) -> Kind:
    """The head of a task where none is named."""
    return _USUAL.get((task, backbone.family), _HEADS[task][0])


def _head(backbone: Architecture, data: Data) -> HeadSpec:
    """One of several heads; a segmenter is LR-ASPP, for a detector needs the strides that DeepLab takes out."""
    from edgekit.models.heads import making  # noqa: PLC0415 - needs torch

    if data.task == "detection":
        separable = _usual(data.task, backbone) == "ssdlite"
        return making.ssd(backbone, data.outputs, separable=separable, shapes=_shapes(data))
    if data.task == "segmentation":
        return making.lraspp(backbone, data.outputs)
    return making.vector(backbone, cast("VectorTask", data.task), data.outputs)


def _shapes(data: Data) -> NDArray[np.float64]:
    """Widths and heights of all objects that are learned from, [n, 2], in shares of the image."""
    corners = np.concatenate([boxes.corners for boxes in data.train.targets])
    sizes: NDArray[np.float64] = corners[:, 2:] - corners[:, :2]
    return sizes
