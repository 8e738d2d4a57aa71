"""``edgekit emulate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import JsonOption  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from edgekit.pipeline.proving.emulation import EmulatedMachine


def emulate(
    machine: Annotated[
        str, typer.Argument(help="aarch64 (a Raspberry Pi, a phone) or x86-64-no-vnni.", show_default=False)
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """Set up another processor under emulation, for files to be verified on. Takes what is there already as it is."""
    with console.reporting("emulate", as_json=as_json):
        from edgekit.errors import ConfigError, did_you_mean  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.proving.emulation import set_up  # noqa: PLC0415 - likewise
        from edgekit.runtimes.machines import MACHINES  # noqa: PLC0415 - likewise

        if machine not in MACHINES:
            raise ConfigError(f"unknown machine {machine!r}: {did_you_mean(machine, MACHINES)}")
        with console.progress_bar() as progress:
            result = set_up(MACHINES[machine], progress=progress)
        if as_json:
            console.print_json("emulate", result)
        else:
            _show(result)


def _show(result: EmulatedMachine) -> None:
    facts = [
        ("emulator", f"{result.emulator}, Python {result.python}"),
        ("processors", ", ".join(result.processors)),
        ("packages", ", ".join(result.packages) or "those of this machine"),
        ("folder", f"{result.folder}, {console.size(result.size_bytes)}; remove it to remove everything"),
    ]
    console.facts(f"emulated {result.title}", facts)
