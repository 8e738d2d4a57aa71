"""What is wrong with images is found before training, and refused where nothing else makes sense."""

from __future__ import annotations

import io
import re
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from edgekit.annotations.boxes import Boxes
from edgekit.annotations.targets import BoxTargets, MaskTargets
from edgekit.errors import DataError
from edgekit.training.data.examples import Examples, array_examples, file_examples
from edgekit.training.data.likeness import look, twins
from edgekit.training.data.opening import Data
from edgekit.training.data.problems import find

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIZE = (32, 32)


def scene(seed: int, side: int = 40) -> Image.Image:
    """Something with large shapes, as photos have them."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def part(seeds: Sequence[int], targets: Sequence[int], side: int = 40) -> Examples:
    pixels = np.stack([np.asarray(scene(seed, side)) for seed in seeds])
    return array_examples([f"{seed}.png" for seed in seeds], np.array(targets, np.int64), pixels)


def data(
    train: Examples, validation: Examples, labels: Sequence[str] = ("cat", "dog"), task: str = "classification"
) -> Data:
    return Data(task, train, validation, tuple(labels), (), "")


GOOD = data(part(range(8), [0, 1] * 4), part(range(20, 24), [0, 1] * 2))


def sentences(found: Data, **options: object) -> list[str]:
    return [problem.sentence for problem in find(found, SIZE, **options)]  # type: ignore[arg-type] # as find has them


def test_nothing_is_wrong_with_good_data_and_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    assert find(GOOD, SIZE, progress=lambda *step: told.append(step)) == ()
    assert told == [("looking at images", *done) for done in ((0, 8), (8, 8), (0, 4), (4, 4))]


def test_images_that_cannot_be_used_are_counted_and_named(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.jpg" for i in range(6)]
    for index, path in enumerate(paths):
        scene(index).save(path)
    paths[1].write_bytes(paths[1].read_bytes()[:-200])
    paths[2].write_text("no image")
    paths[3].unlink()
    Image.new("F", (4, 4)).save(paths[4], "TIFF")
    examples = file_examples([path.name for path in paths], np.array([0, 1] * 3), paths)
    with pytest.raises(
        DataError, match=r"4 images cannot be used \(1\.jpg: .*; 2\.jpg: it is no image; 3\.jpg: No such file"
    ) as caught:
        find(data(examples, GOOD.validation), SIZE)
    assert str(caught.value).endswith("…): replace or remove them.")
    for good in (examples, examples.held()):
        with pytest.raises(DataError, match="4 images"):
            find(data(good, GOOD.validation), SIZE)


@pytest.mark.parametrize(
    ("train", "validation", "labels", "said"),
    [
        ([0, 0, 0], [0], ("cat",), r"All images are of one class \(cat\), so nothing is told apart"),
        ([0, 1, 0], [0, 1], ("cat", "dog", "cow"), "There is no image of cow: add some, or remove the class"),
        ([0, 1, 0], [0, 2], ("cat", "dog", "cow"), "Only validation has images of cow, .* the two parts need the same"),
    ],
)
def test_classes_that_leave_nothing_to_learn_are_refused(
    train: list[int], validation: list[int], labels: tuple[str, ...], said: str
) -> None:
    found = data(part(range(len(train)), train), part(range(20, 20 + len(validation)), validation), labels)
    with pytest.raises(DataError, match=said):
        find(found, SIZE)


def test_without_an_image_that_chooses_nothing_is_trained() -> None:
    with pytest.raises(DataError, match="There are 2 images and no two of one class, so none can be held out"):
        find(data(part([0, 1], [0, 1]), GOOD.validation.some([])), SIZE)


def test_classes_that_are_hardly_there_are_told() -> None:
    (told,) = sentences(data(part(range(4), [0, 1, 2, 1]), part([20, 21], [0, 1]), ("cat", "dog", "cow")))
    assert told == "Validation has no image of cow, so nothing shows whether these are learned: add some."
    (told,) = sentences(data(part(range(20), [0] * 19 + [1]), part([30, 31], [0, 1])))
    assert told.startswith("95 % of the training images are cat, and a network that always answers so would be right")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("dog", "cat"), "has the same classes in another order, dog, cat, than the images, cat, dog"),
        (("cat", "dog", "cow"), r"tells cat, dog, cow apart \(3\), and the images cat, dog \(2\)"),
        (("a", "b"), r"tells a, b apart \(2\), and the images cat, dog \(2\)"),
    ],
)
def test_labels_of_another_network_are_refused(names: tuple[str, ...], said: str) -> None:
    assert sentences(GOOD, names=("Cat", "n02084071 dog")) == []
    with pytest.raises(DataError, match=f"The network {said}: train it with a new last layer"):
        find(GOOD, SIZE, names=names)


def test_images_that_are_much_too_small_are_told() -> None:
    assert find(GOOD, (80, 80)) == ()
    (told,) = find(GOOD, (96, 96))
    assert "12 of 12 images are smaller than half of the network's 96 x 96 (the smallest is 40 x 40)" in told.sentence
    assert told.sentence.endswith("train with --resolution 32 or so.")


def test_images_in_both_parts_are_told_and_refused_where_they_are_most() -> None:
    both = data(GOOD.train, part([3, 21, 22, 23], [1, 1, 0, 1]))
    (told,) = sentences(both)
    assert told.startswith(
        "Training sees 1 of the 4 validation images, too, or nearly the same (to the byte, as 3.png and 3.png)"
    )
    with pytest.raises(DataError, match="Training sees 3 of the 4 validation images"):
        find(data(GOOD.train, part([3, 4, 5, 23], [1, 0, 1, 1])), SIZE)
    told, torn = sentences(data(GOOD.train, part([3, 21, 22, 23], [0, 1, 0, 1])))
    assert torn == "3.png and 3.png are the same to the byte, and of two classes: decide for one."


def test_what_was_compressed_resized_or_lightened_is_found_again_and_nothing_else() -> None:
    scenes = [scene(seed, 64) for seed in range(30)]

    def compressed(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=50)
        return Image.open(io.BytesIO(buffer.getvalue()))

    def seen(images: Sequence[Image.Image]) -> np.ndarray:
        pixels = np.stack([np.asarray(image) for image in images])
        return look(array_examples(["x"] * len(images), np.zeros(len(images)), pixels), lambda *_: None).grey

    ours = seen(scenes)
    for change in (
        compressed,
        lambda image: image.resize((30, 30)),
        lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    ):
        assert twins(ours, seen([change(image) for image in scenes])) == [(i, i) for i in range(30)]
    assert twins(ours, seen([scene(seed, 64) for seed in range(100, 400)])) == []
    assert twins(np.zeros((3, 8, 9), np.uint8), np.zeros((2, 8, 9), np.uint8)) == []  # one grey says nothing


def with_numbers(images: Examples, targets: np.ndarray) -> Examples:
    pixels = images.array()
    assert pixels is not None
    return array_examples(images.names, targets, pixels)


def test_numbers_have_to_be_numbers_and_to_differ() -> None:
    targets = np.arange(16, dtype=np.float32).reshape(8, 2)
    validation = with_numbers(GOOD.validation, targets[:4])
    still = with_numbers(GOOD.train, targets * (1, 0))
    (told,) = sentences(data(still, validation, ("x", "y"), "regression"))
    assert told.startswith("y is the same for all training images, so nothing is learned of it")
    targets[2] = np.nan
    with pytest.raises(DataError, match=r"In training, the target of 2\.png is no number"):
        find(data(with_numbers(GOOD.train, targets), validation, (), "regression"), SIZE)


def test_tags_have_to_occur_and_not_always() -> None:
    tags = np.array([[1, 1, np.nan], [0, 1, 0]] * 4, np.float32)
    told = sentences(data(with_numbers(GOOD.train, tags), with_numbers(GOOD.validation, tags[:4]), "abc", "tagging"))
    assert told == [
        "No training image has c, so nothing is learned of it: add some, or leave it out.",
        "No training image is known to lack b, so nothing is learned of it: add some, or leave it out.",
    ]


# --- boxes and masks


def with_boxes(seeds: Sequence[int], *of_images: Sequence[tuple[int, float]]) -> Examples:
    """Images with boxes: of each the class, and how much of the width and height it takes."""
    boxes = [Boxes.of([[0, 0, side, side] for _, side in of], [index for index, _ in of]) for of in of_images]
    return array_examples([f"{seed}.png" for seed in seeds], BoxTargets(boxes), np.stack([_pixels(s) for s in seeds]))


def with_masks(seeds: Sequence[int], *present: Sequence[int]) -> Examples:
    masks = MaskTargets.of([partial(np.array, [of], np.uint8) for of in present])
    return array_examples([f"{seed}.png" for seed in seeds], masks, np.stack([_pixels(s) for s in seeds]))


def _pixels(seed: int) -> np.ndarray:
    return np.asarray(scene(seed))


LABELS = ("cat", "dog", "owl")
BOTH = [(0, 0.5), (1, 0.5), (2, 0.5)]


@pytest.mark.parametrize(
    ("train", "validation", "expected"),
    [
        (([*BOTH], [(1, 0.5)]), (BOTH, []), None),
        ((BOTH, []), (BOTH, []), r"1 of 2 training images have no box \(the first is 1\.png\) and show background"),
        (([(0, 0.5)], [(1, 0.5)]), (BOTH, []), "Only validation shows owl, so nothing is learned of that"),
        ((BOTH, BOTH), ([(0, 0.5)], [(2, 0.5)]), "No validation image shows dog, so nothing shows whether"),
        (([(0, 0.5)], [(2, 0.5)]), ([(0, 0.5)], [(2, 0.5)]), "No image shows dog, so nothing is learned of that"),
        (([*BOTH, (0, 0.5)], BOTH), (BOTH, []), r"1 image \(0\.png\) has a box of the same class twice"),
        (
            ([*BOTH, (0, 0.1)], [(1, 0.2)]),
            (BOTH, []),
            r"2 of 5 boxes are smaller than 8 x 8 pixels of the network's 32",
        ),
    ],
)
def test_what_is_wrong_with_boxes(
    train: Sequence[Sequence[tuple[int, float]]],
    validation: Sequence[Sequence[tuple[int, float]]],
    expected: str | None,
) -> None:
    found = sentences(data(with_boxes((0, 1), *train), with_boxes((20, 21), *validation), LABELS, "detection"))
    assert len(found) == (expected is not None)
    assert expected is None or re.match(expected, found[0])


def test_images_of_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="No training image has a box"):
        find(data(with_boxes((0, 1), [], []), with_boxes((20, 21), [], BOTH), LABELS, "detection"), SIZE)
    with pytest.raises(DataError, match=r"All pixels of the training masks are of one class \(dog\)"):
        find(data(with_masks((0, 1), [1], [1, 255]), with_masks((20,), [0, 1]), LABELS, "segmentation"), SIZE)


def test_what_is_wrong_with_masks() -> None:
    found = sentences(data(with_masks((0, 1), [0], [1, 255]), with_masks((20,), [0, 2]), LABELS, "segmentation"))
    assert [sentence.split(",")[0] for sentence in found] == [
        "Only validation shows owl",
        "No validation image shows dog",
    ]
