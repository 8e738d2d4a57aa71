"""``edgekit bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import ArtifactsArgument, ConfigOption, JsonOption, SetOption, find_config, load_settings

if TYPE_CHECKING:
    from edgekit.pipeline.bench import BenchResult, BenchRow


def bench(  # noqa: PLR0913 - one a flag
    artifacts: ArtifactsArgument = None,
    *,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of one run.", show_default="1")
    ] = None,
    runs: Annotated[
        int | None, typer.Option("--runs", min=1, help="Timed runs of each file.", show_default="200")
    ] = None,
    warmup: Annotated[
        int | None, typer.Option("--warmup", min=0, help="Runs before timing starts.", show_default="20")
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure latency: fresh processes that take turns, with the float32 twin beside every int8 file."""
    with console.reporting("bench", as_json=as_json):
        from edgekit.pipeline.bench import bench as run  # noqa: PLC0415 - see the module app

        flags = {"bench": {"threads": threads, "runs": runs, "warmup": warmup}}
        settings = load_settings(find_config(config), flags, assignments)
        with console.progress_bar() as progress:
            result = run(artifacts or [settings.export.out], settings.bench, progress=progress)
        if as_json:
            console.print_json("bench", result)
        else:
            _show(result)


def _show(result: BenchResult) -> None:
    if result.left_out:
        console.note(f"left out, no runtime here: {', '.join(path.name for path in result.left_out)}")
    first = result.rows[0].latency
    console.say(
        f"[dim]measured: batch 1, {console.count(first.threads, 'thread')}, {console.count(first.runs, 'run')} of each "
        f"after {result.warmup} to warm up, taking turns[/]"
    )
    rows = [line for row in result.rows for line in _lines(row)]
    console.table(["file", ">p50 ms", ">p90 ms", ">p99 ms", ">of float"], rows)


def _lines(row: BenchRow) -> tuple[list[str], str]:
    """The file with its figures, and its runtime below."""
    latency = row.latency
    runtime = latency.runner
    if latency.delegate_pieces is not None:
        pieces = console.count(latency.delegate_pieces, "piece")
        runtime += f": {pieces}, outside {', '.join(latency.outside)}" if latency.outside else f": all in {pieces}"
    figures = [f"{value:.3f}" for value in (latency.p50_ms, latency.p90_ms, latency.p99_ms)]
    ratio = f"{row.float_ratio:.2f} ×" if row.float_ratio is not None else ""
    return [console.escape(latency.path.name), *figures, ratio], f"[dim]  {console.escape(runtime)}[/]"
