"""``edgekit doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.cli import console
from edgekit.cli.options import ConfigOption, JsonOption, RemoteOption, SetOption, find_config, load_settings

if TYPE_CHECKING:
    from edgekit.remote.examined import Examined


def doctor(
    *,
    device: RemoteOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what this machine, or a device elsewhere, can do, and what is missing."""
    with console.reporting("doctor", as_json=as_json):
        if device is not None:
            from edgekit.pipeline.measuring.device import connect  # noqa: PLC0415 - see the module app

            settings = load_settings(find_config(config), {}, assignments)
            with connect(device, python=settings.bench.python) as there:
                examined = there.examine()
            if as_json:
                console.print_json("doctor", {"device": device, "found": examined})
            else:
                _show_device(device, examined)
            return
        from edgekit.pipeline.measuring.doctor import examine  # noqa: PLC0415 - see the module app

        found = examine()
        if as_json:
            console.print_json("doctor", found)
            return
        console.say(f"Python {found.python} on {found.machine}, {console.count(found.cores, 'core')}")
        console.say(f"integer instructions: {', '.join(found.instructions) or 'none that is known'}")
        rows = [
            [
                "[green]✔[/]" if package.installed else console.NOTHING,
                package.name,
                package.installed or "not installed",
                package.tested,
                "" if package.installed else console.escape(package.remedy),
            ]
            for package in found.packages
        ]
        console.table(
            ["", "package", "installed", "tested with", "" if all(row[-1] == "" for row in rows) else "remedy"], rows
        )
        for title, missing in found.emulated.items():
            console.say(
                console.escape(f"emulated {title}: set up") if missing is None else f"[dim]{console.escape(missing)}[/]"
            )
        for warning in found.warnings:
            console.say(f"[yellow]![/] {console.escape(warning)}")


def _show_device(device: str, found: Examined) -> None:
    from edgekit.device.table import machine_line  # noqa: PLC0415 - see the module app

    machine, python = found.machine, found.python
    console.say(f"{console.escape(device)}: {console.escape(machine_line(machine))}")
    console.say(f"integer instructions: {', '.join(machine.instructions) or 'none that is known'}")
    if python is not None:
        kind = "a virtual environment" if python.is_environment else "not a virtual environment"
        console.say(f"Python: {console.escape(python.path)}, {kind}, programs for {python.processor}")
    if not found.runtimes:
        console.say("files are run by benchmark_model, which is there")
        return
    rows = [
        [
            "[green]✔[/]" if runtime.installed else console.NOTHING,
            runtime.package,
            runtime.installed or "not installed",
            "" if runtime.installed else console.escape(runtime.remedy),
        ]
        for runtime in found.runtimes
    ]
    console.table(["", "runtime", "installed", "" if all(row[-1] == "" for row in rows) else "remedy"], rows)
