"""Which layers are meant, and where integers and reals meet around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.calibration.assignment import quantize
from edgekit.calibration.mixed_precision import Kind, select_kinds, select_layers, with_borders
from edgekit.calibration.options import Options
from edgekit.errors import ConfigError, UnsupportedOperator
from edgekit.ir import Add, Clamp, Dequantize, Graph, Mul, Node, Output, Quantize, Requantize, Tensor
from edgekit.ir.graph import check
from edgekit.reference.integer import Reference
from tests.networks import FloatSketch

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = ("stem.0", "block.1.conv", "block.1.swish", "block.10", "add", "head")


def network() -> Graph:
    """x -> stem.0 -> block.1.conv -> block.1.swish -> block.10 -> add -> head, where add also reads stem.0."""
    reads = {"stem.0": ("x", "c"), "add": ("block.10", "stem.0"), "head": ("add", "add")}
    nodes, last = [], "x"
    for name in NAMES:
        op = Mul() if name == "head" else Add()
        nodes.append(Node(name, op, reads.get(name, (last, last)), name, Clamp(0.0)))
        last = name
    tensors = {name: Tensor(name, (2, 3, 3), 6.0) for name in ("x", *NAMES)}
    return Graph("tiny", "x", (Output.logits("head"),), tuple(nodes), tensors, {"c": np.ones(1, np.float32)})


def bordered(*kept: str, int16: tuple[str, ...] = ()) -> Graph:
    graph, kinds = with_borders(network(), select_kinds(network(), kept, int16))
    check(graph)
    assert kinds.keys() == graph.tensors.keys()
    return graph


def borders(graph: Graph) -> dict[str, tuple[type, str]]:
    """What each border makes, and of what."""
    return {n.output: (type(n.op), n.inputs[0]) for n in graph if isinstance(n.op, Quantize | Requantize | Dequantize)}


@pytest.mark.parametrize(
    ("wanted", "selected"),
    [
        ((), set()),
        (("head",), {"head"}),
        (("block.1",), {"block.1.conv", "block.1.swish"}),
        (("block",), {"block.1.conv", "block.1.swish", "block.10"}),
        (("block.1", "block.1.conv", "add"), {"block.1.conv", "block.1.swish", "add"}),
    ],
)
def test_layers_are_named_alone_or_together(wanted: tuple[str, ...], selected: set[str]) -> None:
    assert select_layers(network(), wanted) == selected


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ("block.2", r"did you mean 'block\.1'\?"),
        ("blok", r"did you mean 'block'\?"),
        ("stem.0.conv", r"did you mean 'stem\.0'\?"),
        ("zzz", "choose from add, block, head, stem"),
    ],
)
def test_unknown_layers_are_refused(wrong: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=f"tiny has no layer '{wrong}': {advice}"):
        select_layers(network(), ["head", wrong])


def test_neighbours_share_a_region() -> None:
    graph = bordered("block.1.conv", "block.1.swish")
    assert borders(graph) == {
        "stem.0.float32": (Dequantize, "stem.0"),
        "block.1.swish.int8": (Quantize, "block.1.swish"),
    }
    reads = {node.name: node.inputs for node in graph}
    assert reads["block.1.conv"] == ("stem.0.float32", "stem.0.float32")
    assert reads["block.1.swish"] == ("block.1.conv", "block.1.conv")
    assert reads["block.10"] == ("block.1.swish.int8", "block.1.swish.int8")
    assert reads["add"] == ("block.10", "stem.0")  # integers as before
    assert graph.tensors["stem.0.float32"] == Tensor("stem.0.float32", (2, 3, 3), 6.0)


def test_a_tensor_is_converted_once_for_all_its_readers() -> None:
    graph = bordered("stem.0")
    assert borders(graph) == {"x.float32": (Dequantize, "x"), "stem.0.int8": (Quantize, "stem.0")}
    assert {"block.1.conv", "add"} == {node.name for node in graph.consumers("stem.0.int8")}


def test_outputs_stay_what_makes_them() -> None:
    for kept in (("head",), NAMES):
        graph = bordered(*kept)
        assert graph.output_tensors == ("head",)
        assert not any(op is Quantize for op, _ in borders(graph).values())


def test_nothing_kept_is_nothing_changed() -> None:
    assert bordered().nodes == network().nodes


def test_three_kinds_meet() -> None:
    graph = bordered("block.1.conv", int16=("stem.0", "block.1.swish"))
    assert borders(graph) == {
        "x.int16": (Requantize, "x"),
        "stem.0.int8": (Requantize, "stem.0"),
        "stem.0.float32": (Dequantize, "stem.0"),
        "block.1.conv.int16": (Quantize, "block.1.conv"),
        "block.1.swish.int8": (Requantize, "block.1.swish"),
    }


def test_an_output_of_16_bits_is_dequantized() -> None:
    graph = bordered(int16=("head",))
    assert graph.output_tensors == ("head.float32",)
    assert borders(graph) == {"add.int16": (Requantize, "add"), "head.float32": (Dequantize, "head")}


def test_no_layer_has_two_kinds() -> None:
    assert select_kinds(network(), ["head"], ["block"])["block.10"] is Kind.INT16
    with pytest.raises(ConfigError, match=r"layer 'block\.10' is to stay in float and to have 16-bit activations"):
        select_kinds(network(), ["block"], ["block.10"])


# --- what has no integer form ---------------------------------------------------------------------------------------


def test_a_softmax_at_the_end_is_kept_in_float_by_itself() -> None:
    """With what follows from it; integers are those of the network without it."""
    s = FloatSketch((3, 5, 4))
    scores = s.conv(s.silu(s.conv("x", 4)), 4)
    ranges, options = s.ranges(), Options(pixel_input=False)
    alone = quantize(s.float_model(), ranges, options)
    s.mul(scores, s.softmax(scores))
    model = quantize(s.float_model(), ranges, options)
    assert [node.name for node in model.float_nodes] == ["layer.4", "layer.5"]
    assert model.provenance["kept_float"] == ["layer.4", "layer.5"]
    assert model.provenance["no_integer_form"] == ["layer.4"]
    assert model.notes == ("kept in float: layer.4 (Softmax has no integer form)",)
    assert (model.near, model.exact) == ({}, True)
    for name, values in alone.graph.constants.items():
        np.testing.assert_array_equal(model.graph.constants[name], values)
    stored = model.params["x"].quantize(s.images(2))
    found, before = Reference(model).run_all(stored), Reference(alone).run_all(stored)
    for name, integers in before.items():
        np.testing.assert_array_equal(found[name], integers)
    real = alone.params[scores].dequantize(before[scores]).astype(np.float64)
    np.testing.assert_allclose(found["layer.5"], real * softmax_of(real), atol=1e-12)


def softmax_of(x: NDArray[np.float64]) -> NDArray[np.float64]:
    y: NDArray[np.float64] = np.exp(x)
    y /= y.sum(1, keepdims=True)
    return y


def test_a_softmax_in_the_middle_takes_consent() -> None:
    s = FloatSketch((3, 5, 4))
    s.conv(s.softmax(s.conv("x", 4)), 2)
    refusal = r"'layer.1' \(Softmax\) has no integer form, .*'layer.2' comes after it: --keep-float layer.1 computes"
    with pytest.raises(UnsupportedOperator, match=refusal):
        s.integer_model()
    model = s.integer_model(keep_float=["layer.1"])
    assert model.near["layer.2"] == "integers follow from layer.1 in float"
