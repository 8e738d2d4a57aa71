"""Learning from networks that know more: their probabilities say how alike classes are, which labels do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

# Of decoupled distillation on ImageNet (arXiv:2203.08679, appendix A.2): weights of the target class and of the others.
_TARGET_WEIGHT, _OTHERS_WEIGHT = 1.0, 8.0
_FAR = 1000.0  # taken off a logit, it leaves no probability


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A network that is learned from.

    Attributes:
        outputs: normalized images [N, C, H, W] to logits [N, classes], without gradients.
        size: height and width of its images, pixels.
        mean: of each channel, in pixel units.
        std: likewise.
    """

    outputs: Callable[[Tensor], Tensor] = field(repr=False)
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def logits(self, pixels: Tensor) -> Tensor:
        """Of pixels [N, C, H, W], 0 to 255, whatever their size."""
        if pixels.shape[2:] != self.size:
            pixels = functional.interpolate(pixels, self.size, mode="bilinear", align_corners=False, antialias=True)
        mean, std = (pixels.new_tensor(values).reshape(-1, 1, 1) for values in (self.mean, self.std))
        with torch.no_grad():
            return self.outputs((pixels - mean) / std).float()


@dataclass(frozen=True, slots=True, eq=False)
class Distillation:
    """How a student learns from its teachers.

    Attributes:
        teachers: one, or an ensemble, whose probabilities are averaged.
        kind: "kd" (arXiv:1503.02531) or "dkd" (arXiv:2203.08679).
        temperature: of both soft-maxes.
        alpha: share of the teachers in the loss, of "kd".
    """

    teachers: Sequence[Teacher]
    kind: Literal["kd", "dkd"] = "kd"
    temperature: float = 4.0
    alpha: float = 0.7

    def loss(self, pixels: Tensor, outputs: Mapping[str, Tensor], targets: Tensor, own: Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            pixels: as the student sees them, [N, C, H, W], 0 to 255.
            outputs: the student's logits, [N, classes], by the output's name; each exit learns from the teachers.
            targets: [N, classes], each row a distribution.
            own: the loss by these targets.
        """
        wanted, students = self._wanted(pixels), outputs.values()
        if self.kind == "kd":
            taught = torch.stack([self._divergence(student, wanted) for student in students]).sum()
            return (1 - self.alpha) * own + self.alpha * taught
        classes = targets.argmax(1)
        return own + torch.stack([self._decoupled(student, wanted, classes) for student in students]).sum()

    def _wanted(self, pixels: Tensor) -> Tensor:
        """Logits that give the mean of the teachers' probabilities at the temperature."""
        probabilities = [(t.logits(pixels) / self.temperature).softmax(1) for t in self.teachers]
        mean = torch.stack(probabilities).mean(0)
        return self.temperature * mean.clamp(min=torch.finfo(mean.dtype).tiny).log()

    def _divergence(self, student: Tensor, wanted: Tensor) -> Tensor:
        """Kullback-Leibler's, times T squared, so that gradients keep their size at any temperature T."""
        found, target = ((z / self.temperature).log_softmax(1) for z in (student, wanted))
        return functional.kl_div(found, target, reduction="batchmean", log_target=True) * self.temperature**2

    def _decoupled(self, student: Tensor, wanted: Tensor, classes: Tensor) -> Tensor:
        """Of the target class against all others, and of the others among themselves (equation 7)."""
        is_target = functional.one_hot(classes, student.shape[1]).bool()
        pairs = []
        for logits in (student, wanted):
            p = (logits / self.temperature).softmax(1)
            pairs.append(torch.stack([p[is_target], p[~is_target].reshape(len(p), -1).sum(1)], 1))
        found, target = (pair.clamp(min=torch.finfo(pair.dtype).tiny).log() for pair in pairs)
        of_target = functional.kl_div(found, target, reduction="batchmean", log_target=True) * self.temperature**2
        others = [logits - _FAR * self.temperature * is_target for logits in (student, wanted)]
        return _TARGET_WEIGHT * of_target + _OTHERS_WEIGHT * self._divergence(*others)
