"""Look at a network, its images, its training and its files, and name what is wrong."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit import extras
from edgekit.calibration.images import ImageSource, open_images
from edgekit.diagnosis import deployment, labels
from edgekit.diagnosis.finding import Finding, Trouble
from edgekit.diagnosis.remedies import DataSet
from edgekit.errors import CheckpointError, ConfigError, DataError, EdgekitError
from edgekit.exporters.metadata import Precision
from edgekit.facts import of_provenance
from edgekit.integer_model import SUFFIX, IntegerModel
from edgekit.models.folders import BEST, CALIBRATION
from edgekit.pipeline.diagnosing.commands import Commands
from edgekit.pipeline.diagnosing.diagnosis import DiagnoseResult, Subject
from edgekit.pipeline.diagnosing.timing import Watch, timed
from edgekit.pipeline.making.expectations import Contradicted
from edgekit.pipeline.making.given import Given, as_read
from edgekit.pipeline.making.source import open_source
from edgekit.pipeline.measuring.profile import profile
from edgekit.pipeline.proving.predicting import Opened
from edgekit.progress import Progress, silent
from edgekit.runtimes.tracing import trace_graph, trace_model
from edgekit.tasks.classification import Classification
from edgekit.tasks.registry import task_of_model
from edgekit.verification.divergence import Comparison
from edgekit.verification.layers import steepest_fall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edgekit.config import Settings
    from edgekit.facts import Fact
    from edgekit.pipeline.diagnosing.named import Named
    from edgekit.pipeline.making.source import Source
    from edgekit.preprocessing import Preprocessing
    from edgekit.tasks.task import Task
    from edgekit.tasks.values import Outputs
    from edgekit.verification.layers import LayerComparison

    Images = Callable[[Preprocessing], ImageSource]

BATCH: Final = 16
LAYER_IMAGES: Final = 64  # that layers are looked at on
FALL_IMAGES: Final = 16  # that integers are compared with floats on, layer by layer
FLOAT: Final = "float"
GAP: Final = 15.0  # points of top-1 on training images above that on others, beyond chance


def diagnose(  # noqa: PLR0913 - what is looked at, and how
    settings: Settings,
    named: Named,
    *,
    training: Path | None = None,
    threads: int = 1,
    timing: bool = True,
    given: Given | None = None,
    progress: Progress = silent,
) -> DiagnoseResult:
    """Look at everything that is there, and name what is wrong.

    Args:
        settings: ``verify.data`` names the images, ``verify.images`` how many of them; ``model`` and ``preprocessing``
            what is known of the network.
        named: the network and its files.
        training: the images that it was trained on, where they lie.
        threads: that files are timed with, beside one.
        timing: whether files are timed.
        given: a network or images in memory, in the place of those that are named.
        progress: told of every batch.

    Raises:
        BadInput: the network, a file or the images cannot be used.
        MissingDependency: torch or a file's runtime is not installed.
    """
    started = time.perf_counter()
    given = Given() if given is None else given
    images = given.images or _images(settings)
    commands = Commands(named, settings.verify.data, training)
    work = _Work(settings, named, images, commands, progress)
    if named.network is not None or given.network is not Given().network:
        try:
            work.look_at_network(given)
        except CheckpointError as error:
            raise work.with_what_the_log_says(error) from error
    elif not named.files:
        raise ConfigError("nothing is named to be diagnosed: edgekit diagnose CHECKPOINT|RUN|FILE… --data DIR")
    with ExitStack() as stack:
        opened = [stack.enter_context(Opened(path, threads=1)) for path in named.files]
        for file in opened:
            work.look_at_file(file)
        if timing:
            work.time_everything(opened, threads)
    if training is not None or work.kept is not None:
        work.look_at_training(training)
    return work.diagnosis(time.perf_counter() - started)


def _images(settings: Settings) -> Images:
    wanted = settings.verify
    if wanted.data is None:
        raise ConfigError("a diagnosis needs images that the network was not trained on, labelled ones: --data DIR")
    data = wanted.data
    return lambda preprocessing: open_images(data, preprocessing, limit=wanted.images, strict=wanted.strict)


class _Work:
    """What was seen so far."""

    def __init__(
        self, settings: Settings, named: Named, images: Images, commands: Commands, progress: Progress
    ) -> None:
        self._settings, self._named, self._images = settings, named, images
        self._commands, self._progress = commands, progress
        self._findings: list[Finding] = []
        self._subjects: list[Subject] = []
        self._source: Source | None = None
        self._task: Task[Any] | None = None
        self._floats: Outputs | None = None
        self._seen: ImageSource | None = None
        self._targets: Any = None
        self._about_targets: Fact | None = None
        self._layers: tuple[Any, ...] = ()
        self._statistics: tuple[Any, ...] = ()
        self._layer_images = 0
        self._network = ""

    # --- the checkpoint

    def look_at_network(self, given: Given) -> None:
        """Run the checkpoint, and look at its preprocessing, its layers, its labels and its log."""
        extras.load("torch", "torch")
        source = self._source = self._opened(replace(given, images=self._images))
        form, images = source.float_model, source.images
        assert images is not None, "they were given"
        self._network, self._task, self._seen = form.graph.name, task_of_model(form), images
        self._task.check(images)
        outputs: list[Outputs] = []
        for batch in images.batches(BATCH):
            outputs.append(source.outputs(form.preprocessing.normalization(batch.pixels)))
            self._progress("running the network", BATCH * len(outputs), max(len(images), BATCH * len(outputs)))
        self._floats = {name: np.concatenate([one[name] for one in outputs]) for name in outputs[0]}
        path = self._checkpoint
        size = 0 if path is None else path.stat().st_size
        quality = self._quality(self._floats, images)
        self._subjects.append(Subject(FLOAT, path, "float32", "torch", size, quality))
        self._look_at_images(images)
        self._look_into_layers(images.sample(LAYER_IMAGES).pixels)
        self._look_at_log()

    def _opened(self, given: Given) -> Source:
        """The network; what evidence contradicts is a finding, and is gone on with."""
        # What is asked is always asked of these images: they are what the network is fed with.
        settings = replace(self._settings, calibration=type(self._settings.calibration)())
        try:
            return open_source(settings, self._progress, given=given)
        except Contradicted as error:
            self._findings.append(
                Finding(
                    Trouble.PREPROCESSING,
                    "The network is fed with something else than it was trained with.",
                    error.told,
                    self._commands.diagnosed(error.flags),
                )
            )
            insisting = replace(settings, model=replace(settings.model, insist=True))
            return open_source(insisting, self._progress, given=given)

    def _look_at_images(self, images: ImageSource) -> None:
        """Whether they are of the kind that the network was trained on."""
        from edgekit.calibration.diagnosis import Mistake  # noqa: PLC0415 - needs torch
        from edgekit.calibration.diagnosis import diagnose as look  # noqa: PLC0415 - likewise

        assert self._source is not None
        found = look(self._source.integer_form, images).finding
        if found is None or found.mistake is Mistake.FEW or self._has(Trouble.PREPROCESSING):
            return
        sentence, _, rest = found.advice.partition(": ")
        self._findings.append(
            Finding(
                Trouble.OTHER_IMAGES,
                f"{sentence[0].upper()}{sentence[1:]}.",
                rest or found.advice,
                "edgekit diagnose " + f"{self._commands.network} --data OTHER_IMAGES",
            )
        )

    def _look_into_layers(self, pixels: NDArray[np.uint8]) -> None:
        from edgekit.diagnosis.layers import statistics_of  # noqa: PLC0415 - needs torch
        from edgekit.diagnosis.network import batch_norm_of, of_batch_norm, of_layers  # noqa: PLC0415 - likewise

        assert self._source is not None
        model = self._source.float_model
        self._layers = statistics_of(model, pixels, self._progress)
        self._statistics = () if any(one.not_finite for one in self._layers) else batch_norm_of(model, pixels)
        self._layer_images = len(pixels)
        maps = frozenset(n.name for n in model.graph if np.prod(model.graph.tensors[n.output].shape[1:]) > 1)
        prune = f"edgekit prune {self._commands.network} --to dead"
        self._findings += of_layers(self._layers, maps, self._commands.further, prune)
        if not (self._has(Trouble.PREPROCESSING) or self._has(Trouble.OTHER_IMAGES)):
            self._findings += of_batch_norm(self._statistics, f"{self._commands.further} --epochs 1 --lr 1e-6")

    def with_what_the_log_says(self, error: CheckpointError) -> CheckpointError:
        """Why a checkpoint cannot be read, with what its training's log shows, which may be the reason."""
        self._findings.clear()
        self._look_at_log()
        if not self._findings:
            return error
        found = self._findings[0]
        return CheckpointError(f"{error}. {found.trouble}: {found.sentence} {found.evidence}; {found.remedy}")

    def _look_at_log(self) -> None:
        from edgekit.diagnosis import curve  # noqa: PLC0415 - only where there is one

        self._log = None if self._named.log is None else curve.read(self._named.log)
        if self._log is not None:
            self._findings += curve.of_log(self._log, curve.Remedies(self._commands.again))

    # --- how good it is

    def _quality(self, outputs: Outputs, images: ImageSource) -> Any:  # noqa: ANN401 - Quality or None
        """How good a network is, with what its answers say of the labels; the first one says what targets mean."""
        task = self._task
        assert task is not None
        if self._targets is None:
            understood = task.targets(images, outputs)
            self._targets, self._about_targets = understood.targets, understood.fact
            if self._targets is not None and isinstance(task, Classification):
                self._look_at_labels(outputs[task.output], images)
        return None if self._targets is None else task.quality(outputs, self._targets, images.names)

    def _look_at_labels(self, logits: NDArray[Any], images: ImageSource) -> None:
        from edgekit.tasks.classification.answers import class_names  # noqa: PLC0415 - likewise
        from edgekit.tasks.classification.quality import confusion_matrix, reliability  # noqa: PLC0415 - likewise

        assert isinstance(self._task, Classification)
        if not np.isfinite(logits).all():
            return
        names = class_names(self._task.classes, self._task.labels)
        data = DataSet(self._settings.verify.data, images.names, self._targets)
        found = list(labels.of_labels(logits, self._targets, names, data))
        self._findings += found
        matrix = confusion_matrix(logits, self._targets)
        there = matrix.sum(1)
        recalls = [matrix[i, i] / n if n else None for i, n in enumerate(there)]
        self._findings += labels.of_numbers(there, names, recalls, "images", self._commands.diagnosed(""))
        if found or self._has(Trouble.PREPROCESSING):
            return  # confidence and accuracy are then those of something else
        self._findings += labels.of_confidence(
            reliability(logits, self._targets), len(logits), f"{self._commands.further} --smoothing 0.1"
        )
        told = self._task.plausible({self._task.output: logits}, self._targets)
        if told.problem and not self._has(Trouble.OVERCONFIDENT):
            self._findings.append(
                Finding(
                    Trouble.AT_CHANCE,
                    "The network is hardly better than a guess on these images.",
                    told.measured,
                    f"{self._commands.again}",
                )
            )

    # --- finished files

    def look_at_file(self, opened: Opened) -> None:
        """Run a file, beside the float network where that is known."""
        about = opened.metadata
        source = self._images(as_read(about.preprocessing, of_provenance(about.provenance)))
        if self._task is None:
            self._task, self._seen, self._network = opened.task, source, about.network
            self._task.check(source)
        parts: list[Outputs] = []
        for batch in source.batches(BATCH):
            said = opened.of_pixels(batch.pixels, batch.names)
            parts.append({name: np.stack([one.outputs[name] for one in said]) for name in said[0].outputs})
            self._progress(f"running {opened.path.name}", BATCH * len(parts), max(len(source), BATCH * len(parts)))
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        quality = self._quality(outputs, source)
        subject = Subject(
            opened.path.name, opened.path, str(about.precision), opened.runner, opened.path.stat().st_size, quality
        )
        if self._floats is not None and self._is_comparable(outputs):
            subject = self._beside_float(subject, outputs, source)
        elif about.precision is Precision.FLOAT32 and self._floats is None:
            self._floats = outputs
        self._subjects.append(subject)

    def _is_comparable(self, outputs: Outputs) -> bool:
        assert self._floats is not None
        return all(name in outputs and outputs[name].shape == array.shape for name, array in self._floats.items())

    def _beside_float(self, subject: Subject, outputs: Outputs, images: ImageSource) -> Subject:
        task, floats = self._task, self._floats
        assert task is not None
        assert floats is not None
        agreement = task.agreement(outputs, floats)
        drop = None if self._targets is None else task.drop(outputs, floats, self._targets)
        differences = task.differences(outputs, floats, images.names)
        if subject.precision == Precision.INT8 and subject.path is not None:
            fall = self._fall(subject.path, images)
            remedy = f"edgekit export {self._commands.network} --calib {self._commands.learned_from}"
            found = deployment.Int8(subject.name, drop, agreement, task.nearness, fall)
            self._findings += deployment.of_int8(found, remedy)
        return replace(subject, drop=drop, agreement=agreement, differences=differences)

    def _fall(self, path: Path, images: ImageSource) -> LayerComparison | None:
        """The layer in which an int8 file loses most, where its integer model and the checkpoint are there."""
        saved = path.with_suffix(SUFFIX)
        if self._source is None or not saved.exists():
            return None
        model = IntegerModel.load(saved)
        pixels = images.sample(FALL_IMAGES).pixels
        floats = trace_graph(self._source.integer_form.graph, model.preprocessing.normalization, pixels)
        layers = Comparison(trace_model(model, pixels), floats, model).layers()
        return steepest_fall(layers, model.graph)

    # --- time

    def time_everything(self, opened: Sequence[Opened], threads: int) -> None:
        """Time the checkpoint and every file, and look at where the time of int8 files goes."""
        watch = Watch()
        runs = list(self._runs(opened))
        for number, (place, run) in enumerate(runs):
            self._progress("timing", number, len(runs))
            latency = timed(run, threads=1)
            subject = self._subjects[place]
            self._subjects[place] = replace(subject, latency=(*subject.latency, latency))
        if threads > 1:
            self._time_threads(opened, threads)
        self._progress("timing", len(runs), len(runs))
        disturbed = watch.disturbed()
        remedy = self._commands.diagnosed("")
        self._findings += deployment.of_threads(
            [(s.name, one.threads, one.p50_ms) for s in self._subjects for one in s.latency], watch.cores, remedy
        )
        if disturbed:
            self._findings += deployment.of_conditions(disturbed, remedy)
        for path in (file.path for file in opened):
            self._profile(path)

    def _runs(self, opened: Sequence[Opened]) -> Iterator[tuple[int, Callable[[], object]]]:
        """What is timed, by the place of its subject."""
        first = len(self._subjects) - len(opened)
        if self._source is not None and self._seen is not None:
            source = self._source
            shown = source.float_model.preprocessing.normalization(self._seen.sample(1).pixels)
            yield 0, partial(source.outputs, shown)
        for place, file in enumerate(opened):
            batch = self._one(file)
            yield first + place, partial(file.run, batch)

    def _one(self, opened: Opened) -> NDArray[Any]:
        """One image as a file takes it."""
        images = self._images(as_read(opened.metadata.preprocessing, of_provenance(opened.metadata.provenance)))
        return opened.input_of(images.sample(1).pixels)

    def _time_threads(self, opened: Sequence[Opened], threads: int) -> None:
        first = len(self._subjects) - len(opened)
        for place, file in enumerate(opened):
            with Opened(file.path, threads=threads) as again:
                batch = self._one(again)
                latency = timed(partial(again.run, batch), threads=threads)
            subject = self._subjects[first + place]
            self._subjects[first + place] = replace(subject, latency=(*subject.latency, latency))

    def _profile(self, path: Path) -> None:
        try:
            found = profile(path, progress=self._progress)
        except EdgekitError:  # its runtime has no profiler, or the file is another tool's
            return
        times = [(one.layer, one.kind, one.us, one.bound_us) for one in found.operators]
        remedy = f"edgekit export {self._commands.network} --calib {self._commands.learned_from} --int8"
        self._findings += deployment.of_operators(path.name, times, remedy)

    # --- what it was trained on

    @property
    def kept(self) -> Path | None:
        """Training images that a run has kept."""
        run = self._named.run
        return run / CALIBRATION if run is not None and (run / CALIBRATION).is_dir() else None

    def look_at_training(self, training: Path | None) -> None:
        """Whether training has seen these images, has classes of like size, and learned its images by heart."""
        from edgekit.training.data.likeness import SEEN, leaked  # noqa: PLC0415 - only where it is wanted

        theirs = self._images(SEEN)
        learned = open_images(training or self.kept or Path(), SEEN)
        ours = np.concatenate([batch.pixels[..., 0] for batch in learned.batches(BATCH)])
        shown = np.concatenate([batch.pixels[..., 0] for batch in theirs.batches(BATCH)])
        pairs = leaked(ours, shown)
        if pairs:
            data = DataSet(self._settings.verify.data, theirs.names)
            first = f"{learned.names[pairs[0][0]]} and {theirs.names[pairs[0][1]]}"
            self._findings.append(
                Finding(
                    Trouble.DUPLICATES,
                    "Training has seen images that the network is tested on, so its accuracy is flattered.",
                    f"{len(pairs):,} of {len(shown):,} images are the same as training images, or nearly: {first}",
                    data.without([place for _, place in pairs]),
                )
            )
        if training is not None and isinstance(self._task, Classification) and self._source is not None:
            self._compare_with_training(training)

    def _compare_with_training(self, training: Path) -> None:
        assert self._source is not None
        assert isinstance(self._task, Classification)
        images = open_images(training, self._source.float_model.preprocessing, limit=512)
        normalization = self._source.float_model.preprocessing.normalization
        outputs = [self._source.outputs(normalization(batch.pixels)) for batch in images.batches(BATCH)]
        logits = np.concatenate([one[self._task.output] for one in outputs])
        understood = self._task.targets(images, {self._task.output: logits})
        if understood.targets is None:
            return
        from edgekit.tasks.classification.answers import class_names  # noqa: PLC0415 - with numpy

        names = class_names(self._task.classes, self._task.labels)
        everything = open_images(training, self._source.float_model.preprocessing).labels or ()
        numbers = np.bincount(everything, minlength=len(names)) if len(everything) else np.zeros(len(names), np.int64)
        if len(numbers) == len(names) and not self._has(Trouble.IMBALANCE):
            remedy = f"{self._commands.again} --recipe scratch --smoothing 0.1"
            self._findings += labels.of_numbers(numbers, names, [None] * len(names), "training images", remedy)
        if self._targets is None or self._floats is None or self._has(Trouble.OVERFIT):
            return
        own = self._task.measure({self._task.output: logits}, understood.targets)[0].value
        others = self._task.measure(self._floats, self._targets)[0].value
        chance = 196 * (0.25 / len(self._targets)) ** 0.5
        troubles = (Trouble.SWAPPED_LABELS, Trouble.OTHER_ORDER, Trouble.MISLABELLED, Trouble.PREPROCESSING)
        if own - others > GAP + chance and not any(map(self._has, troubles)):
            self._findings.append(
                Finding(
                    Trouble.OVERFIT,
                    "The network overfits: it is far better on the images that it was trained on.",
                    f"right on {own:.1f} % of the training images, and on {others:.1f} % of the others",
                    f"{self._commands.again} --aa rand-m9-n2 --mixup 0.2 --weight-decay 0.05",
                )
            )

    # --- the end

    _log: Any = None

    @property
    def _checkpoint(self) -> Path | None:
        path = self._named.network
        if path is not None and path.is_dir():
            return path / BEST if (path / BEST).exists() else None
        return path

    def _has(self, trouble: Trouble) -> bool:
        return any(one.trouble is trouble for one in self._findings)

    def diagnosis(self, seconds: float) -> DiagnoseResult:
        """Everything, the gravest trouble first."""
        images, source, task = self._seen, self._source, self._task
        assert images is not None
        assert task is not None
        if not len(images):
            raise DataError("none of the images can be used")
        order = list(Trouble)
        return DiagnoseResult(
            network=self._network,
            description="" if source is None else source.description,
            task=task.name,
            data=images.description,
            images=len(images),
            skipped=images.skipped,
            facts=(*(() if source is None else source.facts), *filter(None, (self._about_targets,))),
            findings=tuple(sorted(self._findings, key=lambda one: order.index(one.trouble))),
            subjects=tuple(self._subjects),
            layers=self._layers,
            batch_norm=self._statistics,
            layer_images=self._layer_images,
            log=self._log,
            seconds=seconds,
        )
