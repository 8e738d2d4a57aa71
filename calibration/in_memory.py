"""Images that are in memory: arrays, tensors, or whatever a data loader gives.

**uint8 means pixels**, 0 to 255, red, green and blue: they are resized and cropped like any image
(``pipeline.making.given.as_read``). **Floating-point numbers mean the network's own input.** They become pixels again
where some mean and std make whole numbers from 0 to 255 of them, ``as_pixels``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageOps

from edgekit.conventions import USUAL_ORDER
from edgekit.errors import DataError
from edgekit.image_files import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MOST = 1024  # images that are taken of what has more: 100 to 500 serve, and all of them are held in memory
LAYOUTS: Final[Mapping[str, int]] = {"NCHW": 4, "NHWC": 4, "CHW": 3, "HWC": 3, "NHW": 3, "HW": 2}  # and their axes
_KEYS = ("image", "images", "pixel_values", "img", "input", "inputs", "x", "data")  # of an image beside its label
_LABEL_KEYS = ("label", "labels", "target", "targets", "class", "y")  # and of the label
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Taken:
    """Images out of whatever held them; either ``pixels`` or ``inputs``.

    Attributes:
        pixels: uint8, each [H, W, C] of its own size.
        inputs: float32, [N, C, H, W], where they are a network's input already.
        number: how many there were to take from; None where that is not known.
        labels: the class index that stood beside each; None where not all had one.
        unread: what stands beside them in the place of class indices, and what to do; None where nothing does.
    """

    pixels: tuple[NDArray[np.uint8], ...]
    inputs: NDArray[np.float32] | None
    number: int | None
    labels: tuple[int, ...] | None
    unread: str | None = None

    def __len__(self) -> int:
        return len(self.pixels) if self.inputs is None else len(self.inputs)

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """[C, H, W] of all images; None where they differ."""
        if self.inputs is not None:
            _, channels, height, width = self.inputs.shape
            return channels, height, width
        shapes = {image.shape for image in self.pixels}
        if len(shapes) > 1:
            return None
        height, width, channels = shapes.pop()
        return channels, height, width


def take(data: Any, *, layout: str | None = None, limit: int | None = None) -> Taken:  # noqa: ANN401 - of any library
    """The images in ``data``.

    Args:
        data: an array or tensor of images, one with the labels of its images in a pair or dictionary, or anything that
            can be iterated over: of images, of batches, or of tuples, lists and dictionaries that hold one of these
            first. Paths, open files and Pillow's images are images, too.
        layout: of arrays, one of ``LAYOUTS``; None goes by their shapes.
        limit: take so many, evenly spaced where their number is known, else the first ones; None takes all of an array,
            and ``MOST`` of anything else.

    Raises:
        DataError: there is no image, or something that is none; or a shape says nothing of the layout.
    """
    if layout is not None and layout not in LAYOUTS:
        raise DataError(f"layout is {layout!r}: {', '.join(LAYOUTS)} are known")
    if _is_array(data):
        images = list(_of_array(data, layout))
        return _taken([_Labelled(image) for image in _spread(images, limit)], len(images))
    if isinstance(data, Mapping) or _is_batch(data):
        pairs = _labelled(data, layout)
        return _taken(_spread(pairs, limit), len(pairs))
    if isinstance(data, str | bytes) or not (isinstance(data, Iterable) or hasattr(data, "__getitem__")):
        raise DataError(
            f"images are {type(data).__name__}: give a folder, an array [N, H, W, 3] or [N, 3, H, W], or anything that "
            f"can be iterated over, such as a DataLoader"
        )
    number = _length(data)
    if number is not None:  # a data set may be sorted by class
        at = _spread(range(number), limit or MOST)
        return _taken([pair for index in at for pair in _labelled(data[index], layout)], number)
    several = (pair for item in data for pair in _labelled(item, layout))
    return _taken(list(islice(several, limit or MOST)), None)


def as_pixels(
    inputs: NDArray[np.float32], mean: Sequence[float], std: Sequence[float]
) -> tuple[NDArray[np.float64], float]:
    """What pixels a network's input was before it was normalized, and how far from whole numbers these are.

    Args:
        inputs: [N, C, H, W].
        mean: one a channel, of pixels from 0 to 1.
        std: likewise.

    Returns:
        [N, H, W, C], not rounded; the largest distance to a whole number, in levels.
    """
    scale, offset = (np.array(values, np.float64) * 255 for values in (std, mean))
    pixels = inputs.transpose(0, 2, 3, 1).astype(np.float64) * scale + offset
    return pixels, float(np.abs(pixels - np.rint(pixels)).max())


# --- images out of whatever holds them --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class _Labelled:
    """An image [H, W, C], the class index beside it, and what stands there instead if that is none."""

    image: NDArray[Any]
    label: int | None = None
    unread: str | None = None


def _taken(items: Sequence[_Labelled], number: int | None) -> Taken:
    if not items:
        raise DataError("there is no image in what was given")
    images = [item.image for item in items]
    known = [item.label for item in items if item.label is not None]
    labels = tuple(known) if len(known) == len(items) else None
    unread = next((item.unread for item in items if item.unread), None)
    if known and labels is None and unread is None:
        unread = f"{len(known)} of {len(items)} images have a class index beside them: give one to all, or to none"
    kinds = {image.dtype == np.uint8 for image in images}
    if len(kinds) > 1:
        raise DataError("some images are pixels (uint8), others floating-point numbers: give all of one kind")
    if kinds == {True}:
        return Taken(tuple(images), None, number, labels, unread)
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        first, second, *_ = sorted(shapes)
        raise DataError(
            f"floating-point images are a network's input, all of one size, and these are [H, W, C] {list(first)} and "
            f"{list(second)}: give pixels, uint8, which are resized"
        )
    inputs = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32)
    if not np.isfinite(inputs).all():
        raise DataError("some images hold NaN or infinity: look at what normalizes them")
    return Taken((), np.ascontiguousarray(inputs), number, labels, unread)


def _length(data: Any) -> int | None:  # noqa: ANN401 - of any library
    """How many items can be asked for by number; None where they come one after the other."""
    if isinstance(data, Mapping) or not hasattr(data, "__getitem__"):
        return None
    try:
        return len(data)
    except TypeError:
        return None


def _spread(items: Sequence[Any], limit: int | None) -> Sequence[Any]:
    """At most ``limit`` of them, the middles of equal parts."""
    total = len(items)
    wanted = min(limit or total, total)
    return [items[(2 * i + 1) * total // (2 * wanted)] for i in range(wanted)]


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray) or (hasattr(value, "detach") and hasattr(value, "dtype"))


def _is_batch(data: Any) -> bool:  # noqa: ANN401 - of any library
    """Whether it is a pair of images and their labels, and no list of images."""
    if not isinstance(data, tuple | list) or len(data) != 2 or not all(map(_is_array, data)):
        return False
    images, labels = data
    return images.ndim > 2 and labels.ndim < 3 and len(labels) == len(images)


def _labelled(item: Any, layout: str | None) -> list[_Labelled]:  # noqa: ANN401 - of any library
    """Images of an item, each with the class index beside it."""
    images = list(_of_item(item, layout))
    beside = _beside(item)
    if beside is None:
        return [_Labelled(image) for image in images]
    try:
        labels = np.asarray(beside.detach().cpu() if hasattr(beside, "detach") else beside)
    except (ValueError, TypeError, RuntimeError):  # of many sizes, or of no type that numpy has
        labels = np.empty(0, object)
    if not np.issubdtype(labels.dtype, np.integer) or labels.size != len(images):
        unread = _no_indices(beside, labels, len(images))
        return [_Labelled(image, unread=unread) for image in images]
    return [_Labelled(image, int(label)) for image, label in zip(images, labels.reshape(-1), strict=True)]


def _beside(item: Any) -> Any:  # noqa: ANN401 - of any library
    """What stands beside the images of an item: None where nothing does that could be a label."""
    if isinstance(item, Mapping):
        return next((item[key] for key in _LABEL_KEYS if key in item), None)
    return item[1] if isinstance(item, tuple | list) and len(item) > 1 else None


def _no_indices(beside: Any, labels: NDArray[Any], images: int) -> str:  # noqa: ANN401 - of any library
    """What stands beside images that is no class index each, and what to do."""
    what, remedy = f"{type(beside).__name__}", "give integers"
    if labels.dtype.kind in "US":
        what, remedy = "text", "give the places of these names among the classes"
    elif labels.size and labels.dtype.kind in "iufb":
        what = f"{labels.dtype} of shape {list(labels.shape)}"
        if labels.ndim > 1 and labels.size > images:
            remedy = "of one value a class, give labels.argmax(-1)"
        elif labels.size == images:
            remedy = "give integers, such as labels.astype(int), or labels.long() of a tensor"
        else:
            remedy = "give as many as there are images"
    where = "an image" if images == 1 else f"{images} images"
    return (
        f"accuracy takes a class index of each image, an integer from 0, and what is beside {where} is {what}: "
        f"{remedy}; or give images alone, to do without accuracy"
    )


def _of_item(item: Any, layout: str | None) -> Iterator[NDArray[Any]]:  # noqa: ANN401 - of any library
    """Images [H, W, C] of an image, a batch, or something that holds one of these first."""
    if _is_array(item):
        yield from _of_array(item, layout)
    elif isinstance(item, Image.Image):
        yield _of_picture(item)
    elif isinstance(item, str | Path) or hasattr(item, "read"):
        try:
            with Image.open(item, formats=FORMATS) as image:
                yield _of_picture(image)
        except OSError as error:
            raise DataError(f"{item} cannot be read as an image: {error}") from error
    elif isinstance(item, Mapping) and item:
        key = next((key for key in _KEYS if key in item), next(iter(item)))
        yield from _of_item(item[key], layout)
    elif isinstance(item, tuple | list) and item:
        yield from _of_item(item[0], layout)
    elif isinstance(item, int):
        raise _labels_first("an integer")
    else:
        raise DataError(
            f"an item is {type(item).__name__}, and an image is wanted: an array or tensor, one of Pillow's images or "
            f"a path, alone or first in a tuple, list or dictionary"
        )


def _of_picture(image: Image.Image) -> NDArray[np.uint8]:
    image = ImageOps.exif_transpose(image)
    image = image if image.mode in _MODES.values() else image.convert("RGB")
    pixels = np.asarray(image, np.uint8)
    return pixels.reshape(image.height, image.width, -1)


def _of_array(value: Any, layout: str | None) -> Iterator[NDArray[Any]]:  # noqa: ANN401 - of any library
    """Images [H, W, C] of an array or tensor."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        array = value.numpy() if str(value.dtype) != "torch.bfloat16" else value.float().numpy()
    else:
        array = value
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        if array.ndim < 2:
            raise _labels_first(f"{array.dtype} of shape {list(array.shape)}")
        raise DataError(
            f"images are {array.dtype}: of pixels, 0 to 255, give images.astype('uint8'), or images.byte() of a "
            f"tensor; a network's input is floating-point numbers"
        )
    axes = _layout(array.shape, layout)
    wanted = [axes.index(axis) for axis in "NHWC" if axis in axes]
    array = array.transpose(wanted)
    array = array if "C" in axes else array[..., None]
    if 0 in array.shape:
        raise DataError(f"there is no image in an array of shape {list(array.shape)}")
    yield from array if "N" in axes else array[None]


def _labels_first(found: str) -> DataError:
    return DataError(f"{found} stands where an image is wanted, and looks like labels: put images first")


def _layout(shape: tuple[int, ...], said: str | None) -> str:
    """What the axes of an array are: the one of ``LAYOUTS`` that its shape leaves."""
    if said is not None and LAYOUTS[said] == len(shape):
        return said
    if said is not None:
        raise DataError(f"layout is {said}, and an array has the shape {list(shape)}")
    fitting = [
        layout
        for layout, axes in LAYOUTS.items()
        if axes == len(shape) and ("C" not in layout or shape[layout.index("C")] in USUAL_ORDER)
    ]
    if len(fitting) > 1 and "NHW" in fitting:  # an axis of 1, 3 or 4 is rather channels than images
        fitting.remove("NHW")
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise DataError(f"an array of shape {list(shape)} holds no images: 1, 3 or 4 channels are wanted in one axis")
    raise DataError(
        f"an array of shape {list(shape)} may be {' or '.join(fitting)}, as two of its axes could be channels: say "
        f"which, layout='{fitting[0]}'"
    )
