"""Run a file on pixels and compare its logits with what they have to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.exporters.metadata import Precision
from edgekit.reference.integer import Reference
from edgekit.runtimes.runner import decode, encode
from edgekit.verification.float_parity import TOLERANCE, FloatParity, compare_floats
from edgekit.verification.integer_parity import NEAR, IntegerParity, compare_integers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.exporters.metadata import Metadata
    from edgekit.integer_model import IntegerModel
    from edgekit.runtimes.runner import Runner


def reference_logits(model: IntegerModel, pixels: NDArray[np.uint8]) -> NDArray[Any]:
    """The logits of the numpy reference [N, classes], image by image: int8, or float64 where they are kept in float."""
    reference = Reference(model)
    stored = model.encode(pixels)
    return np.concatenate([next(iter(reference.run(stored[i : i + 1]).values())) for i in range(len(stored))])


def run_integers(runner: Runner, metadata: Metadata, model: IntegerModel, pixels: NDArray[np.uint8]) -> NDArray[Any]:
    """The logits [N, classes] that an int8 file gives: int8, or float32 where they are kept in float."""
    output = runner.run(encode(pixels, metadata, model.params[model.graph.input]))
    params = model.params.get(model.graph.output_tensors[0])
    return output if params is None else decode(output, metadata.io_dtype, params)


def with_reference(  # noqa: PLR0913 - what is compared, and what is claimed
    runner: str,
    found: NDArray[Any],
    expected: NDArray[Any],
    model: IntegerModel,
    *,
    exact: bool = True,
    max_lsb_allowed: int = 0,
) -> IntegerParity | FloatParity:
    """Logits that ``run_integers`` gives against those that ``reference_logits`` does.

    Args:
        runner: its name.
        found: what it gives, [N, classes].
        expected: what the reference gives, likewise.
        model: that both computed.
        exact: identity is claimed for the file, too, where it is for the model.
        max_lsb_allowed: by how much integers may differ all the same.
    """
    exact = exact and model.exact
    if model.graph.output_tensors[0] in model.params:
        return compare_integers(runner, found, expected, exact=exact, max_lsb_allowed=max_lsb_allowed)
    return compare_floats(runner, found, expected, TOLERANCE[Precision.FLOAT32] if exact else NEAR)


def unclaimed(runner: Runner, metadata: Metadata, model: IntegerModel) -> str | None:
    """Why nothing is claimed of an int8 file in a runner, so that there is nothing to compare; None where there is.

    A file of another lowering than the model's claims to be near, in any runner.
    """
    return runner.differs_because if metadata.lowering == model.lowering else None


def by_default(runner: str) -> str:
    """What is said of a file whose integers the default runner of this machine need not give."""
    return f"{runner}, the default on this machine, need not give the file's integers"


def is_off(found: NDArray[Any], expected: NDArray[Any], precision: Precision) -> NDArray[np.bool_]:
    """For each image, [N], whether its logits are not those expected, both [N, classes]; floats within a tolerance."""
    if precision is Precision.INT8:
        off: NDArray[np.bool_] = (found != expected).any(1)
        return off
    near: NDArray[np.bool_] = np.abs(found - expected).max(1) <= TOLERANCE[precision] * np.abs(expected).max()
    return ~near  # so that NaN is off


def integers(
    runner: Runner,
    metadata: Metadata,
    model: IntegerModel,
    pixels: NDArray[np.uint8],
    expected: NDArray[Any],
) -> IntegerParity | FloatParity:
    """The logits of an int8 file against the reference's.

    A file of another lowering than the model's, as is a Core ML program in float16, claims to be near, no more.
    """
    found = run_integers(runner, metadata, model, pixels)
    return with_reference(runner.name, found, expected, model, exact=metadata.lowering == model.lowering)


def floats(runner: Runner, metadata: Metadata, pixels: NDArray[np.uint8], expected: NDArray[np.float32]) -> FloatParity:
    """The logits of a float file against the trained network's."""
    found = runner.run(encode(pixels, metadata, None))
    return compare_floats(runner.name, found, expected, TOLERANCE[metadata.precision], metadata.precision)
