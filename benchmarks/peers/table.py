"""Results in Markdown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgekit.benchmarks.peers.results import Result
    from edgekit.benchmarks.peers.scores import Score

COLUMNS = (
    "tool",
    "top-1",
    "drop, 95 % interval",
    "same class as float",
    "SQNR",
    "fully integer",
    "size",
    "runtime",
)


def row(title: str, result: Result, score: Score | None) -> list[str]:
    """One contestant on one network: percentages and points of top-1, decibels, MB."""
    if score is None:
        return [title, result.error.replace("|", "/"), *[""] * (len(COLUMNS) - 2)]
    low, high = score.drop_interval
    drop = f"{100 * score.drop:.2f} ({100 * low:.2f} … {100 * high:.2f})"
    return [
        title,
        f"{score.top1:.2%}",
        drop.replace("-", "−"),
        f"{score.agreement:.2%}",
        f"{score.sqnr_db:.2f} dB".replace("-", "−"),
        fully_integer(result.operators, result.float_operators),
        f"{result.size_bytes / 1e6:.2f} MB",
        result.runtime,
    ]


def fully_integer(operators: int, float_operators: Mapping[str, int]) -> str:
    """Whether a file computes in integers alone, and what it computes in float.

    >>> fully_integer(31, {})
    'yes, 31 operators'
    >>> fully_integer(66, {"HardSwish": 3, "Mul": 9})
    'no, 12 of 66 in float: 9 Mul, 3 HardSwish'
    """
    if not float_operators:
        return f"yes, {operators} operators"
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(float_operators).most_common())
    return f"no, {sum(float_operators.values())} of {operators} in float: {kinds}"


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table.

    >>> print(markdown(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [f"| {' | '.join(cells)} |" for cells in (columns, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(columns)}", *lines[1:]])
