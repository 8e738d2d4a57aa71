"""A network that learns a task from images, and from teachers where there are any."""

from __future__ import annotations

import itertools
import math
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from edgekit.ir import LOGITS
from edgekit.training.data.mixing import mix
from edgekit.training.optimizer import groups

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgekit.preprocessing import Normalization
    from edgekit.progress import Progress
    from edgekit.tasks.task import Task
    from edgekit.tasks.values import Measured
    from edgekit.training.data.loader import Batch, Loader
    from edgekit.training.distillation import Distillation
    from edgekit.training.objectives.objective import Objective
    from edgekit.training.recipe import Recipe

_SETTLED_ON: Final = 1024  # images: from about so many on, more change nothing (arXiv:2105.07576, section 3)


class FromImages:
    """A network, the images that it learns from, and those that it is measured on; a ``loop.Trainee``.

    Attributes:
        task: what it is measured by.
        seed: of what is drawn.

    Args:
        module: images [N, C, H, W] to a tensor, or to tensors by name.
        stages: names of its modules from the image on.
        training: gives augmented images, from the first epoch on.
        validation: gives them as a finished file reads them.
        objective: of its task.
        task: what it is measured by.
        normalization: of its images.
        recipe: mixup, CutMix and label smoothing.
        seed: of these.
        last: gives augmented images in the last epochs instead: the first of these, from 0, and a loader of as many
            batches.
        frozen: parts of ``module`` whose batch normalization keeps its statistics.
        teacher: what it also learns from.
        device: of ``module``.
    """

    def __init__(  # noqa: PLR0913 - what learns, from what, and how
        self,
        module: nn.Module,
        stages: Sequence[str],
        training: Loader,
        validation: Loader,
        *,
        objective: Objective,
        task: Task[Any],
        normalization: Normalization,
        recipe: Recipe,
        seed: int,
        last: tuple[int, Loader] | None = None,
        frozen: Sequence[str] = (),
        teacher: Distillation | None = None,
        device: str = "cpu",
    ) -> None:
        self.module = module
        self._stages, self._training, self._validation = stages, training, validation
        self._last = last
        self._frozen = [
            part for name in frozen for part in module.get_submodule(name).modules() if isinstance(part, nn.BatchNorm2d)
        ]
        self.task, self._objective, self._recipe, self.seed = task, objective, recipe, seed
        self._teacher, self._device = teacher, device
        mean, std = (torch.tensor(values, device=device) for values in (normalization.mean, normalization.std))
        self._mean, self._std = mean.reshape(-1, 1, 1), std.reshape(-1, 1, 1)

    def groups(self, recipe: Recipe) -> list[dict[str, Any]]:
        """See ``loop.Trainee``."""
        return groups(self.module, self._stages, recipe)

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """See ``loop.Trainee``."""
        loader = self._training if self._last is None or epoch < self._last[0] else self._last[1]
        return loader.epoch(epoch, start)

    @property
    def batches_per_epoch(self) -> int:
        """See ``loop.Trainee``."""
        return len(self._training)

    def loss(self, batch: Batch, step: int) -> Tensor:
        """The task's loss, with the teacher's where there is one."""
        pixels, prepared = self.drawn(batch, step)
        outputs = named(self.module(self.normalized(pixels)))
        loss = self.task_loss(outputs, prepared)
        return loss if self._teacher is None else self._teacher.loss(pixels, outputs, prepared, loss)

    def drawn(self, batch: Batch, step: int) -> tuple[Tensor, Any]:
        """The images of a step, 0 to 255, [N, C, H, W], and the targets as the loss takes them, mixed where wanted."""
        for part in self._frozen:  # whoever trains has put the whole network into training mode
            part.eval()
        pixels = self._pixels(batch)
        prepared = self._objective.prepared(batch.targets, self._device)
        if self._objective.mixes and (self._recipe.mixup or self._recipe.cutmix):
            random = np.random.default_rng([self.seed, step])
            pixels, prepared = mix(pixels, prepared, self._recipe.mixup, self._recipe.cutmix, random)
        return pixels, prepared

    def normalized(self, pixels: Tensor) -> Tensor:
        """What the network takes, [N, C, H, W]."""
        return (pixels - self._mean) / self._std

    def task_loss(self, outputs: Mapping[str, Tensor], prepared: Any) -> Tensor:  # noqa: ANN401 - a task's own
        """The task's loss of a step's outputs."""
        return self._objective.loss(outputs, prepared, self._recipe)

    def settle(self, average: nn.Module) -> None:
        """Measure the statistics of batch normalization anew, on the first images of an epoch, as training sees them.

        A moving average of statistics describes the layers of earlier steps. Those of the averaged weights are their
        mean over some batches (arXiv:2105.07576, section 3). Where some statistics are kept as they are, nothing is
        measured: the layers behind would see what these do not give in use.
        """
        if self._frozen:
            return
        with closing(self._training.epoch(0)) as batches:
            some = itertools.islice(batches, math.ceil(_SETTLED_ON / self._training.batch_size))
            update_bn((self.normalized(self._pixels(batch)) for batch in some), average)

    def validate(self, module: nn.Module, progress: Progress) -> tuple[Measured, ...]:
        """The task's metrics on all validation images."""
        return self.task.measure(*self.answers(module, progress))

    @torch.inference_mode()
    def answers(self, module: nn.Module, progress: Progress) -> tuple[dict[str, NDArray[Any]], Any]:
        """What a network says of all validation images, by the output's name, and their targets."""
        was_training = module.training
        module.eval()
        found: dict[str, list[Any]] = {}
        targets = []
        for place, batch in enumerate(self._validation.epoch(0)):
            for name, value in named(module(self.normalized(self._pixels(batch)))).items():
                found.setdefault(name, []).append(value.float().cpu().numpy())
            targets.append(batch.targets)
            progress("validating", place + 1, len(self._validation))
        module.train(was_training)
        outputs = {name: np.concatenate(values) for name, values in found.items()}
        return outputs, self._objective.truth(targets)

    def _pixels(self, batch: Batch) -> Tensor:
        """[N, C, H, W], 0 to 255, float32, laid out with channels last."""
        return torch.from_numpy(batch.pixels).to(self._device).permute(0, 3, 1, 2).float()


def named(outputs: Tensor | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The outputs of a network by name; the only one of a classifier is its logits."""
    return {LOGITS: outputs} if isinstance(outputs, torch.Tensor) else outputs
