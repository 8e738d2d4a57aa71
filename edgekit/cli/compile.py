"""``edgekit compile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edgekit import words
from edgekit.cli import console
from edgekit.cli.options import JsonOption  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from edgekit.pipeline.making.compile import CompiledFile, CompileResult, Placement

_DEFAULT = Path("compiled")
_SHOWN = 5  # the layers that take the most cycles
_NAMED = 8  # operators that stay on the processor


def compile(  # noqa: A001, PLR0913 - the command's name, and one a flag
    artifacts: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|FOLDER...", help="int8 .tflite files, of anyone.", show_default=False),
    ],
    *,
    device: Annotated[
        str,
        typer.Option("--device", help="What to compile for: ethos-u55, ethos-u65 or ethos-u85.", show_default=False),
    ],
    npu: Annotated[
        str | None,
        typer.Option("--npu", help="How the NPU is built, e.g. ethos-u55-128.", show_default="the profile's"),
    ] = None,
    npu_before: Annotated[str | None, typer.Option("--accelerator", hidden=True)] = None,
    system_config: Annotated[
        str | None,
        typer.Option(
            "--system-config", help="Clocks and memories, by the compiler's name.", show_default="the profile's"
        ),
    ] = None,
    memory_mode: Annotated[
        str | None,
        typer.Option("--memory-mode", help="What lies where, likewise, e.g. Sram_Only.", show_default="the profile's"),
    ] = None,
    vela_config: Annotated[
        Path | None,
        typer.Option("--vela-config", help="A board's own vela.ini, for the last two.", show_default="Arm's"),
    ] = None,
    optimise: Annotated[
        Literal["performance", "size"], typer.Option("--optimise", help="What is to be small: time or SRAM.")
    ] = "performance",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")] = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Compile files for an NPU, and show which operators run there, what stays on the processor, and why."""
    with console.reporting("compile", as_json=as_json):
        from edgekit.pipeline.making.compile import HardwareChoice  # noqa: PLC0415 - see the module app
        from edgekit.pipeline.making.compile import compile as run  # noqa: PLC0415 - likewise

        with console.progress_bar() as progress:
            result = run(
                artifacts,
                device,
                out,
                hardware=HardwareChoice(npu or npu_before, system_config, memory_mode, vela_config),
                optimise=optimise,
                progress=progress,
            )
        if as_json:
            console.print_json("compile", result)
        else:
            _show(result)


def _show(result: CompileResult) -> None:
    hardware = result.hardware
    console.note(
        f"{result.compiler} for {hardware.accelerator}, {hardware.system_config}, {hardware.memory_mode} "
        f"({hardware.config}): time and memory are its estimates, nothing was run"
    )
    columns = ["", "file", ">on the NPU", ">cycles", ">time", ">SRAM", ">DRAM", ">flash", ">size"]
    console.table(columns, [_row(file) for file in result.files])
    for file in result.files:
        _show_operators(file)


def _row(file: CompiledFile) -> list[str]:
    estimates, whole = file.estimates, file.on_npu == len(file.operators)
    memory = (estimates.sram_bytes, estimates.dram_bytes, estimates.flash_bytes)
    return [
        "[bold green]✔[/]" if whole else "[bold yellow]![/]",
        console.escape(str(file.path)),
        f"{file.on_npu} of {len(file.operators)}",
        f"{estimates.cycles:,}",
        f"{estimates.inference_seconds * 1e3:.2f} ms",
        *(_kib(size_bytes) for size_bytes in memory),
        words.size(file.size_bytes),
    ]


def _kib(size_bytes: int) -> str:
    return f"{size_bytes / 1024:,.0f} KiB" if size_bytes else console.NOTHING


def _show_operators(file: CompiledFile) -> None:
    """What takes the longest, and what stays on the processor."""
    total = sum(operator.cycles for operator in file.operators)
    longest = sorted(file.operators, key=lambda operator: -operator.cycles)[:_SHOWN]
    shares = ", ".join(f"{operator.layer} {operator.cycles / total:.0%}" for operator in longest)
    console.say(f"[dim]{console.escape(file.path.name)}, most cycles: {console.escape(shares)}[/]")
    left = [operator for operator in file.operators if not operator.on_npu]
    for operator in left[:_NAMED]:
        _show_left(operator)
    if len(left) > _NAMED:
        console.say(f"  … and {len(left) - _NAMED} more (--json has all)")


def _show_left(operator: Placement) -> None:
    where = operator.name if operator.layer in {None, operator.name} else f"{operator.name} (layer {operator.layer})"
    console.say(
        f"  [bold]{operator.operator}[/] {console.escape(where)} stays on the processor: "
        f"{console.escape(operator.reason or 'no reason is given')}",
        f"    [dim]remedy:[/] {console.escape(operator.remedy)}",
    )
