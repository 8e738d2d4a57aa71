"""Boxes as COCO has them: one JSON file with the lists images, annotations and categories.

``bbox`` is left, top, width and height in pixels from 0. Classes are the categories in the order of their ids, which
may have gaps. Source: cocodataset.org, "Data format", and pycocotools/coco.py.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from edgekit.annotations.annotated import Annotated, sizes
from edgekit.annotations.settling import Settling
from edgekit.annotations.targets import BoxTargets
from edgekit.errors import DataError
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_LISTS = {
    "images": ("id", "file_name"),
    "annotations": ("image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}


def read(path: Path) -> Annotated:
    """The images of a file, in its order, and their boxes.

    An image without annotations shows background alone. The images may lie in ``images/`` beside the file, beside it,
    or in a folder that its name ends in, as COCO's own ``train2017/`` beside ``annotations/``.

    Raises:
        DataError: it is none, or contradicts itself or the images; the message says what and where.
        OSError: it cannot be read.
    """
    lists = _lists(path)
    categories = sorted(lists["categories"], key=lambda category: _whole(path, category, "id", "a category"))
    if not categories:
        raise DataError(f"{path} names no category: add the classes to its list 'categories'")
    _once(path, "categories", [category["id"] for category in categories])
    _once(path, "categories", [category["name"] for category in categories], "name")
    place = {category["id"]: index for index, category in enumerate(categories)}
    images = lists["images"]
    _once(path, "images", [image["id"] for image in images])
    names = [str(image["file_name"]) for image in images]
    _once(path, "images", names, "file_name")
    paths = _paths(path, names)
    of_image = defaultdict(list)
    for number, annotation in enumerate(lists["annotations"]):
        if annotation["category_id"] not in place:
            raise DataError(
                f"{path}: annotation {annotation.get('id', number)} is of the category {annotation['category_id']!r}, "
                f"which is none of {', '.join(map(str, place))}: add it to 'categories', or correct the annotation"
            )
        of_image[annotation["image_id"]].append((number, annotation))
    _no_strangers(path, of_image, {image["id"] for image in images})

    settling = Settling(f"of {path}")
    boxes = []
    shapes = sizes(paths)
    for image, name, size in zip(images, names, shapes, strict=True):
        stated = _stated(path, image)
        if size is not None and stated is not None and stated != size:
            raise DataError(
                f"{path} says that {name} is {stated[0]} x {stated[1]}, and it is {size[0]} x {size[1]}: its boxes "
                f"belong to another image, or to one before it was resized or turned"
            )
        if (known := size or stated) is None:
            raise DataError(f"{name}, which {path} lists, is no image: replace it")
        found = of_image[image["id"]]
        corners = [_corners(path, number, annotation) for number, annotation in found]
        classes = [place[annotation["category_id"]] for _, annotation in found]
        crowd = [bool(annotation.get("iscrowd", 0)) for _, annotation in found]
        boxes.append(settling.boxes(name, known, corners, classes, crowd))
    labels = tuple(str(category["name"]) for category in categories)
    return Annotated(tuple(names), tuple(paths), shapes, BoxTargets(boxes), labels, settling.notes())


def images_of(path: Path) -> tuple[Sequence[str], Sequence[Path]]:
    """Names and paths of the images of a file, in its order.

    Raises:
        DataError: see ``read``.
        OSError: likewise.
    """
    names = [str(image["file_name"]) for image in _lists(path)["images"]]
    return names, _paths(path, names)


def _lists(path: Path) -> Mapping[str, list[dict[str, Any]]]:
    """The three lists, with all that each of their entries needs."""
    try:
        values = json.loads(path.read_text("utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} is no JSON: {error}") from error
    for name, keys in _LISTS.items():
        entries = values.get(name) if isinstance(values, dict) else None
        if not isinstance(entries, list):
            raise DataError(f"{path} has no list {name!r}: a JSON file as COCO has them is wanted")
        for number, entry in enumerate(entries):
            missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if missing:
                raise DataError(f"{path}: entry {number} of {name!r} has no {missing[0]!r}")
            odd = [key for key in keys if key.endswith("id") and not isinstance(entry[key], int | str)]
            if odd:
                raise DataError(
                    f"{path}: entry {number} of {name!r} has {entry[odd[0]]!r} as {odd[0]}: a number is wanted"
                )
    found: Mapping[str, list[dict[str, Any]]] = values
    return found


def _stated(path: Path, image: Mapping[str, Any]) -> tuple[int, int] | None:
    """(Width, height) of an image as the file has it."""
    if "width" not in image or "height" not in image:
        return None
    return _whole(path, image, "width", "an image"), _whole(path, image, "height", "an image")


def _whole(path: Path, entry: Mapping[str, Any], key: str, what: str) -> int:
    value = entry[key]
    if not isinstance(value, int):
        raise DataError(f"{path}: the {key} of {what} is {value!r}: a whole number is wanted")
    return value


def _once(path: Path, where: str, values: Sequence[Any], key: str = "id") -> None:
    """Refuse what is there twice."""
    seen = set()
    for value in values:
        if value in seen:
            raise DataError(f"{path}: two entries of {where!r} have the {key} {value!r}: keep one, or correct it")
        seen.add(value)


def _no_strangers(path: Path, of_image: Mapping[Any, Sequence[tuple[int, Any]]], known: set[Any]) -> None:
    """Refuse annotations of images that are not listed."""
    strange = [image for image in of_image if image not in known]
    if strange:
        number = sum(len(of_image[image]) for image in strange)
        raise DataError(
            f"{path}: {count(number, 'annotation')} of the image {strange[0]!r}{' and others' * (len(strange) > 1)}, "
            f"which 'images' does not list: add the image, or remove what is said of it"
        )


def _corners(path: Path, number: int, annotation: Mapping[str, Any]) -> tuple[float, float, float, float]:
    values = annotation["bbox"]
    are_numbers = isinstance(values, list) and all(
        type(value) in {int, float} and math.isfinite(value) for value in values
    )
    if not are_numbers or len(values) != 4:
        raise DataError(
            f"{path}: the bbox of annotation {annotation.get('id', number)} is {values!r}: four numbers are wanted, "
            f"[left, top, width, height]"
        )
    left, top, width, height = values
    return left, top, left + width, top + height


def _paths(path: Path, names: Sequence[str]) -> list[Path]:
    """Where the images lie."""
    if not names:
        raise DataError(f"{path} lists no image")
    folder, split = path.parent, path.stem.rsplit("_", 1)[-1]
    places = [folder / "images", folder, folder / "images" / split, folder.parent / split]
    places += [folder.parent / "images", folder.parent / "images" / split, folder.parent]
    root = next((place for place in places if (place / names[0]).is_file()), None)
    if root is None:
        raise DataError(
            f"{names[0]}, which {path} lists, is neither in {folder / 'images'} nor in {folder}: put the images there"
        )
    paths = [root / name for name in names]
    missing = [name for name, there in zip(names, paths, strict=True) if not there.is_file()]
    if missing:
        raise DataError(
            f"{count(len(missing), 'image')} that {path} lists {'is' if len(missing) == 1 else 'are'} not in {root}, "
            f"the first is {missing[0]}: add what is missing, or remove it from the list"
        )
    return paths
