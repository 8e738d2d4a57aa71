"""Which opset and IR version a given ONNX Runtime reads."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgekit.errors import ConfigError

# ONNX Runtime -> (opset, IR): https://onnxruntime.ai/docs/reference/compatibility.html, onnx/helper.py: VERSION_TABLE.
# Newer versions read the last one too, and it has every operator that edgekit writes.
_READS = {
    (1, 7): (13, 7),
    (1, 8): (14, 7),
    (1, 9): (15, 8),
    (1, 10): (15, 8),
    (1, 11): (16, 8),
    (1, 12): (17, 8),
}
OLDEST, DEFAULT = min(_READS), max(_READS)  # before 1.7 DequantizeLinear had no scale an output channel


@dataclass(frozen=True, slots=True)
class OnnxVersion:
    """What a file declares."""

    opset: int
    ir: int


INT16_SINCE, INT16 = (1, 18), OnnxVersion(21, 10)  # https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html


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
        return INT16 if int16 else OnnxVersion(*_READS[DEFAULT])
    match = re.fullmatch(r"(?:onnxruntime\s*==\s*)?(\d+)\.(\d+)(?:\.\d+)?", requirement.strip())
    if match is None:
        raise ConfigError(f"{requirement!r} is not a version of ONNX Runtime: write it as onnxruntime==1.16")
    version = (int(match[1]), int(match[2]))
    if version < OLDEST:
        raise ConfigError(
            f"ONNX Runtime {version[0]}.{version[1]} does not know weights with a scale an output channel: "
            f"{OLDEST[0]}.{OLDEST[1]} is the oldest that does"
        )
    if int16 and version < INT16_SINCE:
        raise ConfigError(
            f"ONNX Runtime {version[0]}.{version[1]} has no 16-bit activations, {INT16_SINCE[0]}.{INT16_SINCE[1]} is "
            f"the oldest that does: use --keep-float for these layers"
        )
    return INT16 if int16 else OnnxVersion(*_READS[min(version, DEFAULT)])
