"""How much arithmetic a float32 boundary needs, against float32 itself for every pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.boundary import REACH, Alignment, alignment, levels_off
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.preprocessing import Normalization
from edgekit.quantization import QuantParams

PIXELS = np.arange(256, dtype=np.float32)[:, None]
HALF = Normalization((127.5,) * 3, (127.5,) * 3)
IMAGENET = Normalization(tuple(255 * m for m in IMAGENET_MEAN), tuple(255 * s for s in IMAGENET_STD))


def grid(normalization: Normalization) -> QuantParams:
    """The int8 input that is pixel - 128, as ``calibration.assignment`` has it."""
    centre = int(np.clip(np.rint(np.mean(normalization.mean)), 0, 255))
    return QuantParams(np.array([1 / np.mean(normalization.std)], np.float32), centre - 128)


def quantized(x: np.ndarray, found: Alignment, params: QuantParams) -> np.ndarray:
    """In float32 throughout, the scale as a divisor."""
    gains, offsets = np.array(found.gains or 1, np.float32), np.array(found.offsets or 0, np.float32)
    stored: np.ndarray = np.rint((x * gains + offsets) / params.scale[0]) + params.zero_point
    return stored


@pytest.mark.parametrize(
    ("given", "gains", "offsets"),
    [
        (HALF, 0, 1),
        (IMAGENET, 3, 3),
        (Normalization((0.0,) * 3, (255.0,) * 3), 0, 0),
        (Normalization((0.0,), (1.0,)), 0, 0),
        (Normalization((128.2,) * 3, (60.0,) * 3), 0, 0),
        (Normalization((128.3,) * 4, (60.0,) * 4), 0, 1),
        (Normalization((127.5, 127.6, 127.3), (60.0,) * 3), 0, 1),
        (Normalization((127.5, 127.5, 127.5), (60.0, 60.0, 60.1)), 0, 1),
        (Normalization((103.939, 116.779, 123.68), (1.0,) * 3), 3, 3),
    ],
    ids=["half", "ImageNet", "0..1", "0..255, grey", "nearly whole", "not so", "near means", "near stds", "Caffe"],
)
def test_as_little_as_serves(given: Normalization, gains: int, offsets: int) -> None:
    params = grid(given)
    found = alignment(given, params)
    assert (len(found.gains), len(found.offsets)) == (gains, offsets)
    assert bool(found) == bool(gains or offsets)
    assert levels_off(found, given, params) < REACH


def test_what_is_left_out_would_be_a_tie() -> None:
    assert levels_off(Alignment(), HALF, grid(HALF)) == pytest.approx(0.5, abs=1e-4)
    assert levels_off(Alignment(), IMAGENET, grid(IMAGENET)) > 10


@given(
    mean=st.lists(st.floats(-500, 700), min_size=1, max_size=4),
    std=st.floats(0.5, 300),
    spread=st.sampled_from([0.0, 1e-4, 0.1]),
)
def test_every_pixel_becomes_itself(mean: list[float], std: float, spread: float) -> None:
    stds = [std * (1 + spread * channel) for channel in range(len(mean))]
    normalization = Normalization(tuple(mean), tuple(stds))
    params = grid(normalization)
    x = (PIXELS - np.array(mean, np.float32)) / np.array(stds, np.float32)
    np.testing.assert_array_equal(quantized(x, alignment(normalization, params), params), PIXELS - 128 + 0 * x)


@pytest.mark.parametrize("normalization", [HALF, IMAGENET], ids=["half", "ImageNet"])
def test_however_it_was_normalized(normalization: Normalization) -> None:
    """In every order of operations that people write, in float32 and from float64."""
    mean, std = (np.array(values) for values in (normalization.mean, normalization.std))
    single = [array.astype(np.float32) for array in (mean, std, mean / 255, std / 255, 1 / std, mean / std)]
    m, s, unit_m, unit_s, inverse, shift = single
    wide = PIXELS.astype(np.float64)
    params = grid(normalization)
    for x in (
        (PIXELS - m) / s,
        PIXELS / s - shift,
        PIXELS * inverse - shift,
        (PIXELS / np.float32(255) - unit_m) / unit_s,
        (PIXELS * np.float32(1 / 255) - unit_m) * (1 / unit_s),
        ((wide / 255 - mean / 255) / (std / 255)).astype(np.float32),
    ):
        assert x.dtype == np.float32
        np.testing.assert_array_equal(
            quantized(x, alignment(normalization, params), params), np.broadcast_to(PIXELS - 128, x.shape)
        )
