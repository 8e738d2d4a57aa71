"""Networks that no other beats in both what they cost and how good they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgekit.compression.search.proposing import Trial


def front(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """The Pareto front of those that have a score, the cheapest first: each is better than all that cost less."""
    found: list[Trial] = []
    measured = [trial for trial in trials if trial.score is not None]
    for trial in sorted(measured, key=lambda one: (one.cost, -(one.score or 0.0))):
        if not found or (trial.score or 0.0) > (found[-1].score or 0.0):
            found.append(trial)
    return tuple(found)
