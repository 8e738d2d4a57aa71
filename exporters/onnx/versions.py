"""Which opset and IR version a given ONNX Runtime reads, and which a file for it declares."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgekit.errors import ConfigError


@dataclass(frozen=True, slots=True)
class OnnxVersion:
    """What a file declares."""

    opset: int
    ir: int


# The newest that each ONNX Runtime reads: https://onnxruntime.ai/docs/reference/compatibility.html, onnx/helper.py:
# VERSION_TABLE. Each reads what older ones do, and 1.12 every operator that edgekit writes but those of 16 bits.
_READS = {
    (1, 7): OnnxVersion(13, 7),
    (1, 8): OnnxVersion(14, 7),
    (1, 9): OnnxVersion(15, 8),
    (1, 10): OnnxVersion(15, 8),
    (1, 11): OnnxVersion(16, 8),
    (1, 12): OnnxVersion(17, 8),
    (1, 13): OnnxVersion(17, 8),
    (1, 14): OnnxVersion(18, 8),
    (1, 15): OnnxVersion(19, 8),
    (1, 16): OnnxVersion(19, 9),
    (1, 17): OnnxVersion(20, 9),
    (1, 18): OnnxVersion(21, 10),
}
OLDEST, DEFAULT = min(_READS), (1, 12)  # before 1.7 DequantizeLinear had no scale an output channel
INT16_SINCE = (1, 18)  # https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html


def for_runtime(requirement: str | None, *, int16: bool = False) -> OnnxVersion:
    """The opset and IR version of a file that a named ONNX Runtime has to read.

    Args:
        requirement: "1.10", "1.10.0" or "onnxruntime==1.10.0"; None for a default that suits 1.12 and later, or 1.18
            and later with 16-bit activations.
        int16: the file holds 16-bit activations, which QuantizeLinear has since opset 21.

    Raises:
        ConfigError: it is not a version, or one that is too old.

    >>> for_runtime("onnxruntime==1.10.0")
    OnnxVersion(opset=15, ir=8)
    """
    if requirement is None:
        return _READS[INT16_SINCE if int16 else DEFAULT]
    version = _parsed(requirement)
    if int16 and version < INT16_SINCE:
        raise ConfigError(
            f"ONNX Runtime {version[0]}.{version[1]} has no 16-bit activations, {INT16_SINCE[0]}.{INT16_SINCE[1]} is "
            f"the oldest that does: use --keep-float for these layers"
        )
    return _READS[INT16_SINCE if int16 else min(version, DEFAULT)]


def newest_read_by(requirement: str) -> OnnxVersion:
    """The newest opset and IR version that a named ONNX Runtime is known to read.

    Args:
        requirement: as for ``for_runtime``.

    Raises:
        ConfigError: it is not a version, or one that is too old.

    >>> newest_read_by("1.17")
    OnnxVersion(opset=20, ir=9)
    """
    return _READS[min(_parsed(requirement), max(_READS))]


def runtime_for(version: OnnxVersion) -> str | None:
    """A requirement for which ``for_runtime`` gives ``version``; None where there is none but perhaps the default.

    >>> runtime_for(OnnxVersion(15, 8)), runtime_for(OnnxVersion(17, 8))
    ('1.9', None)
    """
    older = (runtime for runtime, reads in _READS.items() if reads == version and runtime < DEFAULT)
    return next((f"{major}.{minor}" for major, minor in older), None)


def _parsed(requirement: str) -> tuple[int, int]:
    match = re.fullmatch(r"(?:onnxruntime\s*==\s*)?(\d+)\.(\d+)(?:\.\d+)?", requirement.strip())
    if match is None:
        raise ConfigError(f"{requirement!r} is not a version of ONNX Runtime: write it as onnxruntime==1.16")
    version = (int(match[1]), int(match[2]))
    if version < OLDEST:
        raise ConfigError(
            f"ONNX Runtime {version[0]}.{version[1]} does not know weights with a scale an output channel: "
            f"{OLDEST[0]}.{OLDEST[1]} is the oldest that does"
        )
    return version
