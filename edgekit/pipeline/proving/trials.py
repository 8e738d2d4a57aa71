"""Files run on images beside what they are held against; of a batch nothing is kept but outputs and a few pictures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.images import ImageSource, PixelBatch, open_images
from edgekit.errors import DataError
from edgekit.exporters.metadata import Precision
from edgekit.progress import Progress, silent
from edgekit.suppression import endings_of
from edgekit.verification import compare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgekit.config import Settings
    from edgekit.exporters.metadata import Metadata
    from edgekit.facts import Fact
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.pipeline.making.trained import Trained
    from edgekit.preprocessing import Preprocessing
    from edgekit.runtimes.runner import Runner
    from edgekit.tasks.task import Task
    from edgekit.tasks.values import Outputs

    Images = Callable[[Preprocessing], ImageSource]

BATCH_SIZE = 8
NOISE_IMAGES = 16
PICTURES = 24  # as many as fit on a screen
SUSPECTS = 2  # images that show where a file goes wrong


@dataclass(slots=True)
class Trial:
    """A file in one runner.

    Attributes:
        about: what the file says about itself.
        make_runner: opens it again.
        runner: runs it.
        answers: the outputs by name, batch by batch: integers of an int8 file, floats of any other.
        suspects: images [1, H, W, C] on which they are not what they have to be, the first few.
    """

    about: Metadata
    make_runner: Callable[[], Runner]
    runner: Runner
    answers: list[Outputs] = field(default_factory=list)
    suspects: list[NDArray[np.uint8]] = field(default_factory=list)

    @property
    def outputs(self) -> Outputs:
        """By name, on all images, [N, ...]."""
        return joined(self.answers)

    def run(self, pixels: NDArray[np.uint8], model: IntegerModel | None) -> Outputs:
        """Run it on a batch [N, H, W, C] and keep what it answers."""
        if self.about.precision is Precision.INT8:
            assert model is not None
            found = compare.run_integers(self.runner, self.about, model, pixels)
        else:
            found = compare.run_floats(self.runner, self.about, pixels)
        self.answers.append(found)
        return found

    def suspect(self, pixels: NDArray[np.uint8], wrong: NDArray[np.bool_]) -> None:
        """Keep images of a batch that are ``wrong``, [N], as long as there are few."""
        images = np.flatnonzero(wrong)[: SUSPECTS - len(self.suspects)]
        self.suspects += [pixels[i : i + 1] for i in images]


@dataclass(frozen=True, slots=True)
class Expected:
    """What the references say of a batch, by name; None of what is not known."""

    integers: Outputs | None
    floats: Outputs | None
    stored: Outputs | None

    def of(self, precision: Precision) -> Outputs | None:
        """What a file has to give, or to be near to."""
        if precision is Precision.INT8:
            return self.integers
        return self.stored if precision.has_int8_weights else self.floats


@dataclass(slots=True)
class Answers:
    """What the references say of all images.

    Attributes:
        integers: the integer model's outputs by name, batch by batch.
        floats: the float network's, likewise.
        stored: likewise, those of the float network with weights that are stored in int8.
        targets: of the images, as the task has them; None where there are none, or none that can be trusted.
        about_targets: how these are known.
        names: of the images.
        pictures: pixels of some of them [H, W, C], by number.
    """

    integers: list[Outputs] = field(default_factory=list)
    floats: list[Outputs] = field(default_factory=list)
    stored: list[Outputs] = field(default_factory=list)
    targets: Any = None
    about_targets: Fact | None = None
    names: list[str] = field(default_factory=list)
    pictures: dict[int, NDArray[np.uint8]] = field(default_factory=dict)

    def add(self, batch: PixelBatch, expected: Expected, *, every: int) -> None:
        """Take note of a batch; one image in ``every`` is kept as a picture."""
        for found, kept in (
            (expected.integers, self.integers),
            (expected.floats, self.floats),
            (expected.stored, self.stored),
        ):
            if found is not None:
                kept.append(found)
        for name, picture in zip(batch.names, batch.pixels, strict=True):
            if len(self.names) % every == 0 and len(self.pictures) < PICTURES:
                self.pictures[len(self.names)] = picture
            self.names.append(name)


def joined(batches: Sequence[Outputs]) -> Outputs:
    """Outputs by name of several batches, as of one."""
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def reals(outputs: Outputs, model: IntegerModel) -> Outputs:
    """What outputs of an integer model stand for, by name; what suppression gives stands for itself."""
    tensors = {output.name: output.tensor for output in model.graph.outputs}
    return {name: model.real(tensors[name], found) if name in tensors else found for name, found in outputs.items()}


def images_of(
    settings: Settings, preprocessing: Preprocessing, held: Images | None = None
) -> ImageSource | list[PixelBatch]:
    """The images that the settings name, those that are ``held`` in their place, or reproducible noise.

    Raises:
        DataError: they cannot be used.
    """
    wanted = settings.verify
    if held is not None:
        return held(preprocessing)
    if wanted.data is not None:
        return open_images(wanted.data, preprocessing, limit=wanted.images, strict=wanted.strict)
    if wanted.images is not None:
        raise DataError("a number of images is given, but no images: --data DIR")
    pixels = np.random.default_rng(0).integers(0, 256, (NOISE_IMAGES, *preprocessing.shape), np.uint8)
    names = tuple(f"noise {i}" for i in range(NOISE_IMAGES))
    starts = range(0, NOISE_IMAGES, BATCH_SIZE)
    return [PixelBatch(pixels[i : i + BATCH_SIZE], None, names[i : i + BATCH_SIZE]) for i in starts]


@dataclass(frozen=True, slots=True)
class References:
    """What files are held against.

    Attributes:
        preprocessing: of the images.
        model: for integers.
        floats: the trained network, or one of the trials.
        stored: for files of int8 weights.
    """

    preprocessing: Preprocessing
    model: IntegerModel | None
    floats: Trained | Trial | None
    stored: FloatModel | None = None

    def outputs(self, pixels: NDArray[np.uint8]) -> Expected:
        """For a batch [N, H, W, C]; what a trial gives is left out."""
        integers = None if self.model is None else compare.reference_outputs(self.model, pixels)
        stored = None if self.stored is None else compare.stored_outputs(self.stored, pixels)
        if self.floats is None or isinstance(self.floats, Trial):
            return Expected(integers, None, stored)
        return Expected(integers, self.floats.outputs(self.preprocessing.normalization(pixels)), stored)


def float_reference(firsts: Sequence[Trial], references: References) -> Trial | None:
    """The float32 file that others are compared with for want of the checkpoint: the one that most of them are near.

    Args:
        firsts: a trial of each file.
        references: with the integer model, which is near, too.
    """
    trials = [trial for trial in firsts if trial.about.precision is not Precision.INT8]
    candidates = [trial for trial in trials if trial.about.precision is Precision.FLOAT32]
    if len(candidates) < 2:
        return next(iter(candidates), None)
    pixels = np.random.default_rng(0).integers(0, 256, (1, *references.preprocessing.shape), np.uint8)
    answers: list[Outputs] = [compare.run_floats(trial.runner, trial.about, pixels) for trial in trials]
    if references.model is not None:
        answers.append(reals(compare.reference_outputs(references.model, pixels), references.model))

    def distance(trial: Trial) -> float:
        """From the answer that half of all are nearer to."""
        own = answers[trials.index(trial)]
        return float(np.median([max(np.abs(own[n] - other[n]).max() for n in own) for other in answers]))

    return min(candidates, key=distance)


def run(
    trials: Sequence[Trial],
    images: ImageSource | list[PixelBatch],
    references: References,
    task: Task[Any],
    progress: Progress = silent,
) -> Answers:
    """Run everything on every batch; what the images' targets mean may depend on what the networks say of them."""
    answers = Answers()
    if not trials:
        return answers
    batches, total = (
        (images.batches(BATCH_SIZE), len(images)) if isinstance(images, ImageSource) else (images, NOISE_IMAGES)
    )
    ordered = sorted(trials, key=lambda trial: trial is not references.floats)  # what others are held against is first
    progress("verifying", 0, total)
    for batch in batches:
        wanted = references.outputs(batch.pixels)
        for trial in ordered:
            found = trial.run(batch.pixels, references.model)
            if trial is references.floats:
                wanted = replace(wanted, floats=found)
            expected = wanted.of(trial.about.precision)
            if expected is not None:
                endings = endings_of(trial.about.provenance)
                trial.suspect(batch.pixels, compare.is_off(found, expected, trial.about.precision, endings))
        answers.add(batch, wanted, every=max(total // PICTURES, 1))
        progress("verifying", len(answers.names), max(total, len(answers.names)))
    if isinstance(images, ImageSource):
        understood = task.targets(images, joined(answers.floats or answers.integers or trials[0].answers))
        answers.targets, answers.about_targets = understood.targets, understood.fact
    return answers
