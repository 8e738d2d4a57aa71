"""Detection: the loss of SSD, over prior boxes that objects were matched with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import torch
from torch.nn import functional

from edgekit.tasks.detection.coding import corners, encode
from edgekit.training.objectives.matching import LEFT_OUT, match

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edgekit.annotations.boxes import Boxes
    from edgekit.tasks.detection.task import Detection as DetectionTask
    from edgekit.tasks.task import Task
    from edgekit.training.recipe import Recipe

_NEGATIVES: Final = (
    3  # priors without an object that are learned from, for each with one: arXiv:1512.02325, section 2.2
)
_BACKGROUND, _LEFT_OUT = 0, -1


@dataclass(frozen=True, slots=True)
class Matched:
    """What the prior boxes of a batch shall say.

    Attributes:
        classes: int64 [N, priors]: 0 is the background, -1 is left out.
        codings: float32 [N, priors, 4], of those that have an object.
    """

    classes: Tensor
    codings: Tensor


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Detection:
    """See ``Objective``; targets are ``Boxes`` for each image.

    Attributes:
        boxes: the name of the output of codings, [N, priors, 4].
        scores: that of logits, [N, priors, 1 + classes], the background first.
        priors: [priors, 4]: centres and sizes.
    """

    boxes: str
    scores: str
    priors: NDArray[np.float32] = field(repr=False)
    mixes: bool = False

    @classmethod
    def of(cls, task: Task[Any]) -> Detection:
        """That of a task."""
        about = cast("DetectionTask", task)
        boxes, scores = about.outputs
        return cls(boxes, scores, about.priors.boxes)

    def prepared(self, targets: Sequence[Boxes], device: str) -> Matched:
        """Every object matched with prior boxes."""
        pairs = [self._matched(boxes) for boxes in targets]
        classes, codings = (torch.from_numpy(np.stack(values)).to(device) for values in zip(*pairs, strict=True))
        return Matched(classes, codings)

    def truth(self, batches: Sequence[Sequence[Boxes]]) -> tuple[Boxes, ...]:
        """The boxes of every image."""
        return tuple(boxes for targets in batches for boxes in targets)

    def loss(self, outputs: Mapping[str, Tensor], targets: Matched, recipe: Recipe) -> Tensor:
        """Smooth L1 of codings, and cross-entropy of classes, over the number of priors that have an object.

        Of the priors without one those count whose cross-entropy is largest, three times as many in each image.
        Source: arXiv:1512.02325, equations 1 to 3 and "Hard negative mining"; the sums of a batch are divided once, as
        in ``SSD.compute_loss`` of torchvision/models/detection/ssd.py.
        """
        classes, has_object = targets.classes, targets.classes > _BACKGROUND
        count = has_object.sum().clamp(min=1)
        of_boxes = functional.smooth_l1_loss(
            outputs[self.boxes][has_object], targets.codings[has_object], reduction="sum"
        )
        logits = outputs[self.scores]
        each = functional.cross_entropy(
            logits.flatten(0, 1),
            classes.clamp(min=_BACKGROUND).flatten(),
            reduction="none",
            label_smoothing=recipe.smoothing,
        ).reshape(classes.shape)
        is_background = classes == _BACKGROUND
        hardest_first = each.detach().masked_fill(~is_background, -torch.inf).sort(dim=1, descending=True, stable=True)
        rank = hardest_first.indices.argsort(1)
        is_hard = is_background & (rank < _NEGATIVES * has_object.sum(1, keepdim=True))
        return (of_boxes + each[has_object | is_hard].sum()) / count

    def _matched(self, boxes: Boxes) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        found = match(corners(self.priors), boxes)
        classes = np.full(len(found), _BACKGROUND, np.int64)
        classes[found == LEFT_OUT] = _LEFT_OUT
        has_object = found >= 0
        classes[has_object] = boxes.classes[found[has_object]] + 1
        codings = np.zeros((len(found), 4), np.float32)
        codings[has_object] = encode(boxes.corners[found[has_object]], self.priors[has_object])
        return classes, codings
