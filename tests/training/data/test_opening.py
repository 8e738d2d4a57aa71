"""Data sets from each kind of place, and the split where nothing says which images choose."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from edgekit.annotations.boxes import Boxes
from edgekit.annotations.targets import BoxTargets
from edgekit.errors import DataError
from edgekit.training.data import opening
from edgekit.training.data.examples import array_examples
from edgekit.training.data.opening import Data, open_data, split
from edgekit.training.data.parts import reads

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.training.data.examples import Examples

RNG = np.random.default_rng(0)


def picture(path: Path, level: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (level, level // 256, 0)).save(path)


def classes(root: Path, count: int, names: Sequence[str] = ("cat", "dog"), first: int = 0) -> Path:
    for place, name in enumerate(names):
        for index in range(count):
            picture(root / name / f"{index}.png", first + place * count + index)
    return root


def arrays(path: Path, count: int, **others: object) -> Path:
    pixels = RNG.integers(0, 256, (count, 4, 4, 3), np.uint8)
    np.savez(path, images=pixels, labels=np.arange(count) % 2, **others)  # type: ignore[arg-type] # arrays of any kind
    return path


def of_class(data: Data, name: str) -> list[str]:
    return [
        image for image, target in zip(data.train.names, data.train.targets, strict=True) if data.labels[target] == name
    ]


def test_train_and_val_are_parts_and_test_is_left_alone(tmp_path: Path) -> None:
    classes(tmp_path / "train", 3, ("dog", "cat"))
    classes(tmp_path / "valid", 1, ("cat", "dog"), 50)
    classes(tmp_path / "test", 1, first=70)
    data = open_data(tmp_path)
    assert data.labels == ("cat", "dog")
    assert (len(data.train), len(data.validation)) == (6, 2)
    assert of_class(data, "dog") == ["dog/0.png", "dog/1.png", "dog/2.png"]
    assert data.validation.targets.tolist() == [0, 1]
    assert data.train.targets.dtype == np.int64
    assert data.notes == (f"{tmp_path / 'test'} is left alone: what chooses a network can no longer judge it.",)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    data = open_data(classes(tmp_path, 5, ("car", "train", "bus")))
    assert data.labels == ("bus", "car", "train")


def test_validation_may_lie_elsewhere(tmp_path: Path) -> None:
    data = open_data(classes(tmp_path / "a", 2), validation=classes(tmp_path / "b", 1, first=9))
    assert (len(data.train), len(data.validation), data.notes) == (4, 2, ())


def test_places_are_by_name_where_parts_have_other_classes(tmp_path: Path) -> None:
    classes(tmp_path / "train", 1, ("b", "c"))
    classes(tmp_path / "val", 1, ("a", "c"), 9)
    data = open_data(tmp_path)
    assert data.labels == ("b", "c", "a")
    assert data.validation.targets.tolist() == [2, 1]


def test_an_empty_class_keeps_its_place(tmp_path: Path) -> None:
    (classes(tmp_path / "train", 1, ("a", "c")) / "b").mkdir()
    data = open_data(classes(tmp_path, 0), validation=classes(tmp_path / "val", 1, ("a", "b", "c"), 9))
    assert data.labels == ("a", "b", "c")
    assert data.train.targets.tolist() == [0, 2]


def test_arrays_with_and_without_validation_beside_them(tmp_path: Path) -> None:
    train = arrays(tmp_path / "train.npz", 20)
    alone = open_data(train)
    assert (alone.labels, len(alone.train), len(alone.validation)) == (("0", "1"), 16, 4)
    arrays(tmp_path / "test.npz", 4)
    assert len(open_data(train).validation) == 4
    arrays(tmp_path / "val.npz", 6, classes=np.array(["cat", "dog"]))
    for path in (train, tmp_path):
        data = open_data(path)
        assert (data.labels, len(data.train), len(data.validation)) == (("cat", "dog"), 20, 6)
    array = data.train.array()
    assert array is not None
    np.testing.assert_array_equal(np.asarray(data.train.image(3)), array[3])


@pytest.mark.parametrize("names", [np.array(["a", "b"], object), np.array(["a", "a"]), np.array([["a", "b"]])])
def test_names_of_arrays_are_plain_texts(tmp_path: Path, names: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"the classes in .*a\.npz .*: save np\.array\(names\) of plain texts"):
        open_data(arrays(tmp_path / "a.npz", 4, classes=names))


def test_all_classes_have_names_or_none(tmp_path: Path) -> None:
    train = arrays(tmp_path / "train.npz", 4, classes=np.array(["a"]))
    with pytest.raises(
        DataError, match=r"train\.npz has an image of the class index 1, and 1 classes have names: name"
    ):
        open_data(train)
    arrays(train, 4, classes=np.array(["a", "b"]))
    np.savez(tmp_path / "val.npz", images=np.zeros((1, 4, 4, 3), np.uint8), labels=np.array([2]))
    with pytest.raises(DataError, match=r"val\.npz has an image of the class index 2, and 2 classes have names: name"):
        open_data(train)


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4, 5, 1)])
def test_grey_arrays_have_one_channel(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros(shape, np.uint8), labels=np.array([0, 1, 1]))
    array = open_data(tmp_path / "a.npz").train.array()
    assert array is not None
    assert array.shape[1:] == (4, 5, 1)


# --- lists, and numbers


def listed(path: Path, header: str, lines: Sequence[str]) -> Path:
    for index in range(len(lines)):
        picture(path.parent / f"{index}.png", index)
    path.write_text("\n".join([header, *(f"{index}.png,{line}" for index, line in enumerate(lines))]))
    return path


def test_a_list_names_classes_and_parts(tmp_path: Path) -> None:
    rows = ["dog,train", "cat,train", "cat,VAL", "dog,valid", "dog,test", "cow,train"]
    data = open_data(listed(tmp_path / "list.csv", "path,label,split", rows))
    assert data.labels == ("cat", "cow", "dog")
    assert (data.train.names, data.train.targets.tolist()) == (("0.png", "1.png", "5.png"), [2, 0, 1])
    assert (data.validation.names, data.validation.targets.tolist()) == (("2.png", "3.png"), [0, 2])
    assert data.notes[0].startswith("What split calls test (1 image) is left alone: ")
    elsewhere = open_data(tmp_path / "list.csv", validation=listed(tmp_path / "b/val.csv", "file,class_index", ["1"]))
    assert (len(elsewhere.train), elsewhere.validation.targets.tolist()) == (6, [1])


def test_lists_of_parts_lie_beside_each_other(tmp_path: Path) -> None:
    train = listed(tmp_path / "train.csv", "file,class_index", ["0", "2", "1"])
    listed(tmp_path / "val.csv", "file,class_index", ["2"])
    for path in (train, tmp_path):
        data = open_data(path)
        assert (data.labels, data.validation.targets.tolist()) == (("0", "1", "2"), [2])


def test_numbers_come_from_every_place_that_verification_reads(tmp_path: Path) -> None:
    rows = [f"{index / 4},{index}" for index in range(10)]
    places = [listed(tmp_path / "list.csv", "file,x,y", rows), tmp_path / "folder", tmp_path / "a.npz"]
    listed(tmp_path / "folder/targets.csv", "file,x,y", rows)
    targets = np.array([[index / 4, index] for index in range(10)])
    np.savez(places[2], images=RNG.integers(0, 256, (10, 4, 4, 3), np.uint8), targets=targets)
    for place in places:
        data = open_data(place, "regression")
        assert (data.labels, data.outputs) == (() if place.suffix == ".npz" else ("x", "y"), 2)
        assert data.train.targets.dtype == np.float32
        assert (len(data.train), len(data.validation)) == (8, 2)
        both = np.concatenate([data.train.targets, data.validation.targets])
        np.testing.assert_array_equal(both[np.argsort(both[:, 0])], targets)


def test_numbers_may_be_called_labels(tmp_path: Path) -> None:
    data = open_data(listed(tmp_path / "list.csv", "path,label,split", ["0.5,train", "2,val"]), "regression")
    assert (data.labels, data.train.targets.tolist()) == (("label",), [[0.5]])


def test_tags_are_0_or_1_or_unknown(tmp_path: Path) -> None:
    data = open_data(
        listed(tmp_path / "list.csv", "file,a,b,split", ["1,0,train", "-1,nan,train", "0,1,val"]), "tagging"
    )
    assert (data.task, data.labels, data.outputs) == ("tagging", ("a", "b"), 2)
    np.testing.assert_array_equal(data.train.targets, [[1, 0], [np.nan, np.nan]])


@pytest.mark.parametrize(
    ("task", "rows", "said"),
    [
        ("classification", ["0.5,train", "1,train"], "line 2: the label is '0.5', a class index"),
        ("tagging", ["1,train", "2,train"], r"the target of 1\.png for age is 2: 1 is wanted where an image has a tag"),
        ("classification", ["a,train", "b,tset"], "line 3: split is 'tset', and one of train, val, test, validation"),
        ("classification", ["a,val", "b,val"], "has no image whose split is train"),
        ("regression", ["1,train", "x,train"], r"the target of 1\.png is 'x', a number is wanted"),
    ],
)
def test_a_list_has_to_make_sense(tmp_path: Path, task: str, rows: list[str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        open_data(
            listed(tmp_path / "list.csv", f"file,{'label' if task == 'classification' else 'age'},split", rows), task
        )


def test_numbers_of_both_parts_have_to_be_the_same(tmp_path: Path) -> None:
    train = listed(tmp_path / "train.csv", "file,x", ["1", "2"])
    listed(tmp_path / "val.csv", "file,y", ["1"])
    with pytest.raises(DataError, match=r"val\.csv have other numbers: name their columns alike"):
        open_data(train, "regression")
    with pytest.raises(DataError, match="no numbers lie beside the images of"):
        open_data(classes(tmp_path / "folders", 2), "regression")


# --- the split


def test_one_in_five_of_each_class_is_held_out(tmp_path: Path) -> None:
    data = open_data(classes(tmp_path, 15, ("a", "b", "c")))
    assert np.bincount(data.validation.targets).tolist() == [3, 3, 3]
    assert np.bincount(data.train.targets).tolist() == [12, 12, 12]
    assert set(data.train.names).isdisjoint(data.validation.names)
    assert data.notes[0].startswith(
        "There is no validation part: the best checkpoint is chosen on 9 images of 45, one in 5 of each class, held"
    )


def many(levels: Sequence[int], targets: Sequence[int]) -> Examples:
    pixels = np.array(levels, np.uint8)[:, None, None, None]
    return array_examples([str(i) for i in range(len(levels))], np.array(targets), pixels)


def test_the_split_follows_from_content_alone() -> None:
    examples = many(range(40), [i % 4 for i in range(40)])
    _, held = split(examples)
    order = RNG.permutation(40)
    _, moved = split(examples.some(order.tolist()))
    assert sorted(order[moved].tolist()) == held
    assert split(examples, seed=1)[1] != held


def test_equal_images_stay_together() -> None:
    examples = many([i // 4 for i in range(40)], [0] * 40)
    train, held = split(examples)
    assert {examples.digests[i] for i in train}.isdisjoint(examples.digests[i] for i in held)
    assert len(held) == 8


def test_few_images_are_split_so_that_both_parts_have_some() -> None:
    train, held = split(many([1, 2, 3, 4, 4], [0, 0, 1, 2, 2]))
    assert len(held) == 1
    assert {2, 3, 4} < set(train)


def test_of_many_images_a_smaller_share_is_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "MOST_HELD_OUT", 4)
    _, held = split(many(range(80), [i % 2 for i in range(80)]))
    assert len(held) == 4


def test_some_examples_are_as_many_of_each_class_as_there_are() -> None:
    examples = many(range(40), [0] * 30 + [1] * 7 + [2] * 3)
    found = examples.spread(12)
    assert np.bincount(examples.targets[found]).tolist() == [5, 4, 3]
    assert found == sorted(found)
    assert examples.spread(100) == list(range(40))


# --- what is known of a data set


def test_the_digest_is_that_of_content_and_targets(tmp_path: Path) -> None:
    first = open_data(classes(tmp_path / "a", 5)).digest
    assert open_data(classes(tmp_path / "b", 5)).digest == first
    (tmp_path / "b/cat").rename(tmp_path / "b/cow")
    assert open_data(tmp_path / "b").digest != first
    (tmp_path / "a/cat/0.png").rename(tmp_path / "a/dog/x.png")
    assert open_data(tmp_path / "a").digest != first


def test_images_are_kept_in_memory_where_all_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = classes(tmp_path, 5)  # 10 images of 4 x 4 pixels, 4 bytes each
    for most, kept in ((640, True), (639, False)):
        monkeypatch.setattr(opening, "HELD_BYTES", most)
        examples = open_data(root).train
        assert (examples.image(0) is examples.image(0)) is kept


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda root: picture(classes(root, 1) / "stray.png", 7), r"nothing says of what class stray\.png is: put"),
        (
            lambda root: np.savez(root / "train.npz", images=np.zeros((2, 4, 4, 3), np.uint8)),
            r"class images in .*train\.npz are",
        ),
        (lambda root: None, "there is no image"),
    ],
)
def test_what_says_nothing_of_classes_is_refused(tmp_path: Path, make: object, said: str) -> None:
    make(tmp_path)  # type: ignore[operator] # a function
    with pytest.raises(DataError, match=said):
        open_data(tmp_path)


# --- boxes and masks


def listed_boxes(path: Path, images: Sequence[int], categories: Sequence[str] = ("cat", "dog"), every: int = 1) -> Path:
    """COCO's JSON: image i shows one object, of class i modulo the number of these, if it is one in ``every``."""
    for index in images:
        picture(path.parent / f"images/{index}.png", index)
    annotations = [
        {"image_id": i, "category_id": i % len(categories), "bbox": [0, 0, 1 + i % 3, 2]}
        for i in images
        if i % every == 0
    ]
    content = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in images],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in enumerate(categories)],
    }
    path.write_text(json.dumps(content))
    return path


def with_masks(root: Path, images: Sequence[int], part: str = "") -> None:
    for index in images:
        picture(root / f"images{part}/{index}.png", index)
        (root / f"masks{part}").mkdir(parents=True, exist_ok=True)
        mask = np.full((4, 4), 255 if index % 2 else 0, np.uint8)
        mask[0, 0] = index % 3
        Image.fromarray(mask).save(root / f"masks{part}/{index}.png")


def test_boxes_of_train_and_val_share_their_classes_by_name(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    listed_boxes(tmp_path / "train.json", range(6))
    listed_boxes(tmp_path / "valid.json", range(10, 13), ("owl", "dog", "cat"))
    (tmp_path / "test.json").write_text("not read")
    for path in (tmp_path, tmp_path / "train.json"):
        data = open_data(path, "detection")
        assert (data.labels, data.outputs) == (("cat", "dog", "owl"), 3)
        assert data.validation.names == ("10.png", "11.png", "12.png")
        assert [boxes.classes.tolist() for boxes in data.validation.targets] == [[1], [0], [2]]
        assert data.notes == (
            f"{tmp_path / 'test.json'} is left alone: what chooses a network can no longer judge it.",
        )


def test_parts_of_boxes_lie_wherever_their_formats_have_them(tmp_path: Path) -> None:
    yolo, voc = tmp_path / "yolo", tmp_path / "voc"
    for part, index in (("train", 0), ("val", 3)):
        picture(yolo / f"images/{part}/{index}.png", index)
        (yolo / f"labels/{part}").mkdir(parents=True)
        (yolo / f"labels/{part}/{index}.txt").write_text("0 0.5 0.5 1 1")
        picture(voc / f"JPEGImages/{index}.png", index)
        (voc / "ImageSets/Main").mkdir(parents=True, exist_ok=True)
        (voc / f"ImageSets/Main/{part}.txt").write_text(f"{index}\n")
        (voc / "Annotations").mkdir(exist_ok=True)
        (voc / f"Annotations/{index}.xml").write_text("<annotation/>")
        (tmp_path / f"coco/{part}2017").mkdir(parents=True)
        (tmp_path / "coco/annotations").mkdir(exist_ok=True)
        listed = listed_boxes(tmp_path / f"coco/annotations/instances_{part}2017.json", [index])
        (tmp_path / f"coco/annotations/images/{index}.png").rename(tmp_path / f"coco/{part}2017/{index}.png")
        assert listed.is_file()
        (tmp_path / f"robo/{part}").mkdir(parents=True)
        listed_boxes(tmp_path / f"robo/{part}/_annotations.coco.json", [index])
    for kind in ("yolo", "voc", "coco", "robo"):
        data = open_data(tmp_path / kind, "detection")
        assert (data.train.names, data.validation.names) == (("0.png",), ("3.png",)), kind


def test_images_with_masks_that_nothing_divides_are_held_out_by_content(tmp_path: Path) -> None:
    with_masks(tmp_path, range(30))
    data = open_data(tmp_path, "segmentation")
    assert (data.labels, len(data.train), len(data.validation)) == (("0", "1", "2"), 24, 6)
    (note,) = data.notes
    assert note.startswith(
        "There is no validation part: the best checkpoint is chosen on 6 images of 30, one in 5 of each class, held"
    )
    for part in (data.train, data.validation):
        for name, mask in zip(part.names, part.targets, strict=True):
            assert mask[0, 0] == int(name[:-4]) % 3
    with_masks(tmp_path / "parts", range(4), "/train")
    with_masks(tmp_path / "parts", range(4, 6), "/val")
    assert len(open_data(tmp_path / "parts", "segmentation").validation) == 2


def test_an_image_counts_for_the_rarest_of_what_it_shows() -> None:
    boxes = [Boxes.of([[0, 0, 1, 1]] * len(of), of) for of in ([0, 1], [0], [], [1, 0, 0], [0, 2])]
    examples = array_examples("abcde", BoxTargets(boxes), np.zeros((5, 4, 4, 3), np.uint8))
    assert examples.classes() == {-1: [2], 0: [1], 1: [0, 3], 2: [4]}
    assert [of.classes.tolist() for of in examples.some([4, 1]).targets] == [[0, 2], [0]]


def test_the_digest_goes_by_boxes_and_masks(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    path = listed_boxes(tmp_path / "list.json", range(9))
    first = open_data(path, "detection").digest
    path.write_text(path.read_text().replace("[0, 0, 1, 2]", "[0, 0, 2, 2]"))
    assert open_data(path, "detection").digest != first
    with_masks(tmp_path / "masked", range(9))
    first = open_data(tmp_path / "masked", "segmentation").digest
    assert open_data(tmp_path / "masked", "segmentation").digest == first
    Image.new("L", (4, 4), 1).save(tmp_path / "masked/masks/4.png")
    assert open_data(tmp_path / "masked", "segmentation").digest != first


def several(root: Path, rows: Sequence[str]) -> Path:
    """Six images with boxes; two of them have masks, and some numbers."""
    (root / "images").mkdir(parents=True)
    listed_boxes(root / "train.json", range(6))
    listed_boxes(root / "val.json", range(6, 9), ("dog", "cat"))
    with_masks(root / "masked", (0, 7))
    (root / "masked/masks").rename(root / "masks")
    (root / "targets.csv").write_text("\n".join(["file,red,green", *rows]))
    return root


def test_several_tasks_are_all_that_lies_beside_images(tmp_path: Path) -> None:
    data = open_data(several(tmp_path, ["images/0.png,1,-1", "2.png,0,1", "8.png,0,0"]), "several")
    assert (len(data.train), len(data.validation), data.outputs) == (6, 3, 2 + 2 + 2)
    assert data.labels == ("cat", "dog", "0", "1", "red", "green")
    boxes, masks, tags = data.validation.targets.parts
    assert [part.task for part in (boxes, masks, tags)] == ["detection", "segmentation", "tagging"]
    assert [own.classes.tolist() for own in boxes.targets] == [[1], [0], [1]]  # called as those of training
    assert masks.targets.present == (frozenset(), frozenset({1}), frozenset())
    np.testing.assert_array_equal(tags.targets, [[np.nan] * 2, [np.nan] * 2, [0, 0]])
    np.testing.assert_array_equal(data.train.targets.parts[2].targets[[0, 2]], [[1, np.nan], [0, 1]])
    assert any(note.startswith("5 images have no mask in ") for note in data.notes)
    assert "targets.csv holds 0, 1 and -1 alone, so its columns are tags." in data.notes
    assert data.train.targets.present[0] == {0, 2, 4}  # a cat, the class 0 of masks, and red
    alone = {part.task: part for part in data.each}
    assert {name: (len(part.train), len(part.validation)) for name, part in alone.items()} == {
        "detection": (6, 3),
        "segmentation": (6, 3),
        "tagging": (2, 1),
    }
    first = data.digest
    (tmp_path / "targets.csv").write_text("file,red,green\n0.png,0,1\n8.png,0,0")
    assert open_data(tmp_path, "several").digest != first


def test_a_column_of_words_is_the_class_of_images(tmp_path: Path) -> None:
    several(tmp_path, [])
    table = tmp_path / "targets.csv"
    table.write_text("file,split,sky,red\n0.png,,rain,1\n1.png,,,0\n3.png,,clear,1\n7.png,,rain,\n8.png,,hail,0")
    parts = open_data(tmp_path, "several").validation.targets.parts
    (tags,) = (part for part in parts if part.task == "tagging")  # an image is not in the table, and a cell is empty
    np.testing.assert_array_equal(tags.targets, [[np.nan], [np.nan], [0]])
    table.write_text("file,sky\n0.png,rain\n1.png,\n3.png,clear\n7.png,rain\n8.png,hail")
    data = open_data(tmp_path, "several")
    assert data.labels == ("cat", "dog", "0", "1", "clear", "rain", "hail")
    learned, choosing = (part.targets.parts[2] for part in (data.train, data.validation))
    assert (learned.task, learned.labels) == ("classification", ("clear", "rain", "hail"))
    assert (learned.targets.tolist(), choosing.targets.tolist()) == ([1, -1, -1, 0, -1, -1], [-1, 1, 2])
    assert data.train.targets.present[0] == {0, 2, 5}
    assert data.outputs == 2 + 2 + 3
    assert [(part.task, len(part.train), part.outputs) for part in data.each][2] == ("classification", 2, 3)
    assert "targets.csv holds words in sky, which are the classes of images." in data.notes
    table.write_text("file,sky,road\n0.png,rain,wet\n8.png,hail,dry")
    with pytest.raises(DataError, match="words in several columns, sky, road"):
        open_data(tmp_path, "several")
    table.write_text("file,sky\n0.png,rain\n8.png,1")
    with pytest.raises(DataError, match=r"the target of 0\.png is 'rain', a number is wanted"):
        open_data(tmp_path, "several")


def test_several_tasks_are_the_same_ones_in_both_parts(tmp_path: Path) -> None:
    several(tmp_path, ["0.png,0.5,2", "7.png,1,1"])
    with pytest.raises(DataError, match=r"train\.json serves .*, regression, and .*val\.json .*, tagging: both need"):
        open_data(tmp_path, "several")
    alone = listed_boxes(tmp_path / "masked/only.json", range(3))
    with pytest.raises(DataError, match="only detection is served"):
        open_data(alone, "several")
    with pytest.raises(DataError, match="neither boxes nor masks lie beside"):
        open_data(classes(tmp_path / "classes", 2), "several")


def test_a_run_beside_listed_images_is_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    listed_boxes(tmp_path / "train.json", range(2))
    assert not reads(tmp_path, "detection", tmp_path / "runs")
    assert reads(tmp_path, "classification", tmp_path / "runs")


def test_where_nothing_of_the_task_lies_it_is_said(tmp_path: Path) -> None:
    classes(tmp_path, 2)
    for task, lacked, wanted in (
        ("detection", "boxes", "COCO's JSON"),
        ("segmentation", "masks", "masks of the same names"),
    ):
        with pytest.raises(
            DataError, match=f"has a folder for each class .*, and no {lacked}: .* for {task} put {wanted}"
        ):
            open_data(tmp_path, task)
        with pytest.raises(DataError, match="nowhere does not exist"):
            open_data(tmp_path / "nowhere", task)
    (tmp_path / "coco" / "images").mkdir(parents=True)
    listed_boxes(tmp_path / "coco" / "train.json", range(2))
    with pytest.raises(DataError, match="add --task detection"):
        open_data(tmp_path / "coco" / "train.json")
