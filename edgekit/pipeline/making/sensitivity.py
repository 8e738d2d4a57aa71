"""Which layers of a network lose most by quantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit import extras
from edgekit.errors import DataError
from edgekit.pipeline.making.given import Given, from_files
from edgekit.pipeline.making.integers import integers_of
from edgekit.pipeline.making.ranking import Sensitivity, rank
from edgekit.pipeline.making.source import Source, open_source
from edgekit.progress import Progress, silent
from edgekit.tasks.registry import task_of_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgekit.config import Settings
    from edgekit.facts import Fact
    from edgekit.verification.closeness import Closeness

IMAGES = 32


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


def sensitivity(
    settings: Settings,
    *,
    given: Given | None = None,
    images: int = IMAGES,
    opened: Callable[[Source], object] = lambda _: None,
    progress: Progress = silent,
) -> SensitivityResult:
    """Quantize the network of ``settings`` as export does, and each part of it alone.

    Args:
        settings: what, and the calibration images.
        given: what is read; None for the files that the settings name.
        images: how many of these to compare the logits on, evenly spaced; 8 or more.
        opened: told of the network, with what is taken to be true of it, before the work starts.
        progress: told of every stage.

    Raises:
        BadInput: the checkpoint, the images or a setting cannot be used.
        GateFailed: ``calibration.floor`` cannot be kept.
        MissingDependency: torch is not installed.
    """
    given = from_files(settings) if given is None else given
    if given.images is None:
        raise DataError("sensitivity is measured on images like those in use, no labels: --calib DIR")
    extras.load("torch", "torch")
    from edgekit.calibration.one_at_a_time import LEAST_IMAGES, quantize_one_at_a_time  # noqa: PLC0415 - needs torch
    from edgekit.verification.closeness import compare, integer_outputs  # noqa: PLC0415 - needs torch

    progress("loading", 0, 1)
    source = open_source(settings, progress, given=given)
    opened(source)
    progress("loading", 1, 1)
    form = source.integer_form
    assert source.images is not None, "checked above"
    pixels = source.images.sample(images).pixels
    if len(pixels) < LEAST_IMAGES:
        raise DataError(
            f"{len(pixels)} images are too few to tell how sensitive a layer is: give {LEAST_IMAGES} or more"
        )
    task = task_of_model(form)
    integers = integers_of(source, settings, progress)
    found = quantize_one_at_a_time(form, integers.ranges, integers.model, pixels, progress=progress)
    return SensitivityResult(
        network=form.graph.name,
        description=source.description,
        facts=source.facts,
        notes=source.notes,
        kind="simulated",
        images=len(pixels),
        skipped=integers.skipped,
        parts=rank(found, task),
        activations=compare(task, found.floats, found.activations),
        weights=compare(task, found.floats, found.weights),
        everything=compare(task, found.floats, integer_outputs(integers.model, pixels)),
    )
