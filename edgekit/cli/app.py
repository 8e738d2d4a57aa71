"""The commands, assembled. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import typer

from edgekit.cli import (
    advise,
    analyze,
    baseline,
    bench,
    bundle,
    check,
    compile,  # noqa: A004 - a command's name
    config,
    devices,
    diagnose,
    diff,
    doctor,
    emulate,
    ensemble,
    export,
    finetune,
    inspect,
    predict,
    profile,
    prune,
    reproduce,
    search,
    sensitivity,
    stages,
    sweep,
    train,
    verify,
    view,
)
from edgekit.device.threads import wait_quietly
from edgekit.version import __version__

app = typer.Typer(
    name="edgekit",
    help="Quantize a MobileNet once, ship the same integers in every format, and prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # what users do wrong is an EdgekitError; anything else is our bug, shown as it is
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(export.export)
app.command()(train.train)
app.command()(search.search)
app.command()(sweep.sweep)
app.command()(advise.advise)
app.command()(sensitivity.sensitivity)
app.command()(finetune.finetune)
app.command()(prune.prune)
app.command()(ensemble.ensemble)
app.command()(stages.stages)
app.command()(analyze.analyze)
app.command()(verify.verify)
app.command()(predict.predict)
app.command()(bench.bench)
app.command()(bundle.bundle)
app.command()(profile.profile)
app.command()(diagnose.diagnose)
app.command()(baseline.baseline)
app.command()(devices.devices)
app.command("targets", hidden=True)(devices.devices)  # as it was called before
app.command()(check.check)
app.command()(compile.compile)
app.command()(inspect.inspect)
app.command()(view.view)
app.command()(diff.diff)
app.command()(reproduce.reproduce)
app.command()(emulate.emulate)
app.command()(config.config)
app.command()(doctor.doctor)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if wanted:
        typer.echo(f"edgekit {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(  # noqa: ARG001, FBT001 - a flag, which its callback answers
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Options of edgekit itself."""
    wait_quietly()
