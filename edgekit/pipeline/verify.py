"""Finished files on images, in their real runtimes: integers against the reference, floats against the checkpoint."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.images import ImageSource, open_images
from edgekit.defaults import CHECKPOINT
from edgekit.device.bench import bench
from edgekit.device.plan import Plan
from edgekit.errors import BadInput, EdgekitError
from edgekit.exporters.metadata import Precision
from edgekit.integer_model import IntegerModel
from edgekit.passes import float_form, integer_form
from edgekit.pipeline import baseline, trials
from edgekit.pipeline import candidates as opening
from edgekit.pipeline.candidates import CHECKPOINT_HASH, Candidate
from edgekit.pipeline.manifest import SUFFIX as MANIFEST_SUFFIX
from edgekit.pipeline.manifest import Manifest, sha256_of
from edgekit.pipeline.source import Trained, load_as_exported
from edgekit.pipeline.trials import Answers, References, Trial
from edgekit.pipeline.verdicts import Confusion, FileVerdict, Picture, VerifyResult
from edgekit.progress import Progress, silent
from edgekit.runtimes.catalog import all_runners, other_runners
from edgekit.runtimes.emulated import emulated_runners
from edgekit.runtimes.planned import planned_file
from edgekit.runtimes.tracing import trace_file, trace_graph, trace_model
from edgekit.verification import accuracy, compare, gates
from edgekit.verification.budgets import Limits
from edgekit.verification.divergence import Comparison, locate
from edgekit.verification.float_parity import TOLERANCE, compare_floats
from edgekit.verification.labels import check as check_labels
from edgekit.verification.proven import proven

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.config import BenchSettings, Settings, VerifySettings
    from edgekit.device.results import Row
    from edgekit.preprocessing import Preprocessing
    from edgekit.verification.divergence import Divergence
    from edgekit.verification.float_parity import FloatParity
    from edgekit.verification.integer_parity import IntegerParity
    from edgekit.verification.layers import LayerComparison

LAYER_IMAGES = 8  # on which layers are compared with float ones


def verify(artifacts: Sequence[Path], settings: Settings, *, progress: Progress = silent) -> VerifyResult:
    """Verify exported files of one network.

    Args:
        artifacts: files, or folders of files. An integer model among them, or beside an int8 file, is the reference.
        settings: ``verify`` names the images (labelled ones give accuracy) and the limits, ``model.checkpoint`` the
            float reference; without one, a float32 file among the artifacts is.
        progress: told about every batch.

    Raises:
        BadInput: the files or the images cannot be used.
        MissingDependency: a file's runtime is not installed.
    """
    started = time.perf_counter()
    paths, named = opening.expand(artifacts)
    candidates = [opening.read(path) for path in paths]
    readable = [candidate for candidate in candidates if candidate.metadata is not None]
    if not readable:
        files = tuple(_unread(candidate) for candidate in candidates)
        return VerifyResult(network="", files=files, seconds=time.perf_counter() - started)
    saved = opening.integer_model_of(readable, named)
    model = None if saved is None else IntegerModel.load(saved)
    opening.check_one_network(readable, model)
    about = readable[0].metadata
    assert about is not None
    trained = None if settings.model.checkpoint is None else load_as_exported(settings.model, about.provenance)
    for candidate in readable:
        opening.examine(candidate, model, trained, settings.verify)
    preprocessing = about.preprocessing if model is None else model.preprocessing
    images = trials.images_of(settings, preprocessing)
    if isinstance(images, ImageSource) and images.labels is not None and images.folders is None:
        for output in (output for c in readable if c.summary for output in c.summary.outputs if output.shape):
            check_labels(images.labels, output.shape[-1])
    with ExitStack() as stack:
        for candidate in readable:
            if candidate.is_sound:
                _open(candidate, settings, stack)
        reference = None if trained else next((c for c in readable if _can_be_reference(c)), None)
        floats = trained or (reference.trials[0] if reference else None)
        everything = [trial for candidate in readable for trial in candidate.trials]
        answers = trials.run(everything, images, References(preprocessing, model, floats), progress)
    known = _Known.of(answers, model, trained)
    sound = [candidate for candidate in readable if candidate.is_sound]
    if settings.verify.baseline is not None:
        _check_budgets(sound, settings.verify, progress)
    return VerifyResult(
        network=about.network,
        files=tuple(_judge(c, known, settings.verify, is_reference=c is reference) for c in candidates),
        images=len(answers.names),
        noise=not isinstance(images, ImageSource),
        skipped=images.skipped if isinstance(images, ImageSource) else {},
        integer_reference=saved,
        float_reference=reference.path if reference else settings.model.checkpoint,
        float_accuracy=accuracy.measure(known.floats, known.labels)
        if known.floats is not None and known.labels
        else None,
        labels=about.labels,
        layers=_layers(known, answers),
        proven={name: said for name in sorted({t.runner.name for t in everything}) if (said := proven(name))},
        confusions=_confusions(known, answers.names),
        pictures=_pictures(known, answers),
        calibration=_calibration_pictures(readable, preprocessing),
        latencies=_latencies(sound, settings.bench, progress) if settings.verify.latency else (),
        seconds=time.perf_counter() - started,
    )


def are_shipped(artifacts: Sequence[Path]) -> bool:
    """Whether files are of the network that edgekit ships, whose checkpoint and test images are at hand.

    Raises:
        ArtifactError: a file cannot be found.
    """
    about = opening.read(opening.expand(artifacts)[0][0]).metadata
    shipped = hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest()
    return about is not None and about.provenance.get(CHECKPOINT_HASH) == shipped


def _open(candidate: Candidate, settings: Settings, stack: ExitStack) -> None:
    """Open a file in every runner that this machine has."""
    assert candidate.metadata is not None
    make_runners = [*all_runners(candidate.path, threads=settings.bench.first_threads)]
    if candidate.precision is Precision.INT8:
        make_runners += other_runners(candidate.path, threads=settings.bench.first_threads)
    if settings.verify.emulate:
        emulated = emulated_runners(candidate.path)
        make_runners += emulated.runners
        candidate.skipped += emulated.absent
    for make_runner in make_runners:
        runner = stack.enter_context(make_runner())
        if any(runner.name == trial.runner.name for trial in candidate.trials):
            continue  # torch's engines are one to a float file
        candidate.trials.append(Trial(candidate.metadata, make_runner, runner))


def _check_budgets(sound: Sequence[Candidate], wanted: VerifySettings, progress: Progress) -> None:
    """Add the gates of what a file costs; nothing else runs while it is timed."""
    assert wanted.baseline is not None
    kept = baseline.Baseline.load(wanted.baseline)
    limits = Limits(wanted.max_size_ratio, wanted.max_memory_ratio, wanted.max_latency_ratio)
    for candidate in sound:
        candidate.budgets += baseline.check(candidate.path, kept, limits, progress=progress)


def _latencies(sound: Sequence[Candidate], wanted: BenchSettings, progress: Progress) -> tuple[Row, ...]:
    """Of every file that an application could run here, interleaved."""
    files = tuple(file for candidate in sound if (file := planned_file(candidate.path)) is not None)
    if not files:
        return ()
    return bench(Plan(files, (wanted.first_threads,), laps=wanted.laps), Path(), progress).rows


def _calibration_pictures(readable: Sequence[Candidate], preprocessing: Preprocessing) -> tuple[Picture, ...]:
    """Some of the images that int8 was calibrated on, if the manifest beside a file leads to them."""
    for candidate in readable:
        assert candidate.metadata is not None
        path = candidate.path.with_name(f"{candidate.metadata.network}{MANIFEST_SUFFIX}")
        try:
            data = Manifest.load(path).settings.calibration.data
            if candidate.precision is Precision.INT8 and data is not None:
                (*batches,) = open_images(data, preprocessing, limit=trials.PICTURES).batches(trials.BATCH_SIZE)
                return tuple(Picture(name, p) for b in batches for name, p in zip(b.names, b.pixels, strict=True))
        except BadInput:  # they are elsewhere by now; a contact sheet is no gate
            continue
    return ()


def _can_be_reference(candidate: Candidate) -> bool:
    return candidate.precision is Precision.FLOAT32 and bool(candidate.trials)


# --- judging ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    """What files are held against, and its logits on all images, [N, classes].

    Attributes:
        model: the integer model.
        trained: the trained network, where it was named.
        integers: the integer model's logits.
        reals: what they stand for.
        floats: the float network's.
        labels: of the images; empty where they have none.
    """

    model: IntegerModel | None
    trained: Trained | None
    integers: NDArray[Any] | None
    reals: NDArray[np.floating] | None
    floats: NDArray[np.float32] | None
    labels: Sequence[int]

    @staticmethod
    def of(answers: Answers, model: IntegerModel | None, trained: Trained | None) -> _Known:
        integers, floats = (np.concatenate(found) if found else None for found in (answers.integers, answers.floats))
        reals = None if integers is None or model is None else _reals(integers, model)
        return _Known(model, trained, integers, reals, floats, answers.labels)


def _reals(integers: NDArray[Any], model: IntegerModel) -> NDArray[np.floating]:
    """Logits in real units."""
    params = model.params.get(model.graph.outputs[0])
    return integers if params is None else params.dequantize(integers)


def _unread(candidate: Candidate) -> FileVerdict:
    return FileVerdict(candidate.path, sha256_of(candidate.path), candidate.summary, tuple(candidate.gates))


def _judge(candidate: Candidate, known: _Known, limits: VerifySettings, *, is_reference: bool) -> FileVerdict:
    unread = _unread(candidate)
    if not candidate.trials:
        return unread
    floats = None if is_reference else known.floats
    logits = candidate.trials[0].logits
    if candidate.precision is Precision.INT8:
        assert known.model is not None
        logits = _reals(logits, known.model)
    right = accuracy.measure(logits, known.labels) if known.labels else None
    drop = None if floats is None or not known.labels else accuracy.paired_drop(logits, floats, known.labels)
    agreement = None if floats is None else accuracy.agreement(logits, floats)
    sqnr_db = None if floats is None else accuracy.sqnr_db(logits, floats)
    parities: list[IntegerParity | FloatParity] = []
    passed = list(unread.gates)
    divergence: Divergence | None = None
    for trial in candidate.trials:
        found = _parity(trial, known, limits, is_reference=is_reference)
        if found is None:
            continue
        parities.append(found)
        if not _is_unclaimed(trial, known.model):
            located = None if found.passed else _located(candidate.path, trial, known)
            divergence = divergence or located
            passed.append(gates.parity(found, located.sentence if located else ""))
    return FileVerdict(
        path=unread.path,
        sha256=unread.sha256,
        summary=unread.summary,
        gates=(
            *passed,
            *(() if is_reference else gates.task(limits, right, drop, agreement, sqnr_db)),
            *candidate.budgets,
        ),
        parities=tuple(parities),
        unclaimed={
            trial.runner.name: str(trial.runner.differs_because)
            for trial in candidate.trials
            if _is_unclaimed(trial, known.model)
        },
        skipped=tuple(candidate.skipped),
        divergence=divergence,
        is_reference=is_reference,
        accuracy=right,
        drop=drop,
        agreement=agreement,
        sqnr_db=sqnr_db,
    )


def _is_unclaimed(trial: Trial, model: IntegerModel | None) -> bool:
    """Whether nothing is claimed of a runner; a file of another profile than the model's claims to be near in any."""
    if model is None or trial.about.precision is not Precision.INT8 or trial.about.profile != model.profile:
        return False
    return trial.runner.differs_because is not None


def _parity(
    trial: Trial, known: _Known, limits: VerifySettings, *, is_reference: bool
) -> IntegerParity | FloatParity | None:
    precision = trial.about.precision
    if precision is Precision.INT8:
        assert known.model is not None
        assert known.integers is not None
        return compare.with_reference(
            trial.runner.name,
            trial.logits,
            known.integers,
            known.model,
            exact=trial.about.profile == known.model.profile,
            max_lsb_allowed=limits.max_lsb,
        )
    if known.floats is None or is_reference:
        return None
    given = limits.float16_tolerance if precision is Precision.FLOAT16 else limits.float32_tolerance
    tolerance = TOLERANCE[precision] if given is None else given
    return compare_floats(trial.runner.name, trial.logits, known.floats, tolerance, precision)


def _located(path: Path, trial: Trial, known: _Known) -> Divergence | None:
    """The first layer in which a file parts from what it has to be; None where that cannot be found out here."""
    if not trial.suspects:
        return None
    pixels = np.concatenate(trial.suspects)
    try:
        if trial.about.precision is Precision.INT8:
            assert known.model is not None
            return locate(path, known.model, pixels, make_runner=trial.make_runner)
        if known.trained is None:
            return None
        graph = float_form(known.trained.capture())
        expected = trace_graph(graph, trial.about.preprocessing.normalization, pixels)
        found = trace_file(path, pixels, graph, make_runner=trial.make_runner)
        return Comparison(expected, found, graph).divergence()
    except EdgekitError:  # a file that is wrong already is not made worse by what cannot be looked into
        return None


def _layers(known: _Known, answers: Answers) -> tuple[LayerComparison, ...]:
    """What quantization costs, layer by layer."""
    if known.model is None or known.trained is None or not answers.pictures:
        return ()
    pixels = np.stack(list(answers.pictures.values())[:LAYER_IMAGES])
    graph = integer_form(known.trained.capture())
    floats = trace_graph(graph, known.model.preprocessing.normalization, pixels)
    return Comparison(trace_model(known.model, pixels), floats, known.model).layers()


def _confusions(known: _Known, names: Sequence[str]) -> tuple[Confusion, ...]:
    """Where the integer model names another class than the float network, the most frequent first."""
    if known.reals is None or known.floats is None:
        return ()
    found: dict[tuple[int, int], list[str]] = defaultdict(list)
    for name, expected, given in zip(names, known.floats.argmax(1), known.reals.argmax(1), strict=True):
        if expected != given:
            found[int(expected), int(given)].append(name)
    ranked = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(Confusion(expected, given, tuple(images)) for (expected, given), images in ranked)


def _pictures(known: _Known, answers: Answers) -> tuple[Picture, ...]:
    def best(logits: NDArray[Any] | None, index: int) -> int | None:
        return None if logits is None else int(logits[index].argmax())

    return tuple(
        Picture(
            answers.names[index],
            pixels,
            known.labels[index] if known.labels else None,
            best(known.floats, index),
            best(known.reals, index),
        )
        for index, pixels in answers.pictures.items()
    )
