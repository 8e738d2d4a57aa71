"""Where operators come from: what writers record, what the metadata holds of it, and what is read back."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from edgekit.exporters.contents import OPERATOR, Contents, Operator, differences, metadata_facts, with_origins
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import KEY, IoDtype
from edgekit.exporters.origins import INPUT, ORIGINS, OUTPUT, Origin, Recorder
from edgekit.integer_model import IntegerModel
from edgekit.ir import Add, Lowered, Node
from tests.networks import IntegerSketch

if TYPE_CHECKING:
    from pathlib import Path

A = Node("a", Add(), ("x", "x"), "a.out")
B = Node("b.shift", Add(), ("a.out", "a.out"), "b.out", lowered=Lowered("b", "HardSwish"))
RUNS = [["", 1], ["a", 2], ["b.shift", 1, "b", "HardSwish"], ["", 1]]
OF_A, OF_B = Origin("a", "a"), Origin("b.shift", "b", "HardSwish")


def recorded() -> Recorder:
    recorder = Recorder()
    for node, count in ((None, 1), (A, 2), (B, 1), (None, 1)):
        recorder.enter(node)
        for _ in range(count):
            recorder.add()
    return recorder


def operators(count: int) -> list[Operator]:
    return [Operator(f"x{place}", {OPERATOR: "ADD"}) for place in range(count)]


def test_what_is_written_is_read() -> None:
    assert recorded().to_values() == RUNS
    found, misfit = with_origins(operators(5), json.dumps({ORIGINS: RUNS}))
    assert [operator.origin for operator in found] == [Origin("", INPUT), OF_A, OF_A, OF_B, Origin("", OUTPUT)]
    assert misfit == {}
    assert metadata_facts(json.dumps({"network": "n", ORIGINS: RUNS})) == {f"{KEY}.network": "n"}


def test_operators_that_were_simplified_away_or_moved() -> None:
    assert recorded().rearranged([1, 3, 2]).to_values() == [["a", 1], ["b.shift", 1, "b", "HardSwish"], ["a", 1]]


def test_several_operators_of_one_statement() -> None:
    found, misfit = with_origins(operators(4), json.dumps({ORIGINS: RUNS[:2]}), [0, 1, 1, 2])
    assert [operator.origin for operator in found] == [Origin("", INPUT), OF_A, OF_A, OF_A]
    assert misfit == {}


@pytest.mark.parametrize("text", [None, "{}", '{"network": "n"}'])
def test_a_file_of_an_older_version_has_none(text: str | None) -> None:
    found, misfit = with_origins(operators(2), text)
    assert [operator.origin for operator in found] == [None, None]
    assert misfit == {}


@pytest.mark.parametrize("runs", [[["a", 2]], [["a", 6]], "a", [["a"]], [[1, 5]], [["a", 0], ["a", 5]], [["a", "5"]]])
def test_what_does_not_fit_is_a_fact_that_no_good_file_has(runs: Any) -> None:
    found, misfit = with_origins(operators(5), json.dumps({ORIGINS: runs}))
    assert [operator.origin for operator in found] == [None] * 5
    assert list(misfit) == [ORIGINS]


def test_an_origin_that_is_wrong_is_a_difference() -> None:
    (wanted,) = (replace(operator, name="a.out", origin=OF_A) for operator in operators(1))

    def of(found: Operator) -> list[str]:
        a, b = (Contents((operator,), {}, IoDtype.FLOAT32) for operator in (found, wanted))
        return [difference.text for difference in differences(a, b)]

    assert of(wanted) == of(replace(wanted, origin=None)) == []
    assert of(replace(wanted, origin=Origin("nowhere", "nowhere"))) == ["origin of a.out: 'nowhere' instead of 'a'"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_operator_of_a_real_file_has_one(name: str, exported: Path) -> None:
    """Of a node of the graph, each of which is there, in its order."""
    graph = IntegerModel.load(next(exported.glob("*.edgekit"))).graph
    (path,) = exported.glob(f"*.int8{FORMATS[name].suffix}")
    found = [operator.origin for operator in FORMATS[name].contents(path).operators]
    nodes = [node for node, _ in groupby(origin.node for origin in found if origin is not None)]
    assert None not in found
    assert [node for node in nodes if node] == [node.name for node in graph]
    assert "features.0.2" in {origin.layer for origin in found if origin is not None and origin.lowered}


@pytest.mark.parametrize("name", FORMATS)
def test_outputs_that_are_given_side_by_side(name: str, tmp_path: Path) -> None:
    """In torch, what is given may have no variable of its own."""
    for module in FORMATS[name].modules:
        pytest.importorskip(module)
    s = IntegerSketch((8, 9, 11))
    a = s.conv("x", 8)
    s.outputs = (s.linear(s.mean(a, keep_dims=False), 10), s.linear(s.mean(s.mul(a, a), keep_dims=False), 4), a)
    model, path = s.model(), tmp_path / f"m{FORMATS[name].suffix}"
    FORMATS[name].write_integer_model(model, path, io_dtype=IoDtype.FLOAT32)
    contents = FORMATS[name].contents(path)
    assert set(contents.nodes.values()) == {node.name for node in model.graph}
    assert all(operator.origin is not None for operator in contents.operators)
