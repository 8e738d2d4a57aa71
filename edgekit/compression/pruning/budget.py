"""Which channels go: those that are worth least for what they cost, in whole multiples, until a target is reached."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from edgekit.models.resizing import ties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgekit.compression.pruning.groups import Group
    from edgekit.ir import Graph
    from edgekit.models.architecture import Architecture
    from edgekit.models.task_architecture import TaskArchitecture

    Slopes = Callable[[NDArray[np.float64]], NDArray[np.float64]]
    Worth = Sequence[NDArray[np.float64]]  # of each group, what each of its channels is worth, [K]
    # What is lost where a width falls from one number to another, which counts [groups] hold.
    Loses = Callable[["Width", NDArray[np.float64], NDArray[np.float64]], float]

Measure = Literal["macs", "size", "channels"]
_AHEAD: Final = 4  # multiples that a number falls at once, at most: what one of them loses says little of the next


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Costs:
    """What a network costs for any number of channels of its groups, exactly.

    A layer costs what it makes, times what it reads, times a factor of its own.

    Attributes:
        made: whether channels of a group are made by a layer, [layers, groups].
        read: whether they are read by it, [layers, groups].
        made_always: channels that a layer makes and that are of no group, [layers].
        read_always: likewise of those that it reads; 1 for what costs by what it makes alone, [layers].
        each: for one that is made and one that is read, [layers].
    """

    made: NDArray[np.float64]
    read: NDArray[np.float64]
    made_always: NDArray[np.float64]
    read_always: NDArray[np.float64]
    each: NDArray[np.float64]

    def of(self, channels: NDArray[np.float64]) -> float:
        """Of the network with so many channels of each group, [groups]."""
        made, read = self._sides(channels)
        return float(self.each @ (made * read))

    def slopes(self, channels: NDArray[np.float64]) -> NDArray[np.float64]:
        """What one channel of each group costs beside so many of the others, [groups]."""
        made, read = self._sides(channels)
        return self.made.T @ (self.each * read) + self.read.T @ (self.each * made)

    def _sides(self, channels: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.made @ channels + self.made_always, self.read @ channels + self.read_always


@dataclass(frozen=True, slots=True)
class Width:
    """A number of channels that can change: that of a group, or of several that have to agree in number.

    Attributes:
        groups: their places.
        shares: each has the number divided by this.
    """

    groups: tuple[int, ...]
    shares: tuple[int, ...]


def widths_of(structure: Architecture | TaskArchitecture, groups: Sequence[Group]) -> tuple[Width, ...]:
    """The numbers of channels of a network that can change."""
    places = {group.name: place for place, group in enumerate(groups)}
    tied = [
        Width(tuple(places[name] for name in one.modules), one.shares)
        for one in ties(structure)
        if all(name in places for name in one.modules)
    ]
    together = {place for width in tied for place in width.groups}
    alone = (Width((place,), (1,)) for place in range(len(groups)) if place not in together)
    return tuple(sorted((*tied, *alone), key=lambda width: width.groups[0]))


def costs_of(graph: Graph, groups: Sequence[Group], measure: Measure) -> Costs:
    """What the channels of a network cost.

    Args:
        graph: that ``groups`` were found in.
        groups: of its channels.
        measure: "macs" as ``Graph.macs`` counts them, "size" in numbers that are trained, or "channels" of groups.
    """
    if measure == "channels":
        count = len(groups)
        none = np.zeros(count)
        return Costs(np.eye(count), np.zeros((count, count)), none, none + 1, none + 1)
    made, read, rows = [], [], []
    for node in graph:
        is_norm = node.op.normalizes
        if not node.op.has_weights and not (is_norm and measure == "size"):
            continue
        of_made = _lies_in(node.name, groups, "made")
        of_read = _lies_in(node.name, groups, "read")
        makes = graph.tensors[node.output].shape[0]
        if is_norm:
            columns, each = 1, 2.0  # scale and shift
        else:
            weight = graph.constants[node.operand("weight")].shape
            columns, each = weight[1], float(np.prod(weight[2:]))
            each *= float(np.prod(graph.tensors[node.output].shape[1:])) if measure == "macs" else 1.0
        made.append(of_made)
        read.append(of_read)
        rows.append((makes - _held(of_made, groups), columns - _held(of_read, groups), each))
    made_always, read_always, each_of = np.array(rows, dtype=np.float64).T
    return Costs(np.array(made), np.array(read), made_always, read_always, each_of)


def _lies_in(module: str, groups: Sequence[Group], side: Literal["made", "read"]) -> NDArray[np.float64]:
    return np.array([module in getattr(group, side) for group in groups], dtype=np.float64)


def _held(lies_in: NDArray[np.float64], groups: Sequence[Group]) -> float:
    return float(sum(group.channels for group, there in zip(groups, lies_in, strict=True) if there))


def cheapest(
    widths: Sequence[Width], counts: NDArray[np.float64], loses: Loses, slopes: Slopes, multiple: int
) -> list[NDArray[np.float64]]:
    """Numbers of channels of each group, [groups], of ever smaller networks.

    From one to the next, that number falls to a lower multiple which loses least for what it saves: the rule of "Group
    Fisher Pruning" (arXiv:2108.00708, section 3.3), by any costs.

    Args:
        widths: the numbers that can change.
        counts: of the whole network.
        loses: what is lost where a number falls.
        slopes: what one channel of each group costs beside so many of the others, [groups].
        multiple: numbers of channels become multiples of it, and never fewer than it.
    """
    ladder = [counts]
    while True:
        prices = slopes(counts)
        best, chosen = np.inf, None
        for width in widths:
            for fewer in islice(_below(width, counts, multiple), _AHEAD):
                price = loses(width, counts, fewer) / max(float(prices @ (counts - fewer)), 1e-12)
                if price < best:
                    best, chosen = price, fewer
        if chosen is None:
            return ladder
        counts = chosen
        ladder.append(counts)


def shares_of(worth: Worth) -> Loses:
    """What is lost by what channels are worth, where nothing could be measured: the share of what is left of a group.

    So groups need no common scale, and none is emptied because its channels are worth little one by one.
    """
    lost = [np.concatenate([[0.0], np.cumsum(np.sort(values))]) for values in worth]

    def loses(width: Width, counts: NDArray[np.float64], fewer: NDArray[np.float64]) -> float:
        return sum(_price(lost[at], counts[at], fewer[at]) for at in width.groups)

    return loses


def alike(widths: Sequence[Width], counts: NDArray[np.float64], multiple: int) -> list[NDArray[np.float64]]:
    """The same, with every number at one share of what it was, to the nearest multiple: a uniform width.

    From one to the next the share falls until one of the numbers changes.
    """
    changes: list[tuple[float, Width]] = []
    for width in widths:
        whole = number = counts
        while (fewer := _next(width, number, multiple)) is not None:
            at = width.groups[0]
            changes.append(((number[at] + fewer[at]) / 2 / whole[at], width))
            number = fewer
    ladder = [counts]
    for _, width in sorted(changes, key=lambda change: -change[0]):
        fewer = _next(width, ladder[-1], multiple)
        assert fewer is not None, "as often as there are changes"
        ladder.append(fewer)
    return ladder


def first(
    ladder: Sequence[NDArray[np.float64]], reached: Callable[[NDArray[np.float64]], bool]
) -> NDArray[np.float64] | None:
    """The largest of ever smaller networks that meets a target; None where none does. Few are asked."""
    if not reached(ladder[-1]):
        return None
    return ladder[bisect.bisect_left(range(len(ladder)), x=True, key=lambda at: reached(ladder[at]))]


def filled(  # noqa: PLR0913, PLR0917 - as ``cheapest``, and how far it may grow
    widths: Sequence[Width],
    whole: NDArray[np.float64],
    counts: NDArray[np.float64],
    loses: Loses,
    fits: Callable[[NDArray[np.float64]], bool],
    multiple: int,
) -> NDArray[np.float64]:
    """Numbers of channels of a network that meets a target, with as many given back as that allows.

    The last step of ``cheapest`` may take more than is wanted. Of the numbers that can rise to the next multiple, or to
    what they were, without missing the target, the one rises that gives back most, until none can.

    Args:
        widths: the numbers that can change.
        whole: of the whole network.
        counts: of each group, [groups], which meet it.
        loses: what is lost where a number falls.
        fits: whether so many channels meet the target.
        multiple: as for ``cheapest``.
    """
    rising = list(widths)
    while True:
        larger = [(width, more) for width in rising if (more := _before(width, counts, whole, multiple)) is not None]
        larger = [(width, more) for width, more in larger if fits(more)]  # what does not fit now never will
        if not larger:
            return counts
        rising = [width for width, _ in larger]
        counts = max(larger, key=lambda one: loses(one[0], one[1], counts))[1]


def kept(worth: Worth, counts: NDArray[np.float64]) -> tuple[NDArray[np.bool_], ...]:
    """Which channels stay, those of most worth, where so many of each group do."""
    stays = []
    for values, count in zip(worth, counts.astype(int), strict=True):
        best = np.zeros(len(values), dtype=bool)
        best[np.argsort(values, kind="stable")[len(values) - count :]] = True
        stays.append(best)
    return tuple(stays)


def _below(width: Width, counts: NDArray[np.float64], multiple: int) -> Iterator[NDArray[np.float64]]:
    """The counts with this number at ever lower multiples."""
    fewer = _next(width, counts, multiple)
    while fewer is not None:
        yield fewer
        fewer = _next(width, fewer, multiple)


def _next(width: Width, counts: NDArray[np.float64], multiple: int) -> NDArray[np.float64] | None:
    """The counts with this number at the next lower multiple; None where it is at its lowest."""
    number = int(counts[width.groups[0]] * width.shares[0])
    lower = (number - 1) // multiple * multiple
    if lower < multiple or any(lower % part for part in width.shares):
        return None
    fewer = counts.copy()
    fewer[list(width.groups)] = [lower // part for part in width.shares]
    return fewer


def _before(
    width: Width, counts: NDArray[np.float64], whole: NDArray[np.float64], multiple: int
) -> NDArray[np.float64] | None:
    """The counts with this number at the next higher multiple, or at what it was; None where it is that already."""
    at = width.groups[0]
    number, most = int(counts[at] * width.shares[0]), int(whole[at] * width.shares[0])
    higher = min((number // multiple + 1) * multiple, most)
    if number >= most or any(higher % part for part in width.shares):
        return None
    more = counts.copy()
    more[list(width.groups)] = [higher // part for part in width.shares]
    return more


def _price(lost: NDArray[np.float64], count: float, fewer: float) -> float:
    """What share of a group's worth goes, of which ``lost`` is that of its least channels, [1 + K]."""
    most = len(lost) - 1
    gone, before = lost[most - int(fewer)], lost[most - int(count)]
    return float((gone - before) / max(lost[-1] - before, 1e-30))
