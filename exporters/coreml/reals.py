"""Numbers in the type of a program, checked: float16 ends at 65504 above and at 6e-8 below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def to_real(array: NDArray[Any], dtype: str, name: str) -> NDArray[Any]:
    """``array`` in ``dtype``; ``name`` is what a message calls it.

    Raises:
        ConfigError: a number is too large.
    """
    with np.errstate(over="ignore"):  # told below
        real = array.astype(dtype)
    if not np.isfinite(real).all():
        raise ConfigError(f"{name} is beyond the largest {dtype} number: write the float32 program instead")
    return real


def to_scale(scale: NDArray[np.float32], dtype: str, name: str) -> NDArray[Any]:
    """A scale in ``dtype``: [] for a tensor, [C] for channels, which is how Core ML tells them apart.

    Raises:
        ConfigError: a scale is too large or too small.
    """
    real = to_real(scale, dtype, f"the scale of {name}")
    if not real.all():
        raise ConfigError(
            f"the scale of {name} is below the smallest {dtype} number: write the float32 program instead"
        )
    return real if real.size > 1 else real.reshape(())


def to_weights(
    stored: NDArray[np.int8], scale: NDArray[np.float32], dtype: str
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights [O, ...] and their scales, [1] or [O], with scales that ``dtype`` holds.

    Channels that hardly weigh anything have scales below it (V3-Small has 18 below 6e-8); theirs becomes the smallest
    number there is, and their integers the nearest of that.
    """
    held = np.maximum(scale, np.finfo(dtype).smallest_subnormal)
    ratio = (scale.astype(np.float64) / held).reshape(-1, *[1] * (stored.ndim - 1))
    return np.rint(stored * ratio).astype(np.int8), held
