"""The integers of every runtime against exact rational arithmetic: for every pair of inputs, and next to every tie.

The oracle knows integers only: a total t over an odd q is rounded to (2 t + q) // (2 q). Networks are made by hand, so
that the ratios are those that a test names, with no solver between.
"""

from __future__ import annotations

import decimal
import doctest
import functools
import math
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.calibration.assignment import quantize
from edgekit.calibration.options import Options
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype
from edgekit.ir import Add, Concat, Conv2d, Linear, Mean, Mul, Op, Padding, Resize, Sigmoid
from edgekit.ir.operators.resize import ALIGNED, ASYMMETRIC, HALF_PIXEL, NEAREST
from edgekit.mean import disagreement
from edgekit.passes.lower_average_pool import lower_average_pool
from edgekit.quantization import (
    MAX_DENOMINATOR,
    MAX_TERM_ADD,
    RATIO_LIMIT,
    Ratio,
    odd_fractions,
    solve_add_constant,
)
from edgekit.reference.integer import Reference
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.runner import decode
from edgekit.verification.tie_free import broken_conditions
from tests.networks import FloatSketch, IntegerSketch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel

    Integers = NDArray[np.int64]
    Run = Callable[[IntegerModel, NDArray[np.int8]], dict[str, Integers]]

INT8 = np.arange(-128, 128)
A, B = (grid.reshape(-1) for grid in np.meshgrid(INT8, INT8))  # all pairs, [65536]
ZEROS = (-128, -127, -7, 0, 1, 50, 93, 127)
RATIOS = int(os.environ.get("EDGEKIT_RATIOS", "20"))  # of sums and of products; more make a longer sweep
SIMULATED = ("DISABLE_ALL", "Core ML")  # they compute in floats what a file means, and round every partial sum


def copy(s: IntegerSketch, x: str, rows: NDArray[np.int8], op: Conv2d, scale: Fraction, zero_point: int) -> str:
    """Channels of ``x`` as they are, under another scale and zero point: rows of the unit matrix as weights."""
    bias = np.full(len(rows), s.params[x].zero_point - zero_point)
    return s.layer(op, x, (rows[:, :, None, None], bias), [Fraction(1)] * len(rows), scale, zero_point)


def rounded(total: Integers, q: int | Integers, zero_point: int) -> Integers:
    """``total / q``, which is no tie, to the nearest integer, with a zero point, saturated."""
    result: Integers = np.clip((2 * total + q) // (2 * np.asarray(q)) + zero_point, -128, 127)
    return result


@functools.cache
def targets() -> tuple[str, ...]:
    import torch

    # Elsewhere than on x86, torch has no fbgemm, and qnnpack is not exact (edgekit.exporters.torch.integer).
    fbgemm = "fbgemm" in torch.backends.quantized.supported_engines
    return tuple(name for name in FORMATS if name != "torch" or fbgemm)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """run(model, stored) -> the output's integers by runtime: every target, runtime and level that claims them."""
    for module in ("torch", "onnxruntime", "ai_edge_litert", "coremltools"):
        pytest.importorskip(module)
    count = 0

    def run(model: IntegerModel, stored: NDArray[np.int8]) -> dict[str, Integers]:
        nonlocal count
        found = {}
        output = model.graph.output_tensors[0]
        for name in targets():
            form, count = FORMATS[name], count + 1
            io_dtype = IoDtype.INT8 if IoDtype.INT8 in form.io_dtypes else IoDtype.FLOAT32
            path = tmp_path / f"{count}{form.suffix}"
            form.write_integer_model(model, path, io_dtype=io_dtype, options={})
            for make_runner in all_runners(path):
                with make_runner() as runner:
                    if runner.differs_because is not None:  # x86 without VNNI
                        continue
                    if output in model.near_in(runner.simulated):  # edgekit.float_sums
                        continue
                    batch = stored if io_dtype is IoDtype.INT8 else model.params["x"].dequantize(stored)
                    values = decode(runner.run(batch)["logits"], io_dtype, model.params[output]).astype(np.int64)
                shape = model.graph.tensors[output].shape
                if values.shape[1:] != shape:  # TFLite's feature maps have channels last
                    values = values.transpose(0, 3, 1, 2)
                found[runner.name] = values.reshape(len(stored), *shape)
        return found

    return run


def wrong(found: dict[str, Integers], expected: Integers) -> dict[str, int]:
    """How many integers differ, by runtime; those without a difference are left out."""
    return {name: count for name, values in found.items() if (count := int((values != expected).sum()))}


def integer_kernels(found: dict[str, Integers]) -> dict[str, Integers]:
    return {name: values for name, values in found.items() if not any(word in name for word in SIMULATED)}


# --- every pair of inputs -------------------------------------------------------------------------------------------


def pairs_model(op: Op, scales: Sequence[Fraction], zeros: Sequence[int]) -> IntegerModel:
    s = IntegerSketch((2, 256, 256), scale=Fraction(1), zero_point=0)
    a, b = (copy(s, "x", np.eye(2, dtype=np.int8)[i : i + 1], Conv2d(), scales[i], zeros[i]) for i in (0, 1))
    s.integers(op, (a, b), scales[2], zeros[2])
    return s.model()


PAIRS = np.stack([A, B]).astype(np.int8).reshape(1, 2, 256, 256)


def ratios_of_sums() -> list[tuple[int, int, int]]:
    """p_a, p_b, q: the corners of what ``solve_add`` allows, and others at random."""
    low, high = 1, MAX_TERM_ADD
    corners = [
        (low, low, 1), (low, low, high), (high, high, high), (high, low, high), (low, high, high),
        (high, high - 1, high - 2), (high - 1, high - 4, high), (high, 977, 5), (255, 255, 1), (1, 255, 1),
        (high, 511, high - 2), (512, 511, high), (high - 1, 1, 5),
    ]  # fmt: skip
    random = np.random.default_rng(0)
    while len(corners) < RATIOS:
        q = int(np.exp(random.uniform(0, np.log(high)))) | 1
        p_a, p_b = (int(np.clip(q * np.exp(random.uniform(-4, 4)), 1, high)) for _ in "ab")
        if max(p_a, p_b) < RATIO_LIMIT * q:
            corners.append((p_a, p_b, q))
    assert all(max(p_a, p_b) < RATIO_LIMIT * q and q % 2 for p_a, p_b, q in corners)
    return corners


def sum_of(terms: tuple[int, int, int], out: Fraction, zeros: Sequence[int], run: Run) -> dict[str, int]:
    p_a, p_b, q = terms
    model = pairs_model(Add(), (out * p_a / q, out * p_b / q, out), zeros)
    total = (A - zeros[0]) * p_a + (B - zeros[1]) * p_b
    return wrong(run(model, PAIRS), rounded(total, q, zeros[2]).reshape(1, 1, 256, 256))


@pytest.mark.parametrize("terms", ratios_of_sums(), ids=str)
def test_add_of_every_pair(terms: tuple[int, int, int], run: Run) -> None:
    random = np.random.default_rng(sum(terms))
    zeros = random.choice(ZEROS, 3).tolist()
    assert sum_of(terms, Fraction(float(np.exp(random.uniform(-9, 2)))), zeros, run) == {}


def ratios_of_products() -> list[tuple[int, int]]:
    """p, q: from 1 / 4095 up to what kernels take."""
    q = MAX_DENOMINATOR
    corners = [(1, 1), (1, q), (2, q), (q - 1, q), (q - 2, q), (64, q), (1, 255), (255, 1), (1021, 5), (2047, q)]
    random = np.random.default_rng(1)
    half = (RATIOS - len(corners)) // 2
    wanted = np.exp(random.uniform(np.log(1 / q), np.log(16), half))
    solved = odd_fractions(wanted)
    corners += zip(solved.numerator.tolist(), solved.denominator.tolist(), strict=True)
    for ratio in np.exp(random.uniform(np.log(1 / 4000), np.log(4), half)):  # as near to ties as it gets
        p = max(1, int(ratio * q))
        corners.append((p - (math.gcd(p, q) > 1 and p > 1), q))
    return corners


def product_of(ratio: tuple[int, int], scales: Sequence[Fraction], zeros: Sequence[int], run: Run) -> dict[str, int]:
    p, q = ratio
    model = pairs_model(Mul(), (*scales, scales[0] * scales[1] * q / p), zeros)
    total = (A - zeros[0]) * (B - zeros[1]) * p
    return wrong(run(model, PAIRS), rounded(total, q, zeros[2]).reshape(1, 1, 256, 256))


@pytest.mark.parametrize("ratio", ratios_of_products(), ids=str)
def test_mul_of_every_pair(ratio: tuple[int, int], run: Run) -> None:
    random = np.random.default_rng(sum(ratio))
    zeros = random.choice(ZEROS, 3).tolist()
    scales = [Fraction(float(scale)) for scale in np.exp(random.uniform(-6, 1, 2))]
    assert product_of(ratio, scales, zeros, run) == {}


def of_channels(s: IntegerSketch, scale: Fraction, zero_point: int) -> tuple[str, str, NDArray[np.int8]]:
    """[256, 1, 257] and [256, 1, 1], as squeeze-and-excite has it."""
    b = copy(s, "x", np.eye(256, dtype=np.int8), Conv2d((1, 257)), scale, zero_point)
    stored = np.tile(np.concatenate([INT8[:1], INT8]), (256, 1)).astype(np.int8)
    stored[:, 0] = INT8
    return "x", b, stored.reshape(1, 256, 1, 257)


def of_places(s: IntegerSketch, scale: Fraction, zero_point: int) -> tuple[str, str, NDArray[np.int8]]:
    """[256, 16, 16] and [1, 16, 16], as spatial attention has it."""
    unit = np.eye(257, dtype=np.int8)
    a = copy(s, "x", unit[:256], Conv2d(), s.scales["x"], s.params["x"].zero_point)
    b = copy(s, "x", unit[256:], Conv2d(), scale, zero_point)
    stored = np.tile(np.concatenate([INT8, [0]])[:, None, None], (1, 16, 16)).astype(np.int8)
    stored[256] = INT8.reshape(16, 16)
    return a, b, stored[None]


def of_images(s: IntegerSketch, scale: Fraction, zero_point: int) -> tuple[str, str, NDArray[np.int8]]:
    """[1, 1, 257] and [1, 1, 1]: one number an image."""
    b = copy(s, "x", np.eye(1, dtype=np.int8), Conv2d((1, 257)), scale, zero_point)
    stored = np.tile(np.concatenate([INT8[:1], INT8]), (256, 1)).astype(np.int8)
    stored[:, 0] = INT8
    return "x", b, stored.reshape(256, 1, 1, 257)


def of_constants(s: IntegerSketch, scale: Fraction, _: int) -> tuple[str, str, NDArray[np.int8]]:
    """[2, 255, 256] and an array [1, 255, 1]."""
    b = s.stored_constant("constant", np.arange(-127, 128, dtype=np.int8).reshape(1, 255, 1), [scale])
    return "x", b, np.tile(INT8, (1, 2, 255, 1)).astype(np.int8)


REPEATED: dict[Any, tuple[int, int, int]] = {
    of_channels: (256, 1, 257),
    of_places: (257, 16, 16),
    of_images: (1, 1, 257),
    of_constants: (2, 255, 256),
}


@pytest.mark.parametrize("zeros", [(-128, -128, -128), (3, -7, 5)], ids=str)
@pytest.mark.parametrize("ratio", [(1, 1), (4094, 4095), (37, 4095), (1, 201)], ids=str)
@pytest.mark.parametrize("pairs", REPEATED, ids=lambda pairs: pairs.__name__)
def test_mul_by_what_is_repeated(pairs: Any, ratio: tuple[int, int], zeros: tuple[int, int, int], run: Run) -> None:
    """All pairs again, one operand having fewer numbers."""
    p, q = ratio
    s = IntegerSketch(REPEATED[pairs], scale=Fraction(0.0423), zero_point=zeros[0])
    a, b, stored = pairs(s, Fraction(0.0117), zeros[1])
    s.integers(Mul(), (a, b), s.scales["x"] * Fraction(0.0117) * q / p, zeros[2])
    total = np.multiply(*centred(s, (a, b), stored)) * p
    assert wrong(run(s.model(), stored), rounded(total, q, zeros[2])) == {}


@pytest.mark.parametrize("zeros", [(-128, -128, -128), (3, -7, 5)], ids=str)
@pytest.mark.parametrize("terms", [(1, 1, 1), (1023, 1022, 1021), (1, 255, 3), (977, 5, 1023)], ids=str)
@pytest.mark.parametrize("pairs", REPEATED, ids=lambda pairs: pairs.__name__)
def test_add_of_what_is_repeated(
    pairs: Any, terms: tuple[int, int, int], zeros: tuple[int, int, int], run: Run
) -> None:
    p_a, p_b, q = terms
    s = IntegerSketch(REPEATED[pairs], scale=Fraction(0.0423), zero_point=zeros[0])
    out = s.scales["x"] * q / p_a
    a, b, stored = pairs(s, out * p_b / q, zeros[1])
    s.integers(Add(), (a, b), out, zeros[2])
    one, other = centred(s, (a, b), stored)
    assert wrong(run(s.model(), stored), rounded(one * p_a + other * p_b, q, zeros[2])) == {}


def centred(s: IntegerSketch, names: Sequence[str], stored: NDArray[np.int8]) -> list[Integers]:
    """What each operand holds, its zero point taken off; those that layers make are copies of parts of ``stored``."""
    held: dict[str, NDArray[Any]] = {"x": stored, **s.constants}
    for node in s.nodes:
        if isinstance(node.op, Conv2d):
            part = stored[:, :, :: node.op.stride[0], :: node.op.stride[1]]
            held[node.output] = part[:, s.constants[node.operand("weight")].reshape(-1, part.shape[1]).argmax(1)]
    return [held[name].astype(np.int64) - s.params[name].zero_point for name in names]


@pytest.mark.parametrize("zero_point", [-128, -17, 60])
@pytest.mark.parametrize("width", [0.7, 6.0, 11.3, 190.0])
def test_hard_swish_of_every_input(width: float, zero_point: int, run: Run) -> None:
    """x (x + 3), the sum cut off at 0 and 6 by int8's ends."""
    s = IntegerSketch((1, 1, 256), scale=Fraction(width / 255), zero_point=zero_point)
    solved = solve_add_constant(s.scales["x"], 3.0, Fraction(6 / 255), tolerance=1e-3)
    constant = s.stored_constant("constant", np.array([solved.stored], np.int8), [solved.constant])
    gate = s.integers(Add(), ("x", constant), solved.out, -128)
    product = odd_fractions(np.array([255 / 6 / 255 * 1.3])).fraction()
    s.integers(Mul(), ("x", gate), s.scales["x"] * solved.out / product, zero_point)
    x, (p_x, p_c), q = INT8 - zero_point, solved.ratio.numerator, int(solved.ratio.denominator[0])
    added = rounded(x * p_x + solved.stored * p_c, q, -128) + 128
    expected = rounded(x * added * product.numerator, product.denominator, zero_point)
    found = run(s.model(), INT8.astype(np.int8).reshape(1, 1, 1, 256))
    assert wrong(found, expected.reshape(1, 1, 1, 256)) == {}


CURVES = 24  # scales of one file, each a channel


@pytest.mark.parametrize("seed", range(4))
def test_sigmoid_of_every_input(seed: int, run: Run) -> None:
    """With scales that calibration found, from those of a straight line to those of a step."""
    random = np.random.default_rng(seed)
    s = IntegerSketch((1, 1, 256), scale=Fraction(1), zero_point=0)
    expected, parts = [], []
    for wanted in np.exp(random.uniform(np.log(1e-3), np.log(0.7), CURVES)):
        zero_point = int(random.choice(ZEROS))
        steps = 1 + np.arange(-40, 41) * 0.005 / 40
        scale, table = next(made for tried in wanted * steps if (made := sigmoid_table(tried, zero_point)))
        x = copy(s, "x", np.ones((1, 1), np.int8), Conv2d(), Fraction(scale), zero_point)
        parts.append(s.integers(Sigmoid(), (x,), Fraction(1, 256), -128))
        expected.append(table)
    s.node(Concat(), tuple(parts))
    s.stored(s.nodes[-1].output, Fraction(1, 256), -128)
    model = s.model()
    assert model.exact
    found = run(model, INT8.astype(np.int8).reshape(1, 1, 1, 256))
    assert wrong(found, np.array(expected).reshape(1, CURVES, 1, 256)) == {}


def sigmoid_table(wanted: float, zero_point: int) -> tuple[float, list[int]] | None:
    """The 256 integers of a sigmoid, to 30 digits; None where one of them is within 2**-9 steps of a tie."""
    scale = float(np.float32(wanted))
    table = []
    with decimal.localcontext(prec=30):
        for n in range(-128, 128):
            value = 256 / (1 + (decimal.Decimal(scale) * (zero_point - n)).exp())
            nearest = value.to_integral_value()
            if nearest < 255 and decimal.Decimal("0.5") - abs(value - nearest) < 2**-9:
                return None
            table.append(min(int(nearest), 255) - 128)
    return scale, table


# --- bilinear ---------------------------------------------------------------------------------------------------------

SIDES = (-128, -127, -1, 0, 1, 2, 126, 127)


def interpolated(stored: NDArray[np.int8], op: Resize) -> Integers:
    """Weighted sums of whole numbers over a power of two, halves upwards."""
    rows, columns = (of_axis * 2**8 for of_axis in op.weights(stored.shape[1:]))
    assert all((weights == np.rint(weights)).all() for weights in (rows, columns))
    total = rows.astype(np.int64) @ stored.astype(np.int64) @ columns.T.astype(np.int64)
    return (2 * total + 2**16) >> 17


@pytest.mark.parametrize(
    ("new", "mode"),
    [
        (4, HALF_PIXEL), (8, HALF_PIXEL), (256, HALF_PIXEL), (1, HALF_PIXEL), (4, ASYMMETRIC), (16, ASYMMETRIC),
        (3, ALIGNED), (5, ALIGNED), (257, ALIGNED),
    ],
)  # fmt: skip
def test_bilinear_of_every_pair(new: int, mode: str, run: Run) -> None:
    """Two neighbours, along rows and along columns; every other pair of them is one of ties with some factor."""
    pairs = PAIRS if new <= 16 else PAIRS[:, :, ::23, ::5]
    rows = np.ascontiguousarray(pairs.reshape(1, 2, -1).transpose(0, 2, 1)[:, :, None])  # [1, C, 1, 2]
    for stored, size in ((rows, (1, new)), (np.ascontiguousarray(rows.transpose(0, 1, 3, 2)), (new, 1))):
        s = IntegerSketch(stored.shape[1:], scale=Fraction(0.037), zero_point=17)
        s.integers(op := Resize(size, mode), ("x",), s.scales["x"], 17)
        model = s.model()
        assert model.exact
        assert broken_conditions(model) == ()
        assert wrong(run(model, stored), interpolated(stored, op)) == {}


@pytest.mark.parametrize(
    ("size", "mode"),
    [((4, 4), HALF_PIXEL), ((8, 16), HALF_PIXEL), ((4, 8), ASYMMETRIC), ((3, 9), ALIGNED), ((257, 129), ALIGNED)],
    ids=str,
)
def test_bilinear_of_four_extremes(size: tuple[int, int], mode: str, run: Run) -> None:
    """All of 8 numbers to the power of 4, the ends of int8 and the middle."""
    sides = SIDES if size[0] < 99 else SIDES[::3]
    corners = np.stack(np.meshgrid(*[sides] * 4)).reshape(4, -1).T.astype(np.int8)
    stored = corners.reshape(1, -1, 2, 2)
    s = IntegerSketch(stored.shape[1:], scale=Fraction(0.037), zero_point=-128)
    s.integers(op := Resize(size, mode), ("x",), s.scales["x"], -128)
    assert wrong(run(s.model(), stored), interpolated(stored, op)) == {}


@pytest.mark.parametrize(
    ("old", "size", "mode"),
    [
        ((7, 5), (21, 15), HALF_PIXEL), ((7, 9), (10, 13), HALF_PIXEL), ((6, 9), (4, 6), HALF_PIXEL),
        ((5, 6), (10, 12), ALIGNED), ((5, 6), (15, 6), ASYMMETRIC),
    ],
    ids=str,
)  # fmt: skip
def test_other_factors_are_near(old: tuple[int, int], size: tuple[int, int], mode: str, run: Run) -> None:
    """At most one step from the exact means, in every runtime, and it is known that nothing is claimed."""
    stored = np.random.default_rng(0).choice(np.array(SIDES, np.int8), (1, 200, *old))
    stored[0, 100:] = np.random.default_rng(1).integers(-128, 128, (100, *old))
    s = IntegerSketch(stored.shape[1:], scale=Fraction(0.037), zero_point=5)
    s.integers(op := Resize(size, mode), ("x",), s.scales["x"], 5)
    model = s.model()
    assert not model.exact
    assert "other weights in the last bits (layer.0)" in model.near["layer.0"]
    rows, columns = op.weights(stored.shape[1:])
    exact = rows @ stored @ columns.T
    for runtime, values in run(model, stored).items():
        off = np.abs(values - exact)
        assert off.max() < 0.5 + 255 * 2**-11, (runtime, off.max())


@pytest.mark.parametrize("factors", [(2, 2), (1, 3), (6, 4)], ids=str)
def test_nearest_neighbours(factors: tuple[int, int], run: Run) -> None:
    stored = np.arange(-128, 128).astype(np.int8).reshape(1, 4, 8, 8)
    s = IntegerSketch(stored.shape[1:], zero_point=3)
    s.integers(Resize((8 * factors[0], 8 * factors[1]), NEAREST), ("x",), s.scales["x"], 3)
    model = s.model()
    assert model.exact
    assert wrong(run(model, stored), stored.repeat(factors[0], 2).repeat(factors[1], 3).astype(np.int64)) == {}


# --- next to ties ---------------------------------------------------------------------------------------------------


def next_to_a_tie(ratio: Fraction, random: np.random.Generator) -> int:
    """An accumulator n with |n p / q - (k + 1/2)| = 1 / (2 q), whose result lies within int8 for some zero point."""
    p, q = ratio.numerator, ratio.denominator
    n = int(random.choice([q // 2, q // 2 + 1])) * pow(p, -1, q) % q if q > 1 else 0  # n p = (q - 1)/2 or (q + 1)/2
    steps = 255 * q // p // q
    n += q * int(random.integers(-steps - 1, steps + 1))
    assert abs(2 * n * p % (2 * q) - q) == 1
    return n


LAYERS: dict[str, tuple[tuple[int, ...], Op, tuple[int, ...]]] = {
    # name: (shape of the input, operator, shape of the weight)
    "linear": ((96, 1, 1), Linear(), (400, 96)),
    "linear, one scale": ((96, 1, 1), Linear(), (400, 96)),
    "conv 1x1": ((96, 1, 1), Conv2d(), (400, 96, 1, 1)),
    "conv 1x1, 1280 products": ((1280, 1, 1), Conv2d(), (400, 1280, 1, 1)),
    "conv 3x3": ((3, 3, 3), Conv2d(), (400, 3, 3, 3)),
    "depthwise 3x3": ((400, 3, 3), Conv2d(groups=400), (400, 1, 3, 3)),
    "depthwise 5x5": ((400, 5, 5), Conv2d(groups=400), (400, 1, 5, 5)),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", LAYERS)
def test_layers_next_to_ties(name: str, seed: int, run: Run) -> None:
    """Inputs and weights are extreme; the biases put each channel's accumulator right beside half a step.

    That is for the first image; the others, all -128 and all 127 among them, saturate for the most part.
    """
    shape, op, weight_shape = LAYERS[name]
    random, channels = np.random.default_rng(seed), weight_shape[0]
    corners = [Fraction(*terms) for terms in ((1, 4095), (2, 4095), (4094, 4095), (1021, 5), (64, 4095))]
    solved = odd_fractions(np.exp(random.uniform(np.log(1 / 4095), 0.5, channels)))
    ratios = (corners + [solved.fraction(i) for i in range(channels)])[:channels]
    if "one scale" in name:
        ratios = [corners[seed]] * channels
    zero_in, zero_out = random.choice(ZEROS, 2).tolist()
    stored = random.choice([-128, 127], (6, *shape)).astype(np.int8)
    stored[1], stored[2] = -128, 127
    is_depthwise = isinstance(op, Conv2d) and op.groups > 1
    centred = stored.reshape(6, channels if is_depthwise else 1, -1).astype(np.int64) - zero_in
    weight = opposing_weights(np.broadcast_to(centred[0], (channels, centred.shape[2])), random)
    sums = (weight * centred).sum(2)  # [6, O]
    bias = np.array([next_to_a_tie(ratio, random) for ratio in ratios]) - sums[0]
    out = (channels,) if isinstance(op, Linear) else (channels, 1, 1)
    s = IntegerSketch(shape, scale=Fraction(float(np.exp(random.uniform(-6, 1)))), zero_point=zero_in)
    x = s.flatten("x") if isinstance(op, Linear) else "x"
    scale = Fraction(float(np.exp(random.uniform(-6, 1))))
    s.layer(op, x, (weight.reshape(weight_shape).astype(np.int8), bias), ratios, scale, zero_out)
    p, q = np.array([[ratio.numerator, ratio.denominator] for ratio in ratios]).T
    expected = rounded((sums + bias) * p, q, zero_out).reshape(6, *out)
    found = integer_kernels(run(s.model(), stored))
    # fbgemm takes the bias as a real number, and is off by three roundings of it more: docs/identity.md.
    within_fbgemm = q * (7 * 255 + 3 * np.abs(bias) * p / q) < 2**23
    assert within_fbgemm.mean() > 0.9 or "one scale" in name
    for runtime, values in found.items():
        channel = within_fbgemm if "fbgemm" in runtime else np.ones(channels, np.bool_)
        assert wrong({runtime: values[:, channel]}, expected[:, channel]) == {}


def opposing_weights(inputs: Integers, random: np.random.Generator) -> Integers:
    """Weights of -127 and 127, [O, K], whose products with ``inputs`` [O, K] mostly cancel, in no order.

    So the biases, which make up for what is left, are as large as real ones, and partial sums are not.
    """
    weights = random.choice([-127, 127], inputs.shape)
    total = np.zeros(len(inputs), np.int64)
    for k in range(inputs.shape[1]):
        turns = (weights[:, k] * inputs[:, k] * total > 0) & (random.random(len(inputs)) < 0.8)
        weights[turns, k] *= -1
        total += weights[:, k] * inputs[:, k]
    return weights


@pytest.mark.parametrize("spread", [1.0, 2.3, 17.0, 64.0])
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (7, 7), (64, 64), (128, 128)], ids=str)
def test_mean_next_to_ties(size: tuple[int, int], spread: float, run: Run) -> None:
    """``spread`` is S_in / S_out, which edgekit keeps between 1 / 255 and 64."""
    random = np.random.default_rng(int(spread) + size[0])
    count, channels = size[0] * size[1], 64
    ratio = odd_fractions(np.array([spread / count]), limit=2 * count + MAX_DENOMINATOR).fraction()
    zero_in, zero_out = random.choice(ZEROS, 2).tolist()
    sums = np.array([next_to_a_tie(ratio, random) for _ in range(channels)])
    sums = np.clip(sums, count * (-128 - zero_in), count * (127 - zero_in))
    stored = with_sums(sums + count * zero_in, count, random).reshape(1, channels, *size)
    s = IntegerSketch((channels, *size), scale=Fraction(0.0311), zero_point=zero_in)
    scale = s.scales["x"] / count / ratio
    s.integers(Mean(keep_dims=True), ("x",), scale, zero_out, Ratio.of(ratio.as_integer_ratio()))
    assert disagreement(ratio, count, s.params["x"], s.params["layer.0"]) is None
    expected = rounded(sums * ratio.numerator, ratio.denominator, zero_out).reshape(1, channels, 1, 1)
    found = run(s.model(), stored)
    assert any("Core ML" in name for name in found)
    assert wrong(found, expected) == {}


@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (7, 7), (16, 30)], ids=str)
def test_average_pools_of_extremes(kernel: tuple[int, int], run: Run) -> None:
    """Weights are 1, and windows of equal, of alternating and of random extremes have their exact means everywhere.

    In float32 a sum of 480 equal numbers drifts, and so nothing is claimed of it where it is simulated.
    """
    s = FloatSketch((8, *kernel), seed=sum(kernel))
    pooled = s.average_pool("x", kernel, (1, 1))
    ranges = {"x": s.input_range, pooled: replace(s.input_range, high=0.83 * s.input_range.high)}
    lowered = replace(s.float_model(), graph=lower_average_pool(s.graph()))
    model = quantize(lowered, ranges, Options(pixel_input=False))
    (node,) = model.graph.nodes
    weight, bias = (model.graph.constants[name].astype(np.int64) for name in node.read("weight", "bias"))
    assert (weight == 1).all()
    assert (bias == 0).all()
    area = math.prod(kernel)
    assert model.params[node.operand("weight")].scale == pytest.approx(1 / area, rel=0.0011)
    assert not model.near
    drifts = bool(model.near_in(("Conv2d",)))
    assert drifts == (area > 100)
    stored = s.random.choice([-128, 127], (64, 8, *kernel)).astype(np.int8)
    stored[:32] = np.arange(-128, 128).astype(np.int8).reshape(32, 8, 1, 1)
    stored[32, :, ::2] = -stored[32, :, ::2] - 1
    p, q = (
        terms.reshape(8, 1, 1) for terms in (model.ratios[node.name].numerator, model.ratios[node.name].denominator)
    )
    sums = (stored.astype(np.int64) - model.params["x"].zero_point).sum((2, 3), keepdims=True)
    expected = rounded(sums * p, q, model.params[pooled].zero_point)
    found = run(model, stored)
    assert any("LiteRT" in name for name in found)
    assert any("DISABLE_ALL" in name for name in found) != drifts
    assert any("Core ML" in name for name in found) != drifts
    assert wrong(found, expected) == {}


def with_sums(sums: Integers, count: int, random: np.random.Generator) -> NDArray[np.int8]:
    """Integers of int8 [channels, count] that add up to ``sums``, and otherwise spread as far as they can."""
    values = np.repeat((sums // count)[:, None], count, 1)
    values += np.arange(count) < (sums % count)[:, None]
    noise = random.integers(0, 256, (len(sums), count // 2))
    low, high = values[:, : count // 2], values[:, count - count // 2 :]
    noise = np.minimum(noise, np.minimum(low + 128, 127 - high))  # what one half loses the other gains
    low -= noise
    high += noise
    assert (values.sum(1) == sums).all()
    return values.astype(np.int8)


# --- the rest -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zero_point", [-128, 5, 127])
@pytest.mark.parametrize("scale", [1 / 127.5, 0.0001, 0.0235, 1.0, 37.3])
def test_what_only_moves(scale: float, zero_point: int, run: Run) -> None:
    """PAD and the boundary: all 256 integers, and the zero point around them."""
    s = IntegerSketch((1, 16, 16), scale=Fraction(scale), zero_point=zero_point)
    s.pad("x", Padding(1, 0, 2, 3))
    stored = INT8.astype(np.int8).reshape(1, 1, 16, 16)
    expected = np.pad(stored, ((0, 0), (0, 0), (1, 0), (2, 3)), constant_values=zero_point)
    assert wrong(run(s.model(), stored), expected.astype(np.int64)) == {}
    s = IntegerSketch((256, 1, 1), scale=Fraction(scale), zero_point=zero_point)
    s.flatten("x")
    assert wrong(run(s.model(), stored.reshape(1, 256, 1, 1)), INT8[None]) == {}


# --- who cannot agree -----------------------------------------------------------------------------------------------


def rounded_twice(n: Integers, ratio: Fraction) -> Integers:
    """TFLite's MultiplyByQuantizedMultiplier as its fast kernels have it, halves going up: see docs/identity.md."""
    mantissa, exponent = math.frexp(ratio)
    multiplier, shift = round(mantissa * 2**31), -exponent
    once = (n * multiplier + 2**30) >> 31  # SaturatingRoundingDoublingHighMul
    result: Integers = np.clip((once + (1 << shift >> 1)) >> shift, -128, 127)  # RoundingDivideByPOT
    return result


@pytest.mark.parametrize("ratio", [Fraction(1, 201), Fraction(5, 963), Fraction(64, 4095)], ids=str)
def test_tflites_own_kernels_round_twice(ratio: Fraction, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    from edgekit.runtimes.litert import Kernels, LiteRtRunner

    s = IntegerSketch((1, 16, 16), scale=Fraction(1), zero_point=0)
    weight, bias = np.full((1, 1, 1, 1), 100, np.int8), np.zeros(1, np.int64)
    s.layer(Conv2d(), "x", (weight, bias), [ratio], Fraction(0.0371), 0)
    FORMATS["tflite"].write_integer_model(s.model(), tmp_path / "m.tflite", io_dtype=IoDtype.INT8, options={})
    found = {}
    for kernels in Kernels:
        with LiteRtRunner(tmp_path / "m.tflite", kernels=kernels) as runner:
            found[kernels] = runner.run(INT8.astype(np.int8).reshape(1, 1, 16, 16))["logits"].reshape(-1)
    exact = rounded(100 * INT8 * ratio.numerator, ratio.denominator, 0)
    np.testing.assert_array_equal(found[Kernels.XNNPACK], exact)
    np.testing.assert_array_equal(found[Kernels.BUILTIN], rounded_twice(100 * INT8, ratio))
    assert (found[Kernels.BUILTIN] != exact).any()


def test_the_worked_examples() -> None:
    failed, count = doctest.testfile(str(Path(__file__).parents[2] / "docs" / "identity.md"), module_relative=False)
    assert (failed, count >= 10) == (0, True)


# --- what the bounds are for ----------------------------------------------------------------------------------------


def test_an_even_denominator_makes_runtimes_differ(run: Run) -> None:
    """Halves: one pair in four is a tie, and three roundings of it are in use."""
    half = Fraction(1, 2)
    found = run(pairs_model(Add(), (half, half, Fraction(1)), (0, 0, 1)), PAIRS)
    assert len({values.tobytes() for values in found.values()}) >= 3
    litert, others = (
        [values for name, values in found.items() if ("LiteRT" in name) is wanted] for wanted in (True, False)
    )
    assert all((litert[0] != other).mean() > 0.2 for other in others)


@pytest.mark.parametrize(
    ("terms", "zeros"),
    [((5281, 4700, 1285), (127, -128, -128)), ((8096, 4261, 2837), (0, 127, -7))],
    ids=str,
)
def test_sums_beyond_the_bounds(terms: tuple[int, int, int], zeros: tuple[int, int, int], run: Run) -> None:
    """Terms above 1023: XNNPACK's 20 bits are too few."""
    found = sum_of(terms, Fraction(0.0371), zeros, run)
    assert any("LiteRT" in name for name in found)


@pytest.mark.parametrize(
    ("ratio", "scales"),
    [((2645, 24669), (3.429028034210205, 0.2944963574409485)), ((10019, 25607), (4.1232729, 0.0036522227))],
    ids=str,
)
def test_products_beyond_the_bounds(ratio: tuple[int, int], scales: tuple[float, float], run: Run) -> None:
    """A q of 25,000: float32's 24 bits are too few for scales that are stored in it."""
    stored = [Fraction(float(np.float32(scale))) for scale in scales]
    found = product_of(ratio, stored, (-128, -128, -128), run)
    assert any("LiteRT" in name for name in found)  # ONNX Runtime's kernels for some processors are luckier


def test_means_beyond_what_is_proven(run: Run) -> None:
    """For a q too large for float32, some kernel gives another integer for just the sum that is named."""
    random, differing = np.random.default_rng(0), 0
    for _ in range(8):
        size, zeros = (128, 128), (-128, int(random.integers(-128, 128)))
        count, named = size[0] * size[1], None
        while named is None:
            q = int(random.integers(50_000, 100_000)) * 2 + 1
            ratio, scale = Fraction(int(random.integers(1, 3)), q), Fraction(float(np.float32(random.uniform(0.01, 1))))
            s = IntegerSketch((1, *size), scale=scale, zero_point=zeros[0])
            s.integers(Mean(keep_dims=True), ("x",), scale / count / ratio, zeros[1])
            named = disagreement(ratio, count, s.params["x"], s.params["layer.0"])
        total = np.array([named[1]])
        stored = with_sums(total + count * zeros[0], count, random).reshape(1, 1, *size)
        expected = rounded(total * ratio.numerator, ratio.denominator, zeros[1]).reshape(1, 1, 1, 1)
        differing += bool(wrong(integer_kernels(run(s.model(), stored)), expected))
    assert differing >= 2  # not all: some compilers fuse products and sums, and this machine has one sort of kernel


# --- what is only moved, and what is rescaled before ------------------------------------------------------------------


def test_joined_tensors(run: Run) -> None:
    """All three have one scale: ``x`` as it is, the product and the sum by a MUL with a constant."""
    s = FloatSketch((4, 16, 16), seed=3)
    product, total = s.mul("x", "x"), s.add_constant("x", 0.7)
    s.concat("x", product, total)
    model = s.integer_model()
    stored = np.arange(-128, 128).astype(np.int8).repeat(4).reshape(1, 16, 16, 4).transpose(0, 3, 1, 2).copy()
    every = Reference(model).run_all(stored)
    parts = [stored.astype(np.int64)]
    for name in (product, total):
        (node,) = (node for node in model.graph if node.name == f"{name}.rescaled")
        ratio, zero_point = model.ratios[node.name].fraction(), model.params[node.output].zero_point
        assert zero_point == model.params["x"].zero_point
        centred = every[name].astype(np.int64) - model.params[name].zero_point
        parts.append(rounded(centred * ratio.numerator, ratio.denominator, zero_point))
    found = run(model, stored)
    assert found
    assert wrong(found, np.concatenate(parts, axis=1)) == {}
