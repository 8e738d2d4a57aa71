"""``edgekit export``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import (
    ConfigOption,
    JsonOption,
    SetOption,
    StrictOption,
    find_config,
    load_settings,
)
from edgekit.config import TARGETS, Typed
from edgekit.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from edgekit.config import Overrides, Settings
    from edgekit.pipeline.export import ExportedFile, ExportResult


def export(  # noqa: PLR0913 - one a flag
    checkpoint: Annotated[
        Path | None,
        typer.Argument(help="Trained MobileNet: .pth, .safetensors, .h5, .keras or .onnx.", show_default=False),
    ] = None,
    *,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", "-t", help="onnx, tflite, coreml, torch (comma-separated) or all.", show_default="onnx,tflite"
        ),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Write int8 files (needs --calib or --ranges).")] = False,
    float16: Annotated[bool, typer.Option("--float16", help="Write float16 files.")] = False,
    float32: Annotated[
        bool, typer.Option("--float32", help="Write float32 files; the default without --int8 and --float16.")
    ] = False,
    calib: Annotated[
        Path | None,
        typer.Option("--calib", help="Calibration images: a folder, glob, .npz, .npy or .csv.", show_default=False),
    ] = None,
    ranges: Annotated[
        Path | None,
        typer.Option("--ranges", help="Ranges saved by an earlier export, instead of images.", show_default=False),
    ] = None,
    strict: StrictOption = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write to.", show_default="exported")
    ] = None,
    io_dtype: Annotated[
        str | None,
        typer.Option(
            "--io-dtype", help="float32, int8 or uint8 at the boundary of int8 files.", show_default="float32"
        ),
    ] = None,
    padding: Annotated[
        str | None,
        typer.Option(
            "--padding", help="How it was trained: same (TensorFlow) or symmetric (PyTorch).", show_default="guessed"
        ),
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(
            "--resize",
            help="Before the centre crop: pixels of the shorter side, whole or none.",
            show_default="256 for 224",
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Class names, one a line, stored in every file.", show_default=False)
    ] = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Skip the proof in the runtimes of this machine.")
    ] = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a trained MobileNet for its targets, all int8 files from one integer model."""
    with console.reporting("export", as_json=as_json):
        precisions = [name for name, on in (("float32", float32), ("float16", float16), ("int8", int8)) if on]
        flags: Overrides = {
            "model": {"checkpoint": checkpoint, "padding": padding, "labels": labels},
            "preprocessing": {"resize": Typed(resize) if resize else None},
            "calibration": {"data": calib, "ranges": ranges, "strict": strict or None},
            "export": {
                "targets": None if target is None else _targets(target),
                "precisions": precisions or None,
                "io_dtype": io_dtype,
                "out": out,
                "verify": False if no_verify else None,
            },
        }
        settings = _settings(config, flags, assignments)

        from edgekit.pipeline.export import export as run  # noqa: PLC0415 - see the module app

        with console.progress_bar() as progress:
            result = run(settings, progress=progress)
        if as_json:
            console.print_json("export", result)
        else:
            _show(result, settings)


def _settings(config: Path | None, flags: Overrides, assignments: list[str] | None) -> Settings:
    from edgekit.defaults import CONFIG  # noqa: PLC0415 - see the module app

    path, given = find_config(config), flags["calibration"]
    if given["data"] is not None and given["ranges"] is not None:
        raise ConfigError(
            "--calib and --ranges are both given: ranges come from images or from a file, so leave one out"
        )
    settings = load_settings(path, flags, assignments)
    if path is None and settings.model.checkpoint is None:
        console.note("no checkpoint and no edgekit.toml: using the digits network that edgekit ships")
        settings = load_settings(CONFIG, flags, assignments)
    if given["data"] is not None:  # over ranges that the file names
        settings = replace(settings, calibration=replace(settings.calibration, ranges=None))
    return settings


def _targets(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in {*TARGETS, "all"}:
            raise ConfigError(f"unknown target {name!r}: {did_you_mean(name, (*TARGETS, 'all'))}")
    return list(TARGETS) if "all" in names else names


def _show(result: ExportResult, settings: Settings) -> None:
    for text in result.notes:
        console.note(text)
    console.skipped(result.skipped)
    if result.integer_model is not None and result.ranges is not None:
        model, ranges = (path.name.removeprefix(result.network) for path in (result.integer_model, result.ranges))
        console.note(f"beside the files: *{model} (the integer model) and *{ranges}")
    origin = f", calibrated on {console.count(result.images, 'image')}" if result.images else ""
    name, out = console.escape(result.network), console.escape(str(settings.export.out))
    console.say(f"[bold]{name}[/] ({console.escape(result.description)}){origin} → {out}")
    console.say(*(f"[dim]{console.escape(line)}[/]" for line in _proofs(result)))
    console.table(["", "file", ">size", ">time", ">int8", ">max |Δ|"], [_row(file) for file in result.files])


def _proofs(result: ExportResult) -> list[str]:
    """What the largest difference was measured in, and what stands for it elsewhere."""
    lines = []
    parities = [file.parity for file in result.files if file.parity is not None]
    if parities:
        runners = "; ".join(dict.fromkeys(parity.runner for parity in parities))
        lines.append(f"max |Δ| measured on {console.count(parities[0].images, 'image')} in {runners}")
    elsewhere = [file for file in result.files if file.parity is None]
    if any(file.proven for file in elsewhere):
        lines.append("Core ML int8: not run here, every number read back and identical to the integer model's")
    if any(not file.proven for file in elsewhere):
        lines.append(f"{console.NOTHING} not compared: --no-verify, or a format without a runtime here")
    return lines


def _row(file: ExportedFile) -> list[str]:
    """File, size, time, share of int8 operators and the largest difference in LSB."""
    from edgekit.verification.integer_parity import IntegerParity  # noqa: PLC0415 - see the module app

    match file.parity:
        case None:
            difference = console.NOTHING
        case IntegerParity() as parity:
            difference = f"{parity.max_lsb} LSB"
        case parity:
            difference = f"{parity.max_abs_error:.1e}"
    return [
        "[bold green]✔[/]" if file.proven else console.NOTHING,
        console.escape(file.path.name),
        console.size(file.size_bytes),
        f"{file.write_seconds:.2f} s",
        console.percent(file.summary.int8_share) if file.precision == "int8" else console.NOTHING,
        difference,
    ]
