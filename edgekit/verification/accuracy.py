"""How often logits are right, and how near they are to others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NORMAL_95 = 1.959964  # the 97.5 % quantile of the standard normal distribution


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Measured on labelled images.

    Attributes:
        images: how many.
        top1: share whose highest logit is the label, 0..1.
        top5: share with the label among the five highest logits, 0..1.
    """

    images: int
    top1: float
    top5: float


@dataclass(frozen=True, slots=True)
class Drop:
    """By how much less often one network is right than another, on the same labelled images.

    Attributes:
        points: the difference of both top-1, percentage points; negative where it is right more often.
        low: lower end of its 95 % interval.
        high: upper end.
    """

    points: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Share:
    """How often something was so.

    Attributes:
        value: the share, 0..1.
        low: lower end of its 95 % interval.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @staticmethod
    def of(value: float, number: int) -> Share:
        """A share of ``number`` cases, with Wilson's score interval, which holds for few cases and near 0 and 1, too.

        Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22 (1927).

        >>> share = Share.of(0.5, 100)
        >>> round(share.low, 4), round(share.high, 4)
        (0.4038, 0.5962)
        """
        z2 = NORMAL_95**2
        centre = (value + z2 / (2 * number)) / (1 + z2 / number)
        half = NORMAL_95 * math.sqrt(value * (1 - value) / number + z2 / (4 * number**2)) / (1 + z2 / number)
        return Share(value, max(centre - half, 0.0), min(centre + half, 1.0))


def measure(logits: NDArray[np.generic], labels: Sequence[int]) -> Accuracy:
    """The accuracy of ``logits``, [N, classes]. Equal logits rank in the order of the classes, as argmax has it.

    >>> import numpy as np
    >>> measure(np.array([[0.1, 0.9], [0.8, 0.2]]), [1, 1])
    Accuracy(images=2, top1=0.5, top5=1.0)
    """
    ranked = np.argsort(-logits.astype(np.float64), axis=1, kind="stable")[:, :5]
    hits = ranked == np.asarray(labels)[:, None]
    return Accuracy(len(logits), float(hits[:, 0].mean()), float(hits.any(1).mean()))


def confidence(logits: NDArray[np.generic]) -> float:
    """The mean over images of the largest soft-max probability, 0..1, of ``logits``, [N, classes].

    A network that is well calibrated is right so often (Guo et al., On Calibration of Modern Neural Networks, ICML
    2017, section 2).

    >>> import numpy as np
    >>> confidence(np.array([[0.0, 0.0], [100.0, 0.0]]))
    0.75
    """
    values = logits.astype(np.float64)
    powers = np.exp(values - values.max(1, keepdims=True))
    return float((1 / powers.sum(1)).mean())


def agreement(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    """The share of images, 0..1, for which both logits, [N, classes], are highest in the same class."""
    return float((a.argmax(1) == b.argmax(1)).mean()) if len(a) else 0.0


def sqnr_db(found: NDArray[np.generic], floats: NDArray[np.generic]) -> float:
    """The signal-to-quantization-noise ratio, 10 log10(sum f^2 / sum (f - q)^2), over all images; inf without noise.

    >>> import numpy as np
    >>> sqnr_db(np.array([[3.0, 4.5]]), np.array([[3.0, 4.0]]))
    20.0
    """
    signal = floats.astype(np.float64)
    noise = float(np.square(signal - found.astype(np.float64)).sum())
    return 10 * math.log10(float(np.square(signal).sum()) / noise) if noise else math.inf


def paired_drop(found: NDArray[np.generic], floats: NDArray[np.generic], labels: Sequence[int]) -> Drop:
    """By how much less often the logits ``found`` are right than ``floats``, both [N, classes] and of the same images.

    Only images on which one of them is right and the other wrong make it uncertain: the interval is the normal one of
    the mean of differences. Source: Agresti, Categorical Data Analysis, 2nd edition, section 10.1.1.

    >>> import numpy as np
    >>> paired_drop(np.array([[1, 0], [1, 0]]), np.array([[1, 0], [0, 1]]), [0, 0])
    Drop(points=-50.0, low=-119.29519176407551, high=19.29519176407551)
    """
    right, expected = (logits.argmax(1) == np.asarray(labels) for logits in (found, floats))
    differences = 100.0 * (expected.astype(np.float64) - right)
    points, half = float(differences.mean()), NORMAL_95 * float(differences.std()) / math.sqrt(len(differences))
    return Drop(points, points - half, points + half)
