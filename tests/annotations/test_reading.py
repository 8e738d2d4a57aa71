"""Boxes and masks from every kind of place, worked by hand, and what is wrong with them in a sentence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from edgekit.annotations.reading import read
from edgekit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgekit.annotations.annotated import Annotated

SIZE = (40, 20)  # width, height


def picture(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "grey").save(path)


def text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def found(source: Path, task: str = "detection") -> Annotated:
    annotated = read(source, task)
    assert annotated is not None
    return annotated


def close(corners: np.ndarray, expected: Sequence[Sequence[float]]) -> None:
    np.testing.assert_allclose(corners, np.array(expected))


# --- COCO


def coco(root: Path, boxes: Sequence[Sequence[float]] = ((4, 5, 8, 10),), **changes: Any) -> Path:
    picture(root / "images/a.png")
    picture(root / "images/b.png")
    values: dict[str, Any] = {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 40, "height": 20},
            {"id": 3, "file_name": "b.png"},
        ],
        "categories": [{"id": 9, "name": "dog"}, {"id": 2, "name": "cat"}],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": 9, "bbox": list(box), "iscrowd": n % 2}
            for n, box in enumerate(boxes)
        ],
    }
    path = root / "train.json"
    path.write_text(json.dumps({**values, **changes}))
    return path


def test_coco_has_left_top_width_height_and_classes_in_the_order_of_ids(tmp_path: Path) -> None:
    of = found(coco(tmp_path, [(4, 5, 8, 10), (0, 0, 40, 20)]))
    assert (of.labels, of.names, of.notes) == (("cat", "dog"), ("a.png", "b.png"), ())
    assert of.paths == (tmp_path / "images/a.png", tmp_path / "images/b.png")
    close(of.targets[0].corners, [[0.1, 0.25, 0.3, 0.75], [0, 0, 1, 1]])
    assert of.targets[0].classes.tolist() == [1, 1]
    assert of.targets[0].is_crowd.tolist() == [False, True]
    assert len(of.targets[1]) == 0  # an image without annotation shows background
    assert of.targets.present == (frozenset({1}), frozenset())


def test_a_folder_may_hold_one_json_file_and_its_images(tmp_path: Path) -> None:
    path = coco(tmp_path)
    for image in (tmp_path / "images").iterdir():
        image.rename(tmp_path / image.name)
    (tmp_path / "images").rmdir()
    path.rename(tmp_path / "_annotations.coco.json")
    assert found(tmp_path).paths == (tmp_path / "a.png", tmp_path / "b.png")


def test_boxes_that_reach_out_are_cut_off_and_empty_ones_left_out(tmp_path: Path) -> None:
    good = [(0, 0, 5, 5)] * 20
    path = coco(tmp_path, [*good, (30, 10, 20, 20), (-0.5, 0, 40.9, 20), (3, 3, 0, 4)])
    of = found(path)
    close(of.targets[0].corners[20:], [[0.75, 0.5, 1, 1], [0, 0, 1, 1]])
    assert of.notes == (
        f"1 box (the first in a.png) of {path} reaches out of the image: what lies outside is cut off.",
        f"1 box (the first in a.png) of {path} has no area: left out.",
    )


IMAGES = [{"id": 7, "file_name": "a.png"}]
WRONG_COCO: list[tuple[dict[str, Any], str]] = [
    ({"boxes": [(30, 10, 20, 20)]}, r"reaches out of the image, which is 100 % of all"),
    ({"annotations": [{"image_id": 7, "category_id": 5, "bbox": [0, 0, 1, 1]}]}, r"is of the category 5.*none of 2, 9"),
    ({"annotations": [{"image_id": 1, "category_id": 2, "bbox": [0, 0, 1, 1]}]}, r"1 annotation of the image 1, which"),
    ({"annotations": [{"image_id": 7, "category_id": 2, "bbox": [0, 0, 1]}]}, r"bbox of annotation 0 is \[0, 0, 1\]"),
    ({"annotations": [{"image_id": 7, "category_id": 2}]}, r"entry 0 of 'annotations' has no 'bbox'"),
    (
        {"annotations": [{"image_id": 7, "category_id": [2], "bbox": [0, 0, 1, 1]}]},
        r"entry 0 .* has \[2\] as category_id",
    ),
    ({"annotations": None}, r"has no list 'annotations'"),
    ({"images": [{**IMAGES[0], "width": "x", "height": 2}]}, r"the width of an image is 'x': a whole number"),
    (
        {"images": [*IMAGES, {"id": 8, "file_name": "c.png"}]},
        r"1 image that .* lists is not in .* c\.png",
    ),
    ({"images": [*IMAGES, {"id": 1, "file_name": "a.png"}]}, r"two entries of 'images' have the file_name 'a.png'"),
    ({"images": [*IMAGES, *IMAGES]}, r"two entries of 'images' have the id 7"),
    ({"images": [{**IMAGES[0], "width": 20, "height": 40}]}, r"says that a\.png is 20 x 40, and it is 40 x 20"),
    (
        {"categories": [{"id": 9, "name": "a"}, {"id": 8, "name": "a"}]},
        r"two entries of 'categories' have the name 'a'",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), WRONG_COCO)
def test_what_is_wrong_with_coco_is_said(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read(coco(tmp_path, **changes), "detection")


# --- PASCAL VOC


def voc(*objects: tuple[str, float, float, float, float, int], size: tuple[int, int] = SIZE) -> str:
    inside = "".join(
        f"<object><name>{name}</name><difficult>{hard}</difficult><bndbox><xmin>{a}</xmin><ymin>{b}</ymin>"
        f"<xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for name, a, b, c, d, hard in objects
    )
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{inside}</annotation>"


def test_voc_counts_pixels_from_one_and_the_last_belongs_to_the_box(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        picture(tmp_path / f"JPEGImages/{name}.png")
    text(tmp_path / "Annotations/a.xml", voc(("dog", 1, 1, 40, 20, 0), ("cat", 5, 6, 12, 15, 1)))
    text(tmp_path / "Annotations/b.xml", voc(("owl", 1, 1, 1, 1, 0)))
    of = found(tmp_path)
    assert (of.names, of.labels) == (("a.png", "b.png", "c.png"), ("cat", "dog", "owl"))
    close(of.targets[0].corners, [[0, 0, 1, 1], [0.1, 0.25, 0.3, 0.75]])
    close(of.targets[1].corners, [[0, 0, 1 / 40, 1 / 20]])
    assert (of.targets[0].classes.tolist(), of.targets[0].is_crowd.tolist()) == ([1, 0], [False, True])
    assert len(of.targets[2]) == 0
    part = found(text(tmp_path / "ImageSets/Main/train.txt", "c", "a"))
    assert (part.names, part.labels) == (("c.png", "a.png"), of.labels)  # indices do not hang on the part
    text(tmp_path / "classes.txt", "owl", "dog", "cat")
    assert found(tmp_path).targets[0].classes.tolist() == [1, 2]


WRONG_VOC = [
    (voc(("dog", 1, 1, 5, 5, 0), size=(20, 40)), r"says that a\.png is 20 x 40, and it is 40 x 20"),
    ("<annotation>", r"a\.xml is no XML"),
    (voc(("", 1, 1, 5, 5, 0)), r"a\.xml has an object without a name"),
    (voc(("cat", 1, 1, 5, 5, 0)).replace("<xmin>1</xmin>", ""), r"bndbox/xmin of an object is missing"),
    (voc(("rat", 1, 1, 5, 5, 0)), r"an object of the class 'rat', which is none of cat, dog"),
]


@pytest.mark.parametrize(("content", "sentence"), WRONG_VOC)
def test_what_is_wrong_with_voc_is_said(tmp_path: Path, content: str, sentence: str) -> None:
    picture(tmp_path / "images/a.png")
    text(tmp_path / "annotations/a.xml", content)
    text(tmp_path / "classes.txt", "cat", "dog")
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, "detection")


# --- YOLO


def yolo(root: Path, *lines: str, part: str = "") -> Path:
    picture(root / f"images{part}/a.png")
    picture(root / f"images{part}/b.png")
    text(root / f"labels{part}/a.txt", *lines)
    return root


def test_yolo_has_middle_and_size_in_shares(tmp_path: Path) -> None:
    yolo(tmp_path, "1 0.2 0.5 0.2 0.5", "", "0 0.5 0.5 1 1")
    of = found(tmp_path)
    assert (of.names, of.labels) == (("a.png", "b.png"), ("0", "1"))
    close(of.targets[0].corners, [[0.1, 0.25, 0.3, 0.75], [0, 0, 1, 1]])
    assert of.targets[0].classes.tolist() == [1, 0]
    assert len(of.targets[1]) == 0


def test_a_part_of_yolo_is_named_by_its_folder_of_images(tmp_path: Path) -> None:
    yolo(tmp_path, "0 0.5 0.5 1 1", part="/train")
    yolo(tmp_path, "1 0.5 0.5 1 1", part="/val")
    text(tmp_path / "data.yaml", "path: .", "names: [cat, 'dog']")
    of = found(tmp_path / "images/val")
    assert (of.names, of.labels, of.targets[0].classes.tolist()) == (("a.png", "b.png"), ("cat", "dog"), [1])
    assert found(text(tmp_path / "list.txt", "./images/train/b.png")).names == ("train/b.png",)


@pytest.mark.parametrize(
    "lines",
    [
        ["names:", "  0: cat", "  1: big dog", "nc: 2"],
        ["names:", "- cat", '- "big dog"'],
        ["nc: 2", "names: {0: cat, 1: 'big dog'}  # two"],
        ["names: [cat,", "  'big dog']", "train: images/train"],
    ],
)
def test_names_of_a_yaml_file_are_a_list_or_by_index(tmp_path: Path, lines: list[str]) -> None:
    text(tmp_path / "data.yaml", *lines)
    assert found(yolo(tmp_path, "0 0.5 0.5 1 1")).labels == ("cat", "big dog")


WRONG_YOLO = [
    (["0 0.1 0.1 0.2 0.2 0.3 0.3"], r"a\.txt, line 1 has 7 numbers, as outlines of objects have"),
    (["0 0.1 0.1 0.2"], r"line 1 has 4 numbers: five are wanted"),
    (["0 0.5 0.5 1 1", "2 0.5 0.5 1 1"], r"line 2 is of the class 2, and 2 classes have names"),
    (["0 20 10 5 5"], r"line 1 has 20: shares of the image are wanted"),
    (["0 nan 0.5 1 1"], r"line 1 has nan: shares of the image are wanted"),
    (["cat 0.5 0.5 1 1"], r"is 'cat 0\.5 0\.5 1 1': five numbers are wanted"),
]


@pytest.mark.parametrize(("lines", "sentence"), WRONG_YOLO)
def test_what_is_wrong_with_yolo_is_said(tmp_path: Path, lines: list[str], sentence: str) -> None:
    text(tmp_path / "classes.txt", "cat", "dog")
    with pytest.raises(DataError, match=sentence):
        read(yolo(tmp_path, *lines), "detection")


def test_names_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    yolo(tmp_path, "0 0.5 0.5 1 1")
    for line, sentence in (("nc: 2", "no entry 'names'"), ("names: [a: [b]]", r"'a: \[b\]' under 'names'")):
        text(tmp_path / "data.yaml", line)
        with pytest.raises(DataError, match=sentence):
            read(tmp_path, "detection")


def test_names_stand_beside_the_folders_with_the_files_or_beside_the_parts(tmp_path: Path) -> None:
    text(tmp_path / "classes.txt", "wrong")
    for root, place in (("a", "a"), ("b", "b/labels"), ("c/train", "c"), ("d", "d/labels/train/..")):
        part = "/train" if root == "d" else ""
        yolo(tmp_path / root, "0 0.5 0.5 1 1", part=part)
        text(tmp_path / place / "classes.txt", "cat")
        assert found(tmp_path / root / f"images{part}").labels == ("cat",), place
    assert found(yolo(tmp_path / "e", "0 0.5 0.5 1 1")).labels == ("0",)


def test_what_belongs_to_no_image_is_said(tmp_path: Path) -> None:
    text(yolo(tmp_path, "0 0.5 0.5 1 1") / "labels/c.txt", "0 0.5 0.5 1 1")
    with pytest.raises(DataError, match=r"1 file in .*labels belongs to no image in .*images, the first is c\.txt"):
        read(tmp_path, "detection")


def test_the_same_boxes_are_the_same_in_every_format(tmp_path: Path) -> None:
    """In whole pixels, of an image that its file has lying on its side."""
    rng, exif = np.random.default_rng(0), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    starts, sides = rng.integers(0, (30, 10), (9, 2)), rng.integers(1, 11, (9, 2))
    ends, classes = starts + sides, rng.integers(0, 3, 9)
    boxes = np.column_stack([starts, ends])
    for root in ("coco", "voc", "yolo"):
        (tmp_path / root / "images").mkdir(parents=True)
        Image.new("RGB", SIZE[::-1]).save(tmp_path / root / "images/a.jpg", exif=exif)
        text(tmp_path / root / "classes.txt", "a", "b", "c")
    listed = {
        "images": [{"id": "x", "file_name": "a.jpg", "width": 40, "height": 20}],
        "categories": [{"id": 5 * i, "name": name} for i, name in enumerate("abc")],
        "annotations": [
            {"image_id": "x", "category_id": 5 * int(of), "bbox": [*map(int, start), *map(int, side)]}
            for of, start, side in zip(classes, starts, sides, strict=True)
        ],
    }
    text(tmp_path / "coco/a.json", json.dumps(listed))
    objects = [("abc"[of], a + 1, b + 1, c, d, 0) for of, (a, b, c, d) in zip(classes, boxes.tolist(), strict=True)]
    text(tmp_path / "voc/annotations/a.xml", voc(*objects))
    shares = np.column_stack([(starts + ends) / 2, sides]) / [*SIZE, *SIZE]
    lines = [f"{of} {' '.join(map(repr, row.tolist()))}" for of, row in zip(classes, shares, strict=True)]
    text(tmp_path / "yolo/labels/a.txt", *lines)
    for place in ("coco/a.json", "voc", "yolo"):
        of = found(tmp_path / place)
        assert (of.labels, of.sizes, of.notes) == (("a", "b", "c"), (SIZE,), ())
        np.testing.assert_allclose(of.targets[0].corners * [*SIZE, *SIZE], boxes, atol=1e-9)
        np.testing.assert_array_equal(of.targets[0].classes, classes)


# --- masks


def masks(root: Path, values: object, *names: str) -> Path:
    picture(root / "images/a.png")
    (root / "masks").mkdir()
    Image.fromarray(np.asarray(values, np.uint8)).save(root / "masks/a.png")
    if names:
        text(root / "classes.txt", *names)
    return root


def field(value: int = 0) -> np.ndarray:
    pixels = np.zeros((20, 40), np.uint8)
    pixels[3, 5], pixels[:, 30:] = value, 255
    return pixels


@pytest.mark.parametrize(
    ("names", "labels", "value"),
    [
        ((), ("0", "1", "2"), 2),
        (("sky", "road", "car"), ("sky", "road", "car"), 2),
        (("0\tsky", "2\tcar\tthing", "255\tvoid"), ("sky", "car"), 1),  # values with gaps
    ],
)
def test_masks_hold_classes_by_place_or_by_value(
    tmp_path: Path, names: tuple[str, ...], labels: tuple[str, ...], value: int
) -> None:
    of = found(masks(tmp_path, field(2), *names), "segmentation")
    assert of.labels == labels
    np.testing.assert_array_equal(of.targets[0], field(value))
    assert of.targets.present == (frozenset({0, value}),)


def test_a_palette_and_equal_channels_are_values_too(tmp_path: Path) -> None:
    pixels = field(2)
    for place, image in enumerate((Image.fromarray(pixels), Image.merge("RGB", [Image.fromarray(pixels)] * 3))):
        root = masks(tmp_path / str(place), pixels)
        if not place:
            image.putpalette([*range(255, -1, -1)] * 3)
        image.save(root / "masks/a.png")
        np.testing.assert_array_equal(found(root, "segmentation").targets[0], pixels)


def test_255_may_be_a_class_where_it_has_a_name(tmp_path: Path) -> None:
    of = found(masks(tmp_path, field(), "0 background", "255 cell"), "segmentation")
    assert (of.labels, of.targets.present) == (("background", "cell"), (frozenset({0, 1}),))


def wrong_size(root: Path) -> Path:
    return masks(root, np.zeros((40, 20), np.uint8))


def colours(root: Path) -> Path:
    return masks(root, np.dstack([field(), field(), field(9)]))


def without(root: Path) -> Path:
    picture(root / "images/b.png")
    return masks(root, field())


WRONG_MASKS: list[tuple[Callable[[Path], Path], str]] = [
    (wrong_size, r"a\.png is 20 x 40, and its image is 40 x 20"),
    (colours, r"a\.png is a picture in colours \(RGB\), and a mask has one channel"),
    (without, r"1 image has no mask in .*masks, the first is b\.png"),
    (lambda root: masks(root, field(7), "a", "b"), r"a\.png has 1 pixel of the value 7, which no class has: add it"),
    (lambda root: masks(root, np.full((20, 40), 255)), r"no mask in .* has a pixel of a class: all are 255"),
    (lambda root: masks(root, field(), "1 a", "1 b"), r"names 1 twice"),
    (lambda root: masks(root, field(), "a", "a"), r"gives two classes the same name"),
]


@pytest.mark.parametrize(("make", "sentence"), WRONG_MASKS)
def test_what_is_wrong_with_masks_is_said(tmp_path: Path, make: Callable[[Path], Path], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read(make(tmp_path), "segmentation")


def test_a_list_names_images_and_masks(tmp_path: Path) -> None:
    root = without(tmp_path)
    assert found(text(root / "val.txt", "a"), "segmentation").names == ("a.png",)
    wrong = {"c": "line 1: 'c' is listed, and no image", "a\na": "lists a twice", "": "lists no image"}
    for lines, sentence in wrong.items():
        with pytest.raises(DataError, match=sentence):
            read(text(root / "val.txt", lines), "segmentation")


@pytest.mark.parametrize("beside", ["targets.csv", "test.json"])
def test_where_images_have_other_targets_too_a_mask_may_be_missing(tmp_path: Path, beside: str) -> None:
    root = without(tmp_path)
    text(root / beside, "file,x", "a.png,1")
    of = found(root, "segmentation")
    assert (of.targets[1] == 255).all()
    assert of.targets[1].shape == (20, 40)
    assert of.notes == (
        f"1 image has no mask in {root / 'masks'}, the first is b.png: nothing is known of their pixels.",
    )


def test_other_places_have_nothing(tmp_path: Path) -> None:
    picture(tmp_path / "cats/a.png")
    picture(tmp_path / "images/a.png")
    for task in ("detection", "segmentation"):
        assert read(tmp_path, task) is None
        assert read(tmp_path / "cats", task) is None


# --- real sets

PUBLISHED = {  # boxes of each class in train and val, as the sets' own notes count them
    "bccd": ({"RBC": 2381, "WBC": 214, "Platelets": 209}, {"RBC": 967, "WBC": 87, "Platelets": 83}),
    "roadsign": (
        {"speedlimit": 512, "crosswalk": 133, "trafficlight": 120, "stop": 61},
        {"speedlimit": 79, "crosswalk": 21, "trafficlight": 17, "stop": 9},
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_all_boxes_of_real_sets_are_read(realdata: Path, name: str) -> None:
    for part, expected in zip(("train", "val"), PUBLISHED[name], strict=True):
        of = found(realdata / "sets" / name / f"{part}.json")
        counts = np.bincount(np.concatenate([boxes.classes for boxes in of.targets]), minlength=len(of.labels))
        assert dict(zip(of.labels, counts.tolist(), strict=True)) == expected
        assert not of.notes
