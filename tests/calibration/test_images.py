"""Images from everywhere they may lie, and what is said where they cannot be used."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.calibration.images import ImageSource, open_images
from edgekit.errors import ConfigError, DataError
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 8
PREPROCESSING = Preprocessing((SIZE, SIZE), "whole")


def encoded(value: int, kind: str = "PNG", size: tuple[int, int] = (12, 10)) -> bytes:
    """An image file all of whose pixels are ``value``."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (value, value, value)).save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, value: int = 0, kind: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(value, kind))
    return path


def values(source: ImageSource, batch_size: int = 3) -> list[int]:
    """The first pixel of every image."""
    return [int(p) for batch in source.batches(batch_size) for p in batch.pixels[:, 0, 0, 0]]


def opened(source: str | Path, **options: Any) -> ImageSource:
    return open_images(source, PREPROCESSING, **options)


def refused(source: str | Path, said: str) -> None:
    with pytest.raises(DataError, match=said):
        opened(source)


def table(path: Path, *rows: tuple[object, ...]) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


# --- folders


def test_a_folder_is_read_sorted_however_deep(tmp_path: Path) -> None:
    for value, name in enumerate(["a.png", "b/c.PNG", "b/d/e.Png", "b.png", "z.bmp"]):
        write(tmp_path / name, value, "BMP" if name.endswith("bmp") else "PNG")
    source = opened(tmp_path)
    assert source.names == ("a.png", "b.png", "b/c.PNG", "b/d/e.Png", "z.bmp")
    assert values(source) == [0, 3, 1, 2, 4]
    assert source.labels is None
    assert source.description == f"5 images in {tmp_path}"


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        (".bmp", "BMP"),
        (".gif", "GIF"),
        (".jpeg", "JPEG"),
        (".JPG", "JPEG"),
        (".jpg", "MPO"),  # what many phones write
        (".pgm", "PPM"),
        (".png", "PNG"),
        (".ppm", "PPM"),
        (".tif", "TIFF"),
        (".tiff", "TIFF"),
        (".webp", "WEBP"),
    ],
)
def test_every_format_is_read(tmp_path: Path, suffix: str, kind: str) -> None:
    write(tmp_path / f"image{suffix}", 100, kind)
    assert values(opened(tmp_path)) == [pytest.approx(100, abs=2)]


def test_hidden_files_and_the_debris_of_macos_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    for name in (".hidden.png", "._a.png", ".cache/b.png", "__MACOSX/._a.png", "sub/._b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    assert opened(tmp_path).names == ("a.png",)


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "a.png")
    root = tmp_path / "root"
    write(root / "b.png")
    (root / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (root / "circle").symlink_to(root, target_is_directory=True)
    assert opened(root).names == ("b.png", "linked/a.png")


def test_batches_are_full_but_for_the_last(tmp_path: Path) -> None:
    for i in range(7):
        write(tmp_path / f"{i}.png", i)
    batches = list(opened(tmp_path).batches(3))
    assert [len(batch.pixels) for batch in batches] == [3, 3, 1]
    assert batches[0].pixels.shape == (3, SIZE, SIZE, 3)
    assert batches[0].pixels.dtype == np.uint8
    assert batches[2].names == ("6.png",)
    assert batches[0].labels is None


def test_a_source_can_be_read_again_and_in_other_batches(tmp_path: Path) -> None:
    for i in range(5):
        write(tmp_path / f"{i}.png", i)
    source = opened(tmp_path)
    next(source.batches(2))  # and is not disturbed by a reader that stops early
    assert values(source, 2) == values(source, 100) == [0, 1, 2, 3, 4]


def test_pixels_are_those_of_the_preprocessing(tmp_path: Path) -> None:
    content = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(content).save(tmp_path / "a.png")
    preprocessing = Preprocessing((16, 16), 20, order="BGR")
    (batch,) = open_images(tmp_path, preprocessing).batches(1)
    assert (batch.pixels[0] == preprocessing.pixels(Image.fromarray(content))).all()


# --- labels of folders


def test_labels_come_from_labels_csv(tmp_path: Path) -> None:
    for value, name in enumerate(["b.png", "a.png", "sub/c.png"]):
        write(tmp_path / name, value)
    table(tmp_path / "labels.csv", ("file", "class_index"), ("sub/c.png", 7), ("a.png", 5), ("b.png", 900))
    source = opened(tmp_path)
    assert (source.names, source.labels, source.class_names) == (("a.png", "b.png", "sub/c.png"), (5, 900, 7), None)
    assert next(source.batches(2)).labels == (5, 900)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("file", "class_index"), ("a.png", 1), ("b.png", 2), ("x.png", 3)], "names x.png, which does not exist"),
        ([("file", "class_index"), ("a.png", 1), ("x", 2), ("y", 3)], "names x and 1 more, which do not exist"),
        ([("file", "class_index"), ("a.png", 1)], "no label for b.png"),
        ([("file", "class_index"), ("a.png", 1), ("a.png", 2), ("b.png", 0)], "line 3: a.png has two labels, 1 and 2"),
        ([("file", "class_index"), ("a.png", "cat"), ("b.png", 0)], "line 2: the label is 'cat'"),
        ([("file", "class_index"), ("a.png", -1), ("b.png", 0)], "line 2: the label is '-1'"),
        ([("file", "class_index"), ("a.png",), ("b.png", 0)], "line 2: the label is ''"),
        ([("file", "kind"), ("a.png", 1), ("b.png", 0)], "no column of labels"),
        ([("class_index", "file"), (1, "a.png")], "the first column is 'class_index'"),
        ([("file", "class_index")], "lists no image"),
        ([], "is empty"),
    ],
)
def test_labels_csv_has_to_fit(tmp_path: Path, rows: list[tuple[object, ...]], said: str) -> None:
    write(tmp_path / "a.png")
    write(tmp_path / "b.png")
    table(tmp_path / "labels.csv", *rows)
    refused(tmp_path, said)


def test_names_of_classes_in_a_list_are_in_the_order_of_folders(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write(tmp_path / name)
    rows = (("a.png", "dog"), ("b.png", "cat"), ("c.png", "dog"))
    for source in (tmp_path / "list.csv", tmp_path / "labels.csv"):
        table(source, ("file", "label"), *rows)
        found = opened(source if source.name == "list.csv" else tmp_path)
        assert (found.labels, found.class_names) == ((1, 0, 1), ("cat", "dog"))
    for delimiter in ";\t":
        (tmp_path / "list.csv").write_text("\n".join(delimiter.join(row) for row in (("file", "label"), *rows)))
        assert opened(tmp_path / "list.csv").labels == (1, 0, 1)
    table(tmp_path / "list.csv", ("file", "label"), *rows[:2], ("c.png", ""))
    refused(
        tmp_path / "list.csv",
        r"line 4: the label is '', a class index \(0, 1, 2, \.\.\.\), or the name of its class, is",
    )
    table(tmp_path / "list.csv", ("file", "label"), *rows[:2], ("c.png", "0.5"))
    refused(tmp_path / "list.csv", "line 4: the label is '0.5'")
    table(tmp_path / "list.csv", ("file", "label"), ("a.png", "3"), ("b.png", "0.5"))  # for regression
    found = opened(tmp_path / "list.csv")
    assert found.labels is None
    assert "line 3: the label is '0.5', a class index" in (found.unread_labels or "")


def test_class_folders_are_labels_as_in_torchvision(tmp_path: Path) -> None:
    for name in ("dog/1.png", "cat/2.png", "cat/deep/0.png", "10/3.png", "9/4.png"):
        write(tmp_path / name)
    source = opened(tmp_path)
    # Sorted as text, so "10" comes before "9", and what is deeper belongs to the topmost folder.
    assert dict(zip(source.names, source.labels or (), strict=True)) == {
        "10/3.png": 0,
        "9/4.png": 1,
        "cat/2.png": 2,
        "cat/deep/0.png": 2,
        "dog/1.png": 3,
    }


@pytest.mark.parametrize("names", [[str(i) for i in range(12)], ["02", "1", "10", "9"], ["7", "300", "41"]])
def test_class_folders_that_are_numbers_are_in_their_order(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        write(tmp_path / name / "a.png")
    source = opened(tmp_path)
    ordered = sorted(names, key=int)
    assert source.class_names == tuple(ordered)
    found = dict(zip(source.names, source.labels or (), strict=True))
    assert found == {f"{name}/a.png": place for place, name in enumerate(ordered)}


@pytest.mark.parametrize("extra", ["stray.png", "empty/"], ids=["an image beside the folders", "a folder without one"])
def test_class_folders_have_to_be_unambiguous(tmp_path: Path, extra: str) -> None:
    write(tmp_path / "cat/1.png")
    write(tmp_path / "dog/1.png")
    assert opened(tmp_path).labels == (0, 1)
    if extra.endswith("/"):
        (tmp_path / extra).mkdir()
    else:
        write(tmp_path / extra)
    assert opened(tmp_path).labels is None


def test_one_subfolder_is_no_class(tmp_path: Path) -> None:
    write(tmp_path / "images/1.png")
    write(tmp_path / "images/2.png")
    assert opened(tmp_path).labels is None


# --- a limit


def test_a_limit_takes_images_evenly_from_all_classes(tmp_path: Path) -> None:
    for name in "abcd":
        for i in range(5):
            write(tmp_path / name / f"{i}.png")
    source = opened(tmp_path, limit=4)
    assert source.names == ("a/2.png", "b/2.png", "c/2.png", "d/2.png")
    assert source.labels == (0, 1, 2, 3)
    assert len(source) == 4
    assert source.description == f"4 of 20 images in {tmp_path}"


@settings(max_examples=50, deadline=None)
@given(total=st.integers(1, 40), limit=st.integers(1, 50))
def test_a_limit_takes_images_at_equal_distances(
    tmp_path_factory: pytest.TempPathFactory, total: int, limit: int
) -> None:
    path = tmp_path_factory.mktemp("arrays") / "a.npy"
    np.save(path, np.arange(total, dtype=np.uint8)[:, None, None].repeat(2, 1).repeat(2, 2))
    taken = [int(name.split("[")[1][:-1]) for name in opened(path, limit=limit).names]
    assert len(taken) == min(total, limit)
    distances = np.diff([-taken[0] - 1, *taken, 2 * total - 1 - taken[-1]])  # mirrored at both ends
    assert distances.min() > 0
    assert distances.max() - distances.min() <= 2


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_of_nothing_is_refused(tmp_path: Path, limit: int) -> None:
    write(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="choose 1 or more"):
        opened(tmp_path, limit=limit)


# --- broken images


def half_broken(folder: Path) -> Path:
    """Six images with labels, of which every second is broken in its own way."""
    for i in (0, 2, 4):
        write(folder / f"{i}.png", i)
    (folder / "1.png").write_bytes(b"")
    (folder / "3.png").write_bytes(b"this is text")
    (folder / "5.jpg").write_bytes(encoded(5, "JPEG", (200, 200))[:-300])
    table(folder / "labels.csv", ("file", "class_index"), *[(f"{i}.png", 10 + i) for i in range(5)], ("5.jpg", 15))
    return folder


@pytest.mark.parametrize("batch_size", [1, 2, 4, 10])
def test_broken_images_are_skipped_with_their_labels(tmp_path: Path, batch_size: int) -> None:
    source = opened(half_broken(tmp_path))
    assert len(source) == 6
    batches = list(source.batches(batch_size))
    assert [name for batch in batches for name in batch.names] == ["0.png", "2.png", "4.png"]
    assert [label for batch in batches for label in batch.labels or ()] == [10, 12, 14]
    assert [int(p) for batch in batches for p in batch.pixels[:, 0, 0, 0]] == [0, 2, 4]
    assert len(source) == 3
    assert (source.names, source.labels) == (("0.png", "2.png", "4.png"), (10, 12, 14))
    assert list(source.skipped) == ["1.png", "3.png", "5.jpg"]
    assert source.skipped["1.png"] == "it is empty"
    assert source.skipped["3.png"] == "it is no image"
    assert "truncated" in source.skipped["5.jpg"]
    assert values(source) == [0, 2, 4]


def test_strict_refuses_the_first_broken_image(tmp_path: Path) -> None:
    source = opened(half_broken(tmp_path), strict=True)
    with pytest.raises(DataError, match=r"1\.png cannot be used: it is empty"):
        values(source)


def test_nothing_but_broken_images_is_refused(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no")
    source = opened(tmp_path)
    for _ in range(2):
        with pytest.raises(DataError, match=r"none of the 2 images can be used, the first is a\.png: it is no image"):
            values(source)


def test_an_image_that_is_too_small_is_skipped_with_advice(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "b.png")
    source = open_images(tmp_path, Preprocessing((SIZE, SIZE), None))
    assert values(source) == [0]
    assert "set resize" in source.skipped["b.png"]


def test_a_picture_that_would_start_a_program_is_none(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")
    source = opened(tmp_path)
    assert values(source) == [0]
    assert source.skipped == {"b.png": "it is no image"}


def test_an_unreadable_file_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.png", 1)
    write(tmp_path / "b.png", 2)
    (tmp_path / "c.png").symlink_to(tmp_path / "gone.png")
    forbid(monkeypatch, "b.png")
    source = opened(tmp_path)
    assert values(source) == [1]
    assert source.skipped == {"b.png": "Permission denied", "c.png": "No such file or directory"}


def forbid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Deny reading a file, for root as well."""
    read_bytes = Path.read_bytes

    def guarded(path: Path) -> bytes:
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", guarded)


# --- nothing to read


def test_what_does_not_exist_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none", "none does not exist: name a folder")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "no image in .*, it is empty")


def test_a_folder_without_images_says_what_it_saw(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.heic", "README"):
        (tmp_path / name).touch()
    refused(tmp_path, r"what it holds is 2 \.txt, 1 \.heic, 1 without suffix: edgekit reads \.bmp .*\.webp")


def test_an_unreadable_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.png")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def guarded(path: str) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    refused(tmp_path, "cannot read .*closed: Permission denied")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    refused(tmp_path / "a.txt", "is no image .*, no array .* and no list")


# --- single files and patterns


def test_one_image_file(tmp_path: Path) -> None:
    source = opened(write(tmp_path / "a.JPG", 9, "JPEG"))
    assert (source.names, source.labels) == (("a.JPG",), None)
    assert values(source) == [9]
    assert source.description == f"1 image in {tmp_path / 'a.JPG'}"


def test_a_pattern_matches_images_only(tmp_path: Path) -> None:
    for value, name in enumerate(["x/a.png", "x/b.jpg", "y/z/c.png"]):
        write(tmp_path / name, value, "PNG" if name.endswith("png") else "JPEG")
    (tmp_path / "x/notes.txt").touch()
    assert values(opened(f"{tmp_path}/x/*")) == [0, 1]
    deep = opened(f"{tmp_path}/**/*.png")
    assert deep.names == ("x/a.png", "y/z/c.png")
    refused(f"{tmp_path}/x/*.bmp", "it matches nothing")
    refused(f"{tmp_path}/x/*.txt", r"what it matches is 1 \.txt")


def test_a_folder_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    write(tmp_path / "set[1]" / "a.png", 3)
    assert values(opened(tmp_path / "set[1]")) == [3]


# --- lists


@pytest.mark.parametrize("column", ["file", "path", "image", "Image "])
@pytest.mark.parametrize("label", ["class_index", "label", "class"])
def test_a_list_with_labels(tmp_path: Path, column: str, label: str) -> None:
    write(tmp_path / "sub/a.png", 1)
    outside = write(tmp_path / "b.png", 2)
    path = table(tmp_path / "sub/list.csv", (column, "note", label), (outside, "x", 4), ("a.png", "y", 3), ())
    source = opened(path)
    assert (values(source), source.labels) == ([2, 1], (4, 3))
    assert source.names[1] == "a.png"
    assert source.description == f"2 images listed in {path}"


@pytest.mark.parametrize("header", [[("file",)], [("filename",)], []], ids=["known", "other", "none"])
def test_a_list_of_one_column(tmp_path: Path, header: list[tuple[str]]) -> None:
    write(tmp_path / "a.png", 1)
    source = opened(table(tmp_path / "list.csv", *header, ("a.png",)))
    assert (values(source), source.labels) == ([1], None)


def test_a_list_that_a_spreadsheet_wrote(tmp_path: Path) -> None:
    write(tmp_path / "ä, b.png", 1)
    (tmp_path / "list.csv").write_bytes('\ufefffile,class\r\n"ä, b.png",2\r\n\r\n'.encode())
    assert opened(tmp_path / "list.csv").labels == (2,)


def test_a_list_of_missing_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    path = table(tmp_path / "list.csv", ("file",), ("a.png",), ("b.png",), ("c.png",))
    refused(path, r"line 3: b\.png and 1 more do not exist; paths start from ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"file\n", "lists no image"),
        (b"a.png,3\n", "the first column is 'a.png', it has to be named file or path or image"),
        (b"\xff\xfe\x00", "not a CSV file in UTF-8"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    refused(tmp_path / "list.csv", said)


# --- arrays


def pictures(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_of_images_and_labels(tmp_path: Path, save: Callable[..., None]) -> None:
    content = pictures(5, 20, 30, 3)
    save(tmp_path / "a.npz", images=content, labels=np.array([3, 1, 4, 1, 5], np.int32))
    source = opened(tmp_path / "a.npz")
    assert source.labels == (3, 1, 4, 1, 5)
    assert source.names[4] == "a.npz[4]"
    found = np.concatenate([batch.pixels for batch in source.batches(2)])
    assert (found == np.stack([PREPROCESSING.pixels(Image.fromarray(image)) for image in content])).all()
    some = opened(tmp_path / "a.npz", limit=2)
    assert some.labels == (1, 1)
    assert (next(some.batches(2)).pixels == found[[1, 3]]).all()


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1)])
def test_grey_arrays_are_replicated(tmp_path: Path, shape: tuple[int, ...]) -> None:
    content = pictures(3, *shape)
    np.save(tmp_path / "a.npy", content)
    (batch,) = opened(tmp_path / "a.npy").batches(9)
    assert (batch.pixels == content.reshape(3, 8, 8, 1)).all()
    assert batch.labels is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), r"holds float32 of shape \[2, 8, 8, 3\], edgekit wants uint8 pixels"),
        (
            np.zeros((2, 8, 8, 3), np.float32),
            r"from 0 to 1 save \(images \* 255\)\.round\(\)\.astype\('uint8'\)",
        ),
        (np.zeros((2, 8, 8, 3), np.int64), r"holds int64 .*: of pixels from 0 to 255 save images\.astype\('uint8'\)"),
        (np.zeros((2, 8, 8, 3), bool), "holds bool"),
        (np.array([{"a": 1}]), "holds object"),
        (np.zeros((2, 3, 8, 8), np.uint8), r"move the channels to the end, images.transpose\(0, 2, 3, 1\)"),
        (np.zeros((2, 1, 8, 8), np.uint8), "move the channels to the end"),
        (np.zeros((8, 8, 3), np.uint8), r"if this is one image, save image\[None\]"),
        (np.zeros((2, 8, 8, 5), np.uint8), r"of shape \[2, 8, 8, 5\]"),
        (np.zeros((8, 8), np.uint8), r"of shape \[8, 8\]"),
        (np.zeros((), np.uint8), r"of shape \[\]"),
        (np.zeros((0, 8, 8, 3), np.uint8), "holds no image"),
        (np.asfortranarray(np.zeros((2, 8, 8, 3), np.uint8)), "np.ascontiguousarray"),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_other_arrays_are_refused(tmp_path: Path, content: np.ndarray, said: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, content, allow_pickle=True)
    else:
        np.savez(path, images=content)
    refused(path, said)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.zeros(3, int), r"shape \[3\], one class index an image"),
        (np.zeros((2, 10), int), r"shape \[2, 10\]"),
        (np.zeros(2), "float64"),
        (np.array([0, -1]), "negative label, -1"),
    ],
)
def test_labels_of_arrays_have_to_fit(tmp_path: Path, labels: np.ndarray, said: str) -> None:
    np.savez(tmp_path / "a.npz", images=pictures(2, 8, 8, 3), labels=labels)
    refused(tmp_path / "a.npz", said)


def test_an_npz_without_images_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=pictures(2, 8, 8, 3), y=np.zeros(2))
    refused(tmp_path / "a.npz", "no array named 'images', it holds x, y")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("content", [b"", b"no array at all", b"\x93NUMPY\x01\x00\xff\xff"])
def test_damaged_arrays_are_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(content)
    refused(tmp_path / f"a{suffix}", "is no NumPy file, or is damaged")


def test_an_array_that_ends_early_loses_its_last_images(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, pictures(4, 8, 8, 3))
    path.write_bytes(path.read_bytes()[:-1])
    source = opened(path)
    assert len(values(source)) == 3
    assert source.skipped == {"a.npy[3]": "the file ends too early"}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path, save: Callable[..., None]) -> None:
    peaks = []
    for count in (50, 400):
        save(tmp_path / f"{count}.npz", images=np.zeros((count, 64, 64, 3), np.uint8))
        source = opened(tmp_path / f"{count}.npz")
        tracemalloc.start()
        for _ in source.batches(4):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 350 * 64 * 64 * 3 / 10  # a tenth of the images that were added


# --- the digest


def test_the_digest_is_that_of_the_content_wherever_it_lies(tmp_path: Path) -> None:
    for i in range(4):
        write(tmp_path / "here" / f"{i}.png", i)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    digest = opened(tmp_path / "here").digest
    assert len(bytes.fromhex(digest)) == 32
    there = opened(tmp_path / "there")
    values(there)  # after a pass, the digest costs nothing more, and is the same
    shutil.rmtree(tmp_path / "there")
    assert there.digest == digest
    assert opened(tmp_path / "here", limit=2).digest != digest
    write(tmp_path / "here" / "3.png", 77)
    assert opened(tmp_path / "here").digest != digest


def test_the_digest_of_each_image(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.png", "a/d.png"):
        write(tmp_path / name, len(name))
    (tmp_path / "a" / "d.png").write_bytes(b"")
    source = opened(tmp_path)
    found = source.digests
    assert found == {name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in source.names}
    assert list(found) == ["a/c.png", "a/d.png", "b.png"]
    assert source.digest == hashlib.sha256(b"".join(map(bytes.fromhex, found.values()))).hexdigest()
    assert len(values(source)) == 2
    assert source.digests == found  # the broken one included
    assert list(opened(tmp_path, limit=1).digests) == ["a/d.png"]


def test_the_digest_of_the_labels(tmp_path: Path) -> None:
    write(tmp_path / "cat" / "1.png")
    assert opened(tmp_path).labels_digest is None
    broken = write(tmp_path / "dog" / "2.png")
    source = opened(tmp_path)
    digest = source.labels_digest
    assert digest == hashlib.sha256(b"0 1").hexdigest()
    broken.write_bytes(b"")
    values(source)
    assert source.labels_digest == digest  # of all images, the broken one included
    table(tmp_path / "labels.csv", ("file", "label"), ("cat/1.png", 1), ("dog/2.png", 0))
    assert opened(tmp_path).labels_digest == hashlib.sha256(b"1 0").hexdigest()


def test_the_digest_does_not_depend_on_what_turned_out_broken(tmp_path: Path) -> None:
    half_broken(tmp_path)
    before, after = opened(tmp_path), opened(tmp_path)
    values(after)
    assert before.digest == after.digest


def test_the_digest_of_an_array_is_that_of_its_pixels(tmp_path: Path) -> None:
    content = pictures(3, 8, 8, 3)
    np.savez(tmp_path / "a.npz", images=content)
    np.savez_compressed(tmp_path / "b.npz", images=content, labels=np.arange(3))
    np.save(tmp_path / "c.npy", content)
    assert len({opened(tmp_path / name).digest for name in ("a.npz", "b.npz", "c.npy")}) == 1


# --- parts


def test_a_part_is_held_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=pictures(12, 8, 8, 3), labels=np.arange(12))
    source = opened(tmp_path / "a.npz")
    rest, held_out = source.split(5)
    assert held_out.labels == (2, 7)
    assert rest.labels == (0, 1, 3, 4, 5, 6, 8, 9, 10, 11)
    assert [label for batch in held_out.batches(8) for label in batch.labels or ()] == [2, 7]
    assert len({source.digest, rest.digest, held_out.digest}) == 3


# --- real images


def test_real_folders(realdata: Path) -> None:
    source = open_images(realdata / "images" / "validation", Preprocessing((224, 224), 256), limit=20)
    batches = list(source.batches(8))
    assert sum(len(batch.pixels) for batch in batches) == 20
    assert not source.skipped
    with (realdata / "images" / "validation" / "labels.csv").open() as stream:
        labels = {row["file"]: int(row["class_index"]) for row in csv.DictReader(stream)}
    assert [labels[name] for batch in batches for name in batch.names] == list(source.labels or ())


# --- what lies beside images


def test_masks_beside_images_are_moved_as_the_images_are(tmp_path: Path) -> None:
    """Each image holds its own mask as levels, so that what is read of both must be the same."""
    from edgekit.annotations.moving import UNKNOWN

    preprocessing = Preprocessing((8, 8), 10, interpolation="nearest")
    for index, size in enumerate(((16, 12), (9, 21), (12, 12))):
        levels = np.random.default_rng(index).integers(0, 5, size, np.uint8)
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(levels).save(tmp_path / folder / f"{index}.png")
    (tmp_path / "images/1.png").write_bytes(b"no image")
    (tmp_path / "val.txt").write_text("2\n0\n1\n")
    for source, names in ((tmp_path, ("0.png", "2.png")), (tmp_path / "val.txt", ("2.png", "0.png"))):
        images = open_images(source, preprocessing)
        (batch,) = images.batches(8)
        found = images.annotated("segmentation")
        assert found is not None
        assert images.names == batch.names == found.names == names
        np.testing.assert_array_equal(np.stack(list(found.targets)), batch.pixels[..., 0])
        assert UNKNOWN not in batch.pixels
    assert images.annotated("detection") is None


def test_boxes_beside_images_are_cut_off_as_the_images_are(tmp_path: Path) -> None:
    """Of 40 x 20 pixels the network sees the 20 in the middle; the box in the corner goes."""
    (tmp_path / "images/val").mkdir(parents=True)
    (tmp_path / "labels/val").mkdir(parents=True)
    Image.new("RGB", (40, 20)).save(tmp_path / "images/val/a.png")
    (tmp_path / "labels/val/a.txt").write_text("1 0.5 0.5 0.75 0.5\n0 0.1 0.5 0.2 0.2")
    images = open_images(tmp_path / "images/val", Preprocessing((8, 8), 8))
    found = images.annotated("detection")
    assert found is not None
    assert (images.names, found.names, found.sizes) == (("a.png",), ("a.png",), ((8, 8),))
    np.testing.assert_allclose(found.targets[0].corners, [[0, 0.25, 1, 0.75]])
    assert found.targets[0].classes.tolist() == [1]


def test_images_are_read_again_as_they_lie_there(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 40, 3), np.uint8)
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "0.png").write_bytes(b"broken")
    images = open_images(tmp_path, Preprocessing((20, 20), None, order="BGR"))
    list(images.batches(4))
    image, geometry = images.original("b.png")
    np.testing.assert_array_equal(np.asarray(image), pixels)
    np.testing.assert_array_equal(geometry.seen, (0.25, 0, 0.75, 1))
    (batch,) = images.named(["c.png", "a.png"]).batches(4)
    assert batch.names == ("c.png", "a.png")
    (tmp_path / "b.png").unlink()
    with pytest.raises(DataError, match=r"b\.png cannot be read: No such file"):
        images.original("b.png")
