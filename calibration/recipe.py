"""What a calibration did to a network and why, in words for its user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.calibration.equalization import equalize
from edgekit.calibration.stability import MORE_IMAGES
from edgekit.passes.gate_convolution import gates

if TYPE_CHECKING:
    from edgekit.calibration.ranges import Ranges
    from edgekit.float_model import FloatModel


LEAST_SPREAD = 1.05  # of gains: less is no equalization worth a word


def recipe(model: FloatModel, ranges: Ranges) -> tuple[str, ...]:
    """One line a step that was taken.

    Args:
        model: in ``passes.integer_form``, as it was calibrated.
        ranges: what ``calibrate`` found.
    """
    lines = []
    if ranges.gains:
        spread = max(max(gain) / min(gain) for gain in ranges.gains.values())
        families = f"{len(ranges.gains)} {'families' if len(ranges.gains) > 1 else 'family'} of tensors"
        factors = f"by factors up to {spread:.0f}" if spread >= 9.5 else f"by factors up to {spread:.1f}"
        equalized = f"channels equalized in {families}, {factors}: one scale has to serve them all"
        lines.append(equalized if spread >= LEAST_SPREAD else f"channels of {families} reach about equally far already")
        swishes = len(gates(model.graph))
        converted = swishes - len(gates(equalize(model, ranges.gains).graph))
        if converted:
            lines.append(
                f"{converted} of {swishes} hard-swishes got a depthwise gate: their channels made most of the error"
            )
    if ranges.roundings:
        moved = sum(int(np.count_nonzero(offsets)) for offsets in ranges.roundings.values())
        total = sum(offsets.size for offsets in ranges.roundings.values())
        lines.append(f"{moved / total:.0%} of the weights not rounded to nearest: layers' results are nearer so")
    if ranges.corrections:
        lines.append(f"biases of {len(ranges.corrections)} layers corrected by what quantization shifts on average")
    if ranges.stability:
        worst = max(ranges.stability, key=ranges.stability.__getitem__)
        median, most = np.median(list(ranges.stability.values())), ranges.stability[worst]
        lines.append(
            f"{MORE_IMAGES} more images would move ranges by {median:.1%} at most (median; {most:.0%} of {worst})"
        )
    return tuple(lines)
