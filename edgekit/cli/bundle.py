"""``edgekit bundle``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli import console
from edgekit.cli.bench import AgainstOption, BatchOption, LapsOption, RunThreadsOption, bench_settings
from edgekit.cli.options import (  # noqa: TC001 - typer reads the annotations
    ArtifactsArgument,
    ConfigOption,
    JsonOption,
    SetOption,
)


def bundle(  # noqa: PLR0913 - one a flag
    artifacts: ArtifactsArgument = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Archive to write.")] = Path("bench.pyz"),
    threads: RunThreadsOption = None,
    batch: BatchOption = None,
    laps: LapsOption = None,
    against: AgainstOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write one archive that checks and times files on a device, for those who copy by hand: python3 bench.pyz."""
    with console.reporting("bundle", as_json=as_json):
        from edgekit.pipeline.measuring.bench import plan  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.measuring.bundle import bundle as write  # noqa: PLC0415 - likewise

        settings = bench_settings(threads, batch, laps, config, assignments)
        planned = plan(artifacts or [settings.export.out], settings.bench, against=against)
        with console.progress_bar() as progress:
            written = write(planned.plan, out, progress=progress)
        if as_json:
            console.print_json("bundle", written)
            return
        for name, why in written.unchecked.items():
            console.warn(f"{name} is timed there without being checked: {why}")
        files = console.count(len(written.files), "file")
        console.say(f"{console.escape(str(out))}: {files}, {console.size(written.size_bytes)}")
        console.say(f"copy it to the device, and type there: python3 {console.escape(out.name)}")
        console.say(f"copy its results back, and show them: edgekit bench {console.escape(out.stem)}.json")
