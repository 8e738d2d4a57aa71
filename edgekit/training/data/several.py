"""Targets of several tasks for the same images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.annotations.targets import Places, Targets
from edgekit.tasks.tagging import Tagging
from edgekit.training.data.examples import picked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.annotations.moving import Together
    from edgekit.training.data.examples import AnyTargets

NOT_KNOWN: Final = -1  # in the place of an index of a class


@dataclass(frozen=True, slots=True, eq=False)  # targets have no single truth value
class Part:
    """What one task reads of all images.

    Attributes:
        task: its name.
        labels: names of classes, or of numbers; empty where numbers have none.
        targets: one an image: boxes, masks, an index of its class, or a row of numbers. ``NOT_KNOWN`` and NaN stand
            where nobody knows.
    """

    task: str
    labels: tuple[str, ...]
    targets: AnyTargets

    @property
    def things(self) -> int:
        """How many classes or numbers there are."""
        return len(self.labels) if isinstance(self.targets, Targets) or self.is_class else int(self.targets.shape[1])

    @property
    def is_class(self) -> bool:
        """Whether targets are indices of classes."""
        return isinstance(self.targets, np.ndarray) and self.targets.ndim == 1

    @property
    def known(self) -> list[int]:
        """Places of the images of which anything is known."""
        if isinstance(self.targets, Targets):  # what shows nothing is known to show nothing
            return list(range(len(self.targets)))
        is_known = self.targets != NOT_KNOWN if self.is_class else ~np.isnan(self.targets).all(1)
        return [int(place) for place in np.flatnonzero(is_known)]


class SeveralTargets(Targets["Together"]):
    """Targets of several tasks; one target are the boxes and masks of an image, which are moved along with it."""

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)

    def __len__(self) -> int:
        return len(self.parts[0].targets)

    def one(self, index: int) -> Together:
        """See ``Targets``."""
        return {part.task: part.targets[index] for part in self.parts if isinstance(part.targets, Places)}

    def some(self, indices: Sequence[int]) -> SeveralTargets:
        """See ``Targets``."""
        return SeveralTargets([replace(part, targets=picked(part.targets, indices)) for part in self.parts])

    def gathered(self, seen: Sequence[Together], indices: Sequence[int]) -> Mapping[str, Any]:
        """Of each task, by its name, what it takes alone: a tuple of boxes or masks, indices, or rows of numbers."""
        return {
            part.task: tuple(one[part.task] for one in seen)
            if isinstance(part.targets, Places)
            else part.targets[list(indices)]
            for part in self.parts
        }

    @property
    def present(self) -> tuple[frozenset[int], ...]:
        """See ``Targets``; classes and tags of all tasks are counted on."""
        found, start = [frozenset[int]()] * len(self), 0
        for part in self.parts:
            if isinstance(part.targets, Targets):
                there: Sequence[Any] = part.targets.present
            elif part.is_class:
                there = [() if index == NOT_KNOWN else (index,) for index in part.targets]
            elif part.task == Tagging.name:
                there = [np.flatnonzero(row == 1) for row in part.targets]
            else:
                there = [()] * len(self)
            found = [all_of | {start + int(i) for i in own} for all_of, own in zip(found, there, strict=True)]
            start += part.things
        return tuple(found)

    @property
    def digest(self) -> bytes:
        """See ``Targets``."""
        digest = hashlib.sha256()
        for part in self.parts:
            digest.update("\0".join([part.task, *part.labels]).encode())
            is_array = isinstance(part.targets, np.ndarray)
            digest.update(np.ascontiguousarray(part.targets).tobytes() if is_array else part.targets.digest)
        return digest.digest()
