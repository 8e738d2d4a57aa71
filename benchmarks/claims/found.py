"""What was measured of each form of each operator, as values and as a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE: Final = Path(__file__).with_name("found.json")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of one form of an operator.

    Attributes:
        operator: its name.
        form: of it, in words; "" where there is one only.
        tried: on which inputs.
        integers: how it is written in an integer model; "" where it stays in float.
        near: why identity is not claimed; "" where it is.
        largest: difference by runtime, in steps of the output.
    """

    operator: str
    form: str
    tried: str
    integers: str
    near: str
    largest: dict[str, int]

    @property
    def holds(self) -> bool:
        """Whether no runtime differs where identity is claimed."""
        return bool(self.near) or not any(self.largest.values())


def merged(draws: Iterable[list[Found]]) -> list[Found]:
    """The forms with the largest difference of several draws, which agree on everything else."""
    first, *others = draws
    found = list(first)
    for draw in others:
        for i, (before, now) in enumerate(zip(found, draw, strict=True)):
            assert replace(now, largest=before.largest) == before, f"draws disagree: {before}, {now}"
            runtimes = {**before.largest, **now.largest}
            largest = {name: max(before.largest.get(name, 0), now.largest.get(name, 0)) for name in runtimes}
            found[i] = replace(before, largest=largest)
    return found


def save(found: Iterable[Found]) -> None:
    """Keep what was found beside this module."""
    lines = ",\n".join(json.dumps(asdict(one), ensure_ascii=False) for one in found)
    FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def load() -> list[Found]:
    """What was kept."""
    return [Found(**one) for one in json.loads(FILE.read_text(encoding="utf-8"))]
