"""Numbers beside images: from each kind of place, and what is said where they do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from edgekit.calibration.images import open_images
from edgekit.errors import DataError
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.tables import all_numbers, numbers

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.calibration.images import ImageSource

SEEN = Preprocessing((8, 8), None)
TARGETS = np.array([[1.5, 10], [2.5, 20], [3.5, 30], [4.5, 40]])


def folder(path: Path, table: str = "") -> ImageSource:
    for index in range(4):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(path / f"{index}.png")
    (path / "targets.csv").write_text(table)
    return open_images(path, SEEN)


def test_every_place_gives_the_numbers_of_the_images_that_are_read(tmp_path: Path) -> None:
    rows = [f"{index}.png,{x},{y}" for index, (x, y) in enumerate(TARGETS)]
    images = folder(tmp_path, "\n".join(["file,x,y", *rows[::-1]]))
    np.testing.assert_array_equal(numbers(images, (), 2), TARGETS)
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8, 3), np.uint8), targets=TARGETS)
    np.testing.assert_array_equal(numbers(open_images(tmp_path / "a.npz", SEEN), (), 2), TARGETS)
    few = open_images(tmp_path / "a.npz", SEEN, limit=2)
    np.testing.assert_array_equal(numbers(few, (), 2), TARGETS[[1, 3]])
    np.testing.assert_array_equal(numbers(few.split(2)[1], (), 2), TARGETS[[3]])
    (tmp_path / "list.csv").write_text("\n".join(["file,x,y", *rows[:2]]))
    np.testing.assert_array_equal(numbers(open_images(tmp_path / "list.csv", SEEN), (), 2), TARGETS[:2])


def test_columns_are_found_by_the_names_of_the_numbers(tmp_path: Path) -> None:
    rows = [f"{index}.png,somebody,{y},{x}" for index, (x, y) in enumerate(TARGETS)]
    images = folder(tmp_path, "\n".join(["file,by,y,x", *rows]))
    np.testing.assert_array_equal(numbers(images, ("x", "y"), 2), TARGETS)


def test_all_numbers_are_found_with_their_names(tmp_path: Path) -> None:
    rows = [f"{index}.png,train,{x},{y}" for index, (x, y) in enumerate(TARGETS)]
    images = folder(tmp_path, "\n".join(["file,Split,x,y", *rows]))
    np.testing.assert_array_equal(numbers(images, (), 2), TARGETS)
    for source in (tmp_path, tmp_path / "targets.csv"):
        found, names = all_numbers(source, images.names) or (None, None)
        np.testing.assert_array_equal(found, TARGETS)
        assert names == ("x", "y")
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8, 3), np.uint8), targets=TARGETS[:, 0])
    found, names = all_numbers(tmp_path / "a.npz", ["0", "1", "2", "3"]) or (None, None)
    np.testing.assert_array_equal(found, TARGETS[:, :1])
    assert names == ()
    (tmp_path / "list.csv").write_text("file\n0.png")
    assert all_numbers(tmp_path / "list.csv", ["0.png"]) is None


def test_where_nothing_lies_there_is_nothing(tmp_path: Path) -> None:
    assert numbers(folder(tmp_path), (), 1) is None
    np.save(tmp_path / "a.npy", np.zeros((4, 8, 8, 3), np.uint8))
    assert numbers(open_images(tmp_path / "a.npy", SEEN), (), 1) is None
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8, 3), np.uint8))
    assert numbers(open_images(tmp_path / "a.npz", SEEN), (), 1) is None
    assert numbers(open_images(str(tmp_path / "*.png"), SEEN), (), 1) is None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file,x,y\n0.png,1,2", r"has 2 columns beside the paths \(x, y\), and the network gives 1 numbers an image"),
        ("file,x\n0.png,one", "the target of 0.png is 'one', a number is wanted"),
        ("file,x\n0.png,1", "has no target for 1.png"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        numbers(folder(tmp_path, table), (), 1)


def test_an_array_of_another_width_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8, 3), np.uint8), targets=TARGETS)
    with pytest.raises(DataError, match=r"of shape \[4, 2\], and the network gives 3 numbers an image"):
        numbers(open_images(tmp_path / "a.npz", SEEN), (), 3)
