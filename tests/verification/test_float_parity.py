"""Floats against the trained network: relative to the largest logit, and never within tolerance when NaN."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.exporters.metadata import Precision
from edgekit.verification.float_parity import TOLERANCE, compare_floats

EXPECTED = np.array([[1.0, -8.0, 2.0], [0.5, 0.0, 4.0]], np.float32)


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
@pytest.mark.parametrize(("share", "passed"), [(0.0, True), (0.9, True), (1.1, False)])
def test_the_tolerance_is_relative_to_the_largest_logit(precision: Precision, share: float, passed: bool) -> None:  # noqa: FBT001 - a column
    found = EXPECTED.astype(np.float64)
    found[0, 0] += share * TOLERANCE[precision] * 8.0
    parity = compare_floats("a runtime", found, EXPECTED, TOLERANCE[precision])
    assert parity.max_rel_error == pytest.approx(share * TOLERANCE[precision])
    assert parity.max_abs_error == pytest.approx(8 * parity.max_rel_error)
    assert parity.passed is passed
    assert parity.images == 2


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_fails(wrong: float) -> None:
    found = EXPECTED.copy()
    found[1, 1] = wrong
    assert not compare_floats("x", found, EXPECTED, 0.05).passed


def test_a_comparison_of_nothing_fails() -> None:
    nothing = np.zeros((0, 3), np.float32)
    parity = compare_floats("x", nothing, nothing, 1e-4)
    assert not parity.passed
    assert parity.max_abs_error == 0.0


def test_logits_that_are_all_zero() -> None:
    zeros = np.zeros((1, 3), np.float32)
    assert compare_floats("x", zeros, zeros, 1e-4).passed
    assert not compare_floats("x", zeros + np.float32(1e-30), zeros, 1e-4).passed
