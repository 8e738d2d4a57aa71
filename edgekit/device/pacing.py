"""How something that runs all the time keeps to a budget: how often it runs, how early images leave, at which size.

Each of these is told what the last image took, and says what to do with the next one. None of them looks at a clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.device.exits import ExitRule

FORGETS = 0.1  # of a moving mean: the share of the newest value
GAIN = 0.2  # by which power of e limits move where images take twice the budget
MOST = 16.0  # limits may grow by this factor: a confidence of 0.9 becomes 0.06
TRIED_AGAIN = 300  # images after which a file that was too slow is tried once more


@dataclass(frozen=True)
class Share:
    """Runs now and then: busy for at most a share of the time, which bounds what a processor uses.

    Attributes:
        busy: above 0, and 1 where it never pauses.
    """

    busy: float

    def pause_s(self, took_s: float) -> float:
        """Seconds to wait after an image.

        >>> Share(0.25).pause_s(0.1)
        0.30000000000000004
        """
        return took_s * (1 / self.busy - 1)


class EarlierExits:
    """Lets images leave earlier while they take more than they may, and as chosen where the budget allows.

    Args:
        rules: as they were chosen.
        budget: what an image may take on average: seconds, of the clock or the processor, or joules.
    """

    def __init__(self, rules: Sequence[ExitRule], budget: float) -> None:
        self._rules, self._budget = tuple(rules), budget
        self._mean = budget
        self.factor = 1.0  # of the limits

    def after(self, took: float) -> list[ExitRule]:
        """The rules for the next image, after one that took so much."""
        self._mean += FORGETS * (took - self._mean)
        moved = self.factor * math.exp(GAIN * min(self._mean / self._budget - 1, 1.0))
        self.factor = min(max(moved, 1.0), MOST)
        *early, last = self._rules
        return [*(replace(rule, limit=int(rule.limit * self.factor)) for rule in early), last]


class Sizes:
    """Which of several files of one network is run, each for images of another size: the largest that keeps a budget.

    Args:
        count: of files, the one for the largest images first.
        budget: what an image may take on average: seconds, of the clock or the processor, or joules.
    """

    def __init__(self, count: int, budget: float) -> None:
        self._means: list[float | None] = [None] * count
        self._budget, self._since = budget, 0
        self.chosen = 0

    def after(self, took: float) -> int:
        """The place of the file for the next image, after one that took so much in the one chosen now."""
        before = self._means[self.chosen]
        self._means[self.chosen] = took if before is None else before + FORGETS * (took - before)
        self._since += 1
        if self._since >= TRIED_AGAIN:
            self._means, self._since = [None] * len(self._means), 0
        fits = (place for place, mean in enumerate(self._means) if mean is None or mean <= self._budget)
        self.chosen = next(fits, len(self._means) - 1)
        return self.chosen
