"""``edgekit export``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.groups import CalibrationFlags, FileFlags, NetworkFlags, merged, spread
from edgekit.cli.options import (
    CheckpointArgument,
    ConfigOption,
    DeviceOption,
    FloorOption,
    Int16Option,
    JsonOption,
    PerTensorOption,
    SetOption,
    ThreadsOption,
    find_config,
    load_settings,
)
from edgekit.device.threads import limited
from edgekit.errors import ConfigError
from edgekit.facts import assumed
from edgekit.flags import names
from edgekit.words import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.config import Overrides, Settings
    from edgekit.pipeline.making.export import ExportedFile, ExportResult
    from edgekit.pipeline.making.floor import Floor
    from edgekit.pipeline.making.source import Source

_SOURCES = {"calib": "data", "ranges": "ranges", "data-free": "data_free"}  # flag: key of [calibration]


@spread
def export(  # noqa: PLR0913 - one a flag
    checkpoint: CheckpointArgument = None,
    *,
    device: DeviceOption = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Write int8 files (needs --calib, --ranges or --data-free).")
    ] = False,
    float16: Annotated[bool, typer.Option("--float16", help="Write float16 files.")] = False,
    dynamic: Annotated[
        bool,
        typer.Option(
            "--dynamic",
            help="Write files of int8 weights whose layers quantize what they read; no images. Often slower than "
            "float32: docs/precisions.md.",
        ),
    ] = False,
    weight_only: Annotated[
        bool, typer.Option("--weight-only", help="Write files of int8 weights that compute in float32; no images.")
    ] = False,
    float32: Annotated[
        bool, typer.Option("--float32", help="Write float32 files; the default without another of these.")
    ] = False,
    files: FileFlags,
    calibration: CalibrationFlags,
    ranges: Annotated[
        Path | None,
        typer.Option("--ranges", help="Ranges saved by an earlier export, instead of images.", show_default=False),
    ] = None,
    data_free: Annotated[
        bool,
        typer.Option(
            "--data-free", help="Without images: on synthetic ones, made from the checkpoint's batch normalization."
        ),
    ] = False,
    floor: FloorOption = None,
    int16_activations: Int16Option = None,
    per_tensor_weights: PerTensorOption = False,
    network: NetworkFlags,
    threads: ThreadsOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Also say what calibration did, step by step.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a trained MobileNet for its targets, all int8 files from one integer model."""
    with console.reporting("export", as_json=as_json), limited(threads):
        named = {"float32": float32, "float16": float16, "int8": int8, "dynamic": dynamic, "weight-only": weight_only}
        precisions = [name for name, is_wanted in named.items() if is_wanted]
        flags = merged(
            network.overrides(checkpoint),
            calibration.overrides(),
            files.overrides(),
            {
                "calibration": {
                    "ranges": ranges,
                    "data_free": data_free or None,
                    "floor": floor,
                    "int16_activations": None if int16_activations is None else names(int16_activations),
                    "per_tensor_weights": per_tensor_weights or None,
                },
                "export": {"device": device, "precisions": precisions or None},
            },
        )
        settings = export_settings(config, flags, assignments, is_named=network.model is not None)
        given = network.given(checkpoint, settings)

        from edgekit.pipeline.making.export import export as run  # noqa: PLC0415 - see the module app

        told: list[str] = []
        with console.progress_bar() as progress:
            result = run(
                settings,
                given=given,
                opened=lambda source: told.extend(show_opened(source, settings)),
                progress=progress,
            )
        if as_json:
            console.print_json("export", result)
        else:
            show_export(result, settings, told, verbose=verbose)


def export_settings(
    config: Path | None, flags: Overrides, assignments: list[str] | None, *, is_named: bool = False
) -> Settings:
    """The settings of a command that exports: of a file, of flags, or of the shipped network.

    ``is_named`` says that something else than settings names the network.

    Raises:
        ConfigError: something is unknown, wrong, or contradicts itself.
    """
    from edgekit.defaults import CONFIG  # noqa: PLC0415 - see the module app
    from edgekit.pipeline.making.given import with_kept_images  # noqa: PLC0415 - likewise

    path, given = find_config(config), flags["calibration"]
    sources = [f"--{flag}" for flag, key in _SOURCES.items() if given.get(key) is not None]
    if len(sources) > 1:
        raise ConfigError(
            f"{sources[0]} and {sources[1]} are both given: ranges come from images, from a file, or without images "
            f"from statistics, so leave one out"
        )
    settings = load_settings(path, flags, assignments)
    if path is None and settings.model.checkpoint is None and not is_named:
        console.note("no checkpoint and no edgekit.toml: using the digits network that edgekit ships")
        settings = load_settings(CONFIG, flags, assignments)
    if given.get("data") is not None:  # over what the file names
        settings = replace(settings, calibration=replace(settings.calibration, ranges=None, data_free=False))
    if given.get("ranges") is not None:
        settings = replace(settings, calibration=replace(settings.calibration, data_free=False))
    if is_named:
        return replace(settings, model=replace(settings.model, checkpoint=None))
    return with_kept_images(settings)


def show_opened(source: Source, settings: Settings) -> tuple[str, ...]:
    """Tell what is taken to be true of a network, what was given by what, and what was chosen and left aside.

    Returns:
        The notes among that.
    """
    from edgekit.reports import origin  # noqa: PLC0415 - see the module app

    for text in source.notes:
        console.note(text)
    known: dict[str, list[str]] = {}  # what is known, by the reason
    for fact in source.facts:
        if not fact.is_assumed:
            known.setdefault(f"{fact.basis}, {origin.reason(fact, settings)}", []).append(
                f"{fact.name} {plain(fact.value)}"
            )
    for because, values in known.items():
        console.note(f"{', '.join(values)}: {because}")
    for fact in assumed(source.facts):
        why = origin.reason(fact, settings)
        console.warn(f"{fact.name} {plain(fact.value)} is {fact.basis}: {why} (to set it: {fact.setting})")
    return source.notes


def show_export(result: ExportResult, settings: Settings, told: Sequence[str], *, verbose: bool = False) -> None:
    """Print what was exported, and what calibration did if ``verbose``; the notes in ``told`` are there already."""
    from edgekit.reports.exported import doubts  # noqa: PLC0415 - see the module app

    for text in result.notes:
        if text not in told:
            console.note(text)
    console.skipped(result.skipped)
    for text in doubts(result):
        console.warn(text)
    console.note(f"beside the files: {', '.join(_beside(result))}")
    if result.device is not None:
        made_for = f"made for {result.device}: edgekit devices {settings.export.device} says how, and why"
        console.note(made_for)
        if _is_compiled(settings):
            console.note(f"next: edgekit compile {settings.export.out} --device {settings.export.device}")
    kind = "synthetic image" if result.data_free else "image"
    origin = f", calibrated on {console.count(result.images, kind)}" if result.images else ""
    name, out = console.escape(result.network), console.escape(str(settings.export.out / f"{result.network}.*"))
    console.say(f"[bold]{name}[/] ({console.escape(result.description)}){origin} → {out}")
    recipe = result.recipe if verbose else ()
    console.say(*(f"[dim]{console.escape(line)}[/]" for line in (*recipe, *_proofs(result))))
    if result.floor is not None:
        console.say(_floor(result.floor))
    rows = [_row(file, result) for file in result.files]
    console.table(["", "file", ">size", ">int8", ">max |Δ|", "measured in"], rows)


def _is_compiled(settings: Settings) -> bool:
    """Whether the device runs files only after its own compiler."""
    from edgekit.profiles.profile import profile  # noqa: PLC0415 - see the module app

    return settings.export.device is not None and profile(settings.export.device).compiler is not None


def _beside(result: ExportResult) -> Iterator[str]:
    """What there is besides the files, and what it is for."""
    for path, what in (
        (result.integer_model, "the integer model"),
        (result.ranges, "for --ranges"),
        (result.manifest, "for reproduce"),
    ):
        if path is not None:
            yield f"*{path.name.removeprefix(result.network)} ({what})"


def _floor(floor: Floor) -> str:
    """Which layers are in float for it, and what that gained."""
    measured = f"simulated on {console.count(floor.images, 'held-out image')}"
    title, number, unit = floor.measure.title, floor.measure.number, floor.measure.unit
    if not floor.kept:
        return (
            f"{title}: [bold]{number(floor.lost)} {unit}[/] without any layer in float for it, {floor.allowed:g} "
            f"allowed [dim]({measured})[/]"
        )
    kept = f"{len(floor.kept)} of {console.count(floor.layers, 'layer')}"
    return (
        f"{title}: [bold]{number(floor.lost)} {unit}[/] with {kept} in float, {number(floor.lost_without)} without "
        f"[dim]({measured})[/]: {console.escape(', '.join(floor.kept))}"
    )


def _proofs(result: ExportResult) -> list[str]:
    """What the largest difference is, and where nothing or less is proven."""
    from edgekit.reports.exported import meaning, unproven  # noqa: PLC0415 - see the module app
    from edgekit.reports.findings import only_near  # noqa: PLC0415 - likewise

    lines = meaning(result)
    precise = {"kept in float": result.kept_float, "with 16-bit activations": result.int16}
    kinds = [f"{console.count(len(layers), 'layer')} {how}" for how, layers in precise.items() if layers]
    if kinds:
        lines.append(", ".join(kinds))
    if result.answering:
        lines.append("int8: share of the network's own operators; what --outputs adds behind them computes in float")
    return [*lines, *only_near(result.files), *unproven(result)]


def _row(file: ExportedFile, result: ExportResult) -> list[str]:
    """File, size, share of int8 operators, the largest difference of all outputs, and the runtime that showed it.

    No tick stands beside what rests on an assumption.
    """
    difference = console.NOTHING if file.parity is None else file.parity.distance()
    compared = "[bold yellow]![/]" if file.parities else console.NOTHING
    # Export has shown that no operator of an int8 file is in float but those of these layers.
    share = 1.0 if result.answering and not result.kept_float else file.summary.int8_share
    return [
        "[bold green]✔[/]" if file.proven else compared,
        console.escape(file.path.name.removeprefix(f"{result.network}.")),
        console.size(file.size_bytes),
        console.percent(share) if file.precision == "int8" else console.NOTHING,
        difference,
        "" if file.parity is None else console.escape(file.parity.runner),
    ]
