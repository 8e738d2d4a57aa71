"""Boxes and masks that lie beside images, with the classes of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.annotations.lying import lying_in
from edgekit.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.annotations.targets import Places
    from edgekit.calibration.images import ImageSource


def lacking(images: ImageSource, what: str, measure: str) -> str:
    """That something is not measured, because no boxes or no masks lie beside images; and what lies there instead."""
    there = None if images.source is None else lying_in(images.source)
    found = f"no {what} lie beside the images" if there is None else f"{images.source} has {there[1]}, and no {what}"
    return f"{found}, so {measure} is not measured"


def beside(images: ImageSource, task: str, names: Sequence[str], classes: int) -> Places[Any] | None:
    """The targets of images as the network sees them, of its own class indices; None where none lie beside them.

    Args:
        images: which, and from where.
        task: that reads them.
        names: of the network's classes; empty where they have none: then those of the images are in its order.
        classes: how many it has.

    Raises:
        DataError: they contradict themselves, or name a class that the network has not.
    """
    found = images.annotated(task)
    if found is None:
        return None
    if not names:
        if len(found.labels) > classes:
            raise DataError(
                f"{len(found.labels)} classes are named beside the images of {images.source}, and the network "
                f"has {classes}, without names: name them, --labels FILE"
            )
        return found.targets
    places = {name.casefold(): index for index, name in enumerate(names)}
    if all(label.isdigit() for label in found.labels) and not any(name.isdigit() for name in names):
        raise DataError(
            f"the classes beside the images of {images.source} are numbers, and nothing names them: write their names "
            f"into a classes.txt beside the folder of images, one a line from 0 on; the network's are "
            f"{', '.join(names)}"
        )
    strange = next((label for label in found.labels if label.casefold() not in places), None)
    if strange is not None:
        raise DataError(
            f"{strange!r} is a class beside the images of {images.source}, and none of the network's: "
            f"{did_you_mean(strange, names)}"
        )
    own = [places[label.casefold()] for label in found.labels]
    return found.targets if own == list(range(len(own))) else found.targets.renamed(np.array(own, np.int64))
