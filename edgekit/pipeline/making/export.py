"""checkpoint -> one integer model -> a file for each target, read back and proven before it is published."""

from __future__ import annotations

import dataclasses
import functools
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import files
from edgekit.errors import ConfigError, DataError, GateFailed
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import Head, IoDtype, Precision, batch_of
from edgekit.facts import assumed
from edgekit.int8_weights import with_int8_weights
from edgekit.integer_model import SUFFIX, IntegerModel
from edgekit.models.folders import file_of
from edgekit.pipeline.making import manifest, wishes
from edgekit.pipeline.making.check import check_contents, departures, told
from edgekit.pipeline.making.finishing import computed_in_float, finished
from edgekit.pipeline.making.given import Given, from_files
from edgekit.pipeline.making.integers import DATA_FREE, PROOF_IMAGES, RANGES_SUFFIX, Integers, integers_of
from edgekit.pipeline.making.source import Source, open_source
from edgekit.profiles.profile import profile
from edgekit.progress import Progress, silent
from edgekit.runtimes.catalog import all_runners
from edgekit.verification import compare
from edgekit.verification.class_parity import ClassParity
from edgekit.verification.detection_parity import DetectionParity
from edgekit.verification.float_layers import compare_float_layers
from edgekit.verification.holding import hold
from edgekit.verification.integer_parity import NEAR, IntegerParity, value_of
from edgekit.words import count, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgekit.calibration.diagnosis import Diagnosis
    from edgekit.calibration.found import Ranges
    from edgekit.config import FinetuneSettings, Settings
    from edgekit.exporters.format import Format
    from edgekit.exporters.metadata import Metadata
    from edgekit.exporters.summary import Summary
    from edgekit.facts import Fact
    from edgekit.float_model import FloatModel
    from edgekit.ir import Node
    from edgekit.pipeline.making.floor import Floor
    from edgekit.profiles.checks import Finding
    from edgekit.runtimes.runner import Runner
    from edgekit.tasks.values import Outputs
    from edgekit.verification.compare import Parity

    # Another model, and how to train that leads to it again.
    Refine = Callable[[Source, IntegerModel], tuple[IntegerModel, FinetuneSettings]]

NOT_ASKED = "not compared: --no-verify"


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
        parities: the proof by the first runner of this machine of which the file claims anything, one an output; empty
            without one.
        unproven: why it is not proven: nothing here can show it, or it rests on what is assumed, or the runtime that
            is the default on this machine need not give its integers; empty otherwise.
        unclaimed: what this machine's other kernels make of it, where edgekit does not answer for them.
    """

    target: str
    precision: Precision
    path: Path
    size_bytes: int
    write_seconds: float
    summary: Summary = field(repr=False)
    parities: tuple[Parity, ...] = ()
    unproven: str = NOT_ASKED
    unclaimed: tuple[str, ...] = ()

    @property
    def parity(self) -> Parity | None:
        """The proof of the output that is farthest off; None without one."""
        return max(self.parities, key=lambda parity: parity.farness(), default=None)

    @property
    def proven(self) -> bool:
        """Whether it was run and compared, is claimed to be identical, and rests on nothing that is assumed."""
        near = any(not isinstance(parity, DetectionParity) and parity.near for parity in self.parities)
        return not (self.unproven or near)


@dataclass(frozen=True, slots=True)
class ExportResult:
    """Everything one export made.

    Attributes:
        network: its name.
        description: what the checkpoint was.
        facts: what is taken to be true of the network and its weights do not tell, with the evidence.
        notes: what was chosen and left aside on the way, and what departs from the profile of the device.
        device: that the files are for, by its title; None where none was named.
        files: one a target and precision.
        integer_model: the saved integer model, of int8 exports.
        ranges: the saved ranges, of int8 exports.
        manifest: what all of it was made of; ``edgekit reproduce`` makes the same bytes of it again.
        recipe: what calibration did to the network and why, a line a step; empty without int8 files.
        images: how many images were calibrated on; 0 where a file of ranges was given.
        data_free: the ranges come from synthetic images, made from batch normalization's statistics, now or earlier.
        diagnosis: what the calibration doctor says of the images; None where none of the user's were read.
        skipped: images that could not be used, and why.
        kept_float: layers of the network that int8 files hold in float.
        answering: layers that compute in float what the raw outputs of int8 files stand for, behind all others.
        floor: which of them are for the sake of ``calibration.floor``, and what that gained; None without one.
        int16: layers that have 16-bit activations there.
        seconds: in all.
    """

    network: str
    description: str
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    device: str | None
    files: tuple[ExportedFile, ...]
    integer_model: Path | None
    ranges: Path | None
    manifest: Path
    recipe: tuple[str, ...]
    images: int
    data_free: bool
    diagnosis: Diagnosis | None
    skipped: Mapping[str, str]
    kept_float: tuple[str, ...]
    answering: tuple[str, ...]
    floor: Floor | None
    int16: tuple[str, ...]
    seconds: float


def export(
    settings: Settings,
    *,
    given: Given | None = None,
    refine: Refine | None = None,
    opened: Callable[[Source], object] = lambda _: None,
    progress: Progress = silent,
) -> ExportResult:
    """Export the network of ``settings`` to every target and precision they name.

    Nothing is published, and nothing that was there before is touched, unless everything succeeds: every file is
    written, read back, counted and, unless ``export.verify`` is off, proven.

    Args:
        settings: what, from what, and where to.
        given: what is read; None for the files that the settings name.
        refine: makes another integer model of the one that calibration gave, which is written in its place, and says
            by which training it is made again. No ranges are saved then, as they would lead back to the first one.
        opened: told of the network, with what is taken to be true of it, before the work starts.
        progress: told of every stage.

    Raises:
        BadInput: the checkpoint, the images or a setting cannot be used, or a file cannot be written.
        GateFailed: a finished file is not what it has to be.
        MissingDependency: a target needs an extra that is not installed.
    """
    started = time.perf_counter()
    given = from_files(settings) if given is None else given
    jobs = _jobs(settings, given)
    device = None if settings.export.device is None else profile(settings.export.device)
    out = settings.export.out
    with files.staging(out) as scratch:  # first: what cannot be written to is better found before the work than after
        progress("loading", 0, 1)
        source = open_source(settings, progress, given=given)
        progress("loading", 1, 1)
        model = source.float_model
        wishes.check_effect(settings, model.provenance)
        granted = wishes.granted(model.graph, settings, computed_in_float(model.provenance))
        settings = granted.settings
        for form, _ in jobs:
            form.check_endings(source.float_model.provenance)
        batch_of(source.float_model.provenance, _batch(settings))
        opened(source)
        name = source.float_model.graph.name
        hashed = source.float_model.provenance["checkpoint_sha256"]
        replaced = manifest.check_earlier(out / f"{name}{manifest.SUFFIX}", hashed, settings)
        earlier = [path for path in _of_exports(out, name) if path.exists()]
        integers = integers_of(source, settings, progress) if any(p is Precision.INT8 for _, p in jobs) else None
        if integers is not None and refine is not None:
            refined, trained_by = refine(source, integers.model)
            integers, settings = replace(integers, model=refined), replace(settings, finetune=trained_by)
        integers = integers and replace(integers, model=finished(integers.model))
        reals = _reals(source.float_model, [precision for _, precision in jobs])
        proof = _Proof(source, integers, reals)
        exported, slower = [], list[str]()
        for done, (form, precision) in enumerate(jobs):
            progress("writing", done, len(jobs))
            path = scratch / f"{name}.{precision}{form.suffix}"
            written = integers.model if integers and precision is Precision.INT8 else reals[precision]
            file = _write(form, precision, path, model=written, settings=settings)
            if device is not None:
                slower += _suited(check_contents(device, path), path.name, device.title)
            exported.append(proof.of(file) if settings.export.verify else file)
        progress("writing", len(jobs), len(jobs))
        dynamic = [*_dynamic(exported, reals)]
        if integers is not None:
            integers.model.save(scratch / f"{name}.{Precision.INT8}{SUFFIX}")
            if refine is None:
                _save(integers.ranges, scratch / f"{name}{RANGES_SUFFIX}")
        seen, command = integers.seen if integers else None, "export" if refine is None else "finetune"
        made_of = manifest.build(scratch, source, seen, settings, command=command)
        made_of.save(scratch / f"{name}{manifest.SUFFIX}", out)
        there = {path.name for path in scratch.iterdir()}
    answering = _names(integers.model.answering_nodes) if integers else ()
    return ExportResult(
        network=name,
        description=source.description,
        facts=source.facts,
        notes=(
            *source.notes,
            *departures(settings, granted.instead),
            *_lacking(settings),
            *(integers.model.notes if integers else ()),
            *slower,
            *dynamic,
            *filter(None, (replaced, _left([path.name for path in earlier if path.name not in there], out))),
        ),
        device=None if device is None else device.title,
        files=tuple(_published(file, out / file.path.name) for file in exported),
        integer_model=out / f"{name}.{Precision.INT8}{SUFFIX}" if integers else None,
        ranges=out / f"{name}{RANGES_SUFFIX}" if integers and refine is None else None,
        manifest=out / f"{name}{manifest.SUFFIX}",
        recipe=integers.recipe if integers else (),
        images=integers.images if integers else 0,
        data_free=integers is not None and DATA_FREE in integers.ranges.provenance,
        diagnosis=integers.diagnosis if integers else None,
        skipped=integers.skipped if integers else {},
        kept_float=_names(integers.model.float_nodes, but=answering) if integers else (),
        answering=answering,
        floor=integers.floor if integers else None,
        int16=_names(integers.model.int16_nodes) if integers else (),
        seconds=time.perf_counter() - started,
    )


def _names(nodes: Iterable[Node], but: Sequence[str] = ()) -> tuple[str, ...]:
    return tuple(node.name for node in nodes if node.name not in but)


def _of_exports(out: Path, name: str) -> Iterator[Path]:
    """All that an export of a network of this name may have written, but for the manifest."""
    for precision in Precision:
        yield from (out / f"{name}.{precision}{form.suffix}" for form in FORMATS.values())
    yield from (out / f"{name}.{Precision.INT8}{SUFFIX}", out / f"{name}{RANGES_SUFFIX}")


def _left(names: Sequence[str], out: Path) -> str:
    """That files of an earlier export stay beside those of this one; "" where there are none."""
    if not names:
        return ""
    return (
        f"{out} still holds {', '.join(names)} of an earlier export, which this one does not touch and its manifest "
        f"does not list: delete what is not needed, or export all of it again"
    )


def _save(ranges: Ranges, path: Path) -> None:
    from edgekit.calibration.saved import save  # noqa: PLC0415 - needs torch

    save(ranges, path)


def _jobs(settings: Settings, given: Given) -> list[tuple[Format, Precision]]:
    """What is to be written; what cannot work is refused before any work is done."""
    targets = [FORMATS[name] for name in dict.fromkeys(settings.export.targets)]
    precisions = [Precision(name) for name in dict.fromkeys(settings.export.precisions)]
    _check_device(settings)
    for form in targets:
        form.check_installed()
        if Precision.INT8 in precisions:
            form.check_boundary(IoDtype(settings.export.io_dtype), Head(settings.export.probabilities))
            form.check_activations(int16=bool(settings.calibration.int16_activations))
    jobs = [(form, precision) for precision in precisions for form in targets if precision not in form.lacks]
    for form, precision in jobs:
        _options(form, precision, settings)
    if not_written := [precision for precision in precisions if precision not in {written for _, written in jobs}]:
        precision, form = not_written[0], targets[0]
        raise ConfigError(
            f"{form.lacks[precision]}, so no {form.suffix} can be {precision}: leave --{precision} out, or name "
            f"another --target"
        )
    wanted = settings.calibration
    if Precision.INT8 in precisions and given.images is None and wanted.ranges is None and not wanted.data_free:
        if settings.model.checkpoint is not None:
            file_of(settings.model.checkpoint)  # a path that is wrong is what to say first
        raise DataError(
            "int8 needs to see images like those in use, 100 or more, no labels: --calib DIR, or --ranges "
            "FILE from an earlier export; --data-free does without, at a loss"
        )
    if Precision.INT8 in precisions and wanted.floor is not None and (wanted.ranges is not None or wanted.data_free):
        raise DataError("--floor measures what is lost, on images like those in use: give them, --calib DIR")
    return jobs


def _lacking(settings: Settings) -> list[str]:
    """Which files are not written because their format has none of that precision, as sentences."""
    targets = [FORMATS[name] for name in dict.fromkeys(settings.export.targets)]
    return [
        f"no {precision} {form.suffix} is written: {form.lacks[precision]}"
        for precision in dict.fromkeys(settings.export.precisions)
        for form in targets
        if precision in form.lacks
    ]


def _check_device(settings: Settings) -> None:
    """Refuse what the device that was named runs by no means.

    Raises:
        ConfigError: there is such a thing.
    """
    if settings.export.device is None:
        return
    device = profile(settings.export.device)
    for what, wanted, runs in (
        ("targets", settings.export.targets, device.formats),
        ("precisions", settings.export.precisions, device.precisions),
    ):
        if refused := [value for value in wanted if value not in runs]:
            raise ConfigError(
                f"{device.title} runs {' or '.join(runs)} files, not {refused[0]}: leave it out of export.{what}, or "
                f"leave --device out (edgekit devices {device.name} says more)"
            )


def _suited(findings: tuple[Finding, ...], file: str, device: str) -> list[str]:
    """What makes a finished file slower on its device than it had to be, in words.

    Raises:
        GateFailed: it would not run there, or wrongly.
    """
    if worse := told(tuple(finding for finding in findings if finding.rule.effect != "slower")):
        raise GateFailed(f"{file} is not for {device} (predicted), so nothing was written: {worse[0]}")
    return [f"{file} on {device} (predicted): {text}" for text in told(findings)]


def _options(form: Format, precision: Precision, settings: Settings) -> dict[str, Any]:
    """What the writer of a format wants to know besides the model.

    Raises:
        ConfigError: no such file can be written.
    """
    int16 = precision is Precision.INT8 and bool(settings.calibration.int16_activations)
    own = form.options(dataclasses.asdict(settings.export), precision, int16=int16)
    return {**own, "head": Head(settings.export.probabilities), "batch": _batch(settings)}


def _batch(settings: Settings) -> int | None:
    """How many images files are to take at once; None for any number."""
    return None if settings.export.batch == "free" else settings.export.batch


def _reals(model: FloatModel, precisions: Sequence[Precision]) -> dict[Precision, FloatModel]:
    """What the files that compute with reals are written from, by what they compute in."""
    stored = with_int8_weights(model) if any(precision.has_int8_weights for precision in precisions) else model
    return {precision: stored if precision.has_int8_weights else model for precision in precisions}


def _write(
    form: Format, precision: Precision, path: Path, *, model: IntegerModel | FloatModel, settings: Settings
) -> ExportedFile:
    """Write one file, read it back, and count."""
    started = time.perf_counter()
    options = _options(form, precision, settings)
    if isinstance(model, IntegerModel):
        form.write_integer_model(model, path, io_dtype=IoDtype(settings.export.io_dtype), options=options)
    else:
        form.write_float_model(model, path, precision=precision, options=options)
    seconds = time.perf_counter() - started
    summary = form.read(path)
    if isinstance(model, IntegerModel):
        nodes = form.contents(path).nodes if summary.float_operators else {}
        layers = compare_float_layers(summary.float_operators, nodes, model)
        if layers.surplus:
            raise GateFailed(
                f"{path.name} is no int8 file, it holds {len(layers.surplus)} float operators: "
                f"{', '.join(layers.surplus[:3])}"
            )
        if layers.missing:
            raise GateFailed(f"{path.name} does not keep {', '.join(layers.missing)} in float: please report this")
    return ExportedFile(form.name, precision, path, files.size_bytes(path), seconds, summary)


def _dynamic(files: Sequence[ExportedFile], reals: Mapping[Precision, FloatModel]) -> Iterator[str]:
    """How many layers of each dynamic file quantize what they read, which not every runtime has a kernel for."""
    for file in files:
        if file.precision is Precision.DYNAMIC:
            found = FORMATS[file.target].contents(file.path).quantizing
            layers = sum(node.op.has_weights for node in reals[file.precision].graph)
            yield (
                f"{len(found)} of {count(layers, 'layer')} of {file.path.name} quantize what they read; the others "
                f"compute in float with int8 weights. Such files can be slower than float32 (docs/precisions.md): "
                f"edgekit bench says it of your device"
            )


class _Proof:
    """Runs files, and compares what they answer."""

    def __init__(self, source: Source, integers: Integers | None, reals: Mapping[Precision, FloatModel]) -> None:
        self._source, self._model, self._reals = source, integers.model if integers else None, reals
        pixels = integers.pixels if integers else None
        # Noise finds a file that computes wrongly, too; ``verify`` takes the same where no images are named.
        shape = (PROOF_IMAGES, *source.float_model.preprocessing.shape)
        noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        self._pixels = noise if pixels is None else np.concatenate([pixels, noise])

    @functools.cached_property
    def _integers(self) -> Outputs:
        assert self._model is not None
        return compare.reference_outputs(self._model, self._pixels)

    @functools.cached_property
    def _floats(self) -> Outputs:
        return self._source.outputs(self._source.float_model.preprocessing.normalization(self._pixels))

    @functools.cached_property
    def _stored(self) -> Outputs:
        model = next(model for precision, model in self._reals.items() if precision.has_int8_weights)
        return compare.stored_outputs(model, self._pixels)

    def of(self, file: ExportedFile) -> ExportedFile:
        """The file with its proof, or with the reason why nothing here can prove it.

        It passes the gates that ``verify`` has: what it says is held against the model, and what it answers in every
        runner of this machine. Kernels that clamp sums (x86 without VNNI) show nothing about a file that claims the
        reference's integers, and are not asked.

        Raises:
            GateFailed: it is not what it has to be.
        """
        about = file.summary.metadata
        assert about is not None, "edgekit wrote it"
        model = self._model if file.precision is Precision.INT8 else self._reals[file.precision]
        _, held = hold(file.path, file.summary, model, "the model's", None)
        if wrong := [gate for gate in held if not gate.passed]:
            raise GateFailed(
                f"{file.path.name} is not what it has to be, so nothing was written: {wrong[0].problem}. --no-verify "
                f"writes it all the same"
            )
        proofs: list[tuple[Parity, ...]] = []
        unclaimed: list[str] = []
        reasons: list[str] = []
        for make_runner in all_runners(file.path):
            with make_runner() as runner:
                if because := self._unclaimed(runner, about):
                    if not unclaimed and not proofs:  # an application gets the first one
                        reasons.append(compare.by_default(runner.name))
                    unclaimed.append(f"{runner.name}: {because}")
                    continue
                parities = self._parities(runner, about)
            if failed := [parity for parity in parities if not parity.passed]:
                raise GateFailed(
                    f"{file.path.name} {_difference(failed[0])}: nothing was written. edgekit doctor says what this "
                    f"machine's kernels can do; --no-verify writes it all the same"
                )
            proofs.append(parities)
        if not proofs:
            return replace(file, unproven=f"not proven on this machine, {'; '.join(unclaimed)}")
        doubtful: dict[str, list[str]] = {}  # facts by their basis
        for fact in assumed(self._source.facts):
            doubtful.setdefault(str(fact.basis), []).append(f"{fact.name} {plain(fact.value)}")
        reasons += [f"rests on what is {basis}: {', '.join(named)}" for basis, named in doubtful.items()]
        return replace(file, parities=proofs[0], unproven="; ".join(reasons), unclaimed=tuple(unclaimed))

    def _unclaimed(self, runner: Runner, about: Metadata) -> str | None:
        if about.precision is not Precision.INT8:
            return None
        assert self._model is not None
        return compare.unclaimed(runner, about, self._model)

    def _parities(self, runner: Runner, about: Metadata) -> tuple[Parity, ...]:
        if about.precision is Precision.INT8:
            assert self._model is not None
            return compare.integers(runner, about, self._model, self._pixels, self._integers)
        expected = self._stored if about.precision.has_int8_weights else self._floats
        return compare.floats(runner, about, self._pixels, expected)


def _published(file: ExportedFile, path: Path) -> ExportedFile:
    return replace(file, path=path, summary=replace(file.summary, path=path))


def _difference(parity: Parity) -> str:
    """What is wrong, in words."""
    if isinstance(parity, DetectionParity):
        return f"leaves other boxes in {parity.ran()} than edgekit: {parity.wrong}"
    if isinstance(parity, ClassParity):
        return (
            f"names other classes in {parity.ran()} than the reference, for {parity.differing:,} of "
            f"{parity.values:,} {parity.values_of()} ({100 * parity.allowed:g} % may differ)"
        )
    if isinstance(parity, IntegerParity) and not parity.exact:
        return (
            f"is far from the reference in {parity.ran()}, up to {parity.max_lsb} LSB: differences of "
            f"{parity.relative_rms:.0%} of the spread of {parity.values_of()} ({NEAR:.0%} is allowed where layers are "
            f"more precise)"
        )
    if isinstance(parity, IntegerParity):
        return (
            f"gives other integers in {parity.ran()} than the reference, up to {parity.max_lsb} LSB apart "
            f"({1 - parity.identical:.2%} of {parity.values:,} {parity.values_of()})"
        )
    return (
        f"is off by {parity.max_rel_error:.2g} of the largest {value_of(parity.output)} in {parity.runner} "
        f"({parity.tolerance:g} is allowed)"
    )
