"""From image files to pixels: torchvision's and Pillow's semantics, spelled out."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD, ORDERS
from edgekit.errors import DataError
from edgekit.preprocessing import Preprocessing

RANDOM = np.random.default_rng(0)
BILINEAR = Image.Resampling.BILINEAR


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), np.uint8))


def no_change(image: Image.Image) -> np.ndarray:
    """The pixels of an image that needs neither resizing nor cropping."""
    return Preprocessing((image.height, image.width), None).pixels(image)


# --- sizes


def test_whole_resizes_whatever_the_shape() -> None:
    image = picture(50, 20)
    found = Preprocessing((16, 24), "whole").pixels(image)
    assert (found == np.asarray(image.resize((24, 16), BILINEAR))).all()


@pytest.mark.parametrize(
    ("size", "shorter", "resized"),
    [
        ((500, 375), 256, (341, 256)),  # 341.33
        ((375, 500), 256, (256, 341)),
        ((640, 427), 256, (383, 256)),  # 383.7, truncated
        ((300, 300), 256, (256, 256)),
        ((100, 80), 256, (320, 256)),  # enlarged
        ((214, 107), 224, (448, 224)),  # 224 * (1 / 107) * 214 is 447.99...
        ((256, 256), 256, (256, 256)),
    ],
)
def test_the_shorter_side_is_resized_as_torchvision_does(
    size: tuple[int, int], shorter: int, resized: tuple[int, int]
) -> None:
    image = picture(*size)
    expected = image.resize(resized, BILINEAR)
    left, top = round((resized[0] - 224) / 2), round((resized[1] - 224) / 2)
    found = Preprocessing((224, 224), shorter).pixels(image)
    assert (found == np.asarray(expected.crop((left, top, left + 224, top + 224)))).all()


@pytest.mark.parametrize(
    ("size", "resized"),  # to cover 293 x 219 pixels, as timm's ResizeKeepRatio
    [
        ((500, 500), (293, 293)),
        ((640, 427), (328, 219)),  # 328.2, truncated
        ((427, 640), (293, 439)),
        ((40, 30), (293, 219)),  # enlarged
        ((293, 219), (293, 219)),
        ((1000, 100), (2190, 219)),
    ],
)
def test_an_image_of_any_shape_covers_both_sides(size: tuple[int, int], resized: tuple[int, int]) -> None:
    image = picture(*size)
    left, top = round((resized[0] - 256) / 2), round((resized[1] - 192) / 2)
    expected = image.resize(resized, BILINEAR).crop((left, top, left + 256, top + 192))
    assert (Preprocessing((192, 256), (219, 293)).pixels(image) == np.asarray(expected)).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(30, 90), st.integers(30, 90))
def test_covering_leaves_no_gap(width: int, height: int, rows: int, columns: int) -> None:
    found = Preprocessing((rows, columns), (rows, columns)).pixels(Image.new("RGB", (width, height), (1, 2, 3)))
    assert (found == [1, 2, 3]).all()
    assert found.shape == (rows, columns, 3)


@pytest.mark.parametrize("size", [(50, 20), (20, 50), (33, 33)])
def test_covering_a_square_is_resizing_the_shorter_side(size: tuple[int, int]) -> None:
    image = picture(*size)
    square, one = (Preprocessing((24, 24), resize).pixels(image) for resize in ((27, 27), 27))
    assert (square == one).all()


@pytest.mark.parametrize(
    ("size", "offset"),
    [(224, 0), (225, 0), (226, 1), (227, 2), (228, 2), (229, 2), (231, 4)],  # a half goes to the even number
)
def test_the_centre_crop_has_torchvisions_offset(size: int, offset: int) -> None:
    image = picture(size, size)
    found = Preprocessing((224, 224), None).pixels(image)
    assert (found == np.asarray(image)[offset : offset + 224, offset : offset + 224]).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(20, 90), st.integers(20, 90), st.integers(16, 40))
def test_any_image_gets_the_size_of_the_network(width: int, height: int, shorter: int) -> None:
    found = Preprocessing((14, 16), shorter).pixels(Image.new("RGB", (width, height), (1, 2, 3)))
    assert found.shape == (14, 16, 3)
    assert found.flags["C_CONTIGUOUS"]
    assert (found == [1, 2, 3]).all()


@pytest.mark.parametrize("size", [(223, 300), (300, 223)])
def test_an_image_smaller_than_the_crop_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=f"{size[0]} x {size[1]}, smaller than .* 224 x 224: set resize"):
        Preprocessing((224, 224), None).pixels(picture(*size))


def test_channels_can_be_swapped() -> None:
    image = picture(8, 8)
    found = Preprocessing((8, 8), None, order="BGR").pixels(image)
    assert (found == np.asarray(image)[..., ::-1]).all()
    assert found.flags["C_CONTIGUOUS"]


# --- channels


@pytest.mark.parametrize("order", ["GREY", "RGB", "BGR", "RGBA", "BGRA"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "CMYK"])
def test_every_mode_gives_the_channels_of_the_network(order: str, mode: str) -> None:
    image = Image.fromarray(RANDOM.integers(0, 256, (8, 8, 4), np.uint8), "RGBA" if mode != "CMYK" else "CMYK")
    image = image.convert(mode)
    found = Preprocessing((8, 8), None, order=order).pixels(image)
    pillows, places = ORDERS[order]
    assert found.shape == (8, 8, len(places))
    expected = np.asarray(image.convert(pillows)).reshape(8, 8, -1)
    assert (found == expected[..., list(places)]).all()
    assert found.flags["C_CONTIGUOUS"]


def test_a_fourth_channel_is_full_where_there_is_none() -> None:
    four = Preprocessing((8, 8), None, order="RGBA")
    assert (four.pixels(picture(8, 8))[..., 3] == 255).all()


@pytest.mark.parametrize(
    ("mode", "filled"),
    [*dict.fromkeys(("1", "L", "RGB", "P", "CMYK"), True).items(), *dict.fromkeys(("LA", "RGBA"), False).items()],
)
def test_what_has_no_fourth_channel_is_known(mode: str, filled: bool) -> None:  # noqa: FBT001 - a column of the table
    image = Image.new(mode, (8, 8))
    assert Preprocessing((8, 8), None, order="BGRA").is_filled(image) == filled
    assert not Preprocessing((8, 8), None).is_filled(image)
    palette = Image.new("P", (8, 8))
    palette.info["transparency"] = 0
    assert not Preprocessing((8, 8), None, order="RGBA").is_filled(palette)


def test_channels_are_resized_by_themselves() -> None:
    """Pillow's own resizing of RGBA would turn colours black where the fourth channel is 0."""
    image = Image.fromarray(RANDOM.integers(0, 256, (20, 30, 4), np.uint8))
    found = Preprocessing((10, 10), "whole", order="BGRA").pixels(image)
    for place, channel in enumerate((2, 1, 0, 3)):
        alone = image.getchannel(channel).resize((10, 10), BILINEAR)
        assert (found[..., place] == np.asarray(alone)).all()


# --- modes


def through(image: Image.Image, kind: str, **options: object) -> Image.Image:
    """The image as it comes back from a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


def test_grey_is_replicated() -> None:
    grey = RANDOM.integers(0, 256, (8, 8), np.uint8)
    assert (no_change(Image.fromarray(grey)) == grey[..., None]).all()
    assert (no_change(Image.fromarray(grey > 127)) == np.where(grey > 127, 255, 0)[..., None]).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_keep_the_upper_byte(kind: str) -> None:
    deep = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    assert (no_change(through(Image.fromarray(deep), kind)) == (deep >> 8)[..., None]).all()


def test_deep_grey_of_any_maximum_is_scaled() -> None:
    netpbm = b"P5 3 1 1023\n" + np.array([0, 512, 1023], ">u2").tobytes()
    assert no_change(Image.open(io.BytesIO(netpbm)))[0, :, 0].tolist() == [0, 128, 255]
    assert (no_change(Image.fromarray(np.full((2, 2), 1 << 30, np.int32))) == 255).all()


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(DataError, match="8 bits a channel"):
        no_change(Image.fromarray(np.zeros((4, 4), np.float32)))


def test_transparency_is_dropped_as_in_torchvision() -> None:
    pixels = RANDOM.integers(0, 256, (8, 8, 4), np.uint8)
    assert (no_change(Image.fromarray(pixels)) == pixels[..., :3]).all()
    assert (no_change(through(Image.fromarray(pixels), "PNG")) == pixels[..., :3]).all()
    assert (no_change(Image.fromarray(pixels[..., :2])) == pixels[..., :1]).all()  # grey


@pytest.mark.parametrize("options", [{}, {"transparency": 1}, {"transparency": bytes([0, 128, 255])}])
def test_palettes_are_looked_up_with_or_without_transparency(options: dict[str, object]) -> None:
    indices = Image.fromarray(RANDOM.integers(0, 3, (8, 8), np.uint8))
    colours = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint8)
    image = indices.copy()
    image.putpalette(colours.tobytes())
    assert (no_change(through(image, "PNG", **options)) == colours[np.asarray(indices)]).all()


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    red = no_change(through(image, "JPEG", quality=95))
    assert (np.abs(red.astype(int) - [255, 0, 0]) < 4).all()


def test_an_animation_is_its_first_frame() -> None:
    first, second = Image.new("RGB", (8, 8), (200, 0, 0)), Image.new("RGB", (8, 8), (0, 200, 0))
    assert (no_change(through(first, "GIF", save_all=True, append_images=[second])) == [200, 0, 0]).all()


# --- orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(orientation: int) -> None:
    upright = np.asarray(picture(12, 8))
    # How a camera stores it for each orientation: EXIF 2.32, tag 0x0112 (where row 0 and column 0 are).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = through(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    assert (Preprocessing((8, 12), None).pixels(image) == upright).all()


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0", b"nothing of the kind"])
def test_broken_exif_is_no_orientation(exif: bytes) -> None:
    image = through(picture(12, 8), "JPEG", exif=exif)
    assert no_change(image).shape == (8, 12, 3)


# --- normalization and JSON


def test_normalization_is_that_of_torchvision() -> None:
    pixels = RANDOM.integers(0, 256, (2, 5, 7, 3), np.uint8)
    preprocessing = Preprocessing((5, 7), None, IMAGENET_MEAN, IMAGENET_STD)
    expected = (pixels / 255 - IMAGENET_MEAN) / IMAGENET_STD  # ToTensor, then Normalize
    found = preprocessing.normalization(pixels)
    assert found.dtype == np.float32
    assert found.shape == (2, 3, 5, 7)
    assert found.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(found, expected.transpose(0, 3, 1, 2), rtol=0, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    resize=st.one_of(st.none(), st.just("whole"), st.integers(1, 999), st.tuples(st.integers(1, 9), st.integers(1, 9))),
    size=st.tuples(st.integers(1, 512), st.integers(1, 512)),
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    order=st.sampled_from(sorted(ORDERS)),
)
def test_preprocessing_survives_json(
    resize: int | tuple[int, int] | str | None, size: tuple[int, int], mean: tuple[float, ...], order: str
) -> None:
    preprocessing = Preprocessing(size, resize, mean, (0.25, 0.5, 0.125), order)
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"])
def test_each_filter_is_pillows(interpolation: Any) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    found = Preprocessing((16, 24), "whole", interpolation=interpolation).pixels(image)
    method = Image.Resampling[interpolation.upper()]
    np.testing.assert_array_equal(found, np.asarray(image.resize((24, 16), method)))


@pytest.mark.parametrize("size", [(16, 24), (40, 60), (70, 61), (13, 47)])
def test_without_antialias_a_pixel_is_made_of_its_four_neighbours(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    found = Preprocessing(size, "whole", antialias=False).pixels(Image.fromarray(pixels))
    # tf.image.resize with half_pixel_centers: the input coordinate of an output pixel's centre, clamped at the border.
    coordinates = [
        np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
        for before, after in zip((40, 60), size, strict=True)
    ]
    (y0, x0), (fy, fx) = ([np.floor(c).astype(int) for c in coordinates], [c - np.floor(c) for c in coordinates])
    y1, x1 = np.minimum(y0 + 1, 39), np.minimum(x0 + 1, 59)
    fy, fx = fy[:, None, None], fx[None, :, None]
    real = pixels.astype(float)
    top = real[y0][:, x0] * (1 - fx) + real[y0][:, x1] * fx
    bottom = real[y1][:, x0] * (1 - fx) + real[y1][:, x1] * fx
    assert np.abs(found - (top * (1 - fy) + bottom * fy)).max() < 1.01  # Pillow cuts off the fraction


def test_a_file_from_before_filters_were_chosen_is_bilinear() -> None:
    values = Preprocessing((2, 2), None).to_dict()
    del values["interpolation"], values["antialias"]
    assert Preprocessing.from_dict(values) == Preprocessing((2, 2), None)
