"""What a network is for, as a value: what its outputs mean, and what is measured and shown of them.

Everything that depends on it is asked of a ``Task``. One kind of task is one module or folder beside this one, and one
line in ``registry.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.tasks.values import Answer, Outputs


class Task(ABC):
    """What one network is for; each kind of task is a frozen class that knows which outputs it reads."""

    __slots__ = ()

    name: ClassVar[str]  # as --task takes it

    @classmethod
    @abstractmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], labels: Sequence[str]) -> Self:
        """The task of a network.

        Args:
            shapes: of its outputs for one image, by name: [classes] of logits, [C, H, W] of a feature map.
            labels: names of what it tells apart, in order; empty where none are known.

        Raises:
            ConfigError: such outputs are of another task.
        """

    @abstractmethod
    def decode(self, outputs: Outputs, most: int = 5) -> tuple[Answer, ...]:
        """What the outputs for N images say, one answer an image, each of at most ``most`` things."""
