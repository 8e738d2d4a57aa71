"""Every operator against every table: implemented, or refused by name with a reason. Nobody else asks what it is."""

from __future__ import annotations

import ast
import importlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

import edgekit
from edgekit.calibration.assignment import quantize
from edgekit.calibration.families import families
from edgekit.calibration.options import Options
from edgekit.calibration.ranges import Range
from edgekit.capture.builder import GraphBuilder
from edgekit.errors import UnsupportedOperator
from edgekit.executor.float import FloatExecutor
from edgekit.executor.integer import IntegerExecutor
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.float_model import FloatModel
from edgekit.ir import Add, Graph, Node, Op, Tensor, operators
from edgekit.ir.graph import Output
from edgekit.ir.operators.operator import Factors, Gains, Scales, Shape
from edgekit.ir.registry import OperatorTable
from edgekit.passes import float_form, integer_form
from edgekit.preprocessing import Preprocessing
from edgekit.reference.float import FloatReference
from edgekit.reference.integer import Reference
from edgekit.verification.tie_free import broken_conditions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.integer_model import IntegerModel

ROOT = Path(edgekit.__file__).parent
OURS = {name: op for name, op in operators().items() if op.__module__.startswith("edgekit.")}
REGISTRY, MATCHING = "edgekit.ir.registry", "edgekit.passes.matching"


def sources() -> dict[str, ast.Module]:
    """Every module of edgekit, parsed."""
    found = {}
    for folder, _, files in os.walk(ROOT, followlinks=True):
        for file in files:
            if file.endswith(".py"):
                path = Path(folder, file)
                name = ".".join(("edgekit", *path.relative_to(ROOT).with_suffix("").parts))
                found[name.removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    return found


SOURCES = sources()


def calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def tables() -> dict[str, OperatorTable[..., Any]]:
    """Every table, by its owner: all stand at the top of modules."""
    found: dict[str, OperatorTable[..., Any]] = {}
    for name, tree in SOURCES.items():
        if count := len(list(calls(tree, "OperatorTable"))):
            values = vars(importlib.import_module(name)).values()
            made = {id(value): value for value in values if isinstance(value, OperatorTable)}
            top = [node for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]
            assert sum(len(list(calls(node, "OperatorTable"))) for node in top) == count, f"{name} hides a table"
            for table in made.values():
                assert found.setdefault(table.owner, table) is table, f"two tables are called {table.owner!r}"
    return found


TABLES = tables()


def test_all_tables_are_found() -> None:
    made = sum(len(list(calls(tree, "OperatorTable"))) for tree in SOURCES.values())
    assert len(TABLES) == made >= 14


@pytest.mark.parametrize("op", OURS.values(), ids=OURS)
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_operator_is_implemented_or_refused_with_a_reason(table: OperatorTable[..., Any], op: type[Op]) -> None:
    reason = table.refusal(op)
    assert (op in table) != (reason is not None), f"{table.owner} has to say something about {op.__name__}"
    assert reason is None or (len(reason) > 10 and not reason.endswith("."))


# --- an operator that nobody knows -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Planted(Op):
    """x [N, C, H, W] -> something of that shape, whose integers are requantized, as it says."""

    roles: ClassVar = ("x",)
    scales: ClassVar = Scales.SOLVED
    factors: ClassVar = Factors.EQUAL

    def output_shape(self, *operands: Shape) -> Shape:
        return operands[0]

    def gains(self, *_: Shape) -> Gains:
        return Gains.EQUAL


SHAPE = (3, 4, 4)
TENSORS = {name: Tensor(name, SHAPE) for name in ("image", "y")}
PLANTED = Graph("planted", "image", (Output.logits("y"),), (Node("layer.0", Planted(), ("image",), "y"),), TENSORS, {})
NO_SUM = Graph("sum", "image", (Output.logits("y"),), (Node("layer.0", Add(), ("image", "image"), "y"),), TENSORS, {})
MODEL = FloatModel(PLANTED, Preprocessing(SHAPE[1:], None))
PIXELS = np.zeros((1, 4, 4, 3), np.uint8)
NAMED = r"Planted .*layer 'layer\.0'"


def planted_integers() -> IntegerModel:
    """An integer model that an operator has crept into."""
    ranges = {name: Range(-1.0, 1.0) for name in TENSORS}
    model = quantize(replace(MODEL, graph=NO_SUM), ranges, Options(pixel_input=False))
    return replace(model, graph=PLANTED, ratios={"layer.0": next(iter(model.ratios.values()))})


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_tables_refuse_what_they_do_not_know(table: OperatorTable[..., Any]) -> None:
    with pytest.raises(UnsupportedOperator, match=NAMED) as caught:
        table[PLANTED.nodes[0]]
    assert str(caught.value).startswith(f"{table.owner} has no Planted")


def test_references_and_executors_refuse_it() -> None:
    import torch

    x = np.zeros((1, *SHAPE), np.float32)
    with pytest.raises(UnsupportedOperator, match=NAMED):
        FloatReference(PLANTED).run(x)
    with pytest.raises(UnsupportedOperator, match=NAMED):
        FloatExecutor(PLANTED)(torch.from_numpy(x))
    with pytest.raises(UnsupportedOperator, match=NAMED):
        Reference(planted_integers()).run(x.astype(np.int8))
    with pytest.raises(UnsupportedOperator, match=NAMED):
        IntegerExecutor(planted_integers())


def test_the_scale_solver_refuses_it() -> None:
    with pytest.raises(UnsupportedOperator, match=NAMED):
        quantize(MODEL, {name: Range(-1.0, 1.0) for name in TENSORS}, Options(pixel_input=False))


def test_the_proof_does_not_hold_for_it() -> None:
    (broken,) = broken_conditions(planted_integers())
    assert (broken.found, broken.bound) == ("it is made by Planted", "nothing is proven of that")


@pytest.mark.parametrize("name", FORMATS)
def test_exporters_refuse_it(name: str, tmp_path: Path) -> None:
    if name == "coreml":
        pytest.importorskip("coremltools")
    form = FORMATS[name]
    with pytest.raises(UnsupportedOperator, match=NAMED):
        form.write_float_model(MODEL, tmp_path / f"float{form.suffix}", precision=Precision.FLOAT32)
    with pytest.raises(UnsupportedOperator, match=NAMED):
        form.write_integer_model(planted_integers(), tmp_path / f"int8{form.suffix}", io_dtype=IoDtype.FLOAT32)
    assert not list(tmp_path.iterdir())


def test_rules_are_asked_of_the_operator_itself() -> None:
    """Gains, factors and forms follow what it declares: no pass needs to know it."""
    assert families(PLANTED) == []
    for form in (float_form, integer_form):
        assert form(PLANTED).nodes == PLANTED.nodes


def test_shapes_that_do_not_fit_are_refused_by_name() -> None:
    builder = GraphBuilder("image", SHAPE)
    row = builder.conv2d("row", "image", np.zeros((3, 3, 4, 1)), None)
    with pytest.raises(
        UnsupportedOperator, match=r"layer 'sum' has operands of the shapes \(3, 1, 4\) and \(3, 4, 1\)"
    ):
        builder.add("sum", row, builder.conv2d("column", "image", np.zeros((3, 3, 1, 4)), None))


@pytest.mark.parametrize("missing", ["roles", "scales", "factors"])
def test_an_operator_that_leaves_a_rule_out_cannot_be_defined(missing: str) -> None:
    declared = {"roles": ("x",), "scales": Scales.NONE, "factors": Factors.NONE}
    del declared[missing]
    with pytest.raises(AssertionError, match=f"the operator Vague does not declare {missing}"):
        type("Vague", (Op,), declared)


def test_an_operator_without_shapes_or_gains_cannot_be_used() -> None:
    vague = type("Shapeless", (Op,), {"roles": ("x",), "scales": Scales.NONE, "factors": Factors.NONE})
    with pytest.raises(TypeError, match=r"gains.*output_shape"):
        vague()


def test_names_are_taken_once() -> None:
    declared = {"roles": ("x",), "scales": Scales.NONE, "factors": Factors.NONE}
    with pytest.raises(AssertionError, match=r"edgekit\.ir\.operators\.add has an operator Add already"):
        type("Add", (Op,), declared)


# --- nobody else asks what an operator is -----------------------------------------------------------------------------


def operator_names(tree: ast.Module) -> set[str]:
    """What a module calls the operators that it imports."""
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module is not None)
    return {
        alias.asname or alias.name
        for node in imports
        if node.module == "edgekit.ir" or str(node.module).startswith("edgekit.ir.operators")
        for alias in node.names
        if alias.name in OURS or alias.name == "Op"
    }


def questions(tree: ast.Module) -> Iterator[ast.AST]:
    """Where a module asks which operator something is."""
    names = operator_names(tree)

    def mentions(node: ast.AST) -> bool:
        return any(isinstance(part, ast.Name) and part.id in names for part in ast.walk(node))

    def is_operator(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.Attribute)
            and node.attr == "op"
            and not (
                isinstance(node.value, ast.Name) and node.value.id == "value"  # of Python's syntax trees
            )
        )

    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"isinstance", "issubclass"}
        ):
            if mentions(node.args[1]) or is_operator(node.args[0]):
                yield node
        elif isinstance(node, ast.MatchClass) and mentions(node.cls):
            yield node
        elif isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            kinds = [side for side in sides if isinstance(side, ast.Call) and isinstance(side.func, ast.Name)]
            if any(side.func.id == "type" for side in kinds) and any(map(mentions, sides)):  # type: ignore[attr-defined]
                yield node


def test_no_operator_is_asked_what_it_is_outside_of_tables() -> None:
    found = {
        f"{name}:{getattr(node, 'lineno', '?')}: {ast.unparse(node)}"
        for name, tree in SOURCES.items()
        if name not in {REGISTRY, MATCHING} and not name.startswith("edgekit.ir.operators")
        for node in questions(tree)
    }
    assert found == set()


def test_questions_are_recognized() -> None:
    tree = ast.parse(
        "from edgekit.ir import Add, Mul\n"
        "isinstance(node.op, Whatever)\n"
        "isinstance(op, Add | Mul)\n"
        "type(node.op) == Add\n"
        "{type(one.op) for one in nodes} == {Add, Mul}\n"
        "match node.op:\n    case Add():\n        pass\n"
        "match node:\n    case Node(op=Mul()):\n        pass\n"
        "isinstance(node, Node)\n"
        "type(node.op).__name__\n"
    )
    assert len(list(questions(tree))) == 5


def test_patterns_are_declared_where_graphs_are_rewritten() -> None:
    for name, tree in SOURCES.items():
        if name == MATCHING or not list(calls(tree, "Pattern")):
            continue
        assert name.startswith(("edgekit.passes.", "edgekit.capture.")), f"{name} matches patterns"
        top = [node for node in tree.body if isinstance(node, ast.Assign)]
        declared = sum(len(list(calls(node, "Pattern"))) for node in top)
        assert declared == len(list(calls(tree, "Pattern"))), f"{name} hides a pattern"
