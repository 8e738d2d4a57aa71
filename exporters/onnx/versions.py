"""Which opset and IR version a given ONNX Runtime reads."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgekit.errors import ConfigError

# ONNX Runtime -> (opset, IR): https://onnxruntime.ai/docs/reference/compatibility.html and onnx/helper.py, VERSION_TABLE.
_READS = {
    (1, 7): (13, 7),
    (1, 8): (14, 7),
    (1, 9): (15, 8),
    (1, 10): (15, 8),
    (1, 11): (16, 8),
    (1, 12): (17, 8),
    (1, 13): (17, 8),
    (1, 14): (18, 8),
    (1, 15): (19, 8),
    (1, 16): (19, 9),
    (1, 17): (20, 9),
    (1, 18): (21, 10),
}
OLDEST = min(_READS)  # the first whose opset has a scale an output channel (DequantizeLinear-13)
DEFAULT = (1, 13)  # 2022: opset 17, which every later version reads, and every operator that edgekit writes


@dataclass(frozen=True, slots=True)
class OnnxVersion:
    """What a file declares."""

    opset: int
    ir: int


def for_runtime(requirement: str | None) -> OnnxVersion:
    """The newest opset and IR version that a named ONNX Runtime reads.

    Args:
        requirement: "1.16", "1.16.3" or "onnxruntime==1.16.3"; None for a default that suits 1.13 and later.

    Raises:
        ConfigError: it is not a version, or one that is too old.

    >>> for_runtime("onnxruntime==1.16.3")
    OnnxVersion(opset=19, ir=9)
    """
    if requirement is None:
        return OnnxVersion(*_READS[DEFAULT])
    match = re.fullmatch(r"(?:onnxruntime\s*==\s*)?(\d+)\.(\d+)(?:\.\d+)?", requirement.strip())
    if match is None:
        raise ConfigError(f"{requirement!r} is not a version of ONNX Runtime: write it as onnxruntime==1.16")
    version = (int(match[1]), int(match[2]))
    if version < OLDEST:
        raise ConfigError(
            f"ONNX Runtime {version[0]}.{version[1]} does not know weights with a scale an output channel: "
            f"{OLDEST[0]}.{OLDEST[1]} is the oldest that does"
        )
    return OnnxVersion(*_READS[min(version, max(_READS))])
