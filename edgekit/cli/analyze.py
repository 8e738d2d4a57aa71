"""``edgekit analyze``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit import words
from edgekit.cli import console
from edgekit.cli.options import JsonOption, PageOption  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from edgekit.pipeline.choosing.analyze import Analysis

_COLUMNS = ("Mparams", "MMAC", "memory", "int8", "float32", "float16", "dynamic", "separable", "top-1")
_SPARE = (">MAC/B", "reads", ">weight-only", ">dynamic", ">float16")  # columns that a narrow terminal goes without


def analyze(  # noqa: PLR0913 - one a flag
    checkpoints: Annotated[
        list[Path] | None, typer.Argument(metavar="[CHECKPOINT]…", help="Trained MobileNets.", show_default=False)
    ] = None,
    *,
    arch: Annotated[
        list[str] | None,
        typer.Option("--arch", help="Families instead, such as mobilenet_v2, or all.", show_default="all"),
    ] = None,
    width: Annotated[
        list[float] | None, typer.Option("--width", help="Multipliers of their channels.", show_default="1")
    ] = None,
    resolution: Annotated[
        list[int] | None,
        typer.Option("--resolution", help="Sides of the image in pixels.", show_default="as usual for the network"),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every layer, not only blocks.")] = False,
    report: PageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what networks cost before anything is exported: multiplications, parameters, memory and file sizes.

    Of a checkpoint by layer and block; of families as a table over widths and resolutions, for networks of 1000
    classes. Options can be given several times.
    """
    with console.reporting("analyze", as_json=as_json):
        from edgekit.pipeline.choosing.analyze import analyze as run  # noqa: PLC0415 - see the module app
        from edgekit.reports import writing  # noqa: PLC0415 - likewise

        writing.check_page(report)
        result = run(checkpoints or [], archs=arch or (), widths=width or (), resolutions=resolution or ())
        if report is not None:
            from edgekit.reports.pages import analyze as page  # noqa: PLC0415 - only where one is wanted

            writing.write_page(page.render(result), report)
        if as_json:
            console.print_json("analyze", result)
            return
        if len(result.networks) == 1:
            _show(result.networks[0], everything=everything)
        else:
            _compare(result.networks)
        if report is not None:
            console.note(f"report: {report}")


def _show(found: Analysis, *, everything: bool) -> None:
    console.say(f"[bold]{console.escape(found.network)}[/]")
    rows, columns = found.resolution
    memory = f"{words.size(found.peak_int8_bytes)} at most in int8, {_float32(found)} in float32; at {found.peak_at}"
    values = [
        ("image", f"{rows} x {columns} pixels"),
        ("parameters", f"{found.parameters / 1e6:.2f} million"),
        ("multiplications", f"{found.macs / 1e6:.1f} million (MACs), each with its addition"),
        ("activations", memory),
        ("files, about", ", ".join(f"{name} {words.size(size)}" for name, size in found.size_bytes.items())),
    ]
    if found.savings:
        share = f"{found.macs / found.ordinary_macs:.1%} of what ordinary convolutions would multiply"
        values.append(("separable", f"{share}, in place of {len(found.savings)} depthwise separable ones"))
    if (said := found.published) is not None:
        ms = "" if said.pixel1_ms is None else f", {said.pixel1_ms:g} ms on a Pixel 1"
        figures = (
            f"top-1 {said.top1:g} % on ImageNet, {said.macs / 1e6:g} million MACs, {said.parameters / 1e6:g} million"
        )
        values.append(("published", f"{figures} parameters{ms} ({console.escape(said.source)})"))
    console.facts("", values)
    if everything:
        console.table(
            ["layer", "kind", "reads", "makes", ">parameters", ">MMAC", ">MAC/B"],
            [
                [
                    console.escape(layer.name), layer.kind, _shape(layer.reads), _shape(layer.makes),
                    f"{layer.parameters:,}", f"{layer.macs / 1e6:.2f}", f"{layer.intensity:.1f}",
                ]
                for layer in found.layers
            ],
            _SPARE,
        )  # fmt: skip
        return
    console.table(
        ["block", "makes", ">layers", ">parameters", ">MMAC", ">share"],
        [
            [
                console.escape(block.name), _shape(block.makes), f"{block.layers}", f"{block.parameters:,}",
                f"{block.macs / 1e6:.2f}", f"{block.macs / found.macs:.1%}",
            ]
            for block in found.blocks
        ],
    )  # fmt: skip


def _compare(networks: tuple[Analysis, ...]) -> None:
    console.table(
        ["network", *(f">{title}" for title in _COLUMNS)],
        [
            [
                console.escape(found.network), f"{found.parameters / 1e6:.2f}", f"{found.macs / 1e6:.1f}",
                words.size(found.peak_int8_bytes), words.size(found.size_bytes["int8"]),
                words.size(found.size_bytes["float32"]), words.size(found.size_bytes["float16"]),
                words.size(found.size_bytes["dynamic"]), f"{found.macs / found.ordinary_macs:.0%}",
                console.NOTHING if found.published is None else f"{found.published.top1:g}",
            ]
            for found in networks
        ],
        _SPARE,
    )  # fmt: skip
    console.say(
        "[dim]memory: of activations in int8, at most. int8, float32: of a .tflite file, about. separable: share of "
        "what ordinary convolutions would multiply. top-1: as published for ImageNet, %[/]"
    )


def _float32(found: Analysis) -> str:
    return words.size(4 * found.peak_int8_bytes)


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
