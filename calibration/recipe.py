"""The recipe, the same for every MobileNet: what calibration finds, and the integers that follow, now or later.

Calibrating goes through the list with images, reading a file of ranges back goes through it without: what was found is
applied in the same way. A new step is a file in ``steps`` and a line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edgekit.calibration.found import Ranges
from edgekit.calibration.mixed_precision import more_precise, select_kinds
from edgekit.calibration.options import DEFAULT, Options
from edgekit.calibration.steps.correct_biases import CorrectBiases
from edgekit.calibration.steps.equalize import Equalize
from edgekit.calibration.steps.find_ranges import FindRanges
from edgekit.calibration.steps.round_weights import RoundWeights
from edgekit.calibration.steps.step import Step, Work
from edgekit.calibration.steps.tell_stability import TellStability
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from edgekit.calibration.images import ImageSource
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

RECIPE: Final[tuple[Step[Any], ...]] = (
    Equalize(),
    FindRanges(),
    RoundWeights(),
    CorrectBiases(),
    TellStability(),
)


def calibrate(
    model: FloatModel, images: ImageSource, options: Options = DEFAULT, *, progress: Progress = silent
) -> Ranges:
    """Everything that ``integer_model`` needs to know of the images.

    Args:
        model: in ``passes.integer_form``.
        images: like those in use.
        options: how it becomes integers.
        progress: told of every stage.

    Raises:
        ConfigError: an option names a layer that does not exist, or two name the same.
        DataError: there is no usable image, or a tensor becomes infinite or NaN.
    """
    layers = more_precise(model.graph, select_kinds(model.graph, options.keep_float, options.int16))
    work = Work(model, options, images, progress)
    for step in RECIPE:
        work.take(step, step.find(work))
    return Ranges(
        found={step.name: step.keep(work.found[step.name]) for step in RECIPE},
        options=options,
        images=work.observed.images,
        digest=images.digest,
        preprocessing=model.preprocessing,
        provenance={**model.provenance, **layers},
    )


def integer_model(model: FloatModel, ranges: Ranges) -> IntegerModel:
    """The integer model of ``model``: equalized, corrected, quantized as ``ranges`` says.

    Args:
        model: in ``passes.integer_form``.
        ranges: what ``calibrate`` found, now or in an earlier export.

    Raises:
        ConfigError: an option names a layer that does not exist, or two name the same.
        DataError: a tensor has no range.
        UnsupportedOperator: an operator has no integer form, or scales that no kernel bridges.
    """
    work = Work(model, ranges.options)
    for step in RECIPE:
        work.take(step, ranges.found.get(step.name, {}))
    return work.integers


def told(model: FloatModel, ranges: Ranges) -> tuple[str, ...]:
    """What a calibration did to a network and why, in words: one line a thing.

    Args:
        model: in ``passes.integer_form``, as it was calibrated.
        ranges: what ``calibrate`` found.
    """
    return tuple(line for step in RECIPE for line in step.tell(model, ranges.found.get(step.name, {})))
