"""A trouble that was found: its name, the evidence, and the command that ends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Trouble(StrEnum):
    """What can be wrong. The value is the code that is shown."""

    # how the network is fed
    PREPROCESSING = "wrong-preprocessing"
    OTHER_IMAGES = "images-unlike-training"
    # the labels and the images
    SWAPPED_LABELS = "swapped-labels"
    OTHER_ORDER = "labels-in-another-order"
    MISLABELLED = "mislabelled-class"
    DUPLICATES = "duplicates-in-training-and-test"
    IMBALANCE = "class-imbalance"
    # the network
    BROKEN_WEIGHTS = "weights-not-finite"
    DEAD_CHANNELS = "dead-channels"
    SATURATED = "saturated-layer"
    STALE_BN = "stale-batch-normalization"
    OVERCONFIDENT = "overconfident"
    AT_CHANCE = "accuracy-at-chance"
    # the training
    OVERFIT = "overfit"
    DIVERGED = "training-diverged"
    RATE_TOO_HIGH = "learning-rate-too-high"
    RATE_TOO_LOW = "learning-rate-too-low"
    STILL_LEARNING = "still-learning"
    # the exported files
    INT8_WORSE = "int8-worse-than-float"
    SLOW_OPERATOR = "slow-operator"
    TOO_MANY_THREADS = "too-many-threads"
    BUSY_MACHINE = "busy-machine"


@dataclass(frozen=True, slots=True)
class Finding:
    """One trouble.

    Attributes:
        trouble: which one.
        sentence: what is wrong, for people.
        evidence: the numbers that show it.
        remedy: a command to paste.
    """

    trouble: Trouble
    sentence: str
    evidence: str
    remedy: str
