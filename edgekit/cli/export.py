"""``edgekit export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import ConfigOption, JsonOption, SetOption, find_config, load_settings
from edgekit.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from edgekit.config import Overrides
    from edgekit.pipeline.export import ExportedFile, ExportResult

TARGETS = ("onnx", "tflite", "coreml", "torch")


def export(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="Trained MobileNet: .pth, .safetensors, .h5, .keras or .onnx.", show_default=False)
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="onnx, tflite, coreml, torch (comma-separated) or all.", show_default="onnx,tflite")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Write int8 files (needs --calib or --ranges).")] = False,
    float16: Annotated[bool, typer.Option("--float16", help="Write float16 files.")] = False,
    float32: Annotated[bool, typer.Option("--float32", help="Write float32 files; the default without --int8 and --float16.")] = False,
    calib: Annotated[
        Path | None, typer.Option("--calib", help="Calibration images: a folder, glob, .npz, .npy or .csv.", show_default=False)
    ] = None,
    ranges: Annotated[
        Path | None, typer.Option("--ranges", help="Ranges saved by an earlier export, instead of images.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write to.", show_default="exported")] = None,
    io_dtype: Annotated[
        str | None, typer.Option("--io-dtype", help="float32, int8 or uint8 at the boundary of int8 files.", show_default="float32")
    ] = None,
    padding: Annotated[
        str | None, typer.Option("--padding", help="How the network was trained: same (TensorFlow) or symmetric (PyTorch).", show_default="guessed")
    ] = None,
    resize: Annotated[
        str | None, typer.Option("--resize", help="Before the centre crop: pixels of the shorter side, whole or none.", show_default="256 for 224")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Class names, one a line, stored in every file.", show_default=False)
    ] = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Skip the proof in the runtimes of this machine.")] = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a trained MobileNet for its targets, all int8 files from one integer model."""
    with console.reporting("export", as_json=as_json):
        from edgekit.defaults import CONFIG  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.export import export as run  # noqa: PLC0415

        path = find_config(config)
        if path is None and checkpoint is None:
            path = CONFIG
            console.note("no checkpoint and no edgekit.toml: using the digits network that edgekit ships")
        precisions = [name for name, on in (("float32", float32), ("float16", float16), ("int8", int8)) if on]
        flags: Overrides = {
            "model": {"checkpoint": checkpoint, "padding": padding, "labels": labels},
            "preprocessing": {"resize": int(resize) if resize and resize.isdecimal() else resize},
            "calibration": {"data": calib, "ranges": ranges},
            "export": {
                "targets": None if target is None else _targets(target),
                "precisions": precisions or None,
                "io_dtype": io_dtype,
                "out": out,
                "verify": False if no_verify else None,
            },
        }
        settings = load_settings(path, flags, assignments)
        with console.progress_bar() as progress:
            result = run(settings, progress=progress)
        if as_json:
            console.print_json("export", result)
        else:
            _show(result)
        if any(file.parity is not None and not file.parity.passed for file in result.files):
            raise typer.Exit(1)


def _targets(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return list(TARGETS)
    for name in names:
        if name not in TARGETS:
            raise ConfigError(f"unknown target {name!r}: {did_you_mean(name, (*TARGETS, 'all'))}")
    return names


def _show(result: ExportResult) -> None:
    console.say(f"[bold]{console.escape(result.network)}[/]  {console.escape(result.description)}")
    for text in result.notes:
        console.note(text)
    if result.skipped:
        console.note(f"{len(result.skipped)} images could not be read and were skipped: {', '.join(result.skipped[:3])}")
    sizes = {(file.target, str(file.precision)): file.size_bytes for file in result.files}
    for file in result.files:
        console.say(_line(file, sizes.get((file.target, "float32"))))
    if result.integer_model is not None:
        seen = f"{result.images} images" if result.images else "saved ranges"
        console.note(f"integer model {result.integer_model} and {result.ranges} from {seen}; {result.seconds:.1f} s in all")


def _line(file: ExportedFile, float_bytes: int | None) -> str:
    """One line with file, size, time, share of int8 operators and the largest difference in LSB."""
    from edgekit.verification.integer_parity import IntegerParity  # noqa: PLC0415 - see the module app

    size = console.size(file.size_bytes)
    if float_bytes and file.precision != "float32":
        size += f" (float {console.size(float_bytes)})"
    parts = []
    if file.precision == "int8":
        total = sum(file.summary.operators.values())
        whole = total - len(file.summary.float_operators)
        parts.append(f"{console.percent(file.summary.int8_share)} int8 ({whole}/{total} operators)")
    match file.parity:
        case None:
            parts.append("numbers read back and identical, not run here" if file.precision == "int8" else "read back, not run here")
        case IntegerParity() as parity:
            parts.append(
                f"max |Δ| {parity.max_lsb} LSB over {parity.values:,} logits [dim](measured, {console.escape(parity.runner)})[/]"
            )
        case parity:
            parts.append(f"max |Δ| {parity.max_abs_error:.1e} against torch [dim](measured, {console.escape(parity.runner)})[/]")
    mark = "[bold green]✔[/]" if file.parity is None or file.parity.passed else "[bold red]✘[/]"
    return f"{mark} {console.escape(str(file.path))}  {size} in {file.write_seconds:.2f} s  {', '.join(parts)}"
