"""What an export reads: the files that settings name, or what a caller holds in memory in their place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.conventions import NORMALIZATIONS, USUAL_ORDER
from edgekit.errors import DataError
from edgekit.facts import Basis, Fact
from edgekit.flags import INPUT_SETTINGS
from edgekit.models.folders import calibration_of
from edgekit.pipeline.making.trained import FROM_FILE, Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.calibration.in_memory import Taken
    from edgekit.config import PreprocessingSettings, Settings
    from edgekit.preprocessing import Preprocessing

# Why the order is assumed of images that are a network's input. Its integers do not rest on it.
OWN_CHANNELS = "the calibration images are the network's input already, which does not say what its channels are"
GREY_REMEDY = ": repeat the grey one, image.convert('RGB'), or images.expand(-1, 3, -1, -1) of tensors"
_WHOLE = (
    0.05  # levels: float32 errs by far less, and what was resized after it became float is a quarter off on average
)
_OUTSIDE = 0.5  # levels beyond 0 and 255 that rounding takes back
_MOST_OUTSIDE = 0.01  # of all values: what a filter that overshoots may put there
_TELLING = 16  # levels that have to occur before whole numbers say anything
_LEVELS = 255


@dataclass(frozen=True, slots=True, eq=False)  # modules have no equality
class Given:
    """What an export reads.

    Attributes:
        network: where the trained network comes from.
        images: the calibration images for a preprocessing; None where there are none.
        told: what these images say of how they were made, where they are a network's input already. Integers do not
            rest on it: it only matters to who feeds image files.
        shape: of all of them, [C, H, W], where they are in memory and of one size.
        notes: what was done to them, for people.
    """

    network: Network = FROM_FILE
    images: Callable[[Preprocessing], ImageSource] | None = None
    told: tuple[Fact, ...] = ()
    shape: tuple[int, int, int] | None = None
    notes: tuple[str, ...] = ()


def from_files(settings: Settings, network: Network = FROM_FILE) -> Given:
    """What settings name; nothing is read yet."""
    wanted = settings.calibration
    data = wanted.data
    if data is None:
        return Given(network)

    def images(preprocessing: Preprocessing) -> ImageSource:
        from edgekit.calibration.images import open_images  # noqa: PLC0415 - float exports do without

        return open_images(data, preprocessing, limit=wanted.images, strict=wanted.strict)

    return Given(network, images)


def with_kept_images(settings: Settings) -> Settings:
    """Calibrate on the images that a training run has kept, where settings name its checkpoint and no images.

    Ranges, and work without images, are left as they are.
    """
    path, wanted = settings.model.checkpoint, settings.calibration
    if path is None or wanted.data is not None or wanted.ranges is not None or wanted.data_free:
        return settings
    kept = calibration_of(path)
    return settings if kept is None else replace(settings, calibration=replace(wanted, data=kept))


def from_memory(taken: Taken, settings: Settings, network: Network) -> Given:
    """Images that are in memory, in the place of ``calibration.data``.

    Args:
        taken: they.
        settings: what is given of how they were made.
        network: where the trained network comes from.

    Raises:
        DataError: floating-point images are not what was given of them.
    """
    from edgekit.calibration.images import as_they_are, held_images  # noqa: PLC0415 - see ``from_files``

    number = f"{len(taken)}" if taken.number in {None, len(taken)} else f"{len(taken)} of {taken.number}"
    description = f"{number} images in memory"
    if taken.inputs is not None:
        pixels, told, notes = _pixels_of(taken.inputs, settings.preprocessing)
    else:
        pixels, told, notes = taken.pixels, (), ()
    wanted = settings.preprocessing

    def images(preprocessing: Preprocessing) -> ImageSource:
        if taken.inputs is not None:
            _check_size(taken.inputs, preprocessing)
            preprocessing = as_they_are(
                preprocessing.size, len(preprocessing.mean)
            )  # the channels are the network's own
        else:
            keeps_size = wanted.resize is None and wanted.crop is None
            preprocessing = replace(preprocessing, keeps_size=keeps_size)
        strict = settings.calibration.strict
        return held_images(pixels, description, preprocessing, labels=taken.labels, unread=taken.unread, strict=strict)

    return Given(network, images, told, taken.shape, notes)


def as_read(preprocessing: Preprocessing, known: Iterable[Fact]) -> Preprocessing:
    """How a finished file's images are read, wherever they come from.

    An image of the network's size is taken as it is, unless the user said how images are resized: then calibration did
    so, too.

    Args:
        preprocessing: that the file has.
        known: the facts that it carries.
    """
    bases = [fact.basis for fact in known if fact.name == "resize"]
    return replace(preprocessing, keeps_size=bool(bases) and Basis.GIVEN not in bases)


def as_files_take_it(taken: Taken) -> Callable[[Preprocessing], ImageSource]:
    """Images that are in memory, for finished files, which say how their input is normalized and images are resized."""
    from edgekit.calibration.images import as_they_are, held_images  # noqa: PLC0415 - see ``from_files``

    def images(preprocessing: Preprocessing) -> ImageSource:
        pixels: Sequence[NDArray[np.uint8]] = taken.pixels
        if taken.inputs is not None:
            _check_size(taken.inputs, preprocessing)
            pixels, _ = _by_given(taken.inputs, preprocessing.mean, preprocessing.std)
            preprocessing = as_they_are(preprocessing.size, len(preprocessing.mean))
        description = f"{len(taken)} images in memory"
        return held_images(pixels, description, preprocessing, labels=taken.labels, unread=taken.unread)

    return images


def as_input(inputs: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Floating-point images, [N, C, H, W], as a file takes them: to a bit as they are, if they are that already.

    Raises:
        DataError: they are neither normalized as the file says, nor pixels from 0 to 1, or to 255.
    """
    _check_size(inputs, preprocessing)
    pixels, is_normalized = _by_given(inputs, preprocessing.mean, preprocessing.std)
    return inputs if is_normalized else preprocessing.normalization(np.stack(pixels))


def _check_size(inputs: NDArray[np.float32], preprocessing: Preprocessing) -> None:
    has, takes = list(inputs.shape[1:]), [len(preprocessing.mean), *preprocessing.size]
    if has[0] != takes[0]:
        remedy = GREY_REMEDY if has[0] == 1 else ""
        raise DataError(f"the images have {has[0]} channels, and the network takes {takes[0]}{remedy}")
    if has != takes:
        raise DataError(
            f"the images are {has}, and the network takes {takes}: floating-point numbers are its input as it is; "
            f"pixels, uint8, are resized"
        )


def _pixels_of(
    inputs: NDArray[np.float32], given: PreprocessingSettings
) -> tuple[Sequence[NDArray[np.uint8]], tuple[Fact, ...], tuple[str, ...]]:
    """A network's input as pixels again, what is told of its normalization and order, and what was done.

    Where no mean and std make whole numbers of them, there are 256 levels between the least and the largest value: the
    same as if the input were quantized by its range.
    """
    from edgekit.calibration.in_memory import as_pixels  # noqa: PLC0415 - see ``from_files``

    channels = inputs.shape[1]
    order = Fact(
        "order",
        given.order or USUAL_ORDER[channels],
        Basis.ASSUMED,
        OWN_CHANNELS,
        INPUT_SETTINGS["order"],
    )
    if given.mean is not None and given.std is not None:
        mean, std = (values * channels if len(values) == 1 else values for values in (given.mean, given.std))
        return _by_given(inputs, mean, std)[0], (order,), ()
    for usual_mean, usual_std in NORMALIZATIONS.values():
        mean, std = _of_channels(usual_mean, channels), _of_channels(usual_std, channels)
        if mean is None or std is None:
            continue
        pixels, off = as_pixels(inputs, mean, std)
        if off < _WHOLE and _is_inside(pixels) and len(np.unique(np.rint(pixels))) >= _TELLING:
            because = "the calibration images become whole pixels, 0 to 255, by it"
            return _rounded(pixels), (_normalization(mean, std, Basis.FOUND, because), order), ()
    low, high = float(inputs.min()), float(inputs.max())
    spread = high - low or 1.0
    mean, std = (-low / spread,) * channels, (1 / spread,) * channels
    because = (
        f"no usual mean and std makes whole pixels of the calibration images, so the input has 256 levels from "
        f"{low:.4g} to {high:.4g}, as they have"
    )
    pixels, _ = as_pixels(inputs, mean, std)
    return _rounded(pixels), (_normalization(mean, std, Basis.ASSUMED, because), order), ()


def _by_given(
    inputs: NDArray[np.float32], mean: Sequence[float], std: Sequence[float]
) -> tuple[Sequence[NDArray[np.uint8]], bool]:
    """Pixels, and whether images were normalized as it was given.

    Those that were not, and will be, are pixels from 0 to 1, or to 255.

    Raises:
        DataError: they are none of these.
    """
    from edgekit.calibration.in_memory import as_pixels  # noqa: PLC0415 - see ``from_files``

    channels = len(mean)
    ways = [(mean, std), ((0.0,) * channels, (1.0,) * channels), ((0.0,) * channels, (1 / _LEVELS,) * channels)]
    read = [as_pixels(inputs, *way) for way in ways]
    for way, (pixels, off) in zip(ways, read, strict=True):
        if off < _WHOLE and _is_inside(pixels):
            return _rounded(pixels), way == ways[0]
    normalized, _ = read[0]
    outside = (normalized < -_OUTSIDE) | (normalized > _LEVELS + _OUTSIDE)
    if outside.mean() < _MOST_OUTSIDE:  # resized or augmented after they became float: half a level off, or clipped
        return _rounded(normalized), True
    raise DataError(
        f"floating-point images reach from {inputs.min():.4g} to {inputs.max():.4g}, which are no pixels by the mean "
        f"and std of the network ({normalized.min():.0f} to {normalized.max():.0f} instead of 0 to 255): give the "
        f"network's input, or pixels from 0 to 1"
    )


def _is_inside(pixels: NDArray[np.float64]) -> bool:
    return bool(pixels.min() >= -_OUTSIDE and pixels.max() <= _LEVELS + _OUTSIDE)


def _rounded(pixels: NDArray[np.float64]) -> Sequence[NDArray[np.uint8]]:
    return tuple(np.clip(np.rint(pixels), 0, _LEVELS).astype(np.uint8))


def _of_channels(values: Sequence[float], channels: int) -> tuple[float, ...] | None:
    """Those of red, green and blue for a number of channels; None where they do not tell."""
    if len(values) == channels:
        return tuple(values)
    return (values[0],) * channels if len(set(values)) == 1 else None


def _normalization(mean: Sequence[float], std: Sequence[float], basis: Basis, because: str) -> Fact:
    value = {"mean": list(mean), "std": list(std)}
    return Fact("normalization", value, basis, because, INPUT_SETTINGS["normalization"])
