"""Which exit an image takes: decided on integers, so that every runtime and every device takes the same one.

An image leaves where the soft-max of the logits at a temperature T gives the most probable class a confidence of at
least t. With int8 logits q of scale s, and d_j = max(q) - q_j, that confidence is 1 / sum_j exp(-s d_j / T). So it
leaves where

    sum_j table[d_j] <= limit,    table[d] = round(2^20 exp(-s d / T)),    limit = floor(2^20 / t):

additions of 32-bit integers and one comparison, as long as there are fewer than 2,048 classes. Whoever has the table
decides alike, to the last image, without computing any exp.

How far that is from the soft-max: each entry is rounded by at most 1/2, so the sum of n classes is off by at most
n / 2, and the confidence from which on images leave by at most t^2 n / 2^21 (n = 10: 5e-6; n = 1,000: 5e-4), and by the
2^-20 of the limit.

Where a file gives reals, they are s (q - zero point), and (max - x_j) / s is nearest to d_j: the same integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

ONE = 1 << 20  # what a probability of 1 is, in fixed point
NO_LIMIT = (1 << 31) - 1  # of the last exit, where all images leave that are still there
STEPS = 256  # differences of two int8 values


@dataclass(frozen=True)
class ExitRule:
    """When images leave at an exit.

    Attributes:
        output: the name of its logits.
        scale: what a step of their integers stands for.
        table: exp of each difference to the largest logit, in fixed point: ``STEPS`` integers.
        limit: of their sum.
    """

    output: str
    scale: float
    table: tuple[int, ...]
    limit: int

    @classmethod
    def of(cls, output: str, scale: float, temperature: float, confidence: float | None) -> ExitRule:
        """The rule of an exit.

        Args:
            output: the name of its logits.
            scale: of their integers.
            temperature: what they are divided by before the soft-max.
            confidence: of the most probable class, above 0 and up to 1, from which on images leave; None of the last
                exit.

        >>> rule = ExitRule.of("exit1", 0.5, 1.0, 0.75)
        >>> rule.table[:3], rule.limit
        ((1048576, 635993, 385750), 1398101)
        """
        table = tuple(round(ONE * math.exp(-scale * step / temperature)) for step in range(STEPS))
        return cls(output, scale, table, NO_LIMIT if confidence is None else math.floor(ONE / confidence))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ExitRule:
        """The inverse of ``to_dict``.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        table = tuple(int(entry) for entry in values["table"])
        if len(table) != STEPS:
            raise ValueError(f"{len(table)} differences are in the table of an exit, and {STEPS} are wanted")
        return cls(str(values["output"]), float(values["scale"]), table, int(values["limit"]))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"output": self.output, "scale": self.scale, "table": list(self.table), "limit": self.limit}

    def leaves(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Which images leave here, [N] of bool.

        Args:
            logits: [N, classes], int8 or uint8; or the reals that these stand for.
        """
        left: NDArray[Any] = self._exps(logits).sum(1) <= self.limit
        return left

    def lets_go(self, logits: Sequence[int]) -> bool:
        """The same for one image, in plain integers; ten times faster than arrays where there are ten classes."""
        most, table = max(logits), self.table
        return sum([table[most - logit] for logit in logits]) <= self.limit

    def probabilities(self, logits: NDArray[Any]) -> NDArray[Any]:
        """The soft-max at the exit's temperature, [N, classes], from the table: the same everywhere."""
        exps = self._exps(logits)
        found: NDArray[Any] = exps / exps.sum(1, keepdims=True)
        return found

    def _exps(self, logits: NDArray[Any]) -> NDArray[Any]:
        """The entry of the table for each logit."""
        import numpy as np  # noqa: PLC0415 - see edgekit.device.engines.engine

        if logits.dtype.kind == "f":
            values = logits.astype(np.float64)
            steps = np.rint((values.max(1, keepdims=True) - values) / self.scale)
            differences = np.minimum(steps, STEPS - 1).astype(np.intp)
        else:
            integers = logits.astype(np.intp)
            differences = integers.max(1, keepdims=True) - integers
        found: NDArray[Any] = self._array[differences]
        return found

    @cached_property
    def _array(self) -> NDArray[Any]:
        """The table as an array."""
        import numpy as np  # noqa: PLC0415 - see edgekit.device.engines.engine

        return np.asarray(self.table, np.int64)


def taken(logits: Sequence[NDArray[Any]], rules: Sequence[ExitRule]) -> NDArray[Any]:
    """The exit of each image, from 0, [N].

    Args:
        logits: of each exit in order, [N, classes].
        rules: of the exits; at the last all leave that are still there.
    """
    import numpy as np  # noqa: PLC0415 - see edgekit.device.engines.engine

    early = [rule.leaves(own) for rule, own in zip(rules[:-1], logits)]
    left = np.stack([*early, np.ones(len(logits[-1]), bool)])
    found: NDArray[Any] = left.argmax(0)
    return found
