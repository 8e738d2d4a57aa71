"""Which images are nearly the same: by their content, or by a few grey pixels.

dHash: an image in grey, 9 x 8 pixels, and of each pixel whether its right neighbour is lighter: 64 bits that hardly
change where an image is resized, compressed or made lighter. Source: N. Krawetz, "Kind of like that", hackerfactor.com,
2013.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.image_files import said
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from edgekit.progress import Progress
    from edgekit.training.data.examples import Examples

_ROWS, _COLUMNS = 8, 9
SEEN: Final = Preprocessing((_ROWS, _COLUMNS), "whole", (0.5,), (0.5,), "GREY")
# Chosen on photos of flowers: of 200, compressed at a quality of 50, made 2.5 times smaller or 1.2 times lighter, all
# or all but one are found again, 146 of 200 with 4 % cut off, and none of them among 600 others. Checked on CIFAR-10:
# of 59 images of its test part that have a twin in training by this rule, 40 were looked at, and all 40 had.
MOST_BITS: Final = 6  # of 64 that may differ
LEAST_CORRELATION: Final = 0.97  # of the grey pixels
FEWEST_LEAKED: Final = 3  # test images that training has seen, see ``leaked``
EQUAL_LEAKED: Final = 0.01
NEAR_LEAKED: Final = 0.05
_AT_ONCE: Final = 1024  # images between two reports of progress
_MOST_AT_ONCE: Final = 2**24  # comparisons that are held in memory, 4 bytes each
_PIECE: Final = 32  # images that a thread takes at a time


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Looks:
    """All images of a part, as small as they can be told apart.

    Attributes:
        grey: uint8, [N, 8, 9]; zeros where an image cannot be decoded.
        broken: names of these, and why.
    """

    grey: NDArray[np.uint8]
    broken: dict[str, str]


def look(examples: Examples, progress: Progress) -> Looks:
    """Decode all images, and keep a few pixels of each.

    Args:
        examples: what is looked at.
        progress: told how many were.
    """
    grey, broken = np.zeros((len(examples), _ROWS, _COLUMNS), np.uint8), {}

    def fill(start: int) -> None:
        for place in range(start, min(start + _PIECE, len(examples))):
            try:
                grey[place] = _grey(examples.image(place))
            except Exception as error:  # noqa: BLE001 - decoders of broken files raise whatever they stumble over
                broken[examples.names[place]] = said(error)

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(examples), _AT_ONCE):
            progress("looking at images", start, len(examples))
            list(pool.map(fill, range(start, min(start + _AT_ONCE, len(examples)), _PIECE)))
    progress("looking at images", len(examples), len(examples))
    return Looks(grey, {name: broken[name] for name in examples.names if name in broken})


def _grey(image: Image.Image) -> NDArray[np.uint8]:
    image.draft("L", (4 * _COLUMNS, 4 * _ROWS))  # a JPEG that is not decoded yet becomes small at once
    return SEEN.pixels(image)[..., 0]


def twins(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """The places of images that are nearly the same: of each of ``theirs`` the nearest of ``ours``, where it is.

    Args:
        ours: [N, 8, 9], as ``look`` gives them.
        theirs: [M, 8, 9].
    """
    if not len(ours):
        return []
    signs, found = _signs(ours), list[tuple[int, int]]()
    rows = max(_MOST_AT_ONCE // len(ours), 1)
    for start in range(0, len(theirs), rows):
        some = theirs[start : start + rows]
        alike = _signs(some) @ signs.T  # of 64 bits, those that are equal less those that differ
        nearest = alike.argmax(1)
        near = alike[np.arange(len(some)), nearest] >= 64 - 2 * MOST_BITS
        places = np.flatnonzero(near & (_correlations(some, ours[nearest]) >= LEAST_CORRELATION))
        found += [(int(nearest[place]), start + int(place)) for place in places]
    return found


def leaked(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """The ``twins`` of training images among test images, where there are too many to be chance; else nothing.

    Too many are, to the pixel, a hundredth of the test images; or, nearly, a twentieth. Of CIFAR-10's test images 3.3 %
    have a near-duplicate in training (Barz and Denzler, Do We Train on Test Data?, J. Imaging 2020): more is a mistake.
    But where test images are as alike among themselves, as small drawings are, that says nothing: then twice as many
    are wanted as chance would give among so many training images.

    Args:
        ours: of training, [N, 8, 9], as ``look`` gives them.
        theirs: of the test, [M, 8, 9].
    """
    pairs = twins(ours, theirs)
    equal = [(a, b) for a, b in pairs if (ours[a] == theirs[b]).all()]
    if len(equal) >= max(FEWEST_LEAKED, EQUAL_LEAKED * len(theirs)):
        return equal
    alike = len(twins(theirs[::2], theirs[1::2])) / max(len(theirs) // 2, 1)
    by_chance = 1 - (1 - alike) ** (len(ours) / max(len(theirs) / 2, 1))
    return pairs if len(pairs) >= max(FEWEST_LEAKED, max(NEAR_LEAKED, 2 * by_chance) * len(theirs)) else []


def _signs(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The bits of dHash as 1 and -1, [N, 64]."""
    return np.where(grey[:, :, 1:] > grey[:, :, :-1], np.float32(1), np.float32(-1)).reshape(len(grey), -1)


def _correlations(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of the grey pixels of each pair; 0 where one of the two is of a single grey, which says nothing."""
    a, b = (grey.reshape(len(grey), -1).astype(np.float64) for grey in (ours, theirs))
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    size = np.sqrt(np.square(a).sum(1) * np.square(b).sum(1))
    found: NDArray[np.float64] = (a * b).sum(1) / np.where(size > 0, size, 1)  # a * b is 0 then, too
    return found
