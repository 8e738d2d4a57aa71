"""``edgekit diff``."""

from __future__ import annotations

import math
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import console
from edgekit.cli.options import JsonOption, ThreadsOption  # noqa: TC001 - typer reads the annotations
from edgekit.device.threads import limited

if TYPE_CHECKING:
    from edgekit.pipeline.proving.diff import DiffResult
    from edgekit.verification.divergence import Divergence, Example
    from edgekit.verification.layers import LayerComparison

_SHOWN = 10
_AROUND = 3  # layers behind the first that differs

_ArtefactArgument = typer.Argument(
    metavar="FILE", help="An exported file, a saved integer model (.edgekit), or the checkpoint.", show_default=False
)


def diff(  # noqa: PLR0913 - one a flag
    a: Annotated[Path, _ArtefactArgument],
    b: Annotated[Path, _ArtefactArgument],
    *,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Images to run both on.", show_default="reproducible noise")
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="How many, evenly spread.", show_default="all, or 4 of noise")
    ] = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the first layer in which two files of one network part, how far, and why."""
    with console.reporting("diff", as_json=as_json), limited(threads):
        from edgekit.pipeline.proving.diff import diff as run  # noqa: PLC0415 - see the module app

        with console.progress_bar() as progress:
            result = run(a, b, data=data, images=images, progress=progress)
        if as_json:
            console.print_json("diff", result)
        else:
            _show(result)
        if not result.passed:
            raise typer.Exit(1)


def _show(result: DiffResult) -> None:
    if result.noise:
        console.note("no images were named (--data DIR): compared on noise")
    console.skipped(result.skipped)
    images = f"{console.count(result.images, 'image')}{' of noise' if result.noise else ''}"
    console.say(f"[bold]{console.escape(result.network)}[/] [dim]on {images}[/]")
    console.table(["", "file", "run by"], [_side("a", result), _side("b", result)])
    if result.divergence is not None:
        _show_divergence(result, result.divergence)
    elif result.comparable:
        _show_agreement(result)
    else:
        _show_noise(result)


def _side(name: str, result: DiffResult) -> list[str]:
    side = result.a if name == "a" else result.b
    return [f"[dim]{name}[/]", console.escape(side.path.name), console.escape(side.runner)]


def _show_divergence(result: DiffResult, found: Divergence) -> None:
    operator = f" ({found.operator})" if found.operator else ""
    facts = [("cause", f"{found.cause}: {found.explanation}")]
    if found.channels:
        share = f"{console.percent(found.share)} of its values"
        facts += [
            ("differs", f"{share}, by up to {found.max_difference:.3g} {found.unit}, {found.where}"),
            ("channels", _channels(found)),
            *(("for example" if i == 0 else "", _example(example)) for i, example in enumerate(found.examples)),
        ]
    if found.culprit is not None:
        facts.append(("off is", f"{found.culprit}; the other is as the model has it"))
    facts.append(("what to do", found.remedy))
    console.facts(f"✘ they part at {found.layer}{operator}", facts)
    places = [i for i, layer in enumerate(result.layers) if layer.tensor == found.tensor]
    if places:
        console.say("[dim]from there[/]")
        shown = result.layers[max(places[0] - 1, 0) : places[0] + _AROUND + 1]
        console.table(["layer", "", ">equal", ">max |Δ|"], [_row(layer) for layer in shown])
    console.table(["again"], [[console.escape(result.reproduce)]])  # in one piece, to be copied


def _show_agreement(result: DiffResult) -> None:
    worst = max(result.layers, key=lambda layer: layer.max_difference)
    layers = console.count(len(result.layers), "layer")
    if worst.max_difference == 0:
        values = console.count(sum(layer.values for layer in result.layers), "value")
        console.say(f"[bold green]✔ identical[/]: {values} in {layers}")
    else:
        said = "[bold yellow]! they are near[/]" if result.near else "[bold green]✔ they do not part[/]"
        apart = f"the furthest apart is {console.escape(worst.layer)}, {_difference(worst)}"
        console.say(f"{said}: {layers}, {apart}")
    console.say(*(f"[dim]{console.escape(text)}[/]" for text in _near(result)))


def _near(result: DiffResult) -> list[str]:
    """Of which outputs identity is not claimed, and why; each reason once."""
    from edgekit.ir import LOGITS  # noqa: PLC0415 - see the module app
    from edgekit.reports.findings import is_near  # noqa: PLC0415 - likewise
    from edgekit.verification.integer_parity import values_of  # noqa: PLC0415 - likewise

    return [is_near(values_of("" if name == LOGITS else name), why) for name, why in result.near.items()]


def _show_noise(result: DiffResult) -> None:
    shown = sorted(result.layers, key=lambda layer: layer.sqnr_db)[:_SHOWN]
    console.say(f"[dim]of two precisions: the {len(shown)} of {len(result.layers)} layers with the lowest SQNR[/]")
    console.table(["layer", "", ">SQNR"], [[console.escape(x.layer), x.operator, _decibels(x)] for x in shown])
    fall = result.steepest_fall
    if fall is not None:
        console.say(f"it falls most at [bold]{console.escape(fall.layer)}[/], to {_decibels(fall)}")
    console.say(f"the answers have {_decibels(result.layers[-1])}")


def _channels(found: Divergence) -> str:
    number = f"{len(found.channels)} of {found.channel_count}"
    if len(found.channels) == found.channel_count:
        return number
    named = ", ".join(map(str, found.channels[:_SHOWN]))
    return f"{number}: {named}{', …' if len(found.channels) > _SHOWN else ''}"


def _example(example: Example) -> str:
    names = ("image", "channel", "row", "column")
    place = ", ".join(f"{name} {i}" for name, i in zip(names, example.index, strict=False))
    exact = "" if example.exact is None else f", and {example.exact:.6g} before it is rounded"
    return f"{place}: {example.a:.6g} in a, {example.b:.6g} in b{exact}"


def _row(layer: LayerComparison) -> list[str]:
    return [console.escape(layer.layer), layer.operator, console.percent(layer.identical), _difference(layer)]


def _difference(layer: LayerComparison) -> str:
    return f"{layer.max_difference:.0f} LSB" if layer.differences else f"{layer.max_difference:.1e} of the largest"


def _decibels(layer: LayerComparison) -> str:
    return f"{layer.sqnr_db:.1f} dB" if math.isfinite(layer.sqnr_db) else "no error"
