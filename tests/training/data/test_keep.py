"""Images that stay with a run: they can be read, are spread over classes, and lose nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from edgekit.calibration.images import open_images
from edgekit.preprocessing import Preprocessing
from edgekit.training.data.examples import array_examples, file_examples
from edgekit.training.data.keep import calibration_images

if TYPE_CHECKING:
    from pathlib import Path


def test_files_are_kept_to_the_byte(tmp_path: Path) -> None:
    for index in range(9):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / f"{index}.jpg", quality=95)
    paths = sorted(tmp_path.glob("*.jpg"))
    examples = file_examples([path.name for path in paths], np.array([0] * 7 + [1] * 2), paths)
    out = tmp_path / "run/calibration"
    for _ in range(2):  # the second takes the place of the first
        calibration_images(examples, out, 4)
        kept = [path.read_bytes() for path in sorted(out.iterdir())]
        assert kept == [paths[place].read_bytes() for place in examples.spread(4)]
    assert len(open_images(out, Preprocessing((8, 8), None))) == 4


def test_arrays_are_kept_to_the_pixel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 4), np.uint8)
    calibration_images(array_examples(list("abcde"), np.arange(5), pixels), tmp_path / "kept")
    source = open_images(tmp_path / "kept", Preprocessing((8, 8), None, (0.5,) * 4, (0.5,) * 4, "RGBA"))
    np.testing.assert_array_equal(next(source.batches(5)).pixels, pixels)
