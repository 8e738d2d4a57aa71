"""``edgekit profile``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit import files
from edgekit.cli import console
from edgekit.cli.options import JsonOption, PageOption  # noqa: TC001 - typer reads the annotations
from edgekit.errors import BadInput

if TYPE_CHECKING:
    from edgekit.pipeline.measuring.profile import OperatorTime, ProfileResult

_SHOWN = 15  # layers, of a hundred
_SPARE = (">MAC/B", ">kB", ">GMAC/s", ">calls", ">MMAC", ">share")  # columns that a narrow terminal goes without


def profile(  # noqa: PLR0913 - one a flag
    artifacts: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Exported files.", show_default=False)],
    *,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of one run.")] = 1,
    runs: Annotated[int, typer.Option("--runs", min=4, help="Profiled runs of each file.")] = 100,
    everything: Annotated[
        bool, typer.Option("--all", help="Show all layers, in the order of the network, not only the longest.")
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE.svg", help="Draw layers and roofline.", show_default="no picture"),
    ] = None,
    node_data: Annotated[
        Path | None,
        typer.Option(
            "--node-data",
            metavar="FILE.json",
            help="Write the microseconds of each operator of a .tflite file for Model Explorer.",
            show_default="none",
        ),
    ] = None,
    report: PageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which layers take the time, by the runtime's own profiler, and how near each is to the machine's best.

    Several files of one network stand side by side, layer by layer: the float file and the int8 file, for example.
    """
    with console.reporting("profile", as_json=as_json):
        from edgekit.pipeline.measuring.profile import profile as run  # noqa: PLC0415 - see the module app
        from edgekit.reports import writing  # noqa: PLC0415 - likewise

        writing.check_page(report)
        _check(artifacts, picture, node_data)
        with console.progress_bar() as progress:
            results = [run(path, threads=threads, runs=runs, progress=progress) for path in artifacts]
        if picture is not None:
            from edgekit.reports.pictures.profile import draw  # noqa: PLC0415 - only where one is wanted

            files.write_bytes(picture, draw(results[0]).encode())
        _write(results, node_data, report)
        if as_json:
            console.print_json("profile", {"files": results})
            return
        for result in results:
            _show(result, everything=everything)
        if len(results) > 1:
            _compare(results, everything=everything)
        if picture is not None:
            console.note(f"drawn: {picture}")
        if report is not None:
            console.note(f"report: {report}")


def _write(results: list[ProfileResult], node_data: Path | None, report: Path | None) -> None:
    """Write what is asked for beside the table."""
    if node_data is not None:
        from edgekit.reports.node_data import document  # noqa: PLC0415 - only where it is wanted

        values = {one.tensor: one.us for one in results[0].operators if one.tensor}
        files.write_bytes(node_data, document("latency, µs", values, high_is_bad=True).encode())
    if report is not None:
        from edgekit.reports import writing  # noqa: PLC0415 - likewise
        from edgekit.reports.pages.profile import render  # noqa: PLC0415 - likewise

        writing.write_page(render(results), report)


def _check(artifacts: list[Path], picture: Path | None, node_data: Path | None) -> None:
    """Refuse what cannot be shown, before anything is profiled."""
    if (picture is not None or node_data is not None) and len(artifacts) > 1:
        raise BadInput("--picture and --node-data show one file: name one file, or leave them out")
    if picture is not None and picture.suffix != ".svg":
        raise BadInput(f"a picture is an SVG file: --picture {picture.with_suffix('.svg')}")
    if node_data is not None and artifacts[0].suffix != ".tflite":
        raise BadInput(f"Model Explorer names the operators of .tflite files alone, and {artifacts[0]} is none")
    for path in artifacts:
        if not path.exists():
            raise BadInput(f"{path} does not exist: name files that edgekit export wrote")


def _show(result: ProfileResult, *, everything: bool) -> None:
    machine = result.roofline
    console.say(
        f"[bold]{console.escape(result.path.name)}[/]: {result.whole_us / 1e3:.3f} ms a run",
        f"[dim]measured: {console.escape(result.runner)}, {console.count(result.threads, 'thread')}, "
        f"{console.count(result.runs, 'run')} under {console.escape(result.source)} in turns with as many without[/]",
        f"[dim]the machine at best: {machine.peak_gmacs:.0f} GMAC/s, {machine.nearest_gbs:.0f} GB/s from its caches, "
        f"{result.weights_gbs:.0f} GB/s from where all weights have room ({console.escape(machine.machine)})[/]",
    )
    if result.disturbed:
        console.warn(
            f"this machine has other work to do: a quarter of the runs took {result.spread:.0%} longer than another "
            "quarter; profile again when it is idle"
        )
    layers = list(result.layers)
    if not everything:
        layers = sorted(layers, key=lambda layer: -layer.us)[:_SHOWN]
        of = f"the {len(layers)} longest of {console.count(len(result.layers), 'layer')}"
    else:
        of = "all layers, in the order of the network"
    console.say(f"[dim]{of}[/]")
    total_us = result.kernels_us
    titles = [">calls", ">µs", ">share", ">MMAC", ">kB", ">MAC/B", ">GMAC/s", ">of best", "held up by"]
    console.table(
        ["layer", "", *titles],
        [[_name(entry.layer), entry.kind, *_row(entry, total_us)] for entry in layers],
        _SPARE,
    )
    console.say("[dim]together[/]")
    rows = [[entry.kind, *_row(entry, total_us)] for entry in result.kinds]
    console.table(["", *titles], [*rows, ["everything", *_row(result.total, total_us)]], _SPARE)
    console.say(f"[dim]{_covered(result)}[/]")


def _compare(results: list[ProfileResult], *, everything: bool) -> None:
    """The layers of all files side by side, the longest of the first file first."""
    from edgekit.pipeline.measuring.profile import side_by_side  # noqa: PLC0415 - see the module app

    rows = list(side_by_side(results).items())
    if not everything:
        rows = sorted(rows, key=lambda row: -(row[1][0] or 0.0))[:_SHOWN]
    console.say("[dim]side by side, µs; the last column is the first file over the last[/]")
    titles = [f">{console.escape(result.path.name.removeprefix(result.network + '.'))}" for result in results]
    console.table(
        ["layer", *titles, ">faster"],
        [
            [
                _name(name),
                *(console.NOTHING if value is None else f"{value:,.1f}" for value in us),
                f"{us[0] / us[-1]:.2f}" if us[0] and us[-1] else console.NOTHING,
            ]
            for name, us in rows
        ],
    )


def _name(layer: str) -> str:
    return console.escape(layer) or "[dim]by the runtime[/]"


def _row(entry: OperatorTime, total_us: float) -> list[str]:
    return [
        f"{entry.calls}",
        f"{entry.us:,.1f}",
        f"{entry.us / total_us:.1%}",
        f"{entry.macs / 1e6:.2f}" if entry.macs else console.NOTHING,
        f"{entry.moved_bytes / 1e3:,.1f}",
        f"{entry.intensity:.1f}" if entry.macs else console.NOTHING,
        f"{entry.gmacs:.1f}" if entry.macs else console.NOTHING,
        f"{entry.efficiency:.0%}" if entry.bound else console.NOTHING,
        entry.bound or console.NOTHING,
    ]


def _covered(result: ProfileResult) -> str:
    """How the kernels together compare with the run."""
    kernels = f"{console.count(result.total.calls, 'kernel')}, together {result.kernels_us / 1e3:.3f} ms"
    share = abs(result.uncovered_us) / result.whole_us
    if result.uncovered_us >= 0:
        return f"{kernels}: {share:.1%} of the run is outside of them"
    each = -result.uncovered_us / result.total.calls
    return f"{kernels}: {share:.1%} more than the run; the profiler adds about {each:.1f} µs to each"
