"""checkpoint -> calibrated integer model -> fine-tuned integer model -> the files that export writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit.errors import DataError
from edgekit.pipeline.making.export import ExportResult, export
from edgekit.pipeline.making.given import Given, from_files
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.config import FinetuneSettings, Settings
    from edgekit.integer_model import IntegerModel
    from edgekit.pipeline.making.source import Source
    from edgekit.training.finetune import Finetuning

STATE_SUFFIX = ".finetune"


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """What was trained, and what was written.

    Attributes:
        finetuning: what came of it, and which model was kept.
        export: the files of that model.
    """

    finetuning: Finetuning
    export: ExportResult


def finetune(
    settings: Settings,
    *,
    given: Given | None = None,
    opened: Callable[[Source], object] = lambda _: None,
    progress: Progress = silent,
) -> FinetuneResult:
    """Fine-tune the network of ``settings`` on its calibration images, and export the int8 files of every target.

    What training needs to go on after an interruption is kept beside the files, as ``NAME.finetune``, until they are
    published; the same call goes on with it.

    Raises:
        BadInput: the checkpoint, the images or a setting cannot be used, or a file cannot be written.
        GateFailed: a finished file is not what it has to be.
        MissingDependency: a target needs an extra that is not installed.
    """
    given = from_files(settings) if given is None else given
    if given.images is None:
        raise DataError("fine-tuning needs images like those in use, 100 or more, no labels: --calib DIR")
    out = settings.export.out
    int8 = replace(settings, export=replace(settings.export, precisions=("int8",)))
    done: list[Finetuning] = []

    def refine(source: Source, model: IntegerModel) -> tuple[IntegerModel, FinetuneSettings]:
        from edgekit.training.finetune import finetune as train  # noqa: PLC0415 - needs torch

        form = source.integer_form
        assert source.images is not None, "checked above"
        trained, finetuning = train(
            form,
            model,
            source.images,
            settings.finetune,
            state=out / f"{form.graph.name}{STATE_SUFFIX}",
            progress=progress,
        )
        done.append(finetuning)
        # What was left open is what it came to: so many minutes are as many epochs as they sufficed for.
        came_to = replace(settings.finetune, epochs=finetuning.epochs, minutes=None, accelerator=finetuning.accelerator)
        return trained, came_to

    exported = export(int8, given=given, refine=refine, opened=opened, progress=progress)
    (out / f"{exported.network}{STATE_SUFFIX}").unlink(missing_ok=True)
    return FinetuneResult(done[0], exported)
