"""Where each operator of a file comes from: recorded by the writer, and kept in the file's metadata.

Runtimes, and formats that know only identifiers, leave little of a name. So nobody has to read names back: the metadata
lists the nodes of the graph in the order in which operators were written of them, with how many operators those are:

    [["", 1], ["features.0.0", 3], ["features.0.2.shift", 3, "features.0.2", "HardSwish"], ..., ["", 1]]

Operators at the boundary come from no node. A node that a pass has written of another one, as part of it, names that
and its operator. The files of the shipped network grow by 2 kB.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgekit.ir import Node

ORIGINS: Final = "origins"  # the key in edgekit's metadata
INPUT, OUTPUT = "input", "output"  # the layer of what stands before, or behind, all nodes


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an operator comes from.

    Attributes:
        node: of the graph, by name; empty at the boundary.
        layer: the module of the checkpoint; ``INPUT`` or ``OUTPUT`` at the boundary.
        lowered: the operator of that module, where passes have written it as several nodes ("HardSwish"); else empty.
    """

    node: str
    layer: str
    lowered: str = ""


class Recorder:
    """Takes down the origins while a file is written."""

    def __init__(self) -> None:
        self._node: Node | None = None
        self._of: list[Node | None] = []

    def enter(self, node: Node | None) -> None:
        """What is written from now on comes from ``node``; None for the boundary."""
        self._node = node

    def add(self) -> None:
        """An operator is written."""
        self._of.append(self._node)

    def rearranged(self, places: Iterable[int]) -> Recorder:
        """The origins of some of the operators, by their positions, in the order of these."""
        found = Recorder()
        found._of = [self._of[place] for place in places]
        return found

    def to_values(self) -> list[list[str | int]]:
        """The runs of operators that come from one node, as JSON values."""
        runs: list[list[str | int]] = []
        last: object = runs  # no node
        for node in self._of:
            if runs and node is last:
                runs[-1][1] = int(runs[-1][1]) + 1
            else:
                last = node
                lowered = () if node is None or node.lowered is None else (node.lowered.name, node.lowered.op)
                runs.append(["" if node is None else node.name, 1, *lowered])
        return runs


def decoded(values: Any) -> tuple[Origin, ...]:  # noqa: ANN401 - JSON values
    """One origin an operator, of what ``Recorder.to_values`` made.

    Raises:
        ValueError, TypeError, IndexError: they are not such values.
    """
    origins: list[Origin] = []
    for name, count, *lowered in values:
        if not isinstance(name, str) or not isinstance(count, int) or count < 1:
            raise ValueError(f"no origin: {name!r}, {count!r}")
        if not name:
            origin = Origin("", OUTPUT if origins else INPUT)
        elif lowered:
            origin = Origin(name, str(lowered[0]), str(lowered[1]))
        else:
            origin = Origin(name, name)
        origins += [origin] * count
    return tuple(origins)


def of_metadata(text: str | None, count: int) -> tuple[tuple[Origin, ...], str | None]:
    """What the metadata of a file says of the origins of ``count`` operators, or of other things that were counted.

    Returns:
        One origin each, and None; no origin and None where nothing is said, as in files of older versions of edgekit;
        no origin and a sentence where what is said does not fit.
    """
    try:
        values = {} if text is None else json.loads(text)
        if not isinstance(values, dict) or ORIGINS not in values:
            return (), None
        origins = decoded(values[ORIGINS])
    except (ValueError, TypeError, IndexError):
        return (), "damaged"
    if len(origins) != count:
        return (), f"of {len(origins)} operators, where there are {count}"
    return origins, None
