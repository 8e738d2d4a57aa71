"""checkpoint -> one integer model -> a file for each target, read back and proven before it is published."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit import files
from edgekit.errors import ConfigError, DataError, GateFailed
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.integer_model import SUFFIX
from edgekit.pipeline.source import Source, open_source
from edgekit.progress import Progress, silent
from edgekit.runtimes.catalog import default_runner
from edgekit.verification import compare
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.calibration.ranges import Ranges
    from edgekit.config import Settings
    from edgekit.exporters.formats import Format
    from edgekit.exporters.summary import Summary
    from edgekit.integer_model import IntegerModel

PROOF_IMAGES = 8  # enough to find a wrong file, which differs everywhere; ``edgekit verify`` takes as many as wanted
RANGES_SUFFIX = ".ranges.json"


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One finished file.

    Attributes:
        target: the format's name.
        precision: what its operators compute in.
        path: where it is.
        size_bytes: of the file, or of everything in the package.
        write_seconds: what writing took; the first file of a format includes importing its library.
        summary: what was found when it was read back.
        parity: the proof in this machine's runtime; None where there is none for the format, or none was asked for.
    """

    target: str
    precision: Precision
    path: Path
    size_bytes: int
    write_seconds: float
    summary: Summary = field(repr=False)
    parity: IntegerParity | FloatParity | None


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Everything one export made.

    Attributes:
        network: its name.
        description: what the checkpoint was.
        notes: what was guessed and why.
        files: one a target and precision.
        integer_model: the saved integer model, of int8 exports.
        ranges: the saved ranges, of int8 exports.
        images: how many images the ranges come from; 0 where a file of ranges was given.
        skipped: images that could not be read.
        seconds: in all.
    """

    network: str
    description: str
    notes: tuple[str, ...]
    files: tuple[ExportedFile, ...]
    integer_model: Path | None
    ranges: Path | None
    images: int
    skipped: tuple[str, ...]
    seconds: float


def export(settings: Settings, *, progress: Progress = silent) -> ExportResult:
    """Export the network of ``settings`` to every target and precision they name.

    Nothing is published, and nothing that was there before is touched, unless everything succeeds.

    Raises:
        BadInput: the checkpoint, the images or a setting cannot be used, or a file cannot be written.
        GateFailed: a finished file is not what it has to be.
        MissingDependency: a target needs an extra that is not installed.
    """
    started = time.perf_counter()
    targets = [FORMATS[name] for name in settings.export.targets]
    precisions = [Precision(name) for name in settings.export.precisions]
    if not targets or not precisions:
        raise ConfigError("nothing to export: name at least one target and one precision")
    for form in targets:
        form.check_installed()
    progress("loading", 0, 1)
    source = open_source(settings)
    model: IntegerModel | None = None
    ranges: Ranges | None = None
    pixels, seen, skipped = _no_pixels(source), 0, tuple[str, ...]()
    if Precision.INT8 in precisions:
        ranges, pixels, seen, skipped = _ranges(source, settings, progress)
        model = _quantize(source, ranges, settings)
    jobs = [(form, precision) for precision in precisions for form in targets]
    name = source.float_model.graph.name
    exported = []
    with files.staging(settings.export.out) as scratch:
        expected = _Expected(source, model, pixels)
        for done, (form, precision) in enumerate(jobs):
            progress("writing", done, len(jobs))
            file = _write(form, precision, source, model, scratch / f"{name}.{precision}{form.suffix}", settings)
            exported.append(_prove(file, expected) if settings.export.verify else file)
        progress("writing", len(jobs), len(jobs))
        if model is not None and ranges is not None:
            model.save(scratch / f"{name}.{Precision.INT8}{SUFFIX}")
            ranges.save(scratch / f"{name}{RANGES_SUFFIX}")
    out = settings.export.out
    return ExportResult(
        network=name,
        description=source.description,
        notes=source.notes,
        files=tuple(replace(file, path=out / file.path.name) for file in exported),
        integer_model=out / f"{name}.{Precision.INT8}{SUFFIX}" if model else None,
        ranges=out / f"{name}{RANGES_SUFFIX}" if model else None,
        images=seen,
        skipped=skipped,
        seconds=time.perf_counter() - started,
    )


def _ranges(
    source: Source, settings: Settings, progress: Progress
) -> tuple[Ranges, NDArray[np.uint8], int, tuple[str, ...]]:
    """The ranges, a few of the images they come from, how many those were, and which could not be read."""
    from edgekit.calibration.calibrate import calibrate  # noqa: PLC0415 - needs torch
    from edgekit.calibration.images import open_images  # noqa: PLC0415
    from edgekit.calibration.ranges import RangeMethod, Ranges  # noqa: PLC0415

    wanted = settings.calibration
    if wanted.ranges is not None:
        return Ranges.load(wanted.ranges), _no_pixels(source), 0, ()
    if wanted.data is None:
        raise DataError(
            "int8 needs to see images like those in use, some hundred of them, no labels: --calib DIR, or --ranges FILE from "
            "an earlier export"
        )
    images = open_images(wanted.data, source.float_model.preprocessing, limit=wanted.images, strict=wanted.strict)
    method = RangeMethod(wanted.method)
    ranges = calibrate(source.integer_form, images, method=method, percentile=wanted.percentile, progress=progress)
    first = next(iter(images.batches(PROOF_IMAGES)))
    return ranges, first.pixels, ranges.images, tuple(images.skipped)


def _quantize(source: Source, ranges: Ranges, settings: Settings) -> IntegerModel:
    from edgekit.calibration.assignment import quantize  # noqa: PLC0415 - float exports do without

    model = quantize(source.integer_form, ranges.ranges, pixel_input=settings.export.input == "pixels")
    calibration = {"digest": ranges.digest, "images": ranges.images, "method": str(ranges.method)}
    return replace(model, provenance={**model.provenance, "calibration": calibration})


def _write(  # noqa: PLR0913 - what, from what, and where to
    form: Format, precision: Precision, source: Source, model: IntegerModel | None, path: Path, settings: Settings
) -> ExportedFile:
    """Write one file, read it back, and count."""
    started = time.perf_counter()
    runtime = {"runtime": settings.export.onnxruntime} if form.name == "onnx" else {}
    if precision is Precision.INT8:
        assert model is not None
        engine = {"engine": settings.export.torch_engine} if form.name == "torch" else {}
        form.write_integer_model(model, path, io_dtype=IoDtype(settings.export.io_dtype), options=runtime | engine)
    else:
        form.write_float_model(source.float_model, path, precision=precision, options=runtime)
    seconds = time.perf_counter() - started
    summary = form.read(path)
    if precision is Precision.INT8 and summary.float_operators:
        raise GateFailed(
            f"{path.name} is no int8 file, it holds {len(summary.float_operators)} float operators: "
            f"{', '.join(summary.float_operators[:3])}"
        )
    return ExportedFile(form.name, precision, path, files.size_bytes(path), seconds, summary, None)


@dataclass
class _Expected:
    """What the files have to answer on the proof images; computed when first asked for."""

    source: Source
    model: IntegerModel | None
    pixels: NDArray[np.uint8]
    _integers: NDArray[np.int8] | None = None
    _floats: NDArray[np.float32] | None = None

    @property
    def integers(self) -> NDArray[np.int8]:
        assert self.model is not None
        if self._integers is None:
            self._integers = compare.reference_logits(self.model, self.pixels)
        return self._integers

    @property
    def floats(self) -> NDArray[np.float32]:
        if self._floats is None:
            self._floats = self.source.logits(self.source.float_model.preprocessing.normalization(self.pixels))
        return self._floats


def _prove(file: ExportedFile, expected: _Expected) -> ExportedFile:
    """Run the file where this machine can, and compare; elsewhere compare the numbers that it holds."""
    make_runner = default_runner(file.path)
    if make_runner is None:
        if expected.model is not None and file.precision is Precision.INT8:
            _compare_numbers(file, expected.model)
        return file
    assert file.summary.metadata is not None
    with make_runner() as runner:
        parity: IntegerParity | FloatParity
        if file.precision is Precision.INT8:
            assert expected.model is not None
            parity = compare.integers(runner, file.summary.metadata, expected.model, expected.pixels, expected.integers)
        else:
            parity = compare.floats(runner, file.summary.metadata, expected.pixels, expected.floats)
    if not parity.passed and file.precision is not Precision.INT8:
        assert isinstance(parity, FloatParity)
        raise GateFailed(
            f"{file.path.name} in {runner.name} is off by {parity.max_rel_error:.2g} of the largest logit "
            f"({parity.tolerance:g} is allowed): nothing was written; --no-verify writes it all the same"
        )
    return replace(file, parity=parity)


def _compare_numbers(file: ExportedFile, model: IntegerModel) -> None:
    from edgekit.exporters.coreml import differences  # noqa: PLC0415 - the one format without a runtime here

    found = differences(file.path, model)
    if found:
        raise GateFailed(f"{file.path.name} does not hold the integers of the model: {found[0]}")


def _no_pixels(source: Source) -> NDArray[np.uint8]:
    """Images for a proof where there are none: reproducible noise, which is enough to find a file that computes wrongly."""
    height, width = source.float_model.preprocessing.size
    return np.random.default_rng(0).integers(0, 256, (PROOF_IMAGES, height, width, 3), np.uint8)
