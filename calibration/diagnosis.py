"""The calibration doctor: are these the images that the network was trained for, and do they reach it as they should?

Batch normalization remembers the mean and the spread of every channel over all training images
(``Graph.statistics``). The first convolution sees the pixels themselves, so what the calibration images make of it has
to have about the same mean and spread, and with swapped colours or a wrong mean and std it has not.

1. That convolution is linear in the pixels. Mean and covariance of the patches that its kernel reads are all it takes
   to tell, without running anything, what it makes of the images under any order of the colours and any mean and std.
2. The images are wrong, or reach the network wrongly, if its channels are distributed otherwise than in training: by
   more than ``DIVERGENCE_LIMIT`` in the mean over channels.
3. Swapped colours move some means only a little. So other preprocessings are tried beside the given one; it is wrong,
   too, if another fits the means better whichever of these images are looked at (``CONFIDENCE``, by bootstrap).
4. Pixels alone show images that are of one colour, noise, copies of each other, or too few.

Without batch normalization, as in an ONNX file that was exported for inference, only the last can be said.

Nothing here was fitted to a network: the limits are what "another distribution" means in words, beside each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.stem import Stem
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD, orders_of
from edgekit.flags import flags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.float_model import FloatModel
    from edgekit.preprocessing import Preprocessing

SAMPLE = 128  # images that are looked at, evenly spaced over all; with 64, one in twenty swapped orders is overlooked
# Nats a channel. This is the divergence of two normal distributions whose means are 0.7 standard deviations apart, or
# of which one is 1.55 times as wide as the other, or 0.56 times: in every channel, as this is the mean over channels.
DIVERGENCE_LIMIT = 0.25
CONFIDENCE = 0.999  # the share of resamples in which another preprocessing has to fit better: a dozen are tried
RESAMPLES = 1000
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

    ORDER = "order"  # of the colour channels
    NORMALIZATION = "normalization"  # mean and std
    DISTRIBUTION = "distribution"  # none of the usual preprocessings makes the images what the network was trained on
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
        layer: name of the convolution whose statistics were compared; None where batch normalization is not known, so
            that order, mean and std could not be checked.
        divergence: between its channels in training and with these images, mean over channels, nats; None likewise.
    """

    finding: Finding | None
    images: int
    layer: str | None
    divergence: float | None


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    """A way in which pixels may have reached the network in training, and what it is called."""

    words: str
    preprocessing: Preprocessing


def diagnose(model: FloatModel, images: ImageSource, *, sample: int = SAMPLE) -> Diagnosis:
    """Compare ``images`` with what batch normalization remembers of the training images.

    Args:
        model: in any canonical form, before equalization.
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
    divergence, found = _compare(stem, model.preprocessing, pixels)
    (layer,) = model.graph.consumers(model.graph.input)
    return Diagnosis(seen or found, len(pixels), layer.name, divergence)


# --- which preprocessing fits ---------------------------------------------------------------------------------------


def _compare(stem: Stem, given: Preprocessing, pixels: NDArray[np.uint8]) -> tuple[float, Finding | None]:
    """The divergence with the given preprocessing, and what is wrong with that."""
    shares = _resamples(len(pixels))

    def fit(meant: Preprocessing) -> tuple[float, NDArray[np.float64]]:
        """The divergence, and how far the means are from those in training in each resample."""
        moments = stem.moments(given, meant)  # [2, N, O]
        return float(stem.distance(moments.mean(1))[1]), stem.distance(shares @ moments)[0]

    divergence, means = fit(given)
    best, least = None, divergence
    for hypothesis in _hypotheses(given):
        other, other_means = fit(hypothesis.preprocessing)
        better = least > DIVERGENCE_LIMIT or (other_means < means).mean() >= CONFIDENCE
        if better and other < min(least, DIVERGENCE_LIMIT):
            best, least, means = hypothesis, other, other_means
    if best is not None:
        return divergence, _finding(best, given, divergence, least)
    if divergence <= DIVERGENCE_LIMIT:
        return divergence, None
    apart = (
        f"the first layer's results are not distributed as in training (they differ by {divergence:.2g}, where "
        f"{DIVERGENCE_LIMIT} is the limit)"
    )
    if pixels.shape[3] > 1 and (_colour(pixels) < COLOUR_LEVELS).mean() > MAJORITY:
        return divergence, Finding(
            Mistake.GREY, f"the images are grey, and the network was trained on colours: {apart}; take coloured images"
        )
    return divergence, Finding(
        Mistake.DISTRIBUTION,
        f"{apart}, and no usual preprocessing explains it: check what the images show, and preprocessing.mean, .std, "
        f".order and .resize",
    )


def _resamples(images: int) -> NDArray[np.float64]:
    """How often each image is drawn when as many are drawn with replacement, in shares, [RESAMPLES, images]."""
    draws = np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), RESAMPLES)
    shares: NDArray[np.float64] = draws / images
    return shares


def _hypotheses(given: Preprocessing) -> Iterator[_Hypothesis]:
    """What is usual, or a usual mistake, in either order of colours, other than what is given."""
    channels = len(given.mean)
    zero, half, one, levels = ((value,) * channels for value in (0.0, 0.5, 1.0, 1 / 255))
    usual = [
        ("pixels from -1 to 1", half, half),
        ("pixels from 0 to 1", zero, one),
        ("pixels from 0 to 255", zero, levels),
        ("pixels from -128 to 127", half, levels),
    ]
    if channels == len(IMAGENET_MEAN):
        usual[1:1] = [("ImageNet's mean and std", IMAGENET_MEAN, IMAGENET_STD)]
        usual += [("pixels from 0 to 255 minus ImageNet's mean", IMAGENET_MEAN, levels)]
    others = (other for other in orders_of(channels) if other != given.order)
    for order in (given.order, *others):  # what leaves the order alone has to be beaten by what does not
        if order != given.order:
            yield _Hypothesis(f"{order} images", replace(given, order=order))
        for words, mean, std in usual:
            # Mean and std are those of red, green and blue, in the order in which these reach the network.
            m, s = (mean[::-1], std[::-1]) if order == "BGR" else (mean, std)
            if order != given.order or not np.allclose([m, s], [given.mean, given.std], atol=1e-3):
                yield _Hypothesis(f"{words}, {order}", replace(given, mean=m, std=s, order=order))


def _finding(best: _Hypothesis, given: Preprocessing, divergence: float, least: float) -> Finding:
    meant = best.preprocessing
    right: dict[str, Any] = {}
    if (meant.mean, meant.std) != (given.mean, given.std):
        right["normalization"] = {"mean": meant.mean, "std": meant.std}
    mistake = Mistake.NORMALIZATION if right else Mistake.ORDER
    if meant.order != given.order:
        right["order"] = meant.order
    return Finding(
        mistake,
        f"it looks like the network was trained on {best.words}: that fits what its first layer remembers of training "
        f"(they differ by {least:.2g}, now by {divergence:.2g}); try {flags(right, given.order)}",
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
        advice = f"{number} images are too few for ranges that hold for others: take 100 or more"
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
    rows, columns = (np.linspace(0, side, THUMBNAIL + 1).astype(int)[:-1] for side in (height, width))
    sums = np.add.reduceat(np.add.reduceat(grey, rows, axis=1), columns, axis=2)
    areas = np.outer(np.diff([*rows, height]), np.diff([*columns, width]))
    thumbnails = (sums / areas).reshape(number, -1)
    kept: list[NDArray[np.float32]] = []
    for thumbnail in thumbnails:
        if all(np.sqrt(np.mean((thumbnail - other) ** 2)) >= COPY_LEVELS for other in kept):
            kept.append(thumbnail)
    return len(kept)
