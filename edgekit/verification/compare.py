"""Run a file on pixels and compare its outputs with what they have to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from edgekit.device.detections import EXACT
from edgekit.errors import ArtifactError
from edgekit.exporters.metadata import FLOAT16_SCALES, Precision
from edgekit.ir import LOGITS
from edgekit.reference.float import FloatReference
from edgekit.reference.integer import Reference
from edgekit.runtimes.runner import decode, encode, in_batches
from edgekit.suppression import ended, endings_of, given_names
from edgekit.verification import class_parity
from edgekit.verification.class_parity import ClassParity, compare_classes
from edgekit.verification.detection_parity import ALLOWED, NEARLY, DetectionParity, compare_detections, differ
from edgekit.verification.float_parity import TOLERANCE, FloatParity, compare_floats
from edgekit.verification.integer_parity import NEAR, IntegerParity, compare_integers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from edgekit.exporters.metadata import Metadata
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.runtimes.runner import Runner
    from edgekit.suppression import Ending
    from edgekit.tasks.values import Outputs

Parity: TypeAlias = IntegerParity | FloatParity | DetectionParity | ClassParity


def reference_outputs(model: IntegerModel, pixels: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """The outputs of the numpy reference by name, image by image: int8, or float64 where they are kept in float.

    Where boxes are suppressed behind the network, edgekit does that itself.
    """
    stored = model.encode(pixels)
    return ended(in_batches(stored, 1, Reference(model).run), model.provenance)


def stored_outputs(model: FloatModel, pixels: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """What files of int8 weights have to give or be near to, by name: the network with these weights, in float64."""
    images = model.preprocessing.normalization(pixels)
    return ended(in_batches(images, 1, FloatReference(model.graph).run), model.provenance)


def run_integers(
    runner: Runner, metadata: Metadata, model: IntegerModel, pixels: NDArray[np.uint8]
) -> dict[str, NDArray[Any]]:
    """The outputs that an int8 file gives, by name: int8, or float32 where they are kept in float, or classes.

    Where boxes are suppressed behind a program that is run alone, edgekit suppresses them itself.

    Raises:
        ArtifactError: it lacks one.
    """
    own, said = [output.name for output in model.graph.outputs], {output.name for output in metadata.outputs}
    names = own if said.issuperset(own) else given_names(own, model.provenance)
    found = _given(runner.run(encode(pixels, metadata, model.params[model.graph.input])), names)
    params = model.graph.named({tensor: model.params.get(tensor) for tensor in model.graph.output_tensors})
    decoded = {
        name: array if (quantized := params.get(name)) is None else decode(array, metadata.io_dtype, quantized)
        for name, array in found.items()
    }
    return ended(decoded, model.provenance)


def run_floats(
    runner: Runner, metadata: Metadata, pixels: NDArray[np.uint8], names: Iterable[str] = ()
) -> dict[str, NDArray[Any]]:
    """The outputs that a float file gives, by name.

    Args:
        runner: of the file.
        metadata: of the file.
        pixels: [N, H, W, C].
        names: of the outputs that it has to give; none for those that it says it gives.

    Raises:
        ArtifactError: it lacks one.
    """
    said = tuple(output.name for output in metadata.outputs) or (LOGITS,)
    found = ended(_given(runner.run(encode(pixels, metadata, None)), said), metadata.provenance)
    return _given(found, tuple(names) or tuple(found))


def _given(given: Outputs, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    if missing := [name for name in names if name not in given]:
        raise ArtifactError(f"the file gives {', '.join(given)}, and has to give {missing[0]}: export it again")
    return {name: given[name] for name in names}


def with_reference(  # noqa: PLR0913 - what is compared, and what is claimed
    runner: str,
    found: Outputs,
    expected: Outputs,
    model: IntegerModel,
    *,
    simulated: Collection[str] = (),
    near: str = "",
    max_lsb_allowed: int = 0,
) -> tuple[Parity, ...]:
    """Outputs that ``run_integers`` gives against those that ``reference_outputs`` does, one parity an output.

    Args:
        runner: its name.
        found: what it gives.
        expected: what the reference gives.
        model: that both computed.
        simulated: operators that it only simulates (``Runner.simulated``).
        near: why identity is claimed of no output of the file; "" where it is of those of which the model claims it.
        max_lsb_allowed: by how much integers may differ all the same.
    """
    reasons = model.near_in(simulated)
    parities: list[Parity] = []
    for output in model.graph.outputs:
        if output.name not in expected:  # it is read by what suppresses boxes
            continue
        arrays, called = (found[output.name], expected[output.name]), label(output.name, expected)
        why = near or reasons.get(output.tensor, "")
        if model.graph.tensors[output.tensor].is_mask:
            parities.append(compare_classes(runner, *arrays, output=output.name, near=why))
        elif output.tensor in model.params:
            parity = compare_integers(runner, *arrays, near=why, max_lsb_allowed=max_lsb_allowed, output=called)
            parities.append(parity)
        else:
            tolerance = NEAR if why else TOLERANCE[Precision.FLOAT32]
            parities.append(compare_floats(runner, *arrays, tolerance, output=called))
    tensors = {output.name: output.tensor for output in model.graph.outputs}
    for ending in endings_of(model.provenance):
        is_near = near or any(tensors[name] in reasons for name in (ending.boxes, ending.scores))
        tolerance, least = (ALLOWED[Precision.FLOAT16], NEARLY[Precision.FLOAT16]) if is_near else (EXACT, 1.0)
        parities.append(compare_detections(runner, found, expected, ending, tolerance=tolerance, least=least))
    return tuple(parities)


def with_floats(
    runner: str, found: Outputs, expected: Outputs, metadata: Metadata, tolerance: float | None = None
) -> tuple[Parity, ...]:
    """Outputs of a float file against the trained network's, one parity an output, and one a detector that suppresses.

    ``tolerance`` is of values relative to the largest; None for the usual one.
    """
    precision, endings = metadata.precision, endings_of(metadata.provenance)
    detections = {name for ending in endings for name in ending.names}
    allowed = TOLERANCE[precision] if tolerance is None else tolerance
    parities: list[Parity] = [
        compare_classes(runner, found[name], wanted, output=name, precision=precision)
        if np.issubdtype(wanted.dtype, np.integer)
        else compare_floats(runner, found[name], wanted, allowed, precision, output=label(name, expected))
        for name, wanted in expected.items()
        if name not in detections
    ]
    return (
        *parities,
        *(
            compare_detections(runner, found, expected, one, tolerance=ALLOWED[precision], least=NEARLY[precision])
            for one in endings
        ),
    )


def label(name: str, outputs: Collection[str]) -> str:
    """What a parity calls an output: "" for logits that are the only one."""
    return "" if set(outputs) == {LOGITS} else name


def unclaimed(runner: Runner, metadata: Metadata, model: IntegerModel) -> str | None:
    """Why nothing is claimed of an int8 file in a runner, so that there is nothing to compare; None where there is.

    A file of another lowering than the model's claims to be near, in any runner.
    """
    return runner.differs_because if metadata.lowering == model.lowering else None


def file_is_near(metadata: Metadata, model: IntegerModel) -> str:
    """Why a file claims to be near to the model, and no more, as the end of a sentence; "" where it claims identity."""
    if metadata.lowering == model.lowering:
        return ""
    if metadata.lowering == f"{model.lowering}{FLOAT16_SCALES}":
        return "scales are rounded to float16"
    return f"operators are written as in {metadata.lowering}, and in the integer model as in {model.lowering}"


def by_default(runner: str) -> str:
    """What is said of a file whose integers the default runner of this machine need not give."""
    return f"{runner}, the default on this machine, need not give the file's integers"


def is_off(
    found: Outputs, expected: Outputs, precision: Precision, endings: Sequence[Ending] = ()
) -> NDArray[np.bool_]:
    """For each image, [N], whether an output is not what is expected; floats within a tolerance."""
    detections = {name for ending in endings for name in ending.names}
    apart = [_is_off(found[n], wanted, precision) for n, wanted in expected.items() if n not in detections]
    tolerance = ALLOWED.get(precision, EXACT)
    apart += [differ(found, expected, ending, tolerance) for ending in endings]
    off: NDArray[np.bool_] = np.any(apart, axis=0)
    return off


def _is_off(found: NDArray[Any], expected: NDArray[Any], precision: Precision) -> NDArray[np.bool_]:
    images = len(expected)
    if np.issubdtype(expected.dtype, np.integer) and precision is not Precision.INT8:  # classes
        others: NDArray[np.bool_] = (found != expected).reshape(images, -1).mean(1) > class_parity.ALLOWED[precision]
        return others
    if precision is Precision.INT8:
        off: NDArray[np.bool_] = (found != expected).reshape(images, -1).any(1)
        return off
    allowed = TOLERANCE[precision] * np.abs(expected).max()
    near: NDArray[np.bool_] = np.abs(found - expected).reshape(images, -1).max(1) <= allowed
    return ~near  # so that NaN is off


def integers(
    runner: Runner, metadata: Metadata, model: IntegerModel, pixels: NDArray[np.uint8], expected: Outputs
) -> tuple[Parity, ...]:
    """The outputs of an int8 file against the reference's.

    A file of another lowering than the model's, as is a Core ML program in float16, claims to be near, no more.
    """
    found = run_integers(runner, metadata, model, pixels)
    near = file_is_near(metadata, model)
    return with_reference(runner.name, found, expected, model, simulated=runner.simulated, near=near)


def floats(runner: Runner, metadata: Metadata, pixels: NDArray[np.uint8], expected: Outputs) -> tuple[Parity, ...]:
    """The outputs of a float file against the trained network's."""
    return with_floats(runner.name, run_floats(runner, metadata, pixels, expected), expected, metadata)
