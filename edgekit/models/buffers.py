"""Mean and deviation of its images that a network keeps as buffers: it normalizes them itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.facts import Basis, Fact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_MEAN = re.compile(r"(?:^|[._])(?:mean|pixel_mean|image_mean|img_mean)$")
_FULL_SCALE = 2.0  # means and deviations of pixels from 0 to 1 are below it, those from 0 to 255 above


def normalization(rest: Mapping[str, Tensor], channels: int) -> tuple[tuple[str, ...], tuple[Fact, ...]]:
    """The names of such buffers among what is no part of the body, and what they say; nothing where there are none.

    Args:
        rest: by the file's names.
        channels: of the network's images.
    """
    for key, mean in rest.items():
        other = re.sub(r"mean$", "std", key)
        std = rest.get(other)
        if _MEAN.search(key) is None or std is None or not mean.numel() == std.numel() == channels:
            continue
        unit = 255.0 if float(std.max()) > _FULL_SCALE else 1.0
        value = {name: [round(float(v) / unit, 9) for v in t.flatten()] for name, t in (("mean", mean), ("std", std))}
        because = f"the network keeps them itself ({key}, {other})"
        return (key, other), (Fact("normalization", value, Basis.STATED, because, "--mean and --std"),)
    return (), ()
