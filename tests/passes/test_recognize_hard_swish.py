"""Hard-swish and hard-sigmoid, as networks and converters write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgekit.ir import Clamp, HardSigmoid, HardSwish
from edgekit.passes.recognize_hard_swish import recognize_hard_swish
from edgekit.passes.remove_dead import remove_dead

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph

    Writing = Callable[[Any, str], str]


def _relu6(sketch: Any, x: str, shift: float = 3.0, limit: float = 6.0) -> Any:
    return sketch.apply("relu6", Clamp(0.0, limit), sketch.plus("shift", x, shift))


SWISHES: dict[str, Writing] = {
    "x * relu6(x + 3) / 6": lambda s, x: s.times("y", s.mul("p", x, _relu6(s, x)), 1 / 6),
    "x * (relu6(x + 3) / 6)": lambda s, x: s.mul("y", x, s.times("g", _relu6(s, x), 1 / 6)),
    "relu6(x + 3) / 6 * x": lambda s, x: s.mul("y", s.times("g", _relu6(s, x), 1 / 6), x),
    "x / 6 * relu6(x + 3)": lambda s, x: s.mul("y", s.times("g", x, 1 / 6), _relu6(s, x)),
    "x * (relu6(x + 3) * 0.16667)": lambda s, x: s.mul("y", x, s.times("g", _relu6(s, x), 0.16667)),
    "x * hard_sigmoid(x)": lambda s, x: s.mul("y", x, s.apply("g", HardSigmoid(), x)),
    "x * clamp(x / 6 + 0.5, 0, 1)": lambda s, x: s.mul("y", x, _relu6(s, s.times("g", x, 1 / 6), 0.5, 1.0)),
    "x * (relu6(x + 3) / 3) / 2": lambda s, x: s.times("y", s.mul("p", x, s.times("g", _relu6(s, x), 1 / 3)), 0.5),
}
OTHERS: dict[str, Writing] = {
    "x * relu6(x + 3)": lambda s, x: s.mul("y", x, _relu6(s, x)),
    "x * relu6(x + 3) / 5": lambda s, x: s.times("y", s.mul("p", x, _relu6(s, x)), 1 / 5),
    "x * relu6(x + 2) / 6": lambda s, x: s.times("y", s.mul("p", x, _relu6(s, x, 2.0)), 1 / 6),
    "x * clamp(x + 3, 0, 5) / 6": lambda s, x: s.times("y", s.mul("p", x, _relu6(s, x, 3.0, 5.0)), 1 / 6),
    "x * clamp(0.2 x + 0.5, 0, 1)": lambda s, x: s.mul("y", x, _relu6(s, s.times("g", x, 0.2), 0.5, 1.0)),
    "z * relu6(x + 3) / 6": lambda s, x: s.times("y", s.mul("p", s.conv("z", x), _relu6(s, x)), 1 / 6),
}


@pytest.mark.parametrize("write", SWISHES.values(), ids=SWISHES.keys())
def test_hard_swish(
    write: Writing, sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[..., None]
) -> None:
    before = sketch.end(write(sketch, sketch.conv("conv", "x")))
    after = remove_dead(recognize_hard_swish(before))
    assert kinds(after) == ["Conv2d", "HardSwish", "Mean", "Rearrange", "Linear"]
    assert after.nodes[1].output == "y"
    assert after.nodes[1].inputs == ("conv",)
    unchanged(before, after, rtol=1e-4)  # 0.16667 is not quite 1/6


@pytest.mark.parametrize("write", OTHERS.values(), ids=OTHERS.keys())
def test_what_only_looks_like_it(
    write: Writing, sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    before = sketch.end(write(sketch, sketch.conv("conv", "x")))
    after = recognize_hard_swish(before)
    assert "HardSwish" not in kinds(after)
    unchanged(before, after)


def test_hard_sigmoid(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    x = sketch.conv("conv", "x")
    gate = sketch.times("sixth", _relu6(sketch, sketch.conv("fc", sketch.mean("pool", x))), 1 / 6)
    before = sketch.end(sketch.mul("scaled", x, gate))
    after = remove_dead(recognize_hard_swish(before))
    assert kinds(after)[:5] == ["Conv2d", "Mean", "Conv2d", "HardSigmoid", "Mul"]
    unchanged(before, after)


def test_other_readers_keep_the_parts(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    x = sketch.conv("conv", "x")
    clamped = _relu6(sketch, x)
    swish = sketch.times("y", sketch.mul("p", x, clamped), 1 / 6)
    before = sketch.end(sketch.add("sum", swish, clamped))
    after = remove_dead(recognize_hard_swish(before))
    assert kinds(after)[:5] == ["Conv2d", "Add", "Clamp", "HardSwish", "Add"]
    unchanged(before, after)


def test_what_is_recognised_already_stays(sketch: Any) -> None:
    x = sketch.apply("gate", HardSigmoid(), sketch.apply("act", HardSwish(), sketch.conv("conv", "x")))
    graph = sketch.end(x)
    assert recognize_hard_swish(graph).nodes == graph.nodes
