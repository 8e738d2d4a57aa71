"""From boxes and scores of every prior box to the things in an image: of boxes that overlap, the best one stays.

As torchvision has it (``SSD.postprocess_detections`` of torchvision/models/detection/ssd.py), with one order where
scores are equal: the higher score first, then the lower class, then the prior box that comes first.

Files may do that themselves (``Ending``): the formats have operators for it. What they give then is called and shaped
as TensorFlow's object detection API has it, whose files are what MediaPipe and the TFLite Task Library read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from edgekit.annotations.boxes import overlap
from edgekit.device.detections import BOXES, CLASSES, NUMBER, SCORES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    V = TypeVar("V")

SUPPRESSION: Final = "suppression"  # the entry of a provenance that says what stands behind the network
ORDER: Final = (1, 0, 3, 2)  # what takes left, top, right and bottom to the order of ``BOXES``, and back
_LOOKED_AT: Final = 4  # candidates for each box that is wanted, at first: more are looked at where too few are left


@dataclass(frozen=True, slots=True)
class Suppression:
    """Which boxes stay.

    Attributes:
        score: what a box has to exceed, 0..1.
        overlap: with a better box of the same class, as intersection over union: what exceeds it goes.
        most: so many of an image are kept, the best of all classes.
        candidates: of each class, the best so many are looked at; None for all. No file's operators have such a limit.
    """

    score: float
    overlap: float
    most: int
    candidates: int | None = None


# As ssdlite320_mobilenet_v3_large of torchvision/models/detection/ssdlite.py has it.
USUAL: Final = Suppression(score=0.001, overlap=0.55, most=300, candidates=300)


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


@dataclass(frozen=True, slots=True)
class Ending:
    """Suppression behind a network: what its files give in the place of two outputs.

    Attributes:
        boxes: the output that is read, [A, (left, top, right, bottom)], in shares of the image.
        scores: likewise, [A, classes], 0..1.
        before: what stands before the names of what is given: "" where the network has one head.
        rule: which boxes stay.
    """

    boxes: str
    scores: str
    before: str
    rule: Suppression

    @property
    def names(self) -> tuple[str, str, str, str]:
        """What is given, in this order: ``BOXES``, ``CLASSES``, ``SCORES`` and ``NUMBER``."""
        boxes, classes, scores, number = (self.before + name for name in (BOXES, CLASSES, SCORES, NUMBER))
        return boxes, classes, scores, number

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Their shapes, of one image."""
        return (self.rule.most, 4), (self.rule.most,), (self.rule.most,), ()

    def makes(self, name: str) -> bool:
        """Whether an operator of a file is part of it, by the name of what it makes."""
        return name in self.names or name.startswith(f"{self.names[0]}.")

    def is_behind(self, outputs: Iterable[str]) -> bool:
        """Whether ``outputs``, by name, are those of a network that it stands behind: one that decodes boxes."""
        return {self.boxes, self.scores} <= {*outputs}

    def to_dict(self) -> dict[str, Any]:
        """As a provenance has it."""
        return {**asdict(self.rule), "boxes": self.boxes, "scores": self.scores, "before": self.before}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Ending:
        """The inverse of ``to_dict``."""
        rule = Suppression(**{key: values[key] for key in ("score", "overlap", "most", "candidates")})
        return Ending(values["boxes"], values["scores"], values["before"], rule)


def endings_of(provenance: Mapping[str, Any]) -> tuple[Ending, ...]:
    """What stands behind a network, as its provenance says it."""
    return tuple(map(Ending.from_dict, provenance.get(SUPPRESSION) or ()))


def replaced(outputs: Mapping[str, V], made: Mapping[Ending, Sequence[V]]) -> dict[str, V]:
    """``outputs`` by name; in the place of what endings read stands what they make, in the order of ``names``."""
    given: dict[str, V] = {}
    read = {ending.scores for ending in made}
    by_boxes = {ending.boxes: ending for ending in made}
    for name, value in outputs.items():
        if name in by_boxes:
            given |= zip(by_boxes[name].names, made[by_boxes[name]], strict=True)
        elif name not in read:
            given[name] = value
    return given


def given_shapes(shapes: Mapping[str, tuple[int, ...]], provenance: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of what files give of one image, by name, from those of the network's outputs."""
    return replaced(shapes, {ending: ending.shapes for ending in endings_of(provenance) if ending.is_behind(shapes)})


def given_names(names: Iterable[str], provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of what files give, from those of the network's outputs."""
    return tuple(given_shapes(dict.fromkeys(names, ()), provenance))


def ended(outputs: Mapping[str, NDArray[Any]], provenance: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """What files give, [N, ...] by name, of the network's outputs."""
    behind = [ending for ending in endings_of(provenance) if ending.is_behind(outputs)]
    return replaced(outputs, {ending: _rows(ending, outputs) for ending in behind})


def detected(boxes: NDArray[Any], classes: NDArray[Any], scores: NDArray[Any], number: NDArray[Any]) -> Detections:
    """What the four arrays of one image say: rows of zeros are left out."""
    seen = slice(int(number))
    return Detections(boxes[seen][:, ORDER], scores[seen], classes[seen].astype(np.int64))


def _rows(ending: Ending, outputs: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.float32], ...]:
    """The four arrays of all images."""
    pairs = zip(outputs[ending.boxes], outputs[ending.scores], strict=True)
    seen = [
        suppress(np.asarray(boxes, np.float32), np.asarray(scores, np.float32), ending.rule) for boxes, scores in pairs
    ]
    found = tuple(np.zeros((len(seen), *shape), np.float32) for shape in ending.shapes)
    boxes, classes, scores, number = found
    for image, one in enumerate(seen):
        rows = slice(len(one))
        boxes[image, rows], classes[image, rows], scores[image, rows] = one.boxes[:, ORDER], one.classes, one.scores
        number[image] = len(one)
    return found


def _candidates(boxes: NDArray[np.float32], scores: NDArray[np.float32], rule: Suppression) -> Detections:
    """The best of each class, in order."""
    priors, classes = np.nonzero(scores > rule.score)
    found = scores[priors, classes]
    by_class = np.lexsort((priors, -found, classes))
    starts = np.searchsorted(classes[by_class], np.arange(scores.shape[1]))
    rank = np.arange(len(by_class)) - starts[classes[by_class]]
    best = by_class if rule.candidates is None else by_class[rank < rule.candidates]
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
