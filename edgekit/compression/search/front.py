"""What no other beats in both what it costs and how good it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


def front(found: Iterable[T], cost: Callable[[T], float], score: Callable[[T], float]) -> tuple[T, ...]:
    """The Pareto front, the cheapest first: each is better than all that cost less.

    >>> front([(1, 5), (2, 4), (3, 6)], cost=lambda one: one[0], score=lambda one: one[1])
    ((1, 5), (3, 6))
    """
    kept: list[T] = []
    for one in sorted(found, key=lambda one: (cost(one), -score(one))):
        if not kept or score(one) > score(kept[-1]):
            kept.append(one)
    return tuple(kept)
