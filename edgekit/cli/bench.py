"""``edgekit bench``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import console
from edgekit.cli.options import (
    ArtifactsArgument,
    ConfigOption,
    JsonOption,
    RemoteOption,
    SetOption,
    find_config,
    load_settings,
)
from edgekit.device.plan import CHAIN, LAPS
from edgekit.errors import ConfigError
from edgekit.flags import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.config import BenchSettings, Settings
    from edgekit.device.machine import Conditions, Machine
    from edgekit.device.results import Results, Row
    from edgekit.pipeline.measuring.bench import BenchResult, Planned
    from edgekit.pipeline.measuring.fit import FitResult

ALL = "all"
STAGES = "all stages"  # one behind the other, to the last exit


RunThreadsOption = Annotated[
    str | None,
    typer.Option("--threads", metavar="N,…", help="Threads of one run, or all: 1 to all cores.", show_default="1"),
]
BatchOption = Annotated[str | None, typer.Option("--batch", metavar="N,…", help="Images of one run.", show_default="1")]
LapsOption = Annotated[
    int | None, typer.Option("--laps", min=1, help="Fresh processes of each file.", show_default="11")
]
AgainstOption = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="FILE",
        help="What every file is compared with, of edgekit or not.",
        show_default="its float32 twin",
    ),
]


def bench(  # noqa: PLR0913 - one a flag
    artifacts: ArtifactsArgument = None,
    *,
    threads: RunThreadsOption = None,
    batch: BatchOption = None,
    laps: LapsOption = None,
    against: AgainstOption = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="On the GPU as well, where there is one.")] = False,
    fit: Annotated[
        bool,
        typer.Option("--fit", help="Time random networks for 10 minutes instead, to predict the latency of others."),
    ] = False,
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="NAME|FILE",
            help="What --fit writes: a file that ends with .json, or the device's name, by which it is kept for check "
            "--latency, prune and search.",
        ),
    ] = "latency.json",
    device: RemoteOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure latency, start and memory: fresh processes that take turns, with intervals that hold the next time, too.

    The .json of a bundle that ran elsewhere is shown.
    """
    with console.reporting("bench", as_json=as_json):
        from edgekit.pipeline.measuring.bench import bench as run  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.measuring.bench import load, plan  # noqa: PLC0415 - likewise
        from edgekit.timing.prediction import saved  # noqa: PLC0415 - likewise

        settings = bench_settings(threads, batch, laps, config, assignments, gpu=gpu)
        if fit:
            _refuse_beside_fit({"FILE": artifacts, "--laps": laps, "--against": against, "--gpu": gpu})
            found = _fit(settings, saved.path_of(out), device)
            if as_json:
                console.print_json("bench", found)
            else:
                _show_fit(found, out)
            return
        files = artifacts or [settings.export.out]
        if [path.suffix for path in files] == [".json"]:
            result = load(files[0])
        elif device is not None:
            result = _elsewhere(device, plan(files, settings.bench, against=against), settings.bench)
        else:
            with console.progress_bar() as progress:
                result = run(files, settings.bench, against=against, progress=progress)
        if as_json:
            console.print_json("bench", result)
        else:
            show(result)


def bench_settings(  # noqa: PLR0913 - one a flag
    threads: str | None,
    batch: str | None,
    laps: int | None,
    config: Path | None,
    assignments: list[str] | None,
    *,
    gpu: bool = False,
) -> Settings:
    """Settings with the flags that say under which conditions files are timed."""
    flags: dict[str, dict[str, Any]] = {
        "bench": {
            "threads": ALL if threads == ALL else _numbers("--threads", threads),
            "batches": _numbers("--batch", batch),
            "laps": laps,
            "gpu": gpu or None,
        }
    }
    return load_settings(find_config(config), flags, assignments)


def _elsewhere(device: str, planned: Planned, settings: BenchSettings) -> BenchResult:
    from edgekit.pipeline.measuring.bundle import pack  # noqa: PLC0415 - see the module app
    from edgekit.pipeline.measuring.device import bench_on, connect  # noqa: PLC0415 - likewise

    engines = {file.engine for file in planned.plan.files}
    # First of all, so that nobody waits for the question for a password, and before a bar is drawn over it.
    with connect(device, python=settings.python, engines=engines) as there:
        with console.progress_bar() as progress:
            luggage = pack(planned.plan, progress=progress)
        for name, why in luggage.unchecked.items():
            console.warn(f"{name} is timed there without being checked: {why}")
        with console.progress_bar() as progress:
            return bench_on(there, planned, luggage, progress=progress)


def _refuse_beside_fit(given: dict[str, object]) -> None:
    if useless := [name for name, value in given.items() if value]:
        raise ConfigError(f"--fit times networks of its own in its own way: leave out {', '.join(useless)}")


def _fit(settings: Settings, out: Path, device: str | None) -> FitResult:
    from edgekit.pipeline.measuring.device import connect  # noqa: PLC0415 - see the module app
    from edgekit.pipeline.measuring.fit import engines_of, fit_latency  # noqa: PLC0415 - likewise

    if device is None:
        with console.progress_bar() as progress:
            return fit_latency(settings, out, progress=progress)
    with (
        connect(device, python=settings.bench.python, engines=engines_of(settings)) as there,
        console.progress_bar() as progress,
    ):
        return fit_latency(settings, out, device=there, progress=progress)


def _show_fit(found: FitResult, out: str) -> None:
    """What was fitted, and how well it predicts."""
    console.say(f"[dim]{console.escape(_machine(found.latency.machine))}[/]")
    networks = console.count(found.networks, "random network")
    console.say(f"[dim]{networks}, {found.seconds:.0f} s; each was predicted from others[/]", "")
    for model in found.latency.models:
        error, (low, high) = model.fit.error, model.fit.range_ms
        console.say(
            f"{console.escape(model.runner)}: {error.within_tenth:.0%} within 10 % of what was measured, median "
            f"{error.median:.1%}, 95 % within {error.p95:.1%} ({low:.3g} to {high:.3g} ms)"
        )
    console.say(
        "",
        f"{console.escape(str(found.path))}: edgekit check FILE --latency {console.escape(out)} predicts with it",
    )


def _numbers(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(name) for name in names(text)]
    except ValueError:
        raise ConfigError(f"{option} {text}: whole numbers are wanted, with commas: 1,2,4") from None


def show(result: BenchResult) -> None:
    """Print what was measured."""
    results = result.results
    for file in result.checked:
        if file.different:
            console.warn(f"{file.path} ({file.runner}): {file.sentence}")
        elif file.images:
            console.note(f"{file.path} ({file.runner}): {file.sentence}")
    if result.left_out:
        console.note(f"left out, no engine runs them: {', '.join(path.name for path in result.left_out)}")
    if results.rows:
        console.say(f"[dim]{console.escape(_machine(results.machine))}[/]")
        console.say(f"[dim]{_method(results)}[/]", "")
        _table(results.rows)
    for line in _remarks(results):
        console.say(line)
    for refusal in results.refused:
        console.warn(refusal.reason)
    for reason in results.dirty:
        console.warn(f"dirty: {reason}")


def _machine(machine: Machine) -> str:
    """The machine in one line."""
    parts = [
        ", ".join(dict.fromkeys(filter(None, (machine.model, machine.processor)))),
        console.count(machine.cores, "core"),
        f"{machine.bits} bit",
    ]
    if machine.memory_mib is not None:
        parts.append(f"{machine.memory_mib / 1024:.1f} GiB")
    if machine.clock_mhz is not None:
        low, high = machine.clock_mhz
        parts.append(f"{low:.0f} to {high:.0f} MHz" + (f" ({machine.governor})" if machine.governor else ""))
    return ", ".join([*parts, *machine.instructions])


def _method(results: Results) -> str:
    """How the figures were made, and how the machine fared meanwhile."""
    coverage = results.rows[0].p50_ms.coverage
    measured = f"{console.count(results.laps, 'lap')} of fresh processes in turns, {results.conditions.seconds:.0f} s"
    interval = f"the interval holds another measurement's median in {coverage:.0%} of cases"
    if not coverage:
        laps = "one lap says" if results.laps == 1 else f"{results.laps} laps say"
        interval = f"{laps} nothing of another measurement, for which the usual {LAPS} are needed"
    return "; ".join([measured, interval, *_fared(results.conditions)])


def _fared(conditions: Conditions) -> Iterator[str]:
    if conditions.others_cores is not None:
        yield f"others used {conditions.others_cores:.1f} cores"
    if conditions.temperature_c is not None:
        yield f"{conditions.temperature_c:.0f} °C"
    if conditions.watts is not None:
        yield f"{conditions.watts:.1f} W ({conditions.sensor})"


def _table(rows: tuple[Row, ...]) -> None:
    """A line a file and condition, with what ran it below; a column only where it says something."""
    shared = _shared([Path(row.path).name for row in rows if Path(row.path).name != CHAIN])
    if shared:
        console.say(f"[bold]{console.escape(shared.removesuffix('.'))}[/]")
    several = {
        "threads": len({row.threads for row in rows}) > 1 or rows[0].threads > 1,
        "batch": len({row.batch for row in rows}) > 1 or rows[0].batch > 1,
    }
    numbers = [name for name, shown in several.items() if shown]
    titles = [*numbers, "p50 ms", "interval", "p90 ms", "p99 ms", "ratio", "interval", "start ms", "MiB"]
    lines: list[list[str] | str] = []
    said: dict[tuple[str, str], None] = {}
    for row in rows:
        name = STAGES if Path(row.path).name == CHAIN else Path(row.path).name.removeprefix(shared)
        lines.append([console.escape(name), *(str(getattr(row, n)) for n in numbers), *_figures(row)])
        if (row.path, row.runner) not in said:
            said[row.path, row.runner] = None
            lines.append(f"[dim]  {console.escape(_below(row))}[/]")
    console.table(["file", *(f">{title}" for title in titles)], lines)


def _shared(file_names: list[str]) -> str:
    """The network's name and its dot, where all files begin with it."""
    first = file_names[0]
    stem = first.removesuffix(Path(first).suffix).rpartition(".")[0] + "."
    return stem if len(set(file_names)) > 1 and all(name.startswith(stem) for name in file_names) else ""


def _figures(row: Row) -> list[str]:
    p50, ratio = row.p50_ms, row.ratio
    return [
        _ms(p50.value),
        f"{_ms(p50.low)}–{_ms(p50.high)}",
        _ms(row.p90_ms),
        _ms(row.p99_ms),
        "" if ratio is None else f"{ratio.value.value:.2f}",
        "" if ratio is None else f"{ratio.value.low:.2f}–{ratio.value.high:.2f}",
        f"{row.cold_start_ms:.0f}",
        console.NOTHING if row.peak_mib is None else f"{row.peak_mib:.1f}",
    ]


def _ms(value: float) -> str:
    """With three digits, which is what intervals of some percent leave sense in."""
    return (
        f"{value:.3f}"
        if value < 1
        else f"{value:.2f}"
        if value < 10
        else f"{value:.1f}"
        if value < 100
        else f"{value:.0f}"
    )


def _below(row: Row) -> str:
    """What ran the file."""
    text = f"{row.runner}, {console.size(row.size_bytes)}"
    if row.delegate_pieces is not None:
        pieces = console.count(row.delegate_pieces, "piece")
        outside = ", ".join(f"{count} {name}" for name, count in Counter(row.outside).most_common())
        text += f", {pieces}, outside {outside}" if row.outside else f", all in {pieces}"
    return text


def _remarks(results: Results) -> Iterator[str]:
    """What ratios are of, and why int8 is not faster."""
    baselines = dict.fromkeys(row.ratio.baseline for row in results.rows if row.ratio is not None)
    if baselines:
        of = "its float32 twin" if len(baselines) > 1 else Path(next(iter(baselines))).name
        yield f"[dim]ratio: to {console.escape(of)}, lap by lap[/]"
    slow: dict[str, list[str]] = {}  # files by the reason, which most have in common
    for row in results.rows:
        if row.slow_because is not None:
            condition = f"{console.count(row.threads, 'thread')}, batch {row.batch}"
            slow.setdefault(row.slow_because, []).append(f"{Path(row.path).name} ({condition})")
    for reason, files in slow.items():
        yield console.escape(f"{', '.join(files)}: {reason}")
