"""Logits as classes with their probabilities."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edgekit.tasks.values import Answer
from edgekit.words import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Candidate:
    """A class that an image may be of.

    Attributes:
        index: of the class.
        label: its name; "class 7" where none is known.
        probability: 0..1.
    """

    index: int
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Classes(Answer):
    """The classes that an image may be of.

    Attributes:
        best: the most probable ones, that first.
    """

    are_alternatives: ClassVar[bool] = True

    best: tuple[Candidate, ...]

    @property
    def text(self) -> str:
        """The name of the most probable class."""
        return self.best[0].label

    @property
    def lines(self) -> tuple[str, ...]:
        """Each class with its probability."""
        return tuple(f"{found.label} {percent(found.probability)}" for found in self.best)

    def contradicts(self, right: Answer) -> bool:
        """Whether the most probable class is another."""
        assert isinstance(right, Classes)
        return self.best[0].index != right.best[0].index


def probabilities(logits: NDArray[Any]) -> NDArray[np.float64]:
    """The soft-max of ``logits``, [N, classes].

    >>> import numpy as np
    >>> probabilities(np.array([[1000.0, 1000.0]])).tolist()
    [[0.5, 0.5]]
    """
    values = logits.astype(np.float64)
    powers = np.exp(values - values.max(1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
    return found


def ranked(logits: NDArray[Any], most: int) -> NDArray[np.intp]:
    """The classes with the highest of ``logits``, [N, classes], that first: [N, most], or all of them if fewer.

    Equal logits rank in the order of the classes, as argmax has it.
    """
    return np.argsort(-logits.astype(np.float64), axis=1, kind="stable")[:, :most]


def answers(logits: NDArray[Any], names: Sequence[str], most: int) -> tuple[Classes, ...]:
    """What ``logits``, [N, classes], say of each image: at most so many classes, by their ``names``.

    >>> import numpy as np
    >>> answers(np.array([[0.0, 100.0]]), ["cat", "dog"], 1)
    (Classes(best=(Candidate(index=1, label='dog', probability=1.0),)),)
    """
    likely, order = probabilities(logits), ranked(logits, most)
    return tuple(
        Classes(tuple(Candidate(int(i), names[i], float(row[i])) for i in indices))
        for row, indices in zip(likely, order, strict=True)
    )


def of_class(index: int, names: Sequence[str]) -> Classes:
    """The answer of somebody who is sure: a label."""
    return Classes((Candidate(index, names[index], 1.0),))


def class_names(classes: int, labels: Sequence[str]) -> tuple[str, ...]:
    """All classes for people; labels that several classes share are told apart by their indices.

    >>> class_names(3, ["crane", "cat", "crane"])
    ('crane (0)', 'cat', 'crane (2)')
    >>> class_names(2, [])
    ('class 0', 'class 1')
    """
    named = [labels[index] if index < len(labels) else f"class {index}" for index in range(classes)]
    often = Counter(named)
    return tuple(f"{name} ({index})" if often[name] > 1 else name for index, name in enumerate(named))
