"""Which prior box learns which object. Below torch, image by image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.annotations.boxes import overlap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.annotations.boxes import Boxes

NOTHING: Final = -1  # the prior learns that there is no object
LEFT_OUT: Final = -2  # the prior learns nothing
LEAST_OVERLAP: Final = 0.5  # arXiv:1512.02325, section 2.2


def match(priors: NDArray[np.float64], boxes: Boxes) -> NDArray[np.int64]:
    """For each prior box the place of its object among ``boxes``, or ``NOTHING``, or ``LEFT_OUT``; [priors].

    The best prior of each object is its own; each other one belongs to the object that it overlaps most, if by more
    than 0.5. A prior that a crowd claims so learns nothing. Source: arXiv:1512.02325, section 2.2, "Matching strategy";
    where two objects have one best prior, the later of them takes it, as in torchvision's ``SSDMatcher``.

    Args:
        priors: [priors, 4]: left, top, right and bottom.
        boxes: of one image.
    """
    found = np.full(len(priors), NOTHING, np.int64)
    crowd, single = np.flatnonzero(boxes.is_crowd), np.flatnonzero(~boxes.is_crowd)
    if len(crowd):
        found[overlap(priors, boxes.corners[crowd]).max(1) > LEAST_OVERLAP] = LEFT_OUT
    if len(single):
        overlaps = overlap(priors, boxes.corners[single])
        is_near = overlaps.max(1) > LEAST_OVERLAP
        found[is_near] = single[overlaps.argmax(1)[is_near]]
        found[overlaps.argmax(0)] = single  # of equal places numpy keeps what is written last
    return found
