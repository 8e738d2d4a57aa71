"""From a trained network and settings to the integer model: ranges from images, statistics or a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit import extras
from edgekit.errors import ArtifactError, DataError
from edgekit.pipeline.making.expectations import check_consent
from edgekit.pipeline.making.floor import HELD_OUT_EVERY, LEAST_IMAGES, RANKED_ON, Floor, keep_floor
from edgekit.pipeline.making.manifest import Images
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from edgekit.calibration.diagnosis import Diagnosis
    from edgekit.calibration.found import Ranges
    from edgekit.calibration.images import ImageSource
    from edgekit.calibration.mixed_precision import Kind
    from edgekit.config import CalibrationSettings, Settings
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.pipeline.making.source import Source

PROOF_IMAGES = 8  # enough to find a wrong file, which differs everywhere; ``edgekit verify`` takes as many as wanted
RANGES_SUFFIX = ".ranges.json"
DATA_FREE = "data_free"  # the key in a provenance that says so, and what was taken instead of images


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Integers:
    """The integer model and what it was made from.

    Attributes:
        model: the integer model, which gives the raw outputs of heads (``finishing``).
        ranges: of its tensors.
        recipe: what calibration did and why, a line a step.
        pixels: a few of the images that these come from; None where a file of ranges was given.
        images: how many images they come from; 0 likewise.
        seen: which images these are; None where they are synthetic, or a file of ranges was given.
        diagnosis: what the calibration doctor says of the images; None where they are synthetic, or none were read.
        skipped: images that could not be used, and why.
        floor: how ``calibration.floor`` was kept; None where there is none.
    """

    model: IntegerModel
    ranges: Ranges
    recipe: tuple[str, ...]
    pixels: NDArray[np.uint8] | None
    images: int
    seen: Images | None
    diagnosis: Diagnosis | None
    skipped: Mapping[str, str]
    floor: Floor | None


def integers_of(source: Source, settings: Settings, progress: Progress) -> Integers:
    """Ranges from images, statistics or a file, and the integer model that follows from them.

    Raises:
        BadInput: a setting or the images cannot be used, or integers would rest on what is assumed.
    """
    extras.load("torch", "torch")
    from edgekit.calibration.data_free import synthesize  # noqa: PLC0415 - needs torch
    from edgekit.calibration.diagnosis import diagnose  # noqa: PLC0415 - float exports do without
    from edgekit.calibration.mixed_precision import select_kinds  # noqa: PLC0415 - likewise
    from edgekit.calibration.recipe import told  # noqa: PLC0415 - likewise
    from edgekit.calibration.saved import load  # noqa: PLC0415 - likewise

    check_consent(source.facts, insists=settings.model.insist)
    wanted, form = settings.calibration, source.integer_form
    # A wrong name is better found before the work than after.
    kinds = select_kinds(form.graph, wanted.keep_float, wanted.int16_activations)
    if wanted.ranges is not None and not wanted.data_free:
        ranges = load(wanted.ranges)
        _check_origin(ranges, form, kinds, wanted)
        return Integers(model_of(form, ranges), ranges, told(form, ranges), None, 0, None, None, {}, None)
    diagnosis, floor, skipped = None, None, dict[str, str]()
    if wanted.data_free:
        images = synthesize(form, progress=progress)
    else:
        assert source.images is not None, "checked before"
        images = source.images
        progress("looking at the images", 0, 1)
        diagnosis = diagnose(form, images)
        progress("looking at the images", 1, 1)
    if wanted.floor is None:
        ranges, model = _calibrated(form, images, wanted, wanted.keep_float, progress)
    else:
        parts = images.split(HELD_OUT_EVERY)
        (ranges, model), floor = _within_floor(form, *parts, settings, progress)
        skipped |= parts[0].skipped | parts[1].skipped
    pixels = images.sample(PROOF_IMAGES).pixels
    seen = None if wanted.data_free else Images.of(images, settings)
    return Integers(
        model, ranges, told(form, ranges), pixels, ranges.images, seen, diagnosis, images.skipped | skipped, floor
    )


def _calibrated(
    form: FloatModel,
    images: ImageSource,
    wanted: CalibrationSettings,
    keep_float: Collection[str],
    progress: Progress,
) -> tuple[Ranges, IntegerModel]:
    """What calibration on ``images`` finds, and the model that follows."""
    from edgekit.calibration.options import Options  # noqa: PLC0415 - needs torch
    from edgekit.calibration.ranges import RangeMethod  # noqa: PLC0415 - likewise
    from edgekit.calibration.recipe import calibrate  # noqa: PLC0415 - likewise

    options = Options(
        method=RangeMethod(wanted.method),
        percentile=wanted.percentile,
        keep_float=keep_float,
        int16=wanted.int16_activations,
        per_tensor_weights=wanted.per_tensor_weights,
        weight_bits=wanted.weight_bits,
        synthetic=wanted.data_free,
    )
    ranges = calibrate(form, images, options, progress=progress)
    if wanted.data_free:
        ranges = replace(ranges, provenance={**ranges.provenance, DATA_FREE: images.description})
    return ranges, model_of(form, ranges)


def model_of(form: FloatModel, ranges: Ranges) -> IntegerModel:
    """The integer model that follows from ``ranges`` and says what it was calibrated on; see ``calibrate``."""
    from edgekit.calibration.recipe import integer_model  # noqa: PLC0415 - needs torch
    from edgekit.tasks.exits import with_rules  # noqa: PLC0415 - as tasks are imported where they are used

    model = integer_model(form, ranges)
    calibration = {"digest": ranges.digest, "images": ranges.images, "method": str(ranges.options.method)}
    if DATA_FREE in ranges.provenance:
        calibration[DATA_FREE] = ranges.provenance[DATA_FREE]
    return with_rules(replace(model, provenance={**model.provenance, "calibration": calibration}))


def _within_floor(
    form: FloatModel, seen: ImageSource, held_out: ImageSource, settings: Settings, progress: Progress
) -> tuple[tuple[Ranges, IntegerModel], Floor]:
    """The model within ``calibration.floor``, calibrated on ``seen`` alone, and how it came about."""
    wanted = settings.calibration
    assert wanted.floor is not None
    images = len(seen) + len(held_out)
    if images < LEAST_IMAGES:
        raise DataError(
            f"there are {images} images, too few for --floor to calibrate on some and to measure on others: give "
            f"{LEAST_IMAGES} or more, better 100 to 500"
        )
    integer_output = settings.export.io_dtype != "float32"
    return keep_floor(
        form,
        lambda kept: _calibrated(form, seen, wanted, (*wanted.keep_float, *kept), silent),
        allowed=wanted.floor,
        ranked_on=seen.sample(RANKED_ON).pixels,
        held_out=held_out,
        never=[node.name for node in form.graph if integer_output and node.output in form.graph.output_tensors],
        progress=progress,
    )


def _check_origin(ranges: Ranges, form: FloatModel, kinds: Mapping[str, Kind], wanted: CalibrationSettings) -> None:
    """Refuse ranges of something else: another checkpoint, read in another way, or fed with other images.

    With other layers in float, or with 16-bit activations, its biases would be corrected for errors that are not made:
    that costs MobileNetV3-Small 3 dB of its logits.
    """
    keys = ("checkpoint_sha256", "architecture")
    more_precise = {"kept_float": "float32", "int16": "int16"}
    same = {
        "checkpoint": ranges.provenance.get(keys[0]) == form.provenance.get(keys[0]),
        "architecture or padding": _json(ranges.provenance.get(keys[1])) == _json(form.provenance.get(keys[1])),
        "preprocessing": ranges.preprocessing == form.preprocessing,
        "choice of --per-tensor-weights": ranges.options.per_tensor_weights == wanted.per_tensor_weights,
        "number of bits for weights": ranges.options.weight_bits == wanted.weight_bits,
        "choice of --keep-float or --int16-activations": all(
            ranges.provenance.get(key, []) == [name for name, found in kinds.items() if found == kind]
            for key, kind in more_precise.items()
        ),
    }
    for what, is_same in same.items():
        if not is_same:
            raise ArtifactError(f"{wanted.ranges} was calibrated with another {what}: calibrate again with --calib DIR")


def _json(value: object) -> object:
    return json.loads(json.dumps(value))
