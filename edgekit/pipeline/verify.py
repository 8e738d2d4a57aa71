"""Finished files on images, in their real runtimes: integers against the reference, floats against the checkpoint."""

from __future__ import annotations

import dataclasses
import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.images import ImageSource, PixelBatch, open_images
from edgekit.defaults import CHECKPOINT
from edgekit.errors import ArtifactError, DataError
from edgekit.exporters.formats import FORMATS, format_of
from edgekit.exporters.metadata import Precision
from edgekit.integer_model import SUFFIX, IntegerModel
from edgekit.pipeline.source import Trained, load_trained
from edgekit.progress import Progress, silent
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.runner import Runner, encode
from edgekit.verification import accuracy, compare
from edgekit.verification.float_layers import compare_float_layers
from edgekit.verification.float_parity import TOLERANCE, FloatParity, compare_floats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.config import ModelSettings, Settings
    from edgekit.exporters.metadata import Metadata
    from edgekit.exporters.summary import Summary
    from edgekit.preprocessing import Preprocessing
    from edgekit.verification.accuracy import Accuracy
    from edgekit.verification.integer_parity import IntegerParity

BATCH_SIZE = 8
NOISE_IMAGES = 16
_CHECKPOINT = "checkpoint_sha256"  # in a file's provenance


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """What was found about one file.

    Attributes:
        path: of the file.
        summary: its operators, counted.
        parities: one a runner; integers against the reference, or floats against the trained network.
        numbers_identical: the numbers that it holds are the integer model's; None where that was not compared, because
            a runtime tells more.
        is_reference: floats were compared with it, for want of the checkpoint.
        accuracy: in its default runner, on labelled images.
        agreement: share of images on which it and the float network name the same class, 0..1; None without one.
        problems: what is wrong with the file itself.
    """

    path: Path
    summary: Summary = field(repr=False)
    parities: tuple[IntegerParity | FloatParity, ...]
    numbers_identical: bool | None
    is_reference: bool
    accuracy: Accuracy | None
    agreement: float | None
    problems: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return bool(self.problems) or any(not parity.passed for parity in self.parities)

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing is wrong."""
        return not self.failed and (bool(self.parities) or self.numbers_identical is True)


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What was found about all files.

    Attributes:
        files: one verdict a file.
        images: how many images each was run on.
        noise: they were reproducible noise, because no images were named.
        skipped: images that could not be used, and why.
        integer_reference: the saved integer model that integers were compared with.
        float_reference: what floats were compared with: the checkpoint, or a float32 file.
        float_accuracy: of that, on labelled images.
    """

    files: tuple[FileVerdict, ...]
    images: int
    noise: bool
    skipped: Mapping[str, str]
    integer_reference: Path | None
    float_reference: Path | None
    float_accuracy: Accuracy | None

    @property
    def passed(self) -> bool:
        """Whether no file failed and at least one passed: nothing compared is nothing proven."""
        return any(file.passed for file in self.files) and not any(file.failed for file in self.files)


@dataclass(slots=True)
class _Candidate:
    """A file on its way through verification."""

    path: Path
    summary: Summary
    metadata: Metadata
    runners: list[Runner] = field(default_factory=list)
    outputs: list[list[NDArray[Any]]] = field(default_factory=list)  # logits of each runner, batch by batch
    problems: list[str] = field(default_factory=list)
    numbers_identical: bool | None = None

    @property
    def is_int8(self) -> bool:
        return self.metadata.precision is Precision.INT8


def verify(artifacts: Sequence[Path], settings: Settings, *, progress: Progress = silent) -> VerifyResult:
    """Verify exported files of one network.

    Args:
        artifacts: files, or folders of files. An integer model among them, or beside an int8 file, is the reference.
        settings: ``verify.data`` names the images (labelled ones give accuracy), ``model.checkpoint`` the float
            reference; without one, a float32 file among the artifacts is.
        progress: told about every batch.

    Raises:
        BadInput: a file or the images cannot be used.
        MissingDependency: a file's runtime is not installed.
    """
    paths, saved = _expand(artifacts)
    candidates = [_candidate(path) for path in paths]
    _check_one_network(candidates)
    model = None
    if any(candidate.is_int8 for candidate in candidates):
        saved = saved or _beside(candidates)
        model = IntegerModel.load(saved)
    trained = _trained(settings.model, candidates[0].metadata)
    for candidate in candidates:
        _examine(candidate, model, trained)
    images = _images(settings, candidates[0].metadata.preprocessing)
    if isinstance(images, ImageSource) and images.labels is not None:
        for output in (output for candidate in candidates for output in candidate.summary.outputs if output.shape):
            accuracy.check_labels(images.labels, output.shape[-1])
    with ExitStack() as stack:
        for candidate in candidates:
            if not candidate.problems:
                make_runners = all_runners(candidate.path, threads=settings.bench.threads)
                candidate.runners = [stack.enter_context(make_runner()) for make_runner in make_runners]
                candidate.outputs = [[] for _ in make_runners]
        answers = _run(candidates, model, trained, images, progress)
    reference = None if trained else next((c for c in candidates if _can_be_reference(c)), None)
    if reference is not None:
        answers.floats = reference.outputs[0]
    expected, floats = _joined(answers.integers), _joined(answers.floats)
    return VerifyResult(
        files=tuple(
            _judge(c, model, expected, floats, answers.labels, is_reference=c is reference) for c in candidates
        ),
        images=answers.seen,
        noise=not isinstance(images, ImageSource),
        skipped=images.skipped if isinstance(images, ImageSource) else {},
        integer_reference=saved if model else None,
        float_reference=reference.path if reference else settings.model.checkpoint,
        float_accuracy=accuracy.measure(floats, answers.labels) if floats is not None and answers.labels else None,
    )


def are_shipped(artifacts: Sequence[Path]) -> bool:
    """Whether files are of the network that edgekit ships, whose checkpoint and test images are at hand.

    Raises:
        ArtifactError: a file cannot be read.
    """
    about = _candidate(_expand(artifacts)[0][0]).metadata
    return about.provenance.get(_CHECKPOINT) == hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest()


# --- before anything runs ---------------------------------------------------------------------------------------------


def _expand(artifacts: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """Folders replaced by the files in them; the integer model is taken out of the list."""
    suffixes = {form.suffix for form in FORMATS.values()}
    found: list[Path] = []
    for artifact in artifacts:
        if artifact.is_dir() and artifact.suffix not in suffixes:
            found += sorted(entry for entry in artifact.iterdir() if entry.suffix in suffixes | {SUFFIX})
        else:
            found.append(artifact)
    found = list(dict.fromkeys(found))
    saved = [path for path in found if path.suffix == SUFFIX]
    if len(saved) > 1:
        raise ArtifactError(f"{saved[0]} and {saved[1]} are of two networks: name the files of one of them")
    files = [path for path in found if path.suffix != SUFFIX]
    if not files:
        raise ArtifactError(f"there is no exported file in {', '.join(map(str, artifacts)) or 'nothing'}")
    return files, saved[0] if saved else None


def _candidate(path: Path) -> _Candidate:
    summary = format_of(path).read(path)
    if summary.metadata is None:
        raise ArtifactError(f"{path} was not written by edgekit: it does not say how to feed it")
    return _Candidate(path, summary, summary.metadata)


def _check_one_network(candidates: list[_Candidate]) -> None:
    """Refuse files that do not belong together: they cannot be compared, nor fed with the same images."""
    first = candidates[0]
    for other in candidates[1:]:
        a, b = first.metadata, other.metadata
        if a.preprocessing != b.preprocessing or a.provenance.get(_CHECKPOINT) != b.provenance.get(_CHECKPOINT):
            raise ArtifactError(f"{first.path} and {other.path} are of two networks: name the files of one of them")


def _beside(candidates: list[_Candidate]) -> Path:
    """The integer model that export wrote beside an int8 file."""
    places = [candidate.path.with_suffix(SUFFIX) for candidate in candidates if candidate.is_int8]
    for place in places:
        if place.exists():
            return place
    raise ArtifactError(
        f"{places[0]} is missing: name the integer model (*{SUFFIX}) that export wrote beside the files"
    )


def _trained(settings: ModelSettings, about: Metadata) -> Trained | None:
    """The trained network, if it is named; what the settings leave open is as the export had it."""
    if settings.checkpoint is None:
        return None
    architecture = about.provenance.get("architecture") or {}
    as_exported = {
        name: architecture[name]
        for name in ("padding", "bn_eps", "resolution")
        if name in architecture and getattr(settings, name) is None
    }
    return load_trained(dataclasses.replace(settings, **as_exported))


def _examine(candidate: _Candidate, model: IntegerModel | None, trained: Trained | None) -> None:
    """Note what is wrong with a file before it is run; then it is not."""
    about, problems = candidate.metadata, candidate.problems
    if trained is not None and about.provenance.get(_CHECKPOINT) != trained.provenance[_CHECKPOINT]:
        problems.append(f"it was exported from another checkpoint than {trained.path}")
    if not candidate.is_int8:
        return
    assert model is not None
    layers = compare_float_layers(candidate.summary, model)
    if layers.surplus:
        problems.append(f"it holds {len(layers.surplus)} float operators, the first is {layers.surplus[0]}")
    if layers.missing:
        problems.append(f"it does not keep {layers.missing[0]} in float")
    if about.provenance != model.provenance:
        problems.append("it comes from another integer model than the reference: export both together")
    elif candidate.summary.format == "coreml":
        from edgekit.exporters.coreml import differences  # noqa: PLC0415 - the one format without a runtime here

        found = differences(candidate.path, model)
        candidate.numbers_identical = not found
        if found:
            problems.append(f"{len(found)} of its numbers are not the integer model's, the first is {found[0]}")


def _images(settings: Settings, preprocessing: Preprocessing) -> ImageSource | list[PixelBatch]:
    """The images that the settings name, or reproducible noise."""
    wanted = settings.verify
    if wanted.data is not None:
        return open_images(wanted.data, preprocessing, limit=wanted.images, strict=wanted.strict)
    if wanted.images is not None:
        raise DataError("a number of images is given, but no images: --data DIR")
    pixels = np.random.default_rng(0).integers(0, 256, (NOISE_IMAGES, *preprocessing.size, 3), np.uint8)
    names = tuple(f"noise {i}" for i in range(NOISE_IMAGES))
    starts = range(0, NOISE_IMAGES, BATCH_SIZE)
    return [PixelBatch(pixels[i : i + BATCH_SIZE], None, names[i : i + BATCH_SIZE]) for i in starts]


# --- running and judging ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Answers:
    """What the references say, batch by batch; of a batch nothing is kept but logits."""

    integers: list[NDArray[Any]] = field(default_factory=list)
    floats: list[NDArray[np.float32]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    seen: int = 0


def _run(
    candidates: list[_Candidate],
    model: IntegerModel | None,
    trained: Trained | None,
    images: ImageSource | list[PixelBatch],
    progress: Progress,
) -> _Answers:
    """Run the references and every runner on every batch."""
    answers = _Answers()
    if not any(candidate.runners for candidate in candidates):
        return answers
    normalization = candidates[0].metadata.preprocessing.normalization
    batches, total = (
        (images.batches(BATCH_SIZE), len(images)) if isinstance(images, ImageSource) else (images, NOISE_IMAGES)
    )
    progress("verifying", 0, total)
    for batch in batches:
        if model is not None:
            answers.integers.append(compare.reference_logits(model, batch.pixels))
        if trained is not None:
            answers.floats.append(trained.logits(normalization(batch.pixels)))
        for candidate in candidates:
            for runner, outputs in zip(candidate.runners, candidate.outputs, strict=True):
                outputs.append(_logits(candidate, runner, model, batch.pixels))
        answers.labels += batch.labels or ()
        answers.seen += len(batch.pixels)
        progress("verifying", answers.seen, max(total, answers.seen))
    return answers


def _logits(
    candidate: _Candidate, runner: Runner, model: IntegerModel | None, pixels: NDArray[np.uint8]
) -> NDArray[Any]:
    """What a runner answers: integers of an int8 file, floats of any other."""
    if candidate.is_int8:
        assert model is not None
        return compare.run_integers(runner, candidate.metadata, model, pixels)
    return runner.run(encode(pixels, candidate.metadata, None))


def _can_be_reference(candidate: _Candidate) -> bool:
    return candidate.metadata.precision is Precision.FLOAT32 and bool(candidate.runners)


def _joined(batches: list[NDArray[Any]]) -> NDArray[Any] | None:
    return np.concatenate(batches) if batches else None


def _judge(  # noqa: PLR0913 - a file, and all that it is held against
    candidate: _Candidate,
    model: IntegerModel | None,
    expected: NDArray[Any] | None,
    floats: NDArray[np.float32] | None,
    labels: Sequence[int],
    *,
    is_reference: bool,
) -> FileVerdict:
    outputs = [np.concatenate(batches) for batches in candidate.outputs]
    parities: list[IntegerParity | FloatParity] = []
    for runner, found in zip(candidate.runners, outputs, strict=True):
        if candidate.is_int8:
            assert model is not None
            assert expected is not None
            parities.append(compare.with_reference(runner.name, found, expected, model))
        elif floats is not None and not is_reference:
            parities.append(compare_floats(runner.name, found, floats, TOLERANCE[candidate.metadata.precision]))
    return FileVerdict(
        path=candidate.path,
        summary=candidate.summary,
        parities=tuple(parities),
        numbers_identical=candidate.numbers_identical,
        is_reference=is_reference,
        accuracy=accuracy.measure(outputs[0], labels) if outputs and labels else None,
        agreement=accuracy.agreement(outputs[0], floats)
        if outputs and floats is not None and not is_reference
        else None,
        problems=tuple(candidate.problems),
    )
