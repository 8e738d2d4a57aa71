"""Finished files on images, in their real runtimes: integers against the reference, floats against the checkpoint."""

from __future__ import annotations

import hashlib
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.calibration.evidence import ENOUGH_NATS
from edgekit.calibration.images import ImageSource, open_images
from edgekit.config import CalibrationSettings, PreprocessingSettings
from edgekit.defaults import CHECKPOINT
from edgekit.device.bench import bench
from edgekit.device.plan import Plan
from edgekit.errors import BadInput, ConfigError
from edgekit.exporters.metadata import Precision
from edgekit.facts import Basis, replaced
from edgekit.pipeline.making.artifacts import expand
from edgekit.pipeline.making.expectations import Contradicted, settle
from edgekit.pipeline.making.given import Given, as_read
from edgekit.pipeline.making.integers import DATA_FREE
from edgekit.pipeline.making.shown import filled_channel
from edgekit.pipeline.proving import baseline, trials
from edgekit.pipeline.proving import candidates as opening
from edgekit.pipeline.proving.chaining import chain_beside, judge_chain
from edgekit.pipeline.proving.evidence import CHECKPOINT_HASH, facts_of, gather
from edgekit.pipeline.proving.judging import (
    Known,
    decoding,
    differences,
    differing,
    judge,
    judge_references,
    layers,
    pictures,
)
from edgekit.pipeline.proving.records import Records
from edgekit.pipeline.proving.trials import References, Trial
from edgekit.pipeline.proving.verdicts import FileVerdict, Picture, VerifyResult
from edgekit.progress import Progress, silent
from edgekit.runtimes.catalog import all_runners, other_runners
from edgekit.runtimes.emulated import emulated_runners
from edgekit.runtimes.planned import planned_file
from edgekit.suppression import given_shapes
from edgekit.tasks.registry import from_setting, heads_of, task_of
from edgekit.tasks.scoring import check_limits, metrics
from edgekit.verification.budgets import Limits
from edgekit.verification.gates import Gate, Level
from edgekit.verification.proven import proven

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.config import BenchSettings, Settings, VerifySettings
    from edgekit.device.results import Row
    from edgekit.exporters.metadata import Metadata
    from edgekit.facts import Fact
    from edgekit.pipeline.making.trained import Trained
    from edgekit.pipeline.proving.candidates import Candidate
    from edgekit.pipeline.proving.evidence import Evidence
    from edgekit.preprocessing import Preprocessing
    from edgekit.tasks.task import Task


def verify(
    artifacts: Sequence[Path], settings: Settings, *, given: Given | None = None, progress: Progress = silent
) -> VerifyResult:
    """Verify exported files of one network.

    Args:
        artifacts: files, or folders of files. An integer model among them, or beside an int8 file, is the reference.
        settings: ``verify`` names the images (labelled ones give accuracy) and the limits, ``model.checkpoint`` the
            trained network, from which every number is made again; where it names none, the manifest beside the files
            may lead to it. Without it, floats are compared with a float32 file among the artifacts.
        given: a trained network, or images, in the place of those that the settings name.
        progress: told about every batch.

    Raises:
        BadInput: the files or the images cannot be used.
        MissingDependency: a file's runtime is not installed.
    """
    started = time.perf_counter()
    given = Given() if given is None else given
    opening.check_folders(artifacts)
    records, (paths, named) = Records(), expand(artifacts)
    candidates = [opening.read(path, records) for path in paths]
    readable = [candidate for candidate in candidates if candidate.metadata is not None]
    abouts = [candidate.metadata for candidate in readable if candidate.metadata is not None]
    if not readable:
        unread = tuple(FileVerdict(c.path, c.sha256, None, tuple(c.gates)) for c in candidates)
        return VerifyResult(network="", files=unread, seconds=time.perf_counter() - started)
    saved = opening.integer_model_of(readable, named)
    evidence = gather([c.path for c in readable], abouts, saved, records, settings, network=given.network)
    opening.check_one_network(readable, evidence)
    shown = opening.examine(readable, evidence, settings.verify)
    about, model, trained = abouts[0], evidence.model, evidence.trained
    preprocessing = about.preprocessing if model is None else model.preprocessing
    known_facts = facts_of(one.provenance for one in abouts)
    reading = as_read(preprocessing, known_facts)
    images = trials.images_of(settings, reading, given.images)
    task, about_task = _task(readable, evidence, (*from_setting(settings.model.task), *known_facts))
    check_limits(task, settings.verify.limits)
    if isinstance(images, ImageSource):
        task.check(images)
    with ExitStack() as stack:
        for candidate in readable:
            if candidate.is_sound:
                _open(candidate, settings, stack)
        everything = [trial for candidate in readable for trial in candidate.trials]
        reference = (
            None
            if trained
            else trials.float_reference(
                [candidate.trials[0] for candidate in readable if candidate.trials],
                References(preprocessing, model, None),
            )
        )
        references = References(preprocessing, model, trained or reference, evidence.stored)
        answers = trials.run(everything, images, references, task, progress)
    filled = filled_channel(images) if isinstance(images, ImageSource) else None
    known = Known.of(answers, evidence, task, noise=not isinstance(images, ImageSource))
    sound = [candidate for candidate in readable if candidate.is_sound]
    asked: tuple[Gate, ...] = ()
    doubt = ""
    insisted = any(fact.basis is Basis.CONTRADICTED for fact in known_facts)  # a warning beside every file says so
    if isinstance(images, ImageSource) and trained is not None and not insisted:
        gate, doubt = _expected(trained, reading, settings, given, progress, was_asked=any(map(_saw_images, abouts)))
        asked = (gate,)
    for candidate in readable:  # they were exported with what is asked about; the checkpoint they come from is innocent
        candidate.gates += asked
        candidate.doubts += [doubt] if doubt else []
    if settings.verify.baseline is not None:
        _check_budgets(sound, settings.verify, progress)
    chain, staged = chain_beside(saved, model), tuple[FileVerdict, ...]()
    if chain is not None and model is not None and known.integers is not None:
        staged = judge_chain(chain, model, images, known.integers, progress)
    differ = differences(known, answers.names)
    own = next((c.path for c in readable if reference is not None and reference in c.trials), None)
    return VerifyResult(
        network=about.network,
        files=(*(judge(c, known, settings.verify, is_reference=c.path == own) for c in candidates), *staged),
        references=judge_references(known, (*shown, *decoding(evidence, answers)), asked, settings.verify),
        facts=(
            *replaced(known_facts, filter(None, (filled, about_task))),
            *filter(None, (answers.about_targets,)),
        ),
        notes=(*evidence.notes, *(model.notes if model is not None else ()), *records.unreadable),
        images=len(answers.names),
        noise=not isinstance(images, ImageSource),
        skipped=images.skipped if isinstance(images, ImageSource) else {},
        integer_reference=saved,
        float_reference=own or (None if trained is None else trained.path),
        task=task.name,
        metrics=metrics(task),
        float_measured=known.float_measured,
        float_by_class=known.float_by_class,
        labels=about.labels,
        layers=layers(known, answers),
        proven={name: said for name in sorted({t.runner.name for t in everything}) if (said := proven(name))},
        differences=differ,
        differing=differing(known, differ, answers.names, images) if isinstance(images, ImageSource) else (),
        pictures=pictures(known, answers),
        calibration=_calibration_pictures(readable, preprocessing, records),
        latencies=_latencies(sound, settings.bench, progress) if settings.verify.latency else (),
        seconds=time.perf_counter() - started,
    )


def _task(readable: Sequence[Candidate], evidence: Evidence, facts: Sequence[Fact]) -> tuple[Task[Any], Fact]:
    """The task, as what files have to be says it; where that is not known, as most of them do."""
    known = evidence.model if evidence.floats is None else evidence.floats
    if known is None:
        usual = opening.usual(readable)
        about = next(candidate.metadata for candidate in usual if candidate.metadata is not None)
        shapes = given_shapes(_shapes(usual), about.provenance)
        return task_of(shapes, about.labels, facts, heads_of(about.provenance))
    shapes = {name: tensor.shape for name, tensor in known.graph.named(known.graph.tensors).items()}
    return task_of(given_shapes(shapes, known.provenance), known.labels, facts, heads_of(known.provenance))


def _shapes(readable: Sequence[Candidate]) -> dict[str, tuple[int, ...]]:
    """The outputs of the network for one image, by name, as the first file has them that says so."""
    for candidate in readable:
        if candidate.summary is not None and (shapes := candidate.summary.shapes):
            return shapes
    return {}


def _expected(  # noqa: PLR0913 - a network, what is known of it, and whom to ask
    trained: Trained, fed: Preprocessing, settings: Settings, given: Given, progress: Progress, *, was_asked: bool
) -> tuple[Gate, str]:
    """Whether batch normalization remembers images as the files take them, and what is doubtful about that.

    ``was_asked`` says whether the export asked images, which did not contradict it.
    """
    exported = replace(
        settings,
        model=replace(settings.model, insist=False),
        preprocessing=PreprocessingSettings(
            resize="none" if fed.resize is None else fed.resize,  # type: ignore[arg-type] # text is "whole"
            mean=fed.mean,
            std=fed.std,
            order=fed.order,  # type: ignore[arg-type] # one of ORDERS
            interpolation=fed.interpolation,
            antialias=fed.antialias,
        ),
        calibration=CalibrationSettings(),
    )

    def images(preprocessing: Preprocessing) -> ImageSource:
        found = trials.images_of(settings, replace(preprocessing, keeps_size=fed.keeps_size), given.images)
        assert isinstance(found, ImageSource), "noise says nothing"
        return found

    name, limit = "what the network expects", "nothing that the images contradict"
    passed = Gate(Level.TASK, name, None, passed=True, measured="not contradicted", limit=limit, problem="")
    looked = replace(given, images=images)
    try:
        settle(trained, exported, None, looked, progress)
    except Contradicted as thin:
        if was_asked and not _contradicts(trained, exported, looked, progress):
            return passed, f"these images speak a little against what those of calibration did not: {thin.told}"
        why = f"{thin.told}. Export them again, {thin.flags}"
    except ConfigError as error:
        why = str(error)
    else:
        return passed, ""
    problem = f"the files were exported with something else than the network was trained with: {why}"
    return Gate(Level.TASK, name, None, passed=False, measured="contradicted", limit=limit, problem=problem), ""


def _saw_images(about: Metadata) -> bool:
    """Whether a file was calibrated on images, which the export asked what the network expects."""
    calibration = about.provenance.get("calibration")
    return isinstance(calibration, dict) and DATA_FREE not in calibration


def _contradicts(trained: Trained, exported: Settings, given: Given, progress: Progress) -> bool:
    """Whether images speak against what was settled clearly enough to outweigh those that it was settled with.

    What the export's images said had odds of 1000 to 1, or they did not contradict what was known: so it takes these
    odds twice.
    """
    try:
        settle(trained, exported, None, given, progress, enough=2 * ENOUGH_NATS)
    except Contradicted:
        return True
    return False


def are_shipped(artifacts: Sequence[Path]) -> bool:
    """Whether files are of the network that edgekit ships, whose checkpoint and test images are at hand.

    Raises:
        ArtifactError: a file cannot be found, or a folder holds files of several networks.
    """
    opening.check_folders(artifacts)
    shipped = hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest()
    abouts = (opening.read(path, Records()).metadata for path in expand(artifacts)[0])
    return all(about is not None and about.provenance.get(CHECKPOINT_HASH) == shipped for about in abouts)


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


def _calibration_pictures(
    readable: Sequence[Candidate], preprocessing: Preprocessing, records: Records
) -> tuple[Picture, ...]:
    """Some of the images that int8 was calibrated on, if the manifest beside a file leads to them."""
    for candidate in readable:
        record = records.of(candidate.path)
        data = None if record is None else record.manifest.settings.calibration.data
        if candidate.precision is not Precision.INT8 or data is None:
            continue
        with suppress(BadInput):  # they are elsewhere by now; a contact sheet is no gate
            (*batches,) = open_images(data, preprocessing, limit=trials.PICTURES).batches(trials.BATCH_SIZE)
            return tuple(Picture(name, p) for b in batches for name, p in zip(b.names, b.pixels, strict=True))
    return ()
