"""Which layers of a network lose most by quantization, in numbers and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit import extras, files
from edgekit.errors import DataError
from edgekit.pipeline.integers import integers_of
from edgekit.pipeline.ranking import Sensitivity, rank
from edgekit.pipeline.source import Source, open_source
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgekit.config import Settings
    from edgekit.facts import Fact
    from edgekit.verification.closeness import Closeness

IMAGES = 32
PICTURE_SUFFIX = ".sensitivity.svg"


@dataclass(frozen=True, slots=True)
class SensitivityResult:
    """What quantization does to the logits, part by part and in all.

    Attributes:
        network: its name.
        description: what the checkpoint was.
        facts: what is taken to be true of the network and its weights do not tell.
        notes: what was chosen and left aside on the way.
        kind: of all numbers: they are simulated, the integers are those of the files.
        images: how many the logits were compared on.
        skipped: images that could not be used, and why.
        parts: what each activation, and the weights of each layer, do alone, with biases corrected for that
            (``calibration.one_at_a_time``); the worst first. Parts that stay in float are left out.
        activations: what all activations do together, with weights in float.
        weights: what all weights do together, with activations in float.
        everything: the int8 network.
        picture: the file that was drawn; None without one.
    """

    network: str
    description: str
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    kind: str
    images: int
    skipped: Mapping[str, str]
    parts: tuple[Sensitivity, ...]
    activations: Closeness
    weights: Closeness
    everything: Closeness
    picture: Path | None


def sensitivity(
    settings: Settings,
    *,
    images: int = IMAGES,
    out: Path | None = None,
    opened: Callable[[Source], object] = lambda _: None,
    progress: Progress = silent,
) -> SensitivityResult:
    """Quantize the network of ``settings`` as export does, and each part of it alone.

    Args:
        settings: what, and the calibration images.
        images: how many of these to compare the logits on, evenly spaced; 8 or more.
        out: a folder for the picture, ``NAME.sensitivity.svg``; None draws none.
        opened: told of the network, with what is taken to be true of it, before the work starts.
        progress: told of every stage.

    Raises:
        BadInput: the checkpoint, the images or a setting cannot be used, or the picture cannot be written.
        GateFailed: ``calibration.floor`` cannot be kept.
        MissingDependency: torch is not installed.
    """
    wanted = settings.calibration
    if wanted.data is None:
        raise DataError("sensitivity is measured on images like those in use, no labels: --calib DIR")
    extras.load("torch", "torch")
    from edgekit.calibration.images import open_images  # noqa: PLC0415 - needed here alone
    from edgekit.calibration.one_at_a_time import LEAST_IMAGES, quantize_one_at_a_time  # noqa: PLC0415 - needs torch
    from edgekit.pipeline.sensitivity_picture import draw  # noqa: PLC0415 - needed here alone
    from edgekit.verification.closeness import compare, integer_logits  # noqa: PLC0415 - needs torch

    progress("loading", 0, 1)
    source = open_source(settings, progress)
    opened(source)
    progress("loading", 1, 1)
    form = source.integer_form
    pixels = (
        open_images(wanted.data, form.preprocessing, limit=wanted.images, strict=wanted.strict).sample(images).pixels
    )
    if len(pixels) < LEAST_IMAGES:
        raise DataError(
            f"{len(pixels)} images are too few to tell how sensitive a layer is: give {LEAST_IMAGES} or more"
        )
    integers = integers_of(source, settings, progress)
    found = quantize_one_at_a_time(form, integers.ranges, integers.model, pixels, progress=progress)
    name = form.graph.name
    result = SensitivityResult(
        network=name,
        description=source.description,
        facts=source.facts,
        notes=source.notes,
        kind="simulated",
        images=len(pixels),
        skipped=integers.skipped,
        parts=rank(found),
        activations=compare(found.floats, found.activations),
        weights=compare(found.floats, found.weights),
        everything=compare(found.floats, integer_logits(integers.model, pixels)),
        picture=None if out is None else out / f"{name}{PICTURE_SUFFIX}",
    )
    if result.picture is not None:
        files.write_bytes(result.picture, draw(result).encode())
    return result
