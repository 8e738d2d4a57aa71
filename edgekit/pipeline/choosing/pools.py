"""What does the work of a sweep: this process, one unit after another, or the workers of a Ray cluster."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, Self

from edgekit.pipeline.choosing.work import do

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.pipeline.choosing.work import Done, Unit


class Pool(Protocol):
    """Takes units, and gives them back when they are done; used in a ``with`` block."""

    def __enter__(self) -> Self:
        """Get ready."""
        ...

    def __exit__(self, *_: object) -> None:
        """Give up what is not done."""
        ...

    def submit(self, unit: Unit, needed: Mapping[str, Any] | None) -> None:
        """Take a unit, and the result of the one that it needs."""
        ...

    def next(self) -> Done | None:
        """The next that is done; None where that takes long, so that the caller can do something meanwhile."""
        ...


class InProcess:
    """One unit after another, here."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Unit, Mapping[str, Any] | None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.clear()

    def submit(self, unit: Unit, needed: Mapping[str, Any] | None) -> None:
        """Take a unit, and the result of the one that it needs."""
        self._waiting.append((unit, needed))

    def next(self) -> Done | None:
        """The next that is done."""
        return do(*self._waiting.popleft())
