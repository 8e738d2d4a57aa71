"""From boxes and scores of every prior box to the things in an image: of boxes that overlap, the best one stays.

As torchvision has it (``SSD.postprocess_detections`` of torchvision/models/detection/ssd.py), with one order where
scores are equal: the higher score first, then the lower class, then the prior box that comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.annotations.boxes import overlap

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOOKED_AT: Final = 4  # candidates for each box that is wanted, at first: more are looked at where too few are left


@dataclass(frozen=True, slots=True)
class Suppression:
    """Which boxes stay.

    Attributes:
        score: what a box has to exceed, 0..1.
        overlap: with a better box of the same class, as intersection over union: what exceeds it goes.
        candidates: of each class, the best so many are looked at.
        most: so many of an image are kept, the best of all classes.
    """

    score: float
    overlap: float
    candidates: int
    most: int


# As ssdlite320_mobilenet_v3_large of torchvision/models/detection/ssdlite.py has it.
USUAL: Final = Suppression(score=0.001, overlap=0.55, candidates=300, most=300)


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Detections:
    """What is seen in an image, the most certain first.

    Attributes:
        boxes: [n, (left, top, right, bottom)], float32, in shares of the image.
        scores: [n], float32, 0..1.
        classes: [n], from 0, without the background.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def some(self, which: Any) -> Detections:  # noqa: ANN401 - whatever indexes an array
        """Those that an index, a slice or a mask chooses."""
        return Detections(self.boxes[which], self.scores[which], self.classes[which])


def probabilities(logits: NDArray[Any]) -> NDArray[np.float32]:
    """The soft-max of ``logits``, [..., 1 + classes], without the background, which comes first: [..., classes].

    In float64, rounded to float32 once (``coding``).
    """
    values = logits.astype(np.float64)
    powers = np.exp(values - values.max(-1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(-1, keepdims=True)
    return found[..., 1:].astype(np.float32)


def suppress(boxes: NDArray[np.float32], scores: NDArray[np.float32], rule: Suppression) -> Detections:
    """The boxes of an image that stay.

    Args:
        boxes: [A, (left, top, right, bottom)], in shares of the image.
        scores: [A, classes], 0..1.
        rule: which these are.
    """
    found = _candidates(boxes, scores, rule)
    looked_at = _LOOKED_AT * rule.most
    while True:  # what stays of the best does not depend on the others
        best = found.some(slice(looked_at))
        kept = best.some(_stays(best, rule.overlap))
        if len(kept) >= rule.most or looked_at >= len(found):
            return kept.some(slice(rule.most))
        looked_at *= 2


def _candidates(boxes: NDArray[np.float32], scores: NDArray[np.float32], rule: Suppression) -> Detections:
    """The best of each class, in order."""
    priors, classes = np.nonzero(scores > rule.score)
    found = scores[priors, classes]
    by_class = np.lexsort((priors, -found, classes))
    starts = np.searchsorted(classes[by_class], np.arange(scores.shape[1]))
    rank = np.arange(len(by_class)) - starts[classes[by_class]]
    best = by_class[rank < rule.candidates]
    order = best[np.lexsort((priors[best], classes[best], -found[best]))]
    return Detections(boxes[priors[order]], found[order], classes[order])


def _stays(found: Detections, most: float) -> NDArray[np.bool_]:
    """Whether no better box of its class, that stays itself, overlaps each too much; [n]."""
    stays = np.ones(len(found), np.bool_)
    for kind in np.unique(found.classes):
        (places,) = np.nonzero(found.classes == kind)
        boxes = found.boxes[places].astype(np.float64)
        covers = np.triu(overlap(boxes, boxes) > most, 1)  # [the better one, the other one]
        own = np.ones(len(places), np.bool_)
        while True:  # each round settles the first box, at least, that was not settled before
            settled: NDArray[np.bool_] = ~np.logical_or.reduce(covers[own])
            if (settled == own).all():
                break
            own = settled
        stays[places] = own
    return stays
