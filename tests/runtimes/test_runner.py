"""How pixels reach a file's boundary, and how its answer becomes integers again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgekit.exporters.metadata import IoDtype, Metadata, Precision
from edgekit.preprocessing import Normalization, Preprocessing
from edgekit.quantization import QuantParams
from edgekit.runtimes.runner import decode, encode, noise

PIXELS = arrays.arrays(np.uint8, (2, 3, 4, 3))
NORMALIZATION = Normalization((124.0, 116.0, 104.0), (58.0, 57.0, 57.5))
INPUT = QuantParams(np.array([0.03], np.float32), 5)


def metadata(io_dtype: IoDtype, *, pixel_input: bool) -> Metadata:
    preprocessing = Preprocessing((3, 4), None)
    return Metadata("net", Precision.INT8, io_dtype, preprocessing, NORMALIZATION, pixel_input, (), "universal", {})


@given(PIXELS)
def test_pixels_at_an_integer_boundary(pixels: np.ndarray) -> None:
    stored = encode(pixels, metadata(IoDtype.INT8, pixel_input=True), None)
    shown = encode(pixels, metadata(IoDtype.UINT8, pixel_input=True), None)
    assert stored.dtype == np.int8
    assert shown.dtype == np.uint8
    assert np.array_equal(stored.astype(int) + 128, pixels.transpose(0, 3, 1, 2))
    assert np.array_equal(shown, pixels.transpose(0, 3, 1, 2))


@given(PIXELS)
def test_normalized_values_at_an_integer_boundary(pixels: np.ndarray) -> None:
    stored = encode(pixels, metadata(IoDtype.INT8, pixel_input=False), INPUT)
    shown = encode(pixels, metadata(IoDtype.UINT8, pixel_input=False), INPUT)
    assert stored.shape == (2, 3, 3, 4)
    assert np.array_equal(stored, INPUT.quantize(NORMALIZATION(pixels)))
    assert np.array_equal(stored.astype(int) + 128, shown)


@pytest.mark.parametrize("pixel_input", [True, False])
def test_a_float_boundary_takes_normalized_pixels(*, pixel_input: bool) -> None:
    pixels = np.arange(72, dtype=np.uint8).reshape(2, 3, 4, 3)
    found = encode(pixels, metadata(IoDtype.FLOAT32, pixel_input=pixel_input), None)
    assert found.dtype == np.float32
    assert np.array_equal(found, NORMALIZATION(pixels))


@given(
    integers=arrays.arrays(np.int8, (2, 5)),
    scale=st.floats(2**-20, 2**10, width=32),
    zero_point=st.integers(-128, 127),
    io_dtype=st.sampled_from(IoDtype),
)
def test_every_answer_becomes_the_integers_behind_it(
    integers: np.ndarray, scale: float, zero_point: int, io_dtype: IoDtype
) -> None:
    params = QuantParams(np.array([scale], np.float32), zero_point)
    match io_dtype:
        case IoDtype.INT8:
            answer = integers
        case IoDtype.UINT8:
            answer = (integers.astype(np.int16) + 128).astype(np.uint8)
        case IoDtype.FLOAT32:
            answer = params.scale * (integers.astype(np.float32) - zero_point)
    assert np.array_equal(decode(answer, io_dtype, params), integers)


@pytest.mark.parametrize("io_dtype", IoDtype)
@pytest.mark.parametrize("pixel_input", [True, False])
def test_noise_suits_the_boundary(io_dtype: IoDtype, *, pixel_input: bool) -> None:
    preprocessing = Preprocessing((5, 7), None)
    about = Metadata(
        "net", Precision.INT8, io_dtype, preprocessing, preprocessing.normalization, pixel_input, (), "universal", {}
    )
    found = noise(about)
    assert found.shape == (1, 3, 5, 7)
    assert found.dtype == np.dtype(io_dtype)
    assert np.array_equal(found, noise(about))
    assert len(np.unique(found)) > 50
