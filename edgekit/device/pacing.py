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
    """Lets images leave earlier while they take more time than they may, and as chosen where time allows.

    Args:
        rules: as they were chosen.
        budget_s: seconds that an image may take on average.
    """

    def __init__(self, rules: Sequence[ExitRule], budget_s: float) -> None:
        self._rules, self._budget_s = tuple(rules), budget_s
        self._mean_s = budget_s
        self.factor = 1.0  # of the limits

    def after(self, took_s: float) -> list[ExitRule]:
        """The rules for the next image, after one that took so many seconds."""
        self._mean_s += FORGETS * (took_s - self._mean_s)
        moved = self.factor * math.exp(GAIN * min(self._mean_s / self._budget_s - 1, 1.0))
        self.factor = min(max(moved, 1.0), MOST)
        *early, last = self._rules
        return [*(replace(rule, limit=int(rule.limit * self.factor)) for rule in early), last]


class Sizes:
    """Which of several files of one network is run, each for images of another size: the largest that keeps a budget.

    Args:
        count: of files, the one for the largest images first.
        budget_s: seconds that an image may take on average.
    """

    def __init__(self, count: int, budget_s: float) -> None:
        self._mean_s: list[float | None] = [None] * count
        self._budget_s, self._since = budget_s, 0
        self.chosen = 0

    def after(self, took_s: float) -> int:
        """The place of the file for the next image, after one that took so many seconds in the one chosen now."""
        before = self._mean_s[self.chosen]
        self._mean_s[self.chosen] = took_s if before is None else before + FORGETS * (took_s - before)
        self._since += 1
        if self._since >= TRIED_AGAIN:
            self._mean_s, self._since = [None] * len(self._mean_s), 0
        fits = (place for place, mean in enumerate(self._mean_s) if mean is None or mean <= self._budget_s)
        self.chosen = next(fits, len(self._mean_s) - 1)
        return self.chosen
