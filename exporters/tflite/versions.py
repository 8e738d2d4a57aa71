"""Which TensorFlow release a named runtime of .tflite files goes back to."""

from __future__ import annotations

import re
from typing import Final

from edgekit.errors import ConfigError

Release = tuple[int, int, int]

# LiteRT 1.0 took over where TensorFlow Lite 2.17 ended: Maven Central, org.tensorflow:tensorflow-lite, relocation.
FIRST_LITERT: Final[Release] = (2, 17, 0)


def release_of(requirement: str) -> Release:
    """The TensorFlow release whose operators a named runtime has at least.

    Args:
        requirement: of LiteRT ("1.2", "ai-edge-litert==1.2.0"), or of what it was called before
            ("tflite-runtime==2.14", "tensorflow==2.14").

    Raises:
        ConfigError: it is not a version.

    >>> release_of("1.2"), release_of("tflite-runtime==2.14.0")
    ((2, 17, 0), (2, 14, 0))
    """
    pattern = r"(?:(litert|ai-edge-litert|tflite-runtime|tensorflow)\s*==\s*)?(\d+)\.(\d+)(?:\.(\d+))?"
    match = re.fullmatch(pattern, requirement.strip().lower())
    if match is None:
        raise ConfigError(
            f"{requirement!r} is not a version of LiteRT: write it as 1.2, or an older one as tflite-runtime==2.14"
        )
    if match[1] in {"tflite-runtime", "tensorflow"}:
        return int(match[2]), int(match[3]), int(match[4] or 0)
    return FIRST_LITERT
