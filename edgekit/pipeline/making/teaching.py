"""Teachers that a training learns from besides: any checkpoint, run or ONNX file of the same classes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.errors import ConfigError
from edgekit.models.folders import file_of
from edgekit.models.head_tasks import EXITS
from edgekit.tasks.classification.labels import matched
from edgekit.tasks.registry import heads_of

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from edgekit.config import Settings
    from edgekit.training.distillation import Distillation, Teacher

_SHOWN = 5  # names of classes in a message
_TEMPERATURE, _ALPHA = 4.0, 0.7  # of distillation


def digest(checkpoint: Path) -> str:
    """SHA-256 of a file of weights, or of the one in a folder.

    Raises:
        CheckpointError: there is none.
        ConfigError: it cannot be read.
    """
    path = file_of(checkpoint)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"the teacher {path} cannot be read ({error.strerror}): name another, --teacher FILE"
        ) from error


def teachers_of(settings: Settings, labels: tuple[str, ...], device: str) -> Distillation | None:
    """What is learned from besides, if anything is.

    Raises:
        ConfigError: a teacher tells other classes apart, the task is none that is distilled, or it is said how to learn
            from teachers, and none is named.
    """
    from edgekit.training.distillation import Distillation  # noqa: PLC0415 - needs torch

    wanted = settings.train
    if not wanted.teacher:
        if wanted.kd != "kd" or wanted.kd_temperature is not None or wanted.kd_alpha is not None:
            raise ConfigError("--kd says how to learn from a teacher, and none is named: add --teacher FILE")
        return None
    if wanted.task != "classification":
        raise ConfigError(f"teachers are learned from in classification, and the task is {wanted.task}: leave them out")
    return Distillation(
        [_teacher(path, settings, labels, device) for path in wanted.teacher],
        wanted.kd,
        _TEMPERATURE if wanted.kd_temperature is None else wanted.kd_temperature,
        _ALPHA if wanted.kd_alpha is None else wanted.kd_alpha,
    )


def _teacher(path: Path, settings: Settings, labels: tuple[str, ...], device: str) -> Teacher:
    """A trained network as it says that it takes images; one with early exits teaches what its last exit says.

    Raises:
        ConfigError: it tells other classes apart, or the same ones in another order, as far as it names them.
    """
    from edgekit.executor.float import FloatExecutor  # noqa: PLC0415 - needs torch
    from edgekit.pipeline.making.source import open_source  # noqa: PLC0415 - likewise
    from edgekit.training.distillation import Teacher  # noqa: PLC0415 - likewise

    source = open_source(replace(settings, model=replace(settings.model, checkpoint=path, resolution=None, task=None)))
    form = source.float_model
    shapes = {name: tensor.shape for name, tensor in form.graph.named(form.graph.tensors).items()}
    exits = [head["name"] for head in heads_of(form.provenance) if head["task"] == EXITS]
    answers = exits[-1:] or list(shapes)
    if [shapes[name] for name in answers] != [(len(labels),)]:
        given = ", ".join(str(list(shape)) for shape in shapes.values())
        raise ConfigError(
            f"the teacher {path} gives {given} numbers, and the images have {len(labels)} classes: name one that was "
            f"trained on these classes"
        )
    are_named = not any(all(map(str.isdigit, names)) for names in (labels, form.labels))
    if are_named and matched(labels, form.labels) != tuple(range(len(labels))):
        raise ConfigError(
            f"the teacher {path} tells {', '.join(form.labels[:_SHOWN])} … apart, and the images are of "
            f"{', '.join(labels[:_SHOWN])} …, in this order: name one that was trained on these classes"
        )
    executor = FloatExecutor(form.graph).to(device).eval()
    normalization = form.preprocessing.normalization

    def logits(images: Tensor) -> Tensor:
        found: Tensor = executor(images)[answers[0]]
        return found

    return Teacher(logits, form.preprocessing.size, normalization.mean, normalization.std)
