"""Finished files on real images, in their real runtimes: integers against the reference, floats against the checkpoint."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.images import ImageSource, PixelBatch, open_images
from edgekit.errors import ArtifactError, DataError
from edgekit.exporters.formats import FORMATS, format_of
from edgekit.exporters.metadata import Precision
from edgekit.integer_model import SUFFIX, IntegerModel
from edgekit.pipeline.source import open_source
from edgekit.progress import Progress, silent
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.runner import Runner, encode
from edgekit.verification import accuracy, compare
from edgekit.verification.accuracy import Accuracy
from edgekit.verification.float_parity import FloatParity, compare_floats
from edgekit.verification.integer_parity import IntegerParity, compare_integers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from edgekit.config import Settings
    from edgekit.exporters.metadata import Metadata
    from edgekit.exporters.summary import Summary
    from edgekit.preprocessing import Preprocessing

BATCH_SIZE = 8
NOISE_IMAGES = 16


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """What was found about one file.

    Attributes:
        path: of the file.
        summary: its operators, counted.
        parities: one a runner; integers against the reference, or floats against the trained network.
        accuracy: in its default runner, on labelled images.
        agreement: share of images on which it and the float network name the same class, 0..1; None without a float.
        problems: what is wrong with the file itself.
    """

    path: Path
    summary: Summary = field(repr=False)
    parities: tuple[IntegerParity | FloatParity, ...]
    accuracy: Accuracy | None
    agreement: float | None
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and all(parity.passed for parity in self.parities)


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What was found about all files.

    Attributes:
        files: one verdict a file.
        images: how many images each was run on.
        noise: they were reproducible noise, because no images were named.
        skipped: images that could not be read.
        integer_reference: the saved integer model that integers were compared with.
        float_reference: what floats were compared with: the checkpoint, or a float32 file.
        float_accuracy: of that, on labelled images.
    """

    files: tuple[FileVerdict, ...]
    images: int
    noise: bool
    skipped: tuple[str, ...]
    integer_reference: Path | None
    float_reference: Path | None
    float_accuracy: Accuracy | None

    @property
    def passed(self) -> bool:
        """Whether every file passed; nothing compared is nothing proven."""
        return bool(self.files) and all(file.passed for file in self.files)


@dataclass(slots=True)
class _Candidate:
    """A file on its way through verification."""

    path: Path
    summary: Summary
    metadata: Metadata
    runners: list[Runner]
    outputs: list[list[NDArray[Any]]]


def verify(artifacts: Sequence[Path], settings: Settings, *, progress: Progress = silent) -> VerifyResult:
    """Verify exported files.

    Args:
        artifacts: files, or folders of files. An integer model among them, or beside an int8 file, is the reference.
        settings: ``verify.data`` names the images (labelled ones give accuracy), ``model.checkpoint`` the float reference.
        progress: told about every batch.

    Raises:
        BadInput: a file or the images cannot be used.
        MissingDependency: a file's runtime is not installed.
    """
    paths, saved = _expand(artifacts)
    summaries = [format_of(path).read(path) for path in paths]
    metadata = [_metadata(summary) for summary in summaries]
    model = None
    if any(m.precision is Precision.INT8 for m in metadata):
        saved = saved or _beside(paths, metadata)
        model = IntegerModel.load(saved)
    images = _images(settings, metadata[0].preprocessing)
    with ExitStack() as stack:
        candidates = []
        for path, summary, about in zip(paths, summaries, metadata, strict=True):
            runners = [stack.enter_context(make()) for make in all_runners(path, threads=settings.bench.threads)]
            candidates.append(_Candidate(path, summary, about, runners, [[] for _ in runners]))
        float_reference, float_logits = _float_reference(settings, candidates)
        expected, floats, labels, seen = _run(candidates, model, float_logits, images, progress)
    verdicts = tuple(_judge(c, model, expected, floats, labels) for c in candidates)
    return VerifyResult(
        files=verdicts,
        images=seen,
        noise=not isinstance(images, ImageSource),
        skipped=tuple(images.skipped) if isinstance(images, ImageSource) else (),
        integer_reference=saved if model else None,
        float_reference=float_reference,
        float_accuracy=accuracy.measure(floats, labels) if floats is not None and labels else None,
    )


def _run(
    candidates: list[_Candidate],
    model: IntegerModel | None,
    float_logits: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None,
    images: ImageSource | list[PixelBatch],
    progress: Progress,
) -> tuple[NDArray[np.int8] | None, NDArray[np.float32] | None, tuple[int, ...], int]:
    """Run every runner on every batch; what is kept of a batch are its logits."""
    expected: list[NDArray[np.int8]] = []
    floats: list[NDArray[np.float32]] = []
    labels: list[int] = []
    seen = 0
    batches: Iterable[PixelBatch] = images.batches(BATCH_SIZE) if isinstance(images, ImageSource) else images
    total = len(images) if isinstance(images, ImageSource) else NOISE_IMAGES
    for batch in batches:
        if model is not None:
            expected.append(compare.reference_logits(model, batch.pixels))
        if float_logits is not None:
            floats.append(float_logits(batch.pixels))
        for candidate in candidates:
            for runner, outputs in zip(candidate.runners, candidate.outputs, strict=True):
                if candidate.metadata.precision is Precision.INT8:
                    assert model is not None
                    outputs.append(compare.run_integers(runner, candidate.metadata, model, batch.pixels))
                else:
                    outputs.append(runner.run(encode(batch.pixels, candidate.metadata, None)))
        labels += batch.labels or ()
        seen += len(batch.pixels)
        progress("verifying", min(seen, total), total)
    return (
        np.concatenate(expected) if expected else None,
        np.concatenate(floats) if floats else None,
        tuple(labels),
        seen,
    )


def _judge(
    candidate: _Candidate,
    model: IntegerModel | None,
    expected: NDArray[np.int8] | None,
    floats: NDArray[np.float32] | None,
    labels: tuple[int, ...],
) -> FileVerdict:
    parities: list[IntegerParity | FloatParity] = []
    outputs = [np.concatenate(parts) for parts in candidate.outputs]
    for runner, found in zip(candidate.runners, outputs, strict=True):
        if candidate.metadata.precision is Precision.INT8:
            assert expected is not None
            parities.append(compare_integers(runner.name, found, expected))
        elif floats is not None:
            parities.append(compare_floats(runner.name, found, floats, candidate.metadata.precision))
    agreement = None
    if outputs and floats is not None:
        agreement = float((outputs[0].argmax(1) == floats.argmax(1)).mean())
    return FileVerdict(
        path=candidate.path,
        summary=candidate.summary,
        parities=tuple(parities),
        accuracy=accuracy.measure(outputs[0], labels) if outputs and labels else None,
        agreement=agreement,
        problems=_problems(candidate.summary, candidate.metadata, model),
    )


def _problems(summary: Summary, metadata: Metadata, model: IntegerModel | None) -> tuple[str, ...]:
    """What is wrong with the file itself."""
    problems = []
    if metadata.precision is Precision.INT8:
        if summary.float_operators:
            problems.append(f"{len(summary.float_operators)} float operators, the first is {summary.float_operators[0]}")
        assert model is not None
        if metadata.provenance != model.provenance:
            problems.append("it comes from another integer model than the reference: export both together")
        elif summary.format == "coreml":
            from edgekit.exporters.coreml import differences  # noqa: PLC0415 - the one format without a runtime here

            problems += differences(summary.path, model)
    return tuple(problems)


def _float_reference(
    settings: Settings, candidates: list[_Candidate]
) -> tuple[Path | None, Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None]:
    """The trained network, or failing that a float32 file among the candidates."""
    if settings.model.checkpoint is not None:
        source = open_source(settings)
        preprocessing = source.float_model.preprocessing
        return settings.model.checkpoint, lambda pixels: source.logits(preprocessing.normalization(pixels))
    for candidate in candidates:
        if candidate.metadata.precision is Precision.FLOAT32 and candidate.runners:
            runner, about = candidate.runners[0], candidate.metadata
            return candidate.path, lambda pixels: runner.run(encode(pixels, about, None))
    return None, None


def _expand(artifacts: Sequence[Path]) -> tuple[list[Path], Path | None]:
    """Folders replaced by the files in them; the integer model is taken out of the list."""
    suffixes = {form.suffix for form in FORMATS.values()}
    found: list[Path] = []
    for artifact in artifacts:
        if artifact.is_dir() and artifact.suffix not in suffixes:
            found += sorted(entry for entry in artifact.iterdir() if entry.suffix in suffixes | {SUFFIX})
        else:
            found.append(artifact)
    saved = [path for path in found if path.suffix == SUFFIX]
    if len(saved) > 1:
        raise ArtifactError(f"{saved[0].name} and {saved[1].name} are two integer models: verify one network at a time")
    files = [path for path in found if path.suffix != SUFFIX]
    if not files:
        raise ArtifactError(f"there is no exported file in {', '.join(map(str, artifacts)) or 'nothing'}")
    return files, saved[0] if saved else None


def _beside(paths: list[Path], metadata: list[Metadata]) -> Path:
    """The integer model that export wrote beside an int8 file."""
    for path, about in zip(paths, metadata, strict=True):
        saved = path.with_suffix(SUFFIX)
        if about.precision is Precision.INT8 and saved.exists():
            return saved
    raise ArtifactError(f"{paths[0].with_suffix(SUFFIX)} is missing: name the integer model ({SUFFIX}) that export wrote")


def _metadata(summary: Summary) -> Metadata:
    if summary.metadata is None:
        raise ArtifactError(f"{summary.path} was not written by edgekit: it does not say how to feed it")
    return summary.metadata


def _images(settings: Settings, preprocessing: Preprocessing) -> ImageSource | list[PixelBatch]:
    """The images that the settings name, or reproducible noise."""
    if settings.verify.data is not None:
        return open_images(
            settings.verify.data, preprocessing, limit=settings.verify.images, strict=settings.calibration.strict
        )
    if settings.verify.images is not None:
        raise DataError("a number of images is given, but no images: --data DIR")
    pixels = np.random.default_rng(0).integers(0, 256, (NOISE_IMAGES, *preprocessing.size, 3), np.uint8)
    names = tuple(f"noise {i}" for i in range(BATCH_SIZE))
    return [PixelBatch(pixels[i : i + BATCH_SIZE], None, names) for i in range(0, NOISE_IMAGES, BATCH_SIZE)]
