"""This machine's processor, and what its instructions mean for integer kernels."""

from __future__ import annotations

import platform

from edgekit.device import machine
from edgekit.exporters.metadata import FLOAT_PROFILE
from edgekit.integer_model import SEVEN_BIT

_VNNI = {"avx512_vnni", "avx_vnni"}
# VPMADDUBSW multiplies pairs of uint8 and int8 and clamps the sum of both products to 16 bits: 2 x 255 x 127 = 64,770
# becomes 32,767 (Intel's Software Developer's Manual, volume 2, PMADDUBSW). VNNI's VPDPBUSD adds to 32 bits instead.
SATURATES = (
    "on x86 without VNNI, these kernels clamp sums of two products to 16 bits; edgekit export --device x86 makes "
    "files that they run exactly"
)


def lacks_vnni() -> bool:
    """Whether it is an x86 that is known to have no VNNI."""
    known = machine.flags()
    return platform.machine() in {"x86_64", "AMD64"} and bool(known) and not known & _VNNI


def saturation(profile: str) -> str | None:
    """Why uint8 x int8 kernels can give other integers here than the reference; None where they cannot.

    Args:
        profile: of the file, as in its metadata.
    """
    return SATURATES if lacks_vnni() and profile != FLOAT_PROFILE and not profile.startswith(SEVEN_BIT) else None
