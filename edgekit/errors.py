"""Everything a user can be told, and the exit code that goes with it.

EdgekitError
├── BadInput               2  something given to edgekit cannot be used as it is
│   ├── CheckpointError       the trained model
│   ├── DataError             images, arrays, labels
│   ├── ConfigError           edgekit.toml, flags and their values
│   ├── ArtifactError         an exported file or a saved integer model
│   └── UnsupportedOperator   an operator that edgekit or a target does not have
├── GateFailed             1  everything ran, and the result is not good enough
├── MissingDependency      3  an extra or a runtime is not installed
└── DeviceUnreachable      4  the other machine does not answer

A message says what is wrong, where, and what to do next. Our own mistakes are assertions, never an EdgekitError.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class EdgekitError(Exception):
    """Base of all errors that are meant for the user."""

    exit_code: ClassVar[int] = 2


class BadInput(EdgekitError):
    """Something given to edgekit cannot be used as it is."""


class CheckpointError(BadInput):
    """The trained model cannot be read, or is not a MobileNet that edgekit knows."""


class DataError(BadInput):
    """Images, arrays or labels cannot be used."""


class ConfigError(BadInput):
    """A key or value of edgekit.toml, or a flag, is wrong."""


class ArtifactError(BadInput):
    """An exported file or a saved integer model cannot be read."""


class UnsupportedOperator(BadInput):
    """A network holds an operator that edgekit or the target does not have."""


class GateFailed(EdgekitError):
    """Everything ran, and the result is not good enough."""

    exit_code: ClassVar[int] = 1


class MissingDependency(EdgekitError):
    """An extra or a runtime is not installed."""

    exit_code: ClassVar[int] = 3


class DeviceUnreachable(EdgekitError):
    """The machine that was named does not answer."""

    exit_code: ClassVar[int] = 4


def chosen(word: str, choices: Iterable[str]) -> str | None:
    """The one of ``choices`` that a word names, in capitals or not; None where there is none.

    >>> chosen("rgb", ["RGB", "BGR"]), chosen("rbg", ["RGB", "BGR"])
    ('RGB', None)
    """
    return next((choice for choice in choices if choice.casefold() == word.strip().casefold()), None)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest valid one, or all of them.

    >>> did_you_mean("tflight", ["onnx", "tflite"]), did_you_mean("greyy", ["GREY", "RGB"])
    ("did you mean 'tflite'?", "did you mean 'GREY'?")
    >>> did_you_mean("xyz", ["onnx", "tflite"])
    'choose from onnx, tflite'
    """
    known = {choice.casefold(): choice for choice in sorted(choices)}
    near = get_close_matches(word.casefold(), known, n=1, cutoff=0.6)
    return f"did you mean {known[near[0]]!r}?" if near else f"choose from {', '.join(known.values())}"
