"""Compiling files for an NPU: what runs there, what stays on the processor and why, and what the compiler expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit import files
from edgekit.errors import ArtifactError, ConfigError, GateFailed, did_you_mean
from edgekit.exporters.formats import format_of
from edgekit.exporters.tflite import FORMAT as TFLITE
from edgekit.exporters.tflite import metadata as tflite_metadata
from edgekit.exporters.tflite import reader
from edgekit.pipeline.making.artifacts import expand
from edgekit.profiles import vela
from edgekit.profiles.checks import layer_of
from edgekit.profiles.profile import names, profile
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edgekit.exporters.summary import Summary
    from edgekit.profiles.profile import DeviceProfile
    from edgekit.profiles.vela import Estimates, Hardware, Optimise

_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an operator runs.

    Attributes:
        operator: its kind ("CONV_2D").
        name: of its result in the file.
        layer: of the checkpoint that it belongs to; the name in the file where that is not known.
        on_npu: whether the NPU takes it.
        cycles: that the compiler expects on the NPU; 0 where it has become part of another, as a RESHAPE does.
        reason: why the NPU does not take it, in the compiler's words; "" where it does, or none is given.
        remedy: what to do about that.
    """

    operator: str
    name: str
    layer: str | None
    on_npu: bool
    cycles: int = 0
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class CompiledFile:
    """A file, and what was made of it.

    Attributes:
        source: that was compiled.
        path: of what was made.
        size_bytes: of that.
        operators: of the source, in the order of execution.
        estimates: of the compiler, for one inference.
    """

    source: Path
    path: Path
    size_bytes: int
    operators: tuple[Placement, ...]
    estimates: Estimates

    @property
    def on_npu(self) -> int:
        """How many operators run on the NPU."""
        return sum(operator.on_npu for operator in self.operators)


@dataclass(frozen=True, slots=True)
class CompileResult:
    """What was compiled, and for what.

    Attributes:
        device: its name.
        compiler: with its version ("ethos-u-vela 5.2.0").
        hardware: that it was compiled for.
        optimise: what was to be small: time or memory.
        files: one result a file.
    """

    device: str
    compiler: str
    hardware: Hardware
    optimise: Optimise
    files: tuple[CompiledFile, ...]


@dataclass(frozen=True, slots=True)
class HardwareChoice:
    """How the NPU of a device is built, where it is not as the device's profile says.

    Attributes:
        npu: its configuration, "ethos-u55-128".
        system_config: clocks and memories of the chip, by the compiler's name.
        memory_mode: what lies where, likewise.
        vela_config: a file in the compiler's own format that describes the last two; None for Arm's.
    """

    npu: str | None = None
    system_config: str | None = None
    memory_mode: str | None = None
    vela_config: Path | None = None


AS_PROFILED = HardwareChoice()


def compile(  # noqa: A001, PLR0913 - the command's name, and what it takes
    artifacts: Sequence[Path],
    device: str,
    out: Path,
    *,
    hardware: HardwareChoice = AS_PROFILED,
    optimise: Optimise = "performance",
    progress: Progress = silent,
) -> CompileResult:
    """Compile int8 .tflite files, whoever wrote them, for an NPU, and write what comes of it, all or nothing.

    A compiled file takes and gives what its source does, carries its metadata and labels, and runs with the driver of
    the NPU only.

    Args:
        artifacts: files, or folders of them; of a folder, those are taken that compute in integers.
        device: its name.
        out: the folder to write to.
        hardware: how its NPU is built, where it is not as the device's profile says.
        optimise: what is to be small: time or memory.
        progress: told a step a file.

    Raises:
        ArtifactError: a file is missing, damaged, no .tflite file, or the compiler fails at it.
        ConfigError: there is no compiler for the device, or the compiler does not know the hardware.
        GateFailed: nothing of a file runs on the NPU.
        MissingDependency: the compiler is not installed.
    """
    wanted = profile(device)
    built = _hardware(wanted, hardware)
    vela.check_installed()
    sources = list(_sources(artifacts))
    version, compiled = "", []
    with files.staging(out) as folder:
        for done, source in enumerate(sources):
            progress("compiling", done, len(sources))
            path = folder / f"{source.stem}.{built.accelerator}_vela.tflite"
            made = vela.compile_file(source, path, built, optimise)
            _complete(source, path)
            placements = tuple(_placements(source, made, device))
            if not any(placement.on_npu for placement in placements):
                first = placements[0]
                raise GateFailed(f"nothing of {source} runs on {wanted.title}. {_why(first)}")
            version = made.version
            compiled.append(CompiledFile(source, out / path.name, path.stat().st_size, placements, made.estimates))
        progress("compiling", len(sources), len(sources))
    return CompileResult(device, f"ethos-u-vela {version}", built, optimise, tuple(compiled))


def _hardware(device: DeviceProfile, choice: HardwareChoice) -> Hardware:
    if device.compiler is None:
        compiled = [name for name in names() if profile(name).compiler is not None]
        raise ConfigError(f"edgekit has no compiler for {device.title}: it compiles for {', '.join(compiled)}")
    if choice.npu is not None and choice.npu not in device.compiler.accelerators:
        raise ConfigError(
            f"{device.title} is not built as {choice.npu!r}: {did_you_mean(choice.npu, device.compiler.accelerators)}"
        )
    if choice.vela_config is not None and not choice.vela_config.is_file():
        raise ConfigError(f"{choice.vela_config} does not exist: name a file in the format of Arm's vela.ini")
    return vela.Hardware(
        choice.npu or device.compiler.accelerator,
        choice.system_config or device.compiler.system_config,
        choice.memory_mode or device.compiler.memory_mode,
        vela.ARM_CONFIG if choice.vela_config is None else str(choice.vela_config),
    )


def _sources(artifacts: Sequence[Path]) -> Iterator[Path]:
    """The files to compile: those that are named, and in folders those with integers in them.

    Raises:
        ArtifactError: one is no .tflite file, or there is none.
    """
    named, (found, _) = set(artifacts), expand(artifacts)
    sources = [path for path in found if path in named or (path.suffix == TFLITE.suffix and _in_integers(path))]
    for path in sources:
        if format_of(path) is not TFLITE:
            raise ArtifactError(f"{path} is {format_of(path).title}, and the compiler takes TFLite files")
        if any(kind == vela.OPERATOR for kind, _ in reader.operators(path)):
            raise ArtifactError(f"{path} is compiled already: name the file that it was compiled from")
    if not sources:
        raise ArtifactError(
            f"there is no int8 .tflite file in {', '.join(map(str, artifacts))}: export one with --int8"
        )
    yield from sources


def _in_integers(path: Path) -> bool:
    return TFLITE.read(path).int8_share > 0


def _complete(source: Path, path: Path) -> None:
    """Give a compiled file the labels again, which stand behind the model, and see that its ends are what they were.

    Raises:
        ArtifactError: they are not.
    """
    before = TFLITE.read(source)
    if before.metadata is not None and before.metadata.labels:
        labels = {tflite_metadata.LABELS_FILE: tflite_metadata.labels_text(before.metadata.labels)}
        path.write_bytes(tflite_metadata.with_files(path.read_bytes(), labels))
    after = TFLITE.read(path)
    if _ends(before) != _ends(after):
        raise ArtifactError(f"compiled, {source} would take {_ends(after)} instead of {_ends(before)}: tell Arm")


def _ends(summary: Summary) -> list[tuple[object, ...]]:
    """Type, shape and scale of what a file takes and gives."""
    return [(end.name, end.dtype, end.shape, end.scale, end.zero_point) for end in (*summary.inputs, *summary.outputs)]


def _placements(source: Path, made: vela.Compilation, device: str) -> Iterator[Placement]:
    nodes, operators, boundary = TFLITE.contents(source).nodes, reader.operators(source), reader.at_boundary(source)
    is_ours = TFLITE.read(source).metadata is not None
    cycles = _cycles_of({name for _, name in operators}, made.cycles)
    for kind, name in operators:
        if name in made.on_cpu:
            reason = made.on_cpu[name]
            remedy = _remedy(kind, reason, device, at_boundary=name in boundary, is_ours=is_ours)
            yield Placement(kind, name, layer_of(name, nodes), on_npu=False, reason=reason, remedy=remedy)
        else:
            yield Placement(kind, name, layer_of(name, nodes), on_npu=True, cycles=cycles.get(name, 0))


def _cycles_of(operators: set[str], cycles: dict[str, int]) -> dict[str, int]:
    """Cycles of the file's operators; the compiler's own have their names, or a word behind ("mean_intermediate")."""
    found: dict[str, int] = {}
    for name, number in cycles.items():
        stem = name
        while stem not in operators and "_" in stem:
            stem = stem.rpartition("_")[0]
        found[stem] = found.get(stem, 0) + number
    return found


def _remedy(kind: str, reason: str, device: str, *, at_boundary: bool, is_ours: bool) -> str:
    if at_boundary:
        return f"export with --io-dtype int8, as --device {device} does: then there is nothing to convert"
    if kind in _CONVERSIONS or "Float" in reason:
        return "it computes in float: leave the layer out of --keep-float, and --outputs out, or export with --int8"
    if is_ours:
        return "none: edgekit has no other way to write it, and the processor runs it"
    return f"edgekit export CHECKPOINT --device {device} --calib DIR writes operators that the NPU takes"


def _why(placement: Placement) -> str:
    return f"{placement.operator} {placement.name}: {placement.reason or 'no reason is given'}. {placement.remedy}"
