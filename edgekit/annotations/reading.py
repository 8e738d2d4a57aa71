"""From a place to its images and what lies beside them.

=============  =======================================================================================================
task           what is read
=============  =======================================================================================================
detection      a JSON file as COCO has them, or a folder that holds one; ``Annotations/*.xml`` as PASCAL VOC has them
               beside ``JPEGImages/`` (or ``images/``); ``labels/*.txt`` as YOLO has them beside ``images/``
segmentation   masks in ``masks/``, ``labels/``, ``annotations/`` or ``SegmentationClass/`` beside ``images/`` (or
               ``JPEGImages/``)
=============  =======================================================================================================

Of a folder beside images, the folder that holds both can be named, the folder of images, or one in it, as
``images/val``; or a text file that lists images of it, as ``val.txt`` beside ``images/`` or ``ImageSets/Main/val.txt``.
``naming`` says where names of classes may stand.

Every image has a mask, or else images also come with boxes or with a ``targets.csv`` (``tasks.tables``): then an image
may lack some of these, and of its pixels nothing is known. Images without boxes show background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgekit.annotations import coco, masks, naming, voc, yolo
from edgekit.annotations.places import Pairs, listed_images, pairs
from edgekit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edgekit.annotations.annotated import Annotated

JSON: Final = ".json"
LIST: Final = ".txt"
TABLE: Final = "targets.csv"  # of numbers, beside images
DETECTION: Final = "detection"
SEGMENTATION: Final = "segmentation"
_HELD_OUT: Final = ("val", "validation", "test")  # what networks are measured on, so what is meant where many lie
TASKS: Final = (DETECTION, SEGMENTATION)  # those whose targets lie beside images so


def read(source: Path, task: str) -> Annotated | None:
    """The images of a place, with their targets; None where nothing of the task lies there.

    Args:
        source: see the module.
        task: one of ``TASKS``.

    Raises:
        DataError: what lies there contradicts itself; the message says what and where.
    """
    try:
        return _read(source, task)
    except OSError as error:
        raise DataError(f"cannot read {error.filename or source}: {error.strerror or error}") from error


def images_of(source: Path) -> tuple[Sequence[str], Sequence[Path]] | None:
    """Names and paths of the images that ``read`` would give, whatever the task; None where it is no such place.

    Of a folder of images, which is one by itself, nothing is said.

    Raises:
        DataError: a list of images cannot be used.
        OSError: something cannot be read.
    """
    if source.suffix.lower() == JSON:
        return coco.images_of(source)
    if not source.is_dir() and source.suffix.lower() != LIST:
        return None
    if source.is_dir() and not any(
        pairs(source, folders, suffixes) for of in _BESIDE.values() for folders, suffixes, _ in of
    ):
        return None
    return listed_images(source)


def _read(source: Path, task: str) -> Annotated | None:
    if source.suffix.lower() == JSON:
        return coco.read(source) if task == DETECTION else _beside(source)
    if not source.is_dir() and source.suffix.lower() != LIST:
        return None
    for folders, suffixes, reader in _BESIDE[task]:
        if (found := pairs(source, folders, suffixes)) is not None:
            if task == SEGMENTATION and not _are_several(source, found):
                masks.check(found)
            return reader(found)
    if task == DETECTION and source.is_dir():
        files = json_files(source)
        if len(files) > 1:
            named = ", ".join(path.name for path in files)
            likely = next((path for path in files if path.stem.lower() in _HELD_OUT), files[0])
            raise DataError(f"{source} holds several JSON files ({named}): name the one that is meant, as {likely}")
        return coco.read(files[0]) if files else None
    return None


def json_files(folder: Path) -> Sequence[Path]:
    """The files of a folder that may be COCO's."""
    return [path for path in sorted(folder.iterdir()) if path.suffix.lower() == JSON]


def _are_several(source: Path, found: Pairs) -> bool:
    """Whether something else than masks lies beside the images, too."""
    has_boxes = any(pairs(source, folders, suffixes) for folders, suffixes, _ in _BESIDE[DETECTION])
    return has_boxes or (found.root / TABLE).is_file() or bool(json_files(found.root))


def _beside(source: Path) -> Annotated | None:
    """The masks of the images that a JSON file lists."""
    names, _ = coco.images_of(source)
    for folders, suffixes, reader in _BESIDE[SEGMENTATION]:
        if (found := pairs(source.parent, folders, suffixes)) is not None:
            place = {name: index for index, name in enumerate(found.names)}
            if (strange := next((name for name in names if name not in place), None)) is not None:
                raise DataError(f"{strange}, which {source} lists, is not among the images of {found.folder}")
            return reader(found.some([place[name] for name in names]))
    return None


def _of_voc(found: Pairs) -> Annotated:
    return voc.read(found, naming.in_order(*_near(found)))


def _of_yolo(found: Pairs) -> Annotated:
    return yolo.read(found, naming.in_order(*_near(found)))


def _of_masks(found: Pairs) -> Annotated:
    return masks.read(found, naming.names_of(*_near(found)))


def _near(found: Pairs) -> list[Path]:
    """Where names of classes may stand: beside both folders, with the files, or beside the parts of a data set."""
    is_part = found.root.name.lower() in {"train", "val", "valid", "validation", "test"}
    return [found.root, found.folder, found.folder.parent, *[found.root.parent] * is_part]


_BESIDE: Final[Mapping[str, Sequence[tuple[Sequence[str], Sequence[str], Callable[[Pairs], Annotated]]]]] = {
    DETECTION: ((("annotations",), (".xml",), _of_voc), (("labels",), (".txt",), _of_yolo)),
    SEGMENTATION: ((("masks", "labels", "annotations", "segmentationclass"), masks.SUFFIXES, _of_masks),),
}
