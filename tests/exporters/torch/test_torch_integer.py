"""Every integer that torch computes from an exported file, against the contract's own arithmetic."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
import torch

from edgekit.errors import UnsupportedOperator
from edgekit.exporters.metadata import IoDtype
from edgekit.exporters.torch.codec import write_integer_model
from edgekit.exporters.torch.contents import read_contents
from edgekit.exporters.torch.texts import Engine
from edgekit.ir import BatchNorm, Linear, Node, Padding
from edgekit.quantization import QuantParams
from edgekit.runtimes.catalog import claimed_runner
from edgekit.runtimes.torch import TorchRunner
from tests.networks import IntegerSketch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    Build = Callable[[Any], str]

SAFE_WEIGHT_LIMIT = 63  # 2 * 255 * 63 < 2**15: no kernel saturates a pair of products to int16
SAME3, SAME5, TENSORFLOW = Padding(1, 1, 1, 1), Padding(2, 2, 2, 2), Padding(0, 1, 0, 1)

OPERATORS: dict[str, tuple[tuple[int, ...], Build]] = {
    "pointwise": ((24, 9, 11), lambda n: n.conv("x", 16)),
    "pointwise, many inputs": ((320, 5, 5), lambda n: n.conv("x", 16)),
    "3 x 3 stride 2": ((3, 9, 11), lambda n: n.conv("x", 16, 3, 2, SAME3)),
    "3 x 3 stride 2, padded as TensorFlow": ((3, 10, 12), lambda n: n.conv("x", 16, 3, 2, TENSORFLOW)),
    "depthwise 3 x 3": ((24, 9, 11), lambda n: n.conv("x", 24, 3, 1, SAME3, 24)),
    "depthwise 3 x 3, over 100 groups": ((128, 6, 6), lambda n: n.conv("x", 128, 3, 1, SAME3, 128)),
    "depthwise 5 x 5 stride 2": ((24, 9, 11), lambda n: n.conv("x", 24, 5, 2, SAME5, 24)),
    "depthwise 3 x 3, padded as TensorFlow": ((24, 10, 12), lambda n: n.conv("x", 24, 3, 2, TENSORFLOW, 24)),
    "depthwise, odd channels": ((7, 9, 11), lambda n: n.conv("x", 7, 3, 1, SAME3, 7)),
    "grouped": ((16, 9, 11), lambda n: n.conv("x", 32, 3, 1, SAME3, 4)),
    "linear": ((130,), lambda n: n.linear("x", 37)),
    "add": ((3, 9, 11), lambda n: n.add(n.conv("x", 16), n.conv("x", 16, scale=Fraction(1, 28)))),
    "add a constant": ((16, 9, 11), lambda n: n.add_constant("x", Fraction(3))),
    "mul": ((3, 9, 11), lambda n: n.mul("x", n.conv("x", 3))),
    "mul, broadcast": ((16, 9, 11), lambda n: n.mul("x", n.mean("x", keep_dims=True))),
    "mean": ((16, 14, 14), lambda n: n.mean("x", keep_dims=True)),
    "mean without the axes": ((16, 64, 64), lambda n: n.mean("x", keep_dims=False)),
    "pad": ((16, 9, 11), lambda n: n.pad("x", Padding(1, 2, 3, 4))),
    "flatten": ((16, 9, 11), lambda n: n.flatten(n.mean("x", keep_dims=True))),
}


def mobile_net(network: IntegerSketch) -> None:
    """A stem, an inverted residual with squeeze-and-excite, h-swish as ADD and MUL, and a classifier."""
    x = network.conv("x", 16, 3, 2, TENSORFLOW)
    y = network.conv(x, 48)
    y = network.mul(y, network.add_constant(y, Fraction(3)))
    y = network.conv(y, 48, 3, 1, SAME3, 48)
    gate = network.conv(network.conv(network.mean(y, keep_dims=True), 12), 48)
    y = network.conv(network.mul(y, gate), 16, scale=network.scales[x])
    y = network.conv(network.add(x, y), 64)
    network.linear(network.flatten(network.mean(y, keep_dims=True)), 10)


def differences(
    network: IntegerSketch, oracle: Any, path: Path, engines: Iterable[str], layout: Engine = "fbgemm"
) -> dict[str, NDArray[np.int64]]:
    """Exported minus expected integers, flat, by engine."""
    model, images = network.model(), network.images()
    write_integer_model(model, path, io_dtype=IoDtype.INT8, engine=layout)
    expected, found = oracle(model, images), {}
    for engine in engines:
        with TorchRunner(path, engine=engine) as runner:
            stored = runner.run(images)["logits"]
        assert stored.dtype == np.int8
        assert stored.shape == expected.shape
        found[engine] = (stored.astype(np.int64) - expected).ravel()
    return found


def wrong(found: dict[str, NDArray[np.int64]]) -> dict[str, int]:
    """How many integers differ, by engine; engines without a difference are left out."""
    return {engine: count for engine, values in found.items() if (count := int(np.count_nonzero(values)))}


def engine_or_skip(engine: str) -> str:
    supported = torch.backends.quantized.supported_engines
    if engine not in supported:
        pytest.skip(f"this build of torch has no {engine}")
    if engine == "onednn" and "fbgemm" not in supported:
        pytest.skip("oneDNN was measured on x86 only")
    return engine


@pytest.fixture
def x86_engines() -> tuple[str, ...]:
    """Those whose integers edgekit answers for on this machine."""
    capabilities = torch.cpu.get_capabilities()
    if not (capabilities.get("avx512_vnni") or capabilities.get("avx_vnni")):
        pytest.skip("without VNNI the engines of x86 saturate in every layer")
    return tuple(engine_or_skip(engine) for engine in ("fbgemm", "x86", "onednn"))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", OPERATORS)
def test_each_operator_is_exact(
    name: str, seed: int, x86_engines: tuple[str, ...], oracle: Any, tmp_path: Path
) -> None:
    shape, build = OPERATORS[name]
    tiny = IntegerSketch(shape, seed)
    build(tiny)
    assert wrong(differences(tiny, oracle, tmp_path / "tiny.pt", x86_engines)) == {}


@pytest.mark.parametrize("seed", range(3))
def test_a_network_is_exact(seed: int, x86_engines: tuple[str, ...], oracle: Any, tmp_path: Path) -> None:
    tiny = IntegerSketch((3, 24, 20), seed)
    mobile_net(tiny)
    assert wrong(differences(tiny, oracle, tmp_path / "tiny.pt", x86_engines)) == {}


def extreme_depthwise(channels: int, kernel: int, stride: int, padding: Padding) -> IntegerSketch:
    """One layer with weights of -127 and 127 only: wherever an image is 127, pairs of products leave int16."""
    tiny = IntegerSketch((channels, 10, 13))
    tiny.conv("x", channels, kernel, stride, padding, channels)
    (weight,) = (name for name in tiny.constants if name.endswith("weight"))
    tiny.constants[weight] = np.where(tiny.constants[weight] < 0, -127, 127).astype(np.int8)
    return tiny


@pytest.mark.parametrize("channels", [7, 8, 72, 240])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        (3, 1, SAME3), (3, 2, SAME3), (3, 2, TENSORFLOW), (3, 2, Padding(1, 1, 0, 1)), (3, 1, Padding()),
        (5, 1, SAME5), (5, 2, SAME5), (5, 2, Padding(1, 2, 1, 2)),
    ],
)  # fmt: skip
def test_depthwise_layers_do_not_saturate(
    channels: int, kernel: int, stride: int, padding: Padding,
    x86_engines: tuple[str, ...], oracle: Any, tmp_path: Path,
) -> None:  # fmt: skip
    tiny = extreme_depthwise(channels, kernel, stride, padding)
    assert wrong(differences(tiny, oracle, tmp_path / "tiny.pt", x86_engines)) == {}


@pytest.mark.parametrize(("kernel", "padding"), [(3, SAME3), (5, SAME5)])
def test_fbgemm_saturates_where_depthwise_layers_are_left_as_they_are(
    kernel: int, padding: Padding, x86_engines: tuple[str, ...], oracle: Any, tmp_path: Path
) -> None:
    """The reason for the other layout: should this fail, a newer FBGEMM may have been repaired."""
    tiny = extreme_depthwise(24, kernel, 1, padding)
    plain = differences(tiny, oracle, tmp_path / "tiny.pt", x86_engines, "qnnpack")
    assert (plain["fbgemm"] != 0).mean() > 0.05
    assert not plain["onednn"].any()
    assert wrong(differences(tiny, oracle, tmp_path / "tiny.pt", x86_engines, "fbgemm")) == {}


@pytest.mark.parametrize("engine", ["qnnpack", "fbgemm", "x86", "onednn"])
@pytest.mark.parametrize("name", OPERATORS)
def test_every_engine_is_exact_with_weights_that_cannot_saturate(
    name: str, engine: str, oracle: Any, tmp_path: Path
) -> None:
    shape, build = OPERATORS[name]
    tiny = IntegerSketch(shape, reach=SAFE_WEIGHT_LIMIT)
    build(tiny)
    assert wrong(differences(tiny, oracle, tmp_path / "tiny.pt", [engine_or_skip(engine)])) == {}


@pytest.mark.parametrize("layout", get_args(Engine))
@pytest.mark.parametrize("name", OPERATORS)
def test_qnnpack_differs_hardly_ever(name: str, layout: Engine, oracle: Any, tmp_path: Path) -> None:
    shape, build = OPERATORS[name]
    tiny = IntegerSketch(shape)
    build(tiny)
    found = differences(tiny, oracle, tmp_path / "tiny.pt", [engine_or_skip("qnnpack")], layout)["qnnpack"]
    assert np.abs(found).max() <= 1
    assert (found != 0).mean() < 1e-4


def cancelling_biases(magnitude: int, seed: int) -> IntegerSketch:
    """One linear layer whose products nearly cancel biases of about ``magnitude``, so that rounding them would show."""
    tiny = IntegerSketch((2048,), seed)
    images = tiny.images().astype(np.int64) - tiny.params["x"].zero_point
    channels = 64
    aim = tiny.random.integers(magnitude // 2, magnitude, channels)
    weight = np.rint(np.sign(images[3:4]) * (aim / np.abs(images[3]).sum())[:, None] + tiny.random.uniform(-2, 2, 2048))
    assert np.abs(weight).max() <= 127
    bias = -weight @ images[3] + tiny.random.integers(-9000, 9000, channels)
    ratios = [Fraction(1, 97)] * channels  # one scale a tensor
    tiny.layer(Linear(), "x", (weight.astype(np.int8), bias), ratios, Fraction(1, 17))
    return tiny


@pytest.mark.parametrize("seed", range(4))
def test_biases_come_back_exactly(seed: int, x86_engines: tuple[str, ...], oracle: Any, tmp_path: Path) -> None:
    tiny = cancelling_biases(2**22, seed)
    assert np.abs(tiny.constants["layer.0.bias"]).max() > 2**21
    engines = (engine_or_skip("qnnpack"), *x86_engines)
    assert wrong(differences(tiny, oracle, tmp_path / "tiny.pt", engines)) == {}


def test_the_three_boundaries_agree(tmp_path: Path) -> None:
    tiny = IntegerSketch()
    tiny.conv("x", 8, 3)
    model, images = tiny.model(), tiny.images()
    outputs = {}
    for io_dtype in IoDtype:
        write_integer_model(model, tmp_path / "tiny.pt", io_dtype=io_dtype)
        batches: dict[IoDtype, NDArray[Any]] = {
            IoDtype.FLOAT32: model.params["x"].dequantize(images),
            IoDtype.INT8: images,
            IoDtype.UINT8: (images.astype(np.int16) + 128).astype(np.uint8),
        }
        outputs[io_dtype] = TorchRunner(tmp_path / "tiny.pt").run(batches[io_dtype])["logits"]
        assert outputs[io_dtype].dtype == io_dtype.value
    stored = outputs[IoDtype.INT8]
    np.testing.assert_array_equal(outputs[IoDtype.UINT8], stored.astype(np.int16) + 128)
    np.testing.assert_array_equal(
        outputs[IoDtype.FLOAT32], model.params[model.graph.output_tensors[0]].dequantize(stored)
    )


def test_layers_in_float_change_nothing_around_them(
    mixed_case: Any, assert_near: Callable[..., None], tmp_path: Path
) -> None:
    model, stored, expected = mixed_case
    write_integer_model(model, tmp_path / "tiny.pt", io_dtype=IoDtype.FLOAT32)
    with claimed_runner(tmp_path / "tiny.pt")() as runner:
        found = runner.run(model.params["x"].dequantize(stored))["logits"]
    output = model.graph.output_tensors[0]
    assert_near(model, model.params[output].quantize(found) if output in model.params else found, expected)


def test_a_float_input_is_rounded_to_the_nearest_and_saturated(tmp_path: Path) -> None:
    """Ties apart, which the contract keeps away from: torch adds the zero point before it rounds half to even."""
    tiny = IntegerSketch((3, 40, 40))
    tiny.params["x"] = QuantParams(np.array([0.25], np.float32), -3)
    tiny.pad("x", Padding())
    write_integer_model(tiny.model(), tmp_path / "tiny.pt", io_dtype=IoDtype.FLOAT32)
    offset = tiny.random.uniform(-0.49, 0.49, (2, 3, 40, 40))
    real = ((tiny.random.integers(-200, 200, offset.shape) + offset) * 0.25).astype(np.float32)
    real[0, 0, 0, :2] = -1e9, 1e9
    expected = tiny.params["x"].dequantize(tiny.params["x"].quantize(real))
    np.testing.assert_array_equal(TorchRunner(tmp_path / "tiny.pt").run(real)["logits"], expected)


def test_the_file_needs_torch_alone(x86_engines: tuple[str, ...], oracle: Any, tmp_path: Path) -> None:
    """torch's default engine is one of them; it comes first, as it is."""
    tiny = IntegerSketch((3, 24, 20))
    mobile_net(tiny)
    model, images = tiny.model(), tiny.images()
    write_integer_model(model, tmp_path / "tiny.pt", io_dtype=IoDtype.INT8)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "expected.npy", oracle(model, images))
    program = (
        "import sys, numpy, torch, torch.jit.mobile as mobile\n"
        "images, expected = (torch.from_numpy(numpy.load(name)) for name in ('images.npy', 'expected.npy'))\n"
        "for engine in (torch.backends.quantized.engine, *sys.argv[1:]):\n"
        "    torch.backends.quantized.engine = engine\n"
        "    for module in (torch.jit.load('tiny.pt').eval(), mobile._load_for_lite_interpreter('tiny.pt')):\n"
        "        assert torch.equal(module(images), expected), engine\n"
        "assert not any(name.startswith('edgekit') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program, *x86_engines], cwd=tmp_path, check=True)


def test_equal_models_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("first.pt", "second.pt"):
        tiny = IntegerSketch((3, 24, 20))
        mobile_net(tiny)
        write_integer_model(tiny.model(), tmp_path / name, io_dtype=IoDtype.INT8)
    assert (tmp_path / "first.pt").read_bytes() == (tmp_path / "second.pt").read_bytes()


def test_names_of_layers_may_be_any_text(oracle: Any, tmp_path: Path) -> None:
    names = ["mean", "forward", "0/größe", "self", "class", "a.b", "a_b", "torch", "1"]
    tiny = IntegerSketch()
    x = "x"
    for _ in names[1:]:
        x = tiny.conv(x, 4)
    tiny.mean(x, keep_dims=True)
    renamed = {f"layer.{i}": name for i, name in enumerate(names)}
    tiny.nodes = [
        Node(renamed[node.name], node.op, tuple(renamed.get(i, i) for i in node.inputs), renamed[node.output])
        for node in tiny.nodes
    ]
    tables: tuple[dict[str, Any], ...] = (tiny.tensors, tiny.params, tiny.ratios)
    for table in tables:
        table.update({renamed[name]: value for name, value in table.items() if name in renamed})
    assert wrong(differences(tiny, oracle, tmp_path / "tiny.pt", [engine_or_skip("qnnpack")])) == {}


def test_names_that_torch_would_forget(tmp_path: Path) -> None:
    """A variable called _1 is no more than a number to it, and what has no variable belongs to another layer."""
    tiny = IntegerSketch()
    tiny.mean(tiny.conv("x", 4))
    first, second = tiny.nodes
    tiny.nodes = [replace(first, name="1", output="1"), replace(second, inputs=("1",))]
    tables: tuple[dict[str, Any], ...] = (tiny.tensors, tiny.params, tiny.ratios)
    for table in tables:
        table["1"] = table.pop("layer.0")
    write_integer_model(tiny.model(), tmp_path / "tiny.pt", io_dtype=IoDtype.INT8)
    nodes = read_contents(tmp_path / "tiny.pt").nodes
    assert set(nodes.values()) == {"1", "layer.1"}


def test_an_operator_that_is_missing_is_refused(tmp_path: Path) -> None:
    tiny = IntegerSketch()
    tiny.conv("x", 4)
    first = tiny.nodes.pop()
    tiny.nodes.append(Node("features.0.1", BatchNorm(1e-3), first.inputs, first.output))
    with pytest.raises(UnsupportedOperator, match=r"torch int8 has no BatchNorm.*features\.0\.1"):
        write_integer_model(tiny.model(), tmp_path / "tiny.pt", io_dtype=IoDtype.INT8)
    assert not list(tmp_path.iterdir())
