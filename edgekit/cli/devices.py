"""``edgekit devices``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import JsonOption  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from edgekit.profiles.profile import Choice, Compiler, DeviceProfile, Rule, Runtime


def devices(
    device: Annotated[
        str | None, typer.Argument(help="A device, for everything that is known about it.", show_default=False)
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show the devices that export --device knows, or what one of them wants of a file, and why."""
    with console.reporting("devices", as_json=as_json):
        from edgekit.profiles.profile import names, profile  # noqa: PLC0415 - see the module app
        from edgekit.timing.prediction import saved  # noqa: PLC0415 - likewise

        profiles = [profile(name) for name in ([device] if device is not None else names())]
        if as_json:
            console.print_json("devices", {"devices": profiles, "latency_models": saved.names()})
        elif device is not None:
            _show(profiles[0])
        else:
            columns = ["name", "device", "format", "precision", "boundary", ">rules", "identical integers"]
            console.table(columns, [_row(profile) for profile in profiles])
            if kept := saved.names():
                console.say(
                    "",
                    f"latency models, for check --latency NAME, prune --to latency=0.6@NAME and search --budget "
                    f"latency=12@NAME: {console.escape(', '.join(kept))}",
                )


def _row(profile: DeviceProfile) -> list[str]:
    chosen = profile.settings["export"]
    return [
        f"[bold]{profile.name}[/]",
        console.escape(profile.title),
        ", ".join(chosen["targets"]),
        ", ".join(chosen["precisions"]),
        chosen.get("io_dtype", "float32"),
        str(len(profile.rules) or console.NOTHING),
        "promised" if profile.claim.identical else "not promised",
    ]


def _show(profile: DeviceProfile) -> None:
    """Everything about one device; each entry ends with where it comes from."""
    claim = profile.claim
    claimed = "identical to the reference's" if claim.identical else "not promised to be the reference's"
    facts = [
        ("computes", profile.processor),
        ("runs", f"{', '.join(profile.formats)}; {', '.join(profile.precisions)}; images as {profile.layout}"),
        *(("runtime", _runtime(runtime)) for runtime in profile.runtimes),
        *([("compiler", _compiler(profile.compiler))] if profile.compiler else ()),
        ("integers", f"{claimed}: {claim.because} ({claim.source})"),
        *((choice.what, _choice(choice)) for choice in profile.choices),
        *((f"rule: {rule.name}", _rule(rule)) for rule in profile.rules),
    ]
    console.facts(f"{profile.name}: {profile.title}", facts)


def _runtime(runtime: Runtime) -> str:
    versions = [
        f"{name} {value}" for name, value in (("from", runtime.oldest), ("tried up to", runtime.newest)) if value
    ]
    return (
        f"{', '.join([runtime.name, *versions])}{f': {runtime.install}' if runtime.install else ''} ({runtime.source})"
    )


def _compiler(compiler: Compiler) -> str:
    chosen = f"{compiler.accelerator}, {compiler.system_config}, {compiler.memory_mode}"
    others = ", ".join(name for name in compiler.accelerators if name != compiler.accelerator)
    return f"{compiler.name}, edgekit compile, for {chosen}: {compiler.because}; also {others} ({compiler.source})"


def _choice(choice: Choice) -> str:
    value = ", ".join(map(str, choice.value)) if isinstance(choice.value, list) else str(choice.value)
    setting = f" [{choice.setting}]" if choice.setting else ""
    return f"{value}{setting}: {choice.because} ({choice.source})"


def _rule(rule: Rule) -> str:
    return f"{rule.says}. {rule.effect}, {rule.basis}. Remedy: {rule.remedy} ({rule.source})"
