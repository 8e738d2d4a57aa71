"""Run a file on pixels and compare its logits with what they have to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.reference.integer import Reference
from edgekit.runtimes.runner import decode, encode
from edgekit.verification.float_parity import FloatParity, compare_floats
from edgekit.verification.integer_parity import IntegerParity, compare_integers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.exporters.metadata import Metadata
    from edgekit.integer_model import IntegerModel
    from edgekit.runtimes.runner import Runner


def reference_logits(model: IntegerModel, pixels: NDArray[np.uint8]) -> NDArray[np.int8]:
    """The logits of the numpy reference, int8 [N, classes], image by image."""
    reference = Reference(model)
    stored = model.encode(pixels)
    return np.concatenate([reference.run(stored[i : i + 1]) for i in range(len(stored))])


def run_integers(
    runner: Runner, metadata: Metadata, model: IntegerModel, pixels: NDArray[np.uint8]
) -> NDArray[np.int8]:
    """The int8 logits [N, classes] that a file gives."""
    output = runner.run(encode(pixels, metadata, model.params[model.graph.input]))
    return decode(output, metadata.io_dtype, model.params[model.graph.outputs[0]])


def integers(
    runner: Runner,
    metadata: Metadata,
    model: IntegerModel,
    pixels: NDArray[np.uint8],
    expected: NDArray[np.int8],
) -> IntegerParity:
    """The logits of a file against the reference's."""
    return compare_integers(runner.name, run_integers(runner, metadata, model, pixels), expected)


def floats(runner: Runner, metadata: Metadata, pixels: NDArray[np.uint8], expected: NDArray[np.float32]) -> FloatParity:
    """The logits of a float file against the trained network's."""
    found = runner.run(encode(pixels, metadata, None))
    return compare_floats(runner.name, found, expected, metadata.precision)
