"""Which operator a kernel computes, what it costs, and what the machine could do: on values made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.exporters.contents import OPERATOR, Operator
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import Precision
from edgekit.runtimes.profilers import litert, onnx_runtime, torch
from edgekit.timing import roofline as rooflines
from edgekit.timing.kernels import middle_kernels, middle_mean
from edgekit.timing.profilers.costs import Activation, Cost, Costs
from edgekit.timing.profilers.matching import Work, match
from edgekit.timing.roofline import Roofline, roofline

if TYPE_CHECKING:
    from edgekit.exporters.format import Format


NAMES = {"onnx": onnx_runtime.NAMES, "tflite": litert.NAMES, "torch": torch.NAMES}


def operator(name: str, kind: str, *reads: str, **fields: Any) -> Operator:
    return Operator(name, {OPERATOR: kind, **{f"input {i}": read for i, read in enumerate(reads)}, **fields})


def matched(form: str, kernels: list[str], operators: list[Operator]) -> list[tuple[list[str], list[str]]]:
    """Names of the kernels and operators of each work; each has to be in one."""
    works = match(NAMES[form], kernels, operators)
    assert sorted(kernel for work in works for kernel in work.kernels) == list(range(len(kernels)))
    assert sorted(place for work in works for place in work.operators) == list(range(len(operators)))
    return [([kernels[i] for i in work.kernels], [operators[i].name for i in work.operators]) for work in works]


# --- matching ---------------------------------------------------------------------------------------------------------


def test_xnnpack_fuses_padding_and_hard_swish() -> None:
    operators = [
        operator("x", "QUANTIZE", "image"),
        operator("pad", "PAD", "x"),
        operator("a", "DEPTHWISE_CONV_2D", "pad"),
        operator("relu6", "ADD", "a"),
        operator("swish", "MUL", "a", "relu6"),
        operator("b", "CONV_2D", "swish"),
        operator("sum", "ADD", "b", "swish"),
    ]
    conv, fc = "Convolution (NHWC, QC8) DWConv", "Fully Connected (NC, QS8, QC8W) GEMM"
    kernels = ["Convert (NC)", conv, "Invalid Unary Op", fc, "Add (ND)"]
    assert matched("tflite", kernels, operators) == [
        (["Convert (NC)"], ["x"]),
        ([conv], ["a", "pad"]),
        (["Invalid Unary Op"], ["swish", "relu6"]),
        ([fc], ["b"]),
        (["Add (ND)"], ["sum"]),
    ]


def test_xnnpack_copies_what_is_joined() -> None:
    operators = [operator("a", "CONV_2D", "image"), operator("both", "CONCATENATION", "a", "image")]
    conv = "Convolution (NHWC, QC8) IGEMM"
    assert matched("tflite", [conv, "Copy (NC, X8)"], operators) == [([conv], ["a"]), (["Copy (NC, X8)"], ["both"])]


def test_what_a_runtime_adds_belongs_to_no_operator() -> None:
    operators = [operator("a", "CONV_2D", "image"), operator("b", "HARD_SWISH", "a")]
    kernels = [
        "Convolution (NHWC, F32) IGEMM",
        "Static Reshape (NC)",
        "HARD_SWISH",
    ]  # the last is TFLite's own
    assert matched("tflite", kernels, operators) == [(kernels[:1], ["a"]), (kernels[1:2], []), (kernels[2:], ["b"])]


def test_onnx_runtime_names_kernels_after_nodes() -> None:
    operators = [
        operator("x.quantized", "QuantizeLinear", "image"),
        operator("x", "DequantizeLinear", "x.quantized"),
        operator("w", "DequantizeLinear", integers=np.zeros((4, 3, 1, 1), np.int8)),
        operator("a.real", "Conv", "x", weight="w"),
        operator("a.quantized", "QuantizeLinear", "a.real"),
        operator("a", "DequantizeLinear", "a.quantized"),
        operator("b.real", "Mul", "a", "x"),
        operator("b.quantized", "QuantizeLinear", "b.real"),
    ]
    assert matched("onnx", ["x.quantized", "Transpose_token_3", "a.real_token_2", "b.real"], operators) == [
        (["x.quantized"], ["x.quantized"]),
        (["Transpose_token_3"], []),
        (["a.real_token_2"], ["a.real", "x", "w", "a.quantized"]),
        (["b.real"], ["b.real", "a", "b.quantized"]),
    ]


def test_onnx_runtime_fuses_a_sum_into_the_convolution_before_it() -> None:
    operators = [
        operator("a", "Conv", "image"),
        operator("b.unclamped", "Conv", "a"),
        operator("b", "Relu", "b.unclamped"),
        operator("c", "Conv", "b"),
        operator("sum", "Add", "a", "c"),
        operator("d", "Conv", "sum"),
    ]
    kernels = ["a_nchwc", "InsertedPrecisionFreeCast_b.unclamped_nchwc", "c_nchwc", "ReorderOutput", "d"]
    assert [file for _, file in matched("onnx", kernels, operators)] == [
        ["a"],
        ["b.unclamped", "b"],
        ["c", "sum"],
        [],
        ["d"],
    ]


def test_a_method_of_torch_is_several_kernels() -> None:
    operators = [
        operator("x", "aten::quantize_per_tensor", "image"),
        operator("p", "pad", "x"),
        operator("a", "quantized::conv2d", "p"),
        operator("c", "crop", "a"),
        operator("m", "mean", "c"),
        operator("out", "aten::dequantize", "m"),
    ]
    pad = ["aten::empty", "aten::fill_", "aten::slice", "aten::copy_"]
    crop = ["aten::slice", "aten::slice", "aten::contiguous"]
    mean = ["aten::int_repr", "aten::sum", "aten::quantize_per_tensor"]
    kernels = ["aten::quantize_per_tensor", *pad, "quantized::conv2d", *crop, *mean, "aten::dequantize"]
    assert matched("torch", kernels, operators) == [
        (kernels[:1], ["x"]),
        (pad, ["p"]),
        (["quantized::conv2d"], ["a"]),
        (crop, ["c"]),
        (mean, ["m"]),
        (["aten::dequantize"], ["out"]),
    ]


def test_a_run_without_kernels() -> None:
    assert match(NAMES["tflite"], [], []) == ()
    assert match(NAMES["onnx"], ["Transpose"], []) == (Work((0,), ()),)


# --- costs ------------------------------------------------------------------------------------------------------------


def test_costs_of_convolutions() -> None:
    operators = [
        operator("a", "CONV_2D", "image", weight=np.zeros((8, 3, 3, 3), np.int8), bias=np.zeros(8, np.int32)),
        operator("b", "DEPTHWISE_CONV_2D", "a", weight=np.zeros((1, 3, 3, 8), np.int8), bias=np.zeros(8, np.int32)),
        operator("c", "MUL", "a", "b"),
    ]
    shapes = {"image": (3, 10, 10), "a": (8, 5, 5), "b": (8, 5, 5), "c": (8, 5, 5)}
    costs = Costs(operators, {name: Activation(shape, "int8") for name, shape in shapes.items()})
    assert costs.of([0]) == Cost(macs=8 * 25 * 27, weight_bytes=8 * 27 + 32, activation_bytes=300 + 200)
    assert costs.of([1]) == Cost(macs=8 * 25 * 9, weight_bytes=8 * 9 + 32, activation_bytes=200 + 200)
    assert costs.of([2]) == Cost(macs=0, weight_bytes=0, activation_bytes=3 * 200)
    # In one go, b need not be moved.
    assert costs.of([1, 2]) == Cost(macs=8 * 25 * 9, weight_bytes=8 * 9 + 32, activation_bytes=200 + 200)


def test_integers_are_read_as_integers_whoever_dequantizes_them() -> None:
    operators = [
        operator("w", "DequantizeLinear", integers=np.zeros((4, 4, 1, 1), np.int8)),
        operator("x", "DequantizeLinear", "x.quantized"),
        operator("a.real", "Conv", "x", weight="w"),
        operator("a.quantized", "QuantizeLinear", "a.real"),
        operator("a", "DequantizeLinear", "a.quantized"),
        operator("sum.real", "Add", "x", "a"),
        operator("sum.quantized", "QuantizeLinear", "sum.real"),
    ]
    known = {name: Activation((4, 5, 5), "uint8") for name in ("x.quantized", "a.quantized", "sum.quantized")}
    costs = Costs(operators, known)
    assert costs.of([2, 0, 1, 3]) == Cost(macs=4 * 4 * 25, weight_bytes=16, activation_bytes=100 + 100)
    assert costs.of([5, 4, 6]) == Cost(macs=0, weight_bytes=0, activation_bytes=3 * 100)  # x is a's, too
    assert costs.activation("a.real").shape == costs.activation("x").shape == (4, 5, 5)


@pytest.mark.parametrize(("family", "published"), [("v1", 41e6), ("v2", 300e6), ("v3", 56.5e6)])
def test_macs_are_the_published_ones(family: str, published: float, tmp_path: Any) -> None:
    """arXiv:1704.04861, table 6; arXiv:1801.04381, table 4; torchvision's table of weights for V3-Small."""
    for needed in ("torch", "ai_edge_litert"):
        pytest.importorskip(needed)
    from edgekit.capture.torch_export import capture
    from edgekit.float_model import FloatModel
    from edgekit.models.families.mobilenet_v1 import mobilenet_v1
    from edgekit.models.families.mobilenet_v2 import mobilenet_v2
    from edgekit.models.families.mobilenet_v3 import mobilenet_v3_small
    from edgekit.models.network import build
    from edgekit.passes import float_form
    from edgekit.preprocessing import Preprocessing
    from edgekit.runtimes.litert import LiteRtRunner

    shape = {"v1": mobilenet_v1(0.25), "v2": mobilenet_v2(), "v3": mobilenet_v3_small()}[family]
    graph = float_form(capture(build(shape).eval(), family, (3, 224, 224)))
    path = tmp_path / f"{family}.tflite"
    form = FORMATS["tflite"]
    form.write_float_model(FloatModel(graph, Preprocessing((224, 224), 256)), path, precision=Precision.FLOAT32)
    traced = LiteRtRunner(path).trace(np.zeros((1, 3, 224, 224), np.float32))
    operators = form.contents(path).operators
    costs = Costs(operators, {name: Activation(array.shape[1:], "float32") for name, array in traced.items()})
    total = costs.of(range(len(operators)))
    assert total.macs == graph.macs == pytest.approx(published, rel=0.003)
    weights = sum(array.size for name, array in graph.constants.items() if name.endswith((".weight", ".bias")))
    assert total.weight_bytes == 4 * weights


# --- what is kept of many runs ----------------------------------------------------------------------------------------


def test_what_disturbs_single_kernels_does_not_count() -> None:
    times = np.full((8, 3), 5.0)
    times[[0, 3, 6], [0, 1, 2]] = 4000.0  # another one in each of these runs
    times[1, 0] = 1.0
    assert middle_mean(times).tolist() == [5.0, 5.0, 5.0]
    assert middle_mean(np.array([[1.0], [2.0], [3.0], [5.0], [9.0]])).tolist() == [pytest.approx(10 / 3)]


def test_runs_with_other_kernels_do_not_count() -> None:
    usual = [[("a", 1.0), ("b", 2.0)]] * 4
    assert middle_kernels([[("a", 100.0)], *usual]) == (("a", 1.0), ("b", 2.0))


# --- the roofline -----------------------------------------------------------------------------------------------------

MACHINE = Roofline("a machine", "a runtime", "int8", 1, 100.0, ((2**16, 80.0), (2**20, 40.0), (2**26, 10.0)))


@pytest.mark.parametrize(
    ("touched", "expected"), [(1, 80.0), (2**16, 80.0), (2**18, 60.0), (2**20, 40.0), (2**23, 25.0), (2**40, 10.0)]
)
def test_the_bandwidth_is_that_of_what_holds_so_many_bytes(touched: int, expected: float) -> None:
    assert MACHINE.bandwidth(touched) == expected


def test_bounds() -> None:
    assert MACHINE.arithmetic_us(1_000_000) == 10.0  # at 10^11 a second
    assert MACHINE.moving_us(1_000_000, 2**20) == 25.0  # at 4 x 10^10 a second
    assert MACHINE.moving_us(0, 2**20) == 0.0
    assert MACHINE.nearest_gbs == 80.0


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> list[str]:
    """What was really measured, by a machine that takes no time."""
    seen: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def peak(form: Format, precision: Precision, *_: object) -> float:
        seen.append(f"{form.name} {precision}")
        return 9.0

    def bandwidths(threads: int, _: object) -> tuple[tuple[int, float], ...]:
        seen.append(f"{threads}")
        return ((2**16, 5.0),)

    monkeypatch.setattr(rooflines, "_peak_gmacs", peak)
    monkeypatch.setattr(rooflines, "_bandwidths", bandwidths)
    return seen


def test_a_roofline_is_measured_once(measured: list[str]) -> None:
    form = FORMATS["tflite"]
    first = roofline(form, Precision.INT8, "LiteRT 2", threads=1)
    assert (first.peak_gmacs, first.bandwidths, first.threads) == (9.0, ((2**16, 5.0),), 1)
    assert measured == ["1", "tflite int8"]
    assert roofline(form, Precision.INT8, "LiteRT 2", threads=1) == first
    assert measured == ["1", "tflite int8"]
    roofline(form, Precision.INT8, "LiteRT 3", threads=1)  # another runtime on the same memory
    roofline(form, Precision.FLOAT32, "LiteRT 2", threads=1)
    assert measured[2:] == ["tflite int8", "tflite float32"]
    roofline(form, Precision.INT8, "LiteRT 2", threads=2)
    assert measured[4:] == ["2", "tflite int8"]


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": {"peak": 1}}', "\0"])
def test_a_damaged_cache_is_made_again(measured: list[str], tmp_path: Any, content: str) -> None:
    cache = tmp_path / "edgekit" / rooflines.FILE
    cache.parent.mkdir()
    cache.write_text(content)
    for _ in range(2):
        roofline(FORMATS["onnx"], Precision.INT8, "ONNX Runtime 1", threads=1)
    assert measured == ["1", "onnx int8"]


def test_a_real_roofline(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    pytest.importorskip("ai_edge_litert")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(rooflines, "SIZES", (2**16, 2**18))
    monkeypatch.setattr(rooflines, "_STREAM_SECONDS", 0.001)
    monkeypatch.setattr(rooflines, "_PROCESSES", 1)
    found = roofline(FORMATS["tflite"], Precision.INT8, "LiteRT", threads=1)
    assert 0.1 < found.peak_gmacs < 1e5  # a Raspberry Pi Zero, and what no processor has
    assert all(0.01 < rate < 1e5 for _, rate in found.bandwidths)
