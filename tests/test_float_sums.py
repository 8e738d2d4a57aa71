"""Where float32 sums of like terms are proven, and that they do drift elsewhere."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from edgekit.float_sums import LikeTerms, is_uniform
from edgekit.ir import Mean
from edgekit.quantization import Ratio
from tests.networks import IntegerSketch


@pytest.mark.parametrize(
    ("number", "weight", "ratio", "proven"),
    [
        (9, 1, (400, 447), True),
        (9, 1, (500, 561), False),
        (49, 1, (20, 401), True),
        (49, 1, (25, 501), False),
        (225, 1, (1, 225), True),
        (256, 1, (1, 255), False),
        (19, 127, (1, 4095), False),
        (18, 127, (1, 401), True),
        (20, 127, (1, 1), False),
    ],
)
def test_what_the_bound_says(number: int, weight: int, ratio: tuple[int, int], *, proven: bool) -> None:
    terms = LikeTerms(number, np.array([weight]), np.array([0]))
    assert terms.are_proven(Ratio.of(ratio), -128) is proven


@pytest.mark.parametrize(
    ("weight", "bias", "proven"), [(0, 2**30, True), (0, 100, True), (1, 2**30, True), (90, 1, False)]
)
def test_a_bias_that_decides_alone_is_no_doubt(weight: int, bias: int, *, proven: bool) -> None:
    assert LikeTerms(32, np.array([weight]), np.array([bias])).are_proven(Ratio.of((3, 1001)), -128) is proven


@pytest.mark.parametrize("zero_point", [-128, 0])
@pytest.mark.parametrize(("number", "proven"), [(49, True), (144, True), (4096, False), (16384, False)])
def test_equal_terms_in_any_order(number: int, zero_point: int, *, proven: bool) -> None:
    """Sequential sums, which drift most, of all 256 values, with scales drawn by lot: exact where it is proven."""
    random, off = np.random.default_rng(number), 0
    stored = np.arange(-128, 128)
    for _ in range(20):
        s = IntegerSketch(
            (1, 1, number), scale=Fraction(float(np.float32(random.uniform(0.01, 1)))), zero_point=zero_point
        )
        ratio = Fraction(1, int(random.integers(number // 3, number)) | 1)
        s.integers(Mean(keep_dims=True), ("x",), s.scales["x"] / number / ratio, 0, Ratio.of(ratio.as_integer_ratio()))
        model = s.model()
        assert (not model.near_in(("Mean",))) is proven
        assert not model.near
        x, y = (model.params[name] for name in ("x", "layer.0"))
        terms = x.scale * (stored - zero_point).astype(np.float32)
        total = np.cumsum(np.broadcast_to(terms[:, None], (256, number)), axis=1, dtype=np.float32)[:, -1]
        found = np.clip(np.rint(total / np.float32(number) / y.scale), -128, 127)
        n = (stored - zero_point) * number
        exact = np.clip((2 * n * ratio.numerator + ratio.denominator) // (2 * ratio.denominator), -128, 127)
        off += int((found != exact).sum())
    assert (off == 0) or not proven
    assert off or number < 10_000


def test_uniform_weights() -> None:
    assert is_uniform(np.repeat([[1.0], [0.5]], 9, 1).reshape(2, 1, 3, 3))
    assert not is_uniform(np.ones((4, 1, 1, 1)))  # one number each: nothing is added up
    assert not is_uniform(np.arange(8.0).reshape(2, 1, 2, 2))
