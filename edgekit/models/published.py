"""Published figures of networks, from the file beside this module."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Published:
    """What was published of a network that was trained on ImageNet.

    Attributes:
        family: of the network, as edgekit calls it.
        width: the multiplier of its channels.
        resolution: of its images, pixels.
        top1: percent of ImageNet's validation images, in float32.
        macs: multiplications, each with its addition, for one image.
        parameters: how many it has.
        pixel1_ms: of one image in float32 on a large core of a Pixel 1, milliseconds; None where nobody published it.
        source: where all of it was published, an address.
    """

    family: str
    width: float
    resolution: int
    top1: float
    macs: float
    parameters: float
    pixel1_ms: float | None
    source: str


@cache
def published() -> tuple[Published, ...]:
    """All that edgekit knows of."""
    text = resources.files("edgekit.models").joinpath("published.toml").read_text(encoding="utf-8")
    return tuple(
        Published(
            table["family"], width, size, top1, macs * 1e6, parameters * 1e6, ms[0] if ms else None, table["source"]
        )
        for table in tomllib.loads(text)["published"]
        for width, size, top1, macs, parameters, *ms in table["rows"]
    )


def published_of(family: str, width: float | None, resolution: int) -> Published | None:
    """The figures of one network; None where none were published."""
    for one in published():
        if (one.family, one.width, one.resolution) == (family, width, resolution):
            return one
    return None
