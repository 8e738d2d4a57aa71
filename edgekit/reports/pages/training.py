"""The page of a training: loss, metrics and learning rate over the epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.reports.kit.charts import Axis, Series, plot
from edgekit.reports.kit.markup import Markup, join, table
from edgekit.reports.kit.page import page
from edgekit.words import count, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.pipeline.making.run import Logged


def render(title: str, epochs: Sequence[Logged]) -> str:
    """The page.

    Args:
        title: what was trained.
        epochs: at least one.
    """
    chooses = next(iter(epochs[0].measured), None)
    best = next((epoch for epoch in reversed(epochs) if epoch.is_best), epochs[-1])
    said = f"The best of {count(len(epochs), 'epoch')} is epoch {best.number}"
    if chooses is not None:
        said += f", with {chooses} {best.measured[chooses]:.4g}"
    times = [epoch.seconds for epoch in epochs]
    return page(
        "edgekit train",
        title,
        f"{said}.",
        {"Curves": _curves(epochs), "Epochs": _rows(epochs)},
        facts=[("time", f"{duration(sum(times))}, {sum(times) / len(times):.1f} s an epoch")],
    )


def _curves(epochs: Sequence[Logged]) -> Markup:
    across = Axis("epoch")

    def over(values: Sequence[float], name: str) -> list[Series]:
        points = [(epoch.number, value) for epoch, value in zip(epochs, values, strict=True)]
        return [Series(name, points, [f"epoch {x}: {y:.4g}" for x, y in points], joined=True)]

    drawn = []
    for name in epochs[0].measured:
        values = [epoch.measured[name] for epoch in epochs]
        says = f"{name} on the validation images, from {values[0]:.4g} to {values[-1]:.4g}."
        drawn.append(plot(name, says, across, Axis(name), over(values, name)))
    losses = [epoch.loss for epoch in epochs]
    says = f"The mean loss of an epoch falls from {losses[0]:.3g} to {losses[-1]:.3g}."
    if losses[-1] >= losses[0]:
        says = f"The mean loss does not fall: {losses[0]:.3g} at first, {losses[-1]:.3g} at the end."
    drawn.append(plot("Training loss", says, across, Axis("loss"), over(losses, "loss")))
    rates = [epoch.lr for epoch in epochs]
    says = f"The learning rate at the end of each epoch; the highest is {max(rates):.3g}."
    drawn.append(plot("Learning rate", says, across, Axis("learning rate"), over(rates, "learning rate")))
    return join(*drawn)


def _rows(epochs: Sequence[Logged]) -> Markup:
    names = [*epochs[0].measured]
    rows = [
        [
            f"{epoch.number}",
            *(f"{epoch.measured[name]:.4g}" for name in names),
            f"{epoch.loss:.4f}",
            f"{epoch.lr:.3g}",
            f"{epoch.seconds:.1f}",
            "best so far" if epoch.is_best else "",
        ]
        for epoch in epochs
    ]
    columns = [">epoch", *(f">{name}" for name in names), ">loss", ">learning rate", ">seconds", ""]
    return table(columns, rows, "Each epoch")
