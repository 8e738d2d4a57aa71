"""The integer executor against the reference: every integer of every tensor."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edgekit.errors import UnsupportedOperator
from edgekit.executor.integer import IntegerExecutor
from edgekit.ir import (
    Add,
    Clamp,
    Conv2d,
    Dequantize,
    HardSwish,
    Mean,
    Pad,
    Padding,
    Quantize,
)
from edgekit.quantization import Ratio
from edgekit.reference.integer import Reference
from tests.networks import SAME, IntegerSketch

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Mixed(IntegerSketch):
    """An integer model of which some layers are kept in float."""

    def real_conv(self, x: str, channels: int) -> str:
        shape = (channels, self.tensors[x].shape[0], 1, 1)
        weight = self.constant("weight", self.random.normal(0, 0.3, shape).astype(np.float32))
        bias = self.constant("bias", self.random.normal(0, 0.3, channels).astype(np.float32))
        return self.node(Conv2d(), (x, weight, bias), Clamp(0.0, 9.0))

    def dequantize(self, x: str) -> str:
        return self.node(Dequantize(), (x,))

    def quantize(self, x: str) -> str:
        return self.stored(self.node(Quantize(), (x,)), Fraction(1, 254), -5)


def check(sketch: IntegerSketch) -> IntegerExecutor:
    """Compare everything with the reference; the executor, for a look inside."""
    model, x = sketch.model(), sketch.images()
    expected = Reference(model).run_all(x)
    executor = IntegerExecutor(model)
    seen: dict[str, NDArray[np.int8]] = {}
    output = executor(torch.from_numpy(x), observe=lambda name, value: seen.setdefault(name, value.numpy().copy()))[
        "logits"
    ]
    assert output.dtype == torch.int8
    assert list(seen) == list(expected)  # the input first, then in order
    for name, array in expected.items():
        assert seen[name].dtype == np.int8
        np.testing.assert_array_equal(seen[name], array, err_msg=name)
    np.testing.assert_array_equal(output.numpy(), expected[model.graph.output_tensors[0]])
    return executor


def in_float64(executor: IntegerExecutor) -> bool:
    return any(value.dtype == torch.float64 for value in executor.buffers())


@pytest.mark.parametrize("seed", range(4))
def test_a_block_with_everything(seed: int) -> None:
    s = IntegerSketch((3, 17, 13), seed)
    x = s.conv("x", 16, 3, 2, Padding(0, 1, 0, 1))
    y = s.mul(x, s.add_constant(x, Fraction(3)))  # hard-swish
    z = s.conv(s.pad(s.conv(y, 24), Padding(2, 0, 1, 1)), 24, 5, 1, Padding(2, 2, 2, 2), 24)
    z = s.mul(z, s.conv(s.conv(s.mean(z), 8), 24))  # squeeze and excite
    z = s.conv(z, 16, 3)
    z = s.add(s.conv(z, 16, scale=s.scales[z]), z)
    s.linear(s.flatten(s.mean(z)), 10)
    assert not in_float64(check(s))


@pytest.mark.parametrize("kernel", [(1, Padding()), (3, SAME), (5, Padding(2, 2, 2, 2)), (3, Padding(0, 1, 0, 1))])
@pytest.mark.parametrize("channels", [3, 16, 33])
def test_convolutions_of_large_maps(channels: int, kernel: tuple[int, Padding]) -> None:
    """Shapes for which a library might choose an algorithm that is not exact (Winograd's, for 3x3 of many channels)."""
    s = IntegerSketch((channels, 40, 40))
    s.conv("x", 64, kernel[0], 1, kernel[1])
    check(s)
    s = IntegerSketch((channels, 40, 40))
    s.conv("x", channels, 3, 1, SAME, channels)
    check(s)


def test_sums_as_large_as_float32_holds() -> None:
    s = IntegerSketch((517,))
    s.linear("x", 40, bias=1)
    assert not in_float64(check(s))


def test_larger_sums() -> None:
    s = IntegerSketch((2100, 3, 3))
    s.linear(s.flatten(s.mean(s.conv("x", 1300))), 40)
    assert in_float64(check(s))


def test_large_biases() -> None:
    s = IntegerSketch((40,))
    s.linear("x", 40, bias=2**30)
    assert in_float64(check(s))


def test_small_weights_stay_in_float32() -> None:
    s = IntegerSketch((2100, 3, 3), reach=20)
    s.conv("x", 40)
    assert not in_float64(check(s))


def test_sums_at_the_limits_of_the_solver() -> None:
    for terms in ((1023, 1022, 1023), (1023, 1, 1023), (1021, 1023, 5)):
        s = IntegerSketch((3, 16, 16))
        p_a, p_b, q = terms
        other = s.conv("x", 3, scale=s.scales["x"] * p_b / p_a)
        s.integers(Add(), ("x", other), s.scales["x"] * q / p_a, ratio=Ratio.of((p_a, q), (p_b, q)))
        check(s)


def test_the_mean_of_many_values() -> None:
    """Its ratio may need a denominator that float32 leaves no margin for."""
    s = IntegerSketch((3, 110, 110))
    s.integers(Mean(), ("x",), s.scales["x"] * 12_101 / 110**2, ratio=Ratio.of((1, 12_101)))
    assert in_float64(check(s))


def test_several_readers_and_outputs() -> None:
    s = IntegerSketch((4, 6, 6))
    x = s.conv("x", 4)
    s.add(x, x)
    s.mul(x, s.conv(x, 4))
    check(s)


@pytest.mark.parametrize("region", ["conv", "pad", "mean"])
def test_layers_in_float(region: str) -> None:
    """Integers before them are the reference's, reals are its but for their last bits, and so are integers behind."""
    s = Mixed((4, 9, 9))
    x = s.dequantize(s.conv("x", 8))
    y = x
    if region == "conv":
        y = s.real_conv(x, 8)
    elif region == "pad":
        y = s.node(Pad(SAME), (x,))
    y = s.quantize(s.node(Mean(), (y,), Clamp(-0.5, 0.5)))
    s.linear(s.flatten(y), 10)
    model, images = s.model(), s.images(64)
    expected = Reference(model).run_all(images)
    seen: dict[str, NDArray[Any]] = {}
    IntegerExecutor(model)(torch.from_numpy(images), observe=lambda n, v: seen.setdefault(n, v.numpy().copy()))
    for name, array in expected.items():
        if name not in model.params:
            assert seen[name].dtype == np.float32
            np.testing.assert_allclose(seen[name], array, rtol=1e-5, atol=1e-5)
        elif name in {"x", "layer.0"}:
            np.testing.assert_array_equal(seen[name], array)
        else:
            assert np.abs(seen[name].astype(int) - array).max() <= 1
    assert np.ptp(expected[y].astype(int)) > 50


def test_a_float_output() -> None:
    s = Mixed((4, 9, 9))
    s.real_conv(s.dequantize("x"), 3)
    model, images = s.model(), s.images()
    output = IntegerExecutor(model)(torch.from_numpy(images))["logits"]
    assert output.dtype == torch.float32
    np.testing.assert_allclose(output.numpy(), Reference(model).run(images)["logits"], rtol=1e-5, atol=1e-5)


def test_an_operator_without_an_integer_form() -> None:
    s = IntegerSketch((4, 6, 6))
    s.integers(HardSwish(), ("x",), Fraction(1))
    with pytest.raises(UnsupportedOperator, match="the integer executor has no HardSwish"):
        IntegerExecutor(s.model())(torch.from_numpy(s.images()))
