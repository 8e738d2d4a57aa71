"""Charts: where values lie, and what is written beside them."""

from __future__ import annotations

import math
import re

import pytest

from edgekit.reports.kit.charts import Axis, Bar, Series, bars, heat, plot


def places(svg: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"translate\(([\d.]+) ([\d.]+)\)", svg)]


@pytest.mark.parametrize("logarithmic", [False, True])
def test_equal_steps_are_equal_distances(*, logarithmic: bool) -> None:
    values = [1.0, 10.0, 100.0] if logarithmic else [1.0, 2.0, 3.0]
    points = [(value, value) for value in values]
    found = plot("a", "b", Axis("x", "ms", logarithmic), Axis("y", "%", logarithmic), [Series("one", points)])
    (x0, y0), (x1, y1), (x2, y2) = places(found)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert x0 < x2
    assert y0 > y2  # upwards
    assert "x, ms" in found
    assert "y, %" in found


def test_points_lie_inside_of_the_axes_and_what_is_not_finite_is_left_out() -> None:
    points = [(0.013, -3.0), (7.0, math.nan), (12.5, 41.0), (math.inf, 1.0)]
    found = plot("a", "b", Axis("x"), Axis("y"), [Series("one", points, ["p", "q", "r", "s"], joined=True)])
    assert len(places(found)) == 2
    assert all(58 <= x <= 544 and 26 <= y <= 292 for x, y in places(found))
    assert re.findall("<title>(.)</title>", found) == ["p", "r"]
    assert found.count("<polyline") == 1


@pytest.mark.parametrize("points", [[], [(1.0, 1.0)]])
def test_few_points_are_drawn(points: list[tuple[float, float]]) -> None:
    assert len(places(plot("a", "b", Axis("x"), Axis("y"), [Series("one", points)]))) == len(points)


def test_only_several_series_have_a_legend() -> None:
    one, two = Series("first", [(1, 1)]), Series("second", [(2, 2)])
    assert "first" not in plot("a", "b", Axis("x"), Axis("y"), [one])
    assert "second" in plot("a", "b", Axis("x"), Axis("y"), [one, two])


def test_bars_are_shares_of_the_longest() -> None:
    rows = [Bar("<conv>", [4.0, 1.0], "4 ms"), Bar("fc", [None, 2.0])]
    found = bars("a", "b", Axis("time", "ms"), rows, ["float", "int8"])
    assert re.findall(r"width:([\d.]+)%", found) == ["100.0", "25.0", "50.0"]
    assert "&lt;conv&gt;" in found
    assert "time, ms; the longest bar is 4" in found


def test_heat_writes_every_cell_and_colours_what_is_not_zero() -> None:
    cells = [[(3.0, "3"), (1.0, "1")], [(0.0, "0"), (2.0, "2")]]
    found = heat("a", "b", ("true", ["cat", "dog"]), ("found", ["cat", "dog"]), cells)
    assert re.findall(r"--share:([\d.]+)", found) == ["1.00", "0.33", "0.67"]
    assert found.count("<td") == 4
