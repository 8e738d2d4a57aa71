"""``edgekit check``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import JsonOption  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from edgekit.pipeline.making.check import CheckResult, FileCheck
    from edgekit.pipeline.making.latency import PredictedLatency
    from edgekit.profiles.checks import Finding

FAILED = 1  # edgekit.errors: a gate failed
_NAMED = 8  # layers that a line names


def check(
    artifacts: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|FOLDER...", help="What export or another tool wrote.", show_default=False),
    ],
    *,
    device: Annotated[
        str | None,
        typer.Option("--device", help="What it has to run on, e.g. edgetpu (edgekit devices).", show_default=False),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            "--latency",
            metavar="NAME|FILE",
            help="Predict how long int8 files take, by a model that edgekit bench --fit wrote.",
            show_default="not predicted",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict whether a device takes a file, by the published rules of its accelerator, and how long it takes there."""
    with console.reporting("check", as_json=as_json):
        from edgekit.pipeline.making.check import check as run  # noqa: PLC0415 - see the module app

        result = run(artifacts, device, latency=latency)
        if as_json:
            console.print_json("check", result)
        else:
            _show(result)
        if not result.passed:
            raise typer.Exit(FAILED)


def _show(result: CheckResult) -> None:
    if result.device is not None:
        rules = console.count(len(result.device.rules), "rule")
        console.note(f"predicted from {rules} of {result.device.title} (edgekit devices {result.device.name}), not run")
    for file in result.files:
        mark = "[bold green]✔[/]" if file.passed else "[bold red]✘[/]"
        console.say(f"{mark} {console.escape(str(file.path))}: {_verdict(file)}")
        for text in file.irregular:
            console.say(f"  [bold]not as edgekit writes it[/]: {console.escape(text)}")
        for name in dict.fromkeys(finding.rule.name for finding in file.findings):
            _show_rule([finding for finding in file.findings if finding.rule.name == name])
    for found in result.latencies:
        _show_latency(found)


def _show_latency(found: PredictedLatency) -> None:
    """One file's predicted latency, with what it rests on."""
    ms, error = found.prediction.ms, found.prediction.error
    console.say(
        f"{console.escape(str(found.path))}: [bold]{ms:.3g} ms[/] predicted, {ms / (1 + error):.3g} to "
        f"{ms / (1 - min(error, 0.99)):.3g} ms with 95 %"
    )
    threads = console.count(found.threads, "thread")
    console.say(f"  [dim]{console.escape(f'{found.machine.processor}, {found.runner}, {threads}; not measured')}[/]")
    for sentence in found.prediction.beyond:
        console.warn(f"{found.path}: extrapolated: {sentence}")


def _verdict(file: FileCheck) -> str:
    worse = {finding.name for finding in file.findings if finding.rule.effect != "slower"}
    operators = console.count(file.operators, "operator")
    if None in worse:
        return "refused as a whole"
    if file.irregular:
        return "no file that edgekit wrote, though it says so: export it again"
    if worse:
        return f"{len(worse)} of {operators} refused or wrong"
    return f"{operators}, some slower than they had to be" if file.findings else f"{operators}, no rule is broken"


def _show_rule(findings: list[Finding]) -> None:
    """One rule that is broken: where, what is wrong, what to do, and who says so."""
    rule = findings[0].rule
    console.say(f"  [bold]{console.escape(rule.name)}[/] ({rule.effect}, {rule.basis}): {console.escape(rule.says)}")
    for finding in findings[:_NAMED]:
        where = "the file" if finding.layer is None else f"layer {finding.layer}"
        console.say(f"    {console.escape(where)}: {console.escape(finding.text)}")
    if len(findings) > _NAMED:
        console.say(f"    … and {len(findings) - _NAMED} more")
    console.say(
        f"    [dim]remedy:[/] {console.escape(rule.remedy)}", f"    [dim]source: {console.escape(rule.source)}[/]"
    )
