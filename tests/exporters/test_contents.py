"""How two files differ, in terms of layers and fields, and in words."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.exporters.contents import (
    CLAMP,
    OPERATOR,
    Contents,
    Operator,
    describe,
    differences,
    metadata_facts,
    same,
    unique_names,
)
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.exporters.origins import Origin
from edgekit.exporters.spelling import Layers
from edgekit.exporters.vocabulary import Does
from edgekit.ir import Conv2d, Graph, Linear, Node, Output, Tensor

if TYPE_CHECKING:
    from edgekit.exporters.contents import Value

reals = partial(np.array, dtype=np.float32)
WEIGHT = np.arange(-60, 60, dtype=np.int8).reshape(10, 3, 2, 2)


@pytest.fixture
def graph() -> Graph:
    nodes = (
        Node("block.1", Conv2d(), ("x", "w1", "b1"), "block.1"),
        Node("block.10", Conv2d(), ("block.1", "w10", "b10"), "block_1"),  # equal to the first as an identifier
        Node("head", Linear(), ("block_1", "head.weight", "head.bias"), "scores"),
    )
    tensors = {name: Tensor(name, (4,)) for name in ("x", "block.1", "block_1", "scores")}
    constants = {name: np.zeros(1, np.float32) for node in nodes for name in node.inputs if name not in tensors}
    return Graph("tiny", "x", (Output.logits("scores"),), nodes, tensors, constants)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("block.1", "block.1"),
        ("block.1.unclamped", "block.1"),
        ("block.10.padded", "block.10"),
        ("block_1", "block.10"),
        ("block_1_2", "block.10"),  # a format that knows only identifiers numbers the second
        ("block_10_packed", "block.10"),
        ("w10.scale", "block.10"),
        ("head_weight", "head"),
        ("scores_result", "head"),
        ("logits", "head"),
        ("logits_real", "head"),
        ("x.quantized", None),
        ("image", None),
        ("block.1#2", "block.1"),
        ("blocks", None),
    ],
)
def test_names_belong_to_layers(graph: Graph, name: str, layer: str | None) -> None:
    assert Layers(graph).of(name) == layer


NODES = {
    "block.1": "block.1",
    "block.1.quantized": "block.1",
    "block.1.unclamped": "block.1",
    "scores": "head",
}
DOES = {"Clip": Does.CLAMP, "QuantizeLinear": Does.QUANTIZE}


def operator(name: str, kind: str, **fields: Any) -> Operator:
    node = NODES.get(name)
    origin = None if node is None else Origin(node, node)
    return Operator(name, {OPERATOR: kind, **fields}, does=DOES.get(kind, Does.OTHER), origin=origin)


def said(*operators: Operator, **facts: Value) -> Contents:
    return Contents(operators, facts, IoDtype.FLOAT32)


CONV = operator("block.1", "Conv", input="x", weight=WEIGHT, stride=(1, 1))
CLIP = operator("block.1", "Clip", input="block.1.unclamped", low=np.float32(0))
INNER = operator("block.1.unclamped", "Conv", input="x")
HEAD = operator("scores", "Gemm", input="block.1")


class TestDifferences:
    def test_a_field(self) -> None:
        found = operator("block.1", "Conv", input="x", weight=WEIGHT[::-1], stride=(1, 1))
        (only,) = differences(said(found, HEAD), said(CONV, HEAD))
        assert (only.layer, only.field) == ("block.1", "weight")
        assert only.text == "weight of block.1: 10 channels in another order, the first is 0"
        assert str(only) == only.text

    def test_operators_come_first_and_in_order(self) -> None:
        found = said(operator("block.1", "Conv"), operator("scores", "Gemm", input="x"), opset=17)
        first, *_, fact = differences(found, said(CONV, HEAD, opset=18))
        assert first.layer == "block.1"
        assert (fact.layer, fact.field, fact.text) == (None, "opset", "opset: 17 instead of 18")

    def test_an_operator_that_should_not_be_there(self) -> None:
        extra = operator("foreign", "RELU", dtype="float32", input="block.1")
        (only,) = differences(said(CONV, extra, HEAD), said(CONV, HEAD))
        assert (only.layer, only.found, only.wanted) == ("block.1", "RELU", None)
        assert only.text == "RELU of foreign: a float operator that should not be there"
        assert str(only) == f"{only.text} (layer block.1)"

    def test_an_operator_that_is_missing(self) -> None:
        quantize = operator("block.1.quantized", "QuantizeLinear", input="block.1")
        (only,) = differences(said(CONV, HEAD), said(CONV, quantize, HEAD))
        assert (only.layer, only.field) == ("block.1", OPERATOR)
        assert "what it is to quantize stays float" in only.text

    @pytest.mark.parametrize("rest", [operator("block.1", "Conv", input="x"), INNER], ids=["renamed", "bypassed"])
    def test_a_clamp_that_is_missing(self, rest: Operator) -> None:
        """Whatever bears its name then."""
        (only,) = differences(said(rest), said(INNER, CLIP))
        assert (only.layer, only.field, only.text) == ("block.1", CLAMP, "clamp of block.1: missing (Clip)")

    def test_another_operator(self) -> None:
        (only,) = differences(said(operator("scores", "Add")), said(HEAD))
        assert only.text == "operator of scores: Add instead of Gemm"

    def test_another_order(self) -> None:
        (only,) = differences(said(HEAD, CONV), said(CONV, HEAD))
        assert (only.layer, only.field) == ("block.1", "order")

    def test_none(self) -> None:
        assert differences(said(CONV, HEAD, opset=17), said(CONV, HEAD, opset=17)) == ()


SQUARE = np.arange(9, dtype=np.int8).reshape(3, 3)


@pytest.mark.parametrize(
    ("found", "wanted", "text"),
    [
        (0.0123, 0.0118, "0.0123 instead of 0.0118"),
        (reals([0.1]), reals([0.1 + 1e-7]), "0.1 instead of 0.1000001"),
        (10132, 10131, "10132 instead of 10131"),
        (np.array([1]), np.array([1], np.int8), "1 (int64) instead of 1 (int8)"),
        ("VALID", "SAME", "'VALID' instead of 'SAME'"),
        (None, 3, "missing, it should be 3"),
        (WEIGHT, None, "int8 [10, 3, 2, 2], where nothing should be"),
        (WEIGHT.astype(np.int16), WEIGHT, "int16 instead of int8"),
        (SQUARE.T, SQUARE, "transposed, axes [1, 0] of [3, 3]"),
        (WEIGHT.transpose(0, 2, 3, 1), WEIGHT, "transposed, axes [0, 2, 3, 1] of [10, 3, 2, 2]"),
        (WEIGHT.reshape(5, 6, 2, 2), WEIGHT, "shape [5, 6, 2, 2] instead of [10, 3, 2, 2]"),
        (WEIGHT[[0, 1, 2, 7, 4, 5, 6, 3, 8, 9]], WEIGHT, "channels 3 and 7 swapped"),
        (WEIGHT[:, [0, 2, 1]], WEIGHT, "channels 1 and 2 swapped along axis 1"),
        (WEIGHT[[1, 2, 0, *range(3, 10)]], WEIGHT, "3 channels in another order, the first is 0"),
        (WEIGHT + np.int8(2), WEIGHT, "every number off by +2"),
        (reals([1, 2, 4]), reals([1, 2, 3]), "1 of 3 numbers, the first, at [2], is 4 instead of 3"),
        (reals([-0.0, 1]), reals([0, 1]), "numbers that differ in bits only: a sign of 0, or NaN"),
        (tuple("edcba"), tuple("abcde"), "in another order, 'e' instead of 'a' at 0"),
        (tuple("abXde"), tuple("abcde"), "'X' instead of 'c' at 2"),
        ((1, 2), (1,), "2 entries instead of 1: (1, 2) instead of (1,)"),
    ],
)  # fmt: skip
def test_words(found: Value, wanted: Value, text: str) -> None:
    assert not same(found, wanted)
    assert describe(found, wanted) == text


def test_values_are_equal_in_every_bit() -> None:
    nan = reals([np.nan])
    assert same(nan, nan.copy())
    assert same((1, nan), (1, nan))
    assert not same(1, 1.0)
    assert not same(reals([0]), reals([-0.0]))


def test_names_stay_unique() -> None:
    assert unique_names(["a", "a", "b", "a"]) == ["a", "a#2", "b", "a#3"]


def test_the_form_of_metadata_says_nothing() -> None:
    assert metadata_facts('{"a": [1, {"b": 2}], "c": ["x"]}') == metadata_facts('{ "c": ["x"], "a": [1, {"b": 2}] }')
    assert metadata_facts("{damaged") == {"edgekit": "{damaged"}
    assert metadata_facts(None) == {}


def test_the_precision_of_a_file_without_metadata() -> None:
    assert said().precision is Precision.FLOAT32
    assert Contents((), {"edgekit.precision": "float16"}, IoDtype.FLOAT32).precision is Precision.FLOAT16
