"""``edgekit doctor``."""

from __future__ import annotations

from edgekit.cli import console
from edgekit.cli.options import JsonOption  # noqa: TC001 - typer reads the annotations


def doctor(*, as_json: JsonOption = False) -> None:
    """Show what this machine can do, and what is missing."""
    with console.reporting("doctor", as_json=as_json):
        from edgekit.pipeline.doctor import examine  # noqa: PLC0415 - see the module app

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
