"""``edgekit verify``."""

from __future__ import annotations

import textwrap
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import (
    ArtifactsArgument,
    ConfigOption,
    JsonOption,
    ModelOption,
    SetOption,
    StrictOption,
    TaskOption,
    ThreadsOption,
    WeightsOption,
    find_config,
    load_settings,
    own_code,
    said,
)
from edgekit.device.threads import limited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.config import Overrides
    from edgekit.pipeline.proving.verdicts import FileVerdict, VerifyResult
    from edgekit.tasks.values import Measured, Metric
    from edgekit.verification.compare import Parity

_WIDTH = 80  # of what stands below the table, as wide as that is


def verify(  # noqa: PLR0913 - one a flag
    artifacts: ArtifactsArgument = None,
    *,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Images; labelled ones give accuracy.", show_default=False)
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="How many, evenly spread.", show_default="all")
    ] = None,
    strict: StrictOption = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", help="The trained network, to compare with.", show_default="the manifest's"),
    ] = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    task: TaskOption = None,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", help="What edgekit baseline kept: no larger, no slower.", show_default=False),
    ] = None,
    latency: Annotated[
        bool, typer.Option("--latency", help="Time every file, too: size and latency beside accuracy.")
    ] = False,
    emulate: Annotated[
        bool, typer.Option("--emulate", help="Also on emulated processors that edgekit emulate set up. Slow.")
    ] = False,
    threads: ThreadsOption = None,
    report: Annotated[
        list[Path] | None,
        typer.Option(
            "--report", help="Write a report: .html, .md, .xml (JUnit) or .json. Repeatable.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that exported files are the model that was trained: integers in LSB, accuracy, agreement with float."""
    with console.reporting("verify", as_json=as_json), limited(threads):
        flags: Overrides = {
            "verify": {
                "data": data,
                "images": images,
                "strict": strict or None,
                "emulate": emulate or None,
                "baseline": baseline,
                "latency": latency or None,
            },
            "bench": {"threads": None if threads is None else (threads,)},
            "model": {"checkpoint": checkpoint, "task": said("--task", task)},
        }
        settings = load_settings(find_config(config), flags, assignments)
        code = own_code(model, weights, checkpoint)

        from edgekit.defaults import CONFIG  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.making.given import Given  # noqa: PLC0415 - likewise
        from edgekit.pipeline.proving.verify import are_shipped  # noqa: PLC0415 - likewise
        from edgekit.pipeline.proving.verify import verify as run  # noqa: PLC0415 - likewise
        from edgekit.reports import writing  # noqa: PLC0415 - likewise

        writing.check(report or ())

        paths = artifacts or [settings.export.out]
        if settings.source is None and are_shipped(paths):
            console.note("the digits network that edgekit ships: its checkpoint and its test images are used")
            settings = load_settings(CONFIG, flags, assignments)
        with console.progress_bar() as progress:
            result = run(paths, settings, given=None if code is None else Given(code), progress=progress)
        for path in report or ():
            writing.write(result, path)
        if as_json:
            console.print_json("verify", result)
        else:
            _show(result)
            for path in report or ():
                console.note(f"report: {path}")
        if not result.passed:
            raise typer.Exit(1)


def _show(result: VerifyResult) -> None:
    from edgekit.reports.findings import found_labels, only_near  # noqa: PLC0415 - see the module app

    console.skipped(result.skipped)
    for text in only_near(result.files):
        console.note(text)
    for text in result.notes:
        console.note(text)
    for fact in found_labels(result):
        console.note(fact.because)
    reasons = _show_files(result)
    for text in result.warnings:
        said, _, why = text.partition(": ")
        shown = f"{said} {_superscript(reasons.index(why) + 1)}" if why in reasons else text
        console.say(f"[bold yellow]![/] {console.escape(shown)}")
    console.say(_conclusion(result))


def _conclusion(result: VerifyResult) -> str:
    from edgekit.reports.findings import conclusion, outcome  # noqa: PLC0415 - see the module app

    said = console.escape(conclusion(result))
    return f"{_mark(outcome(result))} {said} [dim]in {result.seconds:.1f} s[/]"


def _mark(said: str) -> str:
    """The sign of a verdict, in its colour."""
    from edgekit.reports.findings import sign  # noqa: PLC0415 - see the module app

    colour = {"✔": "green", "!": "yellow", "✘": "red"}.get(sign(said))
    return f"[bold {colour}]{sign(said)}[/]" if colour else console.NOTHING


def _show_files(result: VerifyResult) -> Sequence[str]:
    """A table that fits into 80 columns: a row a file, and below it one a runtime.

    Returns:
        Why integers may differ, as it is told below the table, by number.
    """
    from edgekit.integer_model import SUFFIX  # noqa: PLC0415 - see the module app
    from edgekit.reports.findings import metric, short_names  # noqa: PLC0415 - likewise

    names, ran = short_names(result), _Runtimes(result)
    judged = [reference for reference in result.references if reference.path.suffix == SUFFIX or reference.failed]
    told: set[tuple[str, str]] = set()
    columns = [metric(result, name) for name in ("first", "drop", "agreement")] if result.metrics else []
    files = (*judged, *result.files)
    costs = {file.path: _costs(file, result) if result.latencies else [] for file in files}
    rows = [row for file in files for row in _rows(file, [names[file.path], *costs[file.path]], columns, ran, told)]
    if result.float_measured and result.float_reference is not None:
        empty = ["", ""] if result.latencies else []
        rows.append(["", "float", *empty, *(_value(column, result.float_measured) for column in columns)])
    images = f"{console.count(result.images, 'image')}{' of noise' if result.noise else ''}"
    measured = f"measured on {images}" if result.images else "nothing was run"
    against = f", against {result.float_reference.name}" if result.float_reference else ""
    if result.network:
        console.say(f"[bold]{console.escape(result.network)}[/]")
    console.say(f"[dim]{measured}{console.escape(against)}[/]")
    titles = [ran.titles()] if result.images else []
    called = [columns[0].title, columns[1].title.partition(" ")[0], "as float"] if columns else []
    called = ["size", "ms", *called] if result.latencies else called
    console.table(["", "file", *(f">{title}" for title in called)], [*titles, *rows])
    for number, reason in enumerate(ran.reasons, start=1):
        text = f"{_superscript(number)} integers may differ: {reason}"
        lines = textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
        console.say(*(f"[dim]{console.escape(line)}[/]" for line in lines))
    return ran.reasons


def _costs(file: FileVerdict, result: VerifyResult) -> list[str]:
    """Size, and the median time of one run, where it was timed."""
    from edgekit.reports.findings import latency_ms  # noqa: PLC0415 - see the module app

    taken = latency_ms(result, file.path)
    return [
        "" if file.summary is None else console.size(file.summary.size_bytes),
        "" if taken is None else f"{taken:.3g}",
    ]


class _Runtimes:
    """What stands below a file, a line a runtime, aligned over all of them; reasons are told once, by number.

    Attributes:
        reasons: why integers may differ in some.
    """

    def __init__(self, result: VerifyResult) -> None:
        runners = [parity.ran() for file in result.files for parity in file.parities]
        self._width = max(map(len, runners), default=0)
        self.reasons = list(dict.fromkeys(why for file in result.files for why in file.unclaimed.values()))

    def titles(self) -> str:
        return f"[dim]{self._line('runtime', 'equal', 'max |Δ|')}[/]"

    def line(self, parity: Parity, unclaimed: str | None) -> str:
        """How near a runtime's answers are."""
        from edgekit.verification.float_parity import FloatParity  # noqa: PLC0415 - see the module app

        equal = "" if isinstance(parity, FloatParity) else console.percent(parity.identical)
        difference = parity.distance()
        mark = "" if unclaimed is None else f" {_superscript(self.reasons.index(unclaimed) + 1)}"
        style = "dim" if parity.passed or unclaimed is not None else "red"
        return f"[{style}]{self._line(console.escape(parity.ran()), equal, difference)}{mark}[/]"

    def _line(self, runner: str, equal: str, difference: str) -> str:
        return f"     {runner:{self._width}}  {equal:>7}  {difference:>7}"


def _superscript(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _value(metric: Metric, found: Sequence[Measured]) -> str:
    """What was measured of a metric; of a change, half of the interval."""
    from edgekit.tasks.values import measured_as  # noqa: PLC0415 - see the module app

    one = measured_as(metric.name, found)
    if one is None:
        return ""
    if metric.name == "drop" and one.low is not None and one.high is not None:
        return f"{metric.number(one.value)} ± {metric.number((one.high - one.low) / 2)}"
    return metric.text(one.value)


def _rows(
    file: FileVerdict, about: Sequence[str], columns: Sequence[Metric], ran: _Runtimes, told: set[tuple[str, str]]
) -> list[list[str] | str]:
    """What is said ``about`` the file, below it what is wrong, and each runtime; what is ``told`` is not told again."""
    from edgekit.reports.findings import remark, verdict  # noqa: PLC0415 - see the module app
    from edgekit.verification.gates import Level  # noqa: PLC0415 - likewise

    mark = _mark(verdict(file))
    values = [_value(column, file.measured) for column in columns]
    rows: list[list[str] | str] = [[mark, *map(console.escape, about), *values]]
    for gate in (gate for gate in file.gates if not gate.passed):
        said = f"{gate.name}, as above" if (gate.name, gate.problem) in told else gate.problem
        rows.append(f"     [red]{gate.level.title}: {console.escape(said)}[/]")
        told.add((gate.name, gate.problem))
    rows += [ran.line(parity, file.unclaimed.get(parity.runner)) for parity in file.parities]
    rows += [
        f"     [dim]{gate.name}: {console.escape(gate.measured)}[/]"
        for gate in file.gates
        if gate.level is Level.BUDGET and gate.passed
    ]
    rows += [f"     [dim]{console.escape(why)}[/]" for why in file.skipped]
    if said := remark(file):
        rows.append(f"     [dim]{said}[/]")
    return rows
