"""The calibration doctor: are these images of the kind that the network was trained on?

Order, mean and std of the pixels are judged before anything else is done, by ``calibration.finding``. Here the images
themselves are judged, in two ways.

1. Pixels alone show images that are of one colour, noise, copies of each other, divided by 255, or too few.
2. The first convolution sees the pixels themselves, and batch normalization remembers the mean and the spread that its
   channels had in training (``Graph.statistics``). Channels that are distributed otherwise, by more than
   ``DIVERGENCE_LIMIT`` in their mean, show images of another kind, or grey ones. Where order or normalization is only
   assumed, a wrong assumption may be the cause; the fact says that it is assumed, and nothing is said here.

Without batch normalization, as in an ONNX file that was exported for inference, only the first can be said.

Nothing here was fitted to a network: the limits are what "another distribution" means in words, beside each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from edgekit import facts
from edgekit.calibration.stem import Stem

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.float_model import FloatModel

SAMPLE = 128  # images that are looked at, evenly spaced over all
# Nats a channel. This is the divergence of two normal distributions whose means are 0.7 standard deviations apart, or
# of which one is 1.55 times as wide as the other, or 0.56 times: in every channel, as this is the mean over channels.
DIVERGENCE_LIMIT = 0.25
# A new image exceeds everything that n others showed with a chance of 1 / (n + 1), if they come in no special order.
# From this number on that is less than one image in ten.
FEWEST_IMAGES = 10
# Levels of 255, root mean square over a thumbnail: cameras and JPEG change a picture by less, other pictures by more.
COPY_LEVELS = 4.0
THUMBNAIL = 16  # pixels a side
# Correlation of pixels that touch: 0 for noise, above 0.8 for every photograph and drawing that a network can read.
NEIGHBOURS_CORRELATE = 0.5
ONE_COLOUR_LEVELS = 1.0  # standard deviation over an image, in levels of 255: nothing can be seen in it
COLOUR_LEVELS = 2.0  # between the channels of a pixel, mean over an image: less is grey, with the errors of JPEG
MAJORITY = 0.5  # of the images that are looked at


class Mistake(StrEnum):
    """What can be wrong with calibration images."""

    DISTRIBUTION = "distribution"  # the first layer makes something else of them than of those in training
    GREY = "grey"
    DARK = "dark"  # pixels of 0 and 1: divided by 255 before they were stored
    ONE_COLOUR = "one_colour"
    NOISE = "noise"
    COPIES = "copies"
    FEW = "few"


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake.

    Attributes:
        mistake: which one it looks like.
        advice: what it looks like and what to do, for people.
    """

    mistake: Mistake
    advice: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the calibration images look like to the network.

    Attributes:
        finding: the likely mistake, the gravest if there are several; None where nothing is suspicious.
        images: how many were looked at.
        layer: name of the convolution whose statistics were compared; None where batch normalization is not known.
        divergence: between its channels in training and with these images, mean over channels, nats; None likewise.
    """

    finding: Finding | None
    images: int
    layer: str | None
    divergence: float | None


def diagnose(model: FloatModel, images: ImageSource, *, sample: int = SAMPLE) -> Diagnosis:
    """Compare ``images`` with what batch normalization remembers of the training images.

    Args:
        model: in any canonical form, before equalization; its provenance holds the facts.
        images: of which ``sample`` are looked at.
        sample: how many.

    Raises:
        DataError: there is no usable image.
    """
    return diagnose_pixels(model, images.sample(sample).pixels)


def diagnose_pixels(model: FloatModel, pixels: NDArray[np.uint8]) -> Diagnosis:
    """As ``diagnose``, for the images themselves, [N, H, W, C]."""
    # What can be seen in the pixels comes first: of noise, or of one image, no normalization makes what is missing.
    seen, stem = _seen_in_pixels(pixels), Stem.of_graph(model.graph, pixels)
    if stem is None:
        return Diagnosis(seen, len(pixels), None, None)
    divergence = stem.divergence(stem.moments(model.preprocessing, model.preprocessing).mean(1))
    if seen is None and divergence > DIVERGENCE_LIMIT:
        assumed = {fact.name for fact in facts.assumed(facts.of_provenance(model.provenance))}
        seen = _other_images(pixels, divergence, assumed)
    (layer,) = model.graph.consumers(model.graph.input)
    return Diagnosis(seen, len(pixels), layer.name, divergence)


def _other_images(pixels: NDArray[np.uint8], divergence: float, assumed: Collection[str]) -> Finding | None:
    """What is wrong with images that are distributed otherwise than those of training.

    Args:
        pixels: [N, H, W, C].
        divergence: how far, nats a channel.
        assumed: names of the facts that nothing shows to hold: it may as well be these.
    """
    apart = (
        f"the first layer's results are not distributed as in training (they differ by {divergence:.2g}, where "
        f"{DIVERGENCE_LIMIT} is the limit)"
    )
    if "normalization" in assumed:
        return None
    if pixels.shape[3] > 1 and (_colour(pixels) < COLOUR_LEVELS).mean() > MAJORITY:  # in any order
        return Finding(
            Mistake.GREY, f"the images are grey, and the network was trained on colours: {apart}; take coloured images"
        )
    if "order" in assumed:
        return None
    return Finding(
        Mistake.DISTRIBUTION,
        f"{apart}: check what the images show, and how they are read (preprocessing.mean, .std, .order and .resize)",
    )


# --- what pixels show -----------------------------------------------------------------------------------------------


def _seen_in_pixels(pixels: NDArray[np.uint8]) -> Finding | None:
    """What needs no network to be seen."""
    number = len(pixels)
    grey = pixels.mean(axis=3, dtype=np.float32)  # [N, H, W]
    empty = grey.std(axis=(1, 2)) < ONE_COLOUR_LEVELS
    noisy = ~empty & (_neighbour_correlation(grey) < NEIGHBOURS_CORRELATE)
    different = _different(grey)
    if number < FEWEST_IMAGES:
        few = "one image is" if number == 1 else f"{number} images are"
        advice = f"{few} too few for ranges that hold for others: take 100 or more"
        return Finding(Mistake.FEW, advice)
    if pixels.max() <= 1:
        advice = "no pixel is above 1: the images were divided by 255 before they were stored; edgekit wants 0 to 255"
        return Finding(Mistake.DARK, advice)
    if empty.mean() > MAJORITY:
        advice = f"{empty.sum()} of {number} images are of one colour: they show nothing"
        return Finding(Mistake.ONE_COLOUR, advice)
    if noisy.mean() > MAJORITY:
        advice = f"{noisy.sum()} of {number} images are noise, neighbouring pixels have nothing to do with each other"
        return Finding(Mistake.NOISE, f"{advice}: take images like those in use")
    if different < max(FEWEST_IMAGES, MAJORITY * number):
        advice = f"of {number} images only {different} differ: take others, as ranges have to hold for what is new"
        return Finding(Mistake.COPIES, advice)
    return None


def _neighbour_correlation(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each pixel with the one right of it, one number an image, [N]; 0 for images of one colour."""
    centred = grey - grey.mean(axis=(1, 2), keepdims=True)
    variance = (centred**2).mean(axis=(1, 2))
    product = (centred[:, :, 1:] * centred[:, :, :-1]).mean(axis=(1, 2))
    result: NDArray[np.float32] = np.divide(product, variance, out=np.zeros_like(product), where=variance > 0)
    return result


def _colour(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How far the channels of a pixel are apart, mean over each image, in levels of 255, [N]."""
    apart = pixels.max(axis=3) - pixels.min(axis=3)
    result: NDArray[np.float32] = apart.mean(axis=(1, 2), dtype=np.float32)
    return result


def _different(grey: NDArray[np.float32]) -> int:
    """How many images are left when near copies of others are taken out."""
    number, height, width = grey.shape
    rows, columns = (np.linspace(0, side, min(THUMBNAIL, side) + 1).astype(int)[:-1] for side in (height, width))
    sums = np.add.reduceat(np.add.reduceat(grey, rows, axis=1), columns, axis=2)
    areas = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))
    thumbnails = (sums / areas).reshape(number, -1)
    kept: list[NDArray[np.float32]] = []
    for thumbnail in thumbnails:
        if all(np.sqrt(np.mean((thumbnail - other) ** 2)) >= COPY_LEVELS for other in kept):
            kept.append(thumbnail)
    return len(kept)
