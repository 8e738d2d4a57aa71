"""``edgekit bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import ConfigOption, JsonOption, SetOption, find_config, load_settings


def bench(
    artifacts: Annotated[
        list[Path] | None, typer.Argument(help="Exported files, or folders of them.", show_default="the export folder")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of one run.", show_default="1")] = None,
    runs: Annotated[int | None, typer.Option("--runs", min=1, help="Timed runs of each file.", show_default="200")] = None,
    warmup: Annotated[int | None, typer.Option("--warmup", min=0, help="Runs before timing starts.", show_default="20")] = None,
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
            return
        rows = [
            [
                console.escape(row.latency.path.name),
                console.escape(row.latency.runner),
                *(f"{value:.2f}" for value in (row.latency.p50_ms, row.latency.p90_ms, row.latency.p99_ms)),
                f"{row.float_ratio:.2f}×" if row.float_ratio is not None else "–",
                _placement(row.latency.delegate_pieces, row.latency.outside),
            ]
            for row in result.rows
        ]
        first = result.rows[0].latency
        title = f"measured: batch 1, {first.threads} thread(s), {first.runs} runs each after {settings.bench.warmup} to warm up"
        columns = ["file", "runtime", ">p50 ms", ">p90 ms", ">p99 ms", ">of float", "delegate"]
        console.table(title, columns, rows)


def _placement(pieces: int | None, outside: tuple[str, ...]) -> str:
    if pieces is None:
        return "–"
    return f"{pieces} piece{'s' * (pieces != 1)}, {len(outside)} outside"
