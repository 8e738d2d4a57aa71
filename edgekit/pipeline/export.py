"""checkpoint -> one integer model -> a file for each target, read back and proven before it is published."""

from __future__ import annotations

import functools
import json
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit import extras, files
from edgekit.errors import ArtifactError, DataError, GateFailed
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.integer_model import SUFFIX
from edgekit.pipeline.source import Source, open_source
from edgekit.progress import Progress, silent
from edgekit.runtimes.catalog import default_runner
from edgekit.verification import compare
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.calibration.ranges import Ranges
    from edgekit.config import Settings
    from edgekit.exporters.formats import Format
    from edgekit.exporters.summary import Summary
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.verification.float_parity import FloatParity

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
        numbers_identical: where there is none, int8 files are read back: their numbers are the integer model's.
    """

    target: str
    precision: Precision
    path: Path
    size_bytes: int
    write_seconds: float
    summary: Summary = field(repr=False)
    parity: IntegerParity | FloatParity | None = None
    numbers_identical: bool | None = None

    @property
    def proven(self) -> bool:
        """Whether it was run, or its numbers were compared."""
        return self.parity is not None or self.numbers_identical is True


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
        images: how many images were calibrated on; 0 where a file of ranges was given.
        skipped: images that could not be used, and why.
        seconds: in all.
    """

    network: str
    description: str
    notes: tuple[str, ...]
    files: tuple[ExportedFile, ...]
    integer_model: Path | None
    ranges: Path | None
    images: int
    skipped: Mapping[str, str]
    seconds: float


def export(settings: Settings, *, progress: Progress = silent) -> ExportResult:
    """Export the network of ``settings`` to every target and precision they name.

    Nothing is published, and nothing that was there before is touched, unless everything succeeds: every file is
    written, read back, counted and, unless ``export.verify`` is off, proven.

    Raises:
        BadInput: the checkpoint, the images or a setting cannot be used, or a file cannot be written.
        GateFailed: a finished file is not what it has to be.
        MissingDependency: a target needs an extra that is not installed.
    """
    started = time.perf_counter()
    jobs = _jobs(settings)
    out = settings.export.out
    with files.staging(out) as scratch:  # first: what cannot be written to is better found before the work than after
        progress("loading", 0, 1)
        source = open_source(settings)
        progress("loading", 1, 1)
        name = source.float_model.graph.name
        integers = _integers(source, settings, progress) if any(p is Precision.INT8 for _, p in jobs) else None
        proof = _Proof(source, integers)
        exported = []
        for done, (form, precision) in enumerate(jobs):
            progress("writing", done, len(jobs))
            path = scratch / f"{name}.{precision}{form.suffix}"
            file = _write(form, precision, path, source=source, integers=integers, settings=settings)
            exported.append(proof.of(file) if settings.export.verify else file)
        progress("writing", len(jobs), len(jobs))
        if integers is not None:
            integers.model.save(scratch / f"{name}.{Precision.INT8}{SUFFIX}")
            integers.ranges.save(scratch / f"{name}{RANGES_SUFFIX}")
    return ExportResult(
        network=name,
        description=source.description,
        notes=source.notes,
        files=tuple(_published(file, out / file.path.name) for file in exported),
        integer_model=out / f"{name}.{Precision.INT8}{SUFFIX}" if integers else None,
        ranges=out / f"{name}{RANGES_SUFFIX}" if integers else None,
        images=integers.images if integers else 0,
        skipped=integers.skipped if integers else {},
        seconds=time.perf_counter() - started,
    )


def _jobs(settings: Settings) -> list[tuple[Format, Precision]]:
    """What is to be written; what cannot work is refused before any work is done."""
    targets = [FORMATS[name] for name in dict.fromkeys(settings.export.targets)]
    precisions = [Precision(name) for name in dict.fromkeys(settings.export.precisions)]
    for form in targets:
        form.check_installed()
        if Precision.INT8 in precisions:
            form.check_boundary(IoDtype(settings.export.io_dtype))
    if settings.export.onnxruntime is not None and FORMATS["onnx"] in targets:
        from edgekit.exporters.onnx.versions import for_runtime  # noqa: PLC0415 - needs the onnx extra

        for_runtime(settings.export.onnxruntime)
    if Precision.INT8 in precisions and settings.calibration.data is None and settings.calibration.ranges is None:
        raise DataError(
            "int8 needs to see images like those in use, some hundred of them, no labels: --calib DIR, or --ranges "
            "FILE from an earlier export"
        )
    return [(form, precision) for precision in precisions for form in targets]


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class _Integers:
    """The integer model and what it was made from.

    Attributes:
        model: the integer model.
        ranges: of its tensors.
        pixels: a few of the images that these come from; None where a file of ranges was given.
        images: how many images they come from; 0 likewise.
        skipped: images that could not be used, and why.
    """

    model: IntegerModel
    ranges: Ranges
    pixels: NDArray[np.uint8] | None
    images: int
    skipped: Mapping[str, str]


def _integers(source: Source, settings: Settings, progress: Progress) -> _Integers:
    """Ranges from images or from a file, and the integer model that follows from them."""
    extras.load("torch", "torch")
    from edgekit.calibration.calibrate import calibrate, integer_model  # noqa: PLC0415 - needs torch
    from edgekit.calibration.images import open_images  # noqa: PLC0415 - float exports do without
    from edgekit.calibration.ranges import RangeMethod, Ranges  # noqa: PLC0415 - likewise

    wanted, form = settings.calibration, source.integer_form
    pixels, skipped = None, dict[str, str]()
    if wanted.ranges is not None:
        ranges = Ranges.load(wanted.ranges)
        _check_origin(ranges, form, wanted.ranges)
    else:
        assert wanted.data is not None, "checked by _jobs"
        images = open_images(wanted.data, form.preprocessing, limit=wanted.images, strict=wanted.strict)
        method = RangeMethod(wanted.method)
        ranges = calibrate(form, images, method=method, percentile=wanted.percentile, progress=progress)
        pixels = images.sample(PROOF_IMAGES).pixels
        skipped = images.skipped
    model = integer_model(form, ranges, pixel_input=settings.export.input == "pixels")
    calibration = {"digest": ranges.digest, "images": ranges.images, "method": str(ranges.method)}
    model = replace(model, provenance={**model.provenance, "calibration": calibration})
    return _Integers(model, ranges, pixels, 0 if pixels is None else ranges.images, skipped)


def _check_origin(ranges: Ranges, form: FloatModel, path: Path) -> None:
    """Refuse ranges of something else: another checkpoint, read in another way, or fed with other images."""
    keys = ("checkpoint_sha256", "architecture")
    same = {
        "checkpoint": ranges.provenance.get(keys[0]) == form.provenance.get(keys[0]),
        "architecture or padding": _json(ranges.provenance.get(keys[1])) == _json(form.provenance.get(keys[1])),
        "preprocessing": ranges.preprocessing == form.preprocessing,
    }
    for what, is_same in same.items():
        if not is_same:
            raise ArtifactError(f"{path} was calibrated with another {what}: calibrate again with --calib DIR")


def _json(value: object) -> object:
    return json.loads(json.dumps(value))


def _write(  # noqa: PLR0913 - what, where to, and from what
    form: Format, precision: Precision, path: Path, *, source: Source, integers: _Integers | None, settings: Settings
) -> ExportedFile:
    """Write one file, read it back, and count."""
    started = time.perf_counter()
    options = {"runtime": settings.export.onnxruntime} if form.name == "onnx" else {}
    if precision is Precision.INT8:
        assert integers is not None
        io_dtype = IoDtype(settings.export.io_dtype)
        form.write_integer_model(integers.model, path, io_dtype=io_dtype, options=options)
    else:
        form.write_float_model(source.float_model, path, precision=precision, options=options)
    seconds = time.perf_counter() - started
    summary = form.read(path)
    if precision is Precision.INT8 and summary.float_operators:
        raise GateFailed(
            f"{path.name} is no int8 file, it holds {len(summary.float_operators)} float operators: "
            f"{', '.join(summary.float_operators[:3])}"
        )
    return ExportedFile(form.name, precision, path, files.size_bytes(path), seconds, summary)


class _Proof:
    """Runs files where this machine can, and compares; elsewhere compares the numbers that they hold."""

    def __init__(self, source: Source, integers: _Integers | None) -> None:
        self._source, self._model = source, integers.model if integers else None
        pixels = integers.pixels if integers else None
        # Reproducible noise is enough to find a file that computes wrongly.
        height, width = source.float_model.preprocessing.size
        noise = np.random.default_rng(0).integers(0, 256, (PROOF_IMAGES, height, width, 3), np.uint8)
        self._pixels = noise if pixels is None else pixels

    @functools.cached_property
    def _integer_logits(self) -> NDArray[np.int8]:
        assert self._model is not None
        return compare.reference_logits(self._model, self._pixels)

    @functools.cached_property
    def _float_logits(self) -> NDArray[np.float32]:
        return self._source.logits(self._source.float_model.preprocessing.normalization(self._pixels))

    def of(self, file: ExportedFile) -> ExportedFile:
        """The file with its proof.

        Raises:
            GateFailed: it is not what it has to be.
        """
        make_runner = default_runner(file.path)
        if make_runner is None:
            return self._with_numbers_compared(file) if file.precision is Precision.INT8 else file
        about = file.summary.metadata
        assert about is not None, "edgekit wrote it"
        parity: IntegerParity | FloatParity
        with make_runner() as runner:
            if file.precision is Precision.INT8:
                assert self._model is not None
                parity = compare.integers(runner, about, self._model, self._pixels, self._integer_logits)
            else:
                parity = compare.floats(runner, about, self._pixels, self._float_logits)
        if not parity.passed:
            raise GateFailed(
                f"{file.path.name} {_difference(parity)}: nothing was written. edgekit doctor says what this "
                f"machine's kernels can do; --no-verify writes it all the same"
            )
        return replace(file, parity=parity)

    def _with_numbers_compared(self, file: ExportedFile) -> ExportedFile:
        from edgekit.exporters.coreml import differences  # noqa: PLC0415 - the one format without a runtime here

        assert self._model is not None
        found = differences(file.path, self._model)
        if found:
            raise GateFailed(f"{file.path.name} does not hold the integers of the model: {found[0]}")
        return replace(file, numbers_identical=True)


def _published(file: ExportedFile, path: Path) -> ExportedFile:
    return replace(file, path=path, summary=replace(file.summary, path=path))


def _difference(parity: IntegerParity | FloatParity) -> str:
    """What is wrong, in words."""
    if isinstance(parity, IntegerParity):
        return (
            f"gives other integers in {parity.runner} than the reference, up to {parity.max_lsb} LSB apart "
            f"({1 - parity.identical:.2%} of {parity.values:,} logits)"
        )
    return (
        f"is off by {parity.max_rel_error:.2g} of the largest logit in {parity.runner} "
        f"({parity.tolerance:g} is allowed)"
    )
