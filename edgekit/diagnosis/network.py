"""What is wrong with a network itself: broken numbers, dead channels, saturated layers, stale batch normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.calibration.witness import witness_of
from edgekit.diagnosis.finding import Finding, Trouble
from edgekit.words import count, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgekit.diagnosis.layers import LayerStatistics
    from edgekit.float_model import FloatModel

# Of a layer's channels. Trained networks have some dead ones: 3 of 8 in a layer of Keras' V1 0.25, 8 of 32 in V2's.
MANY_DEAD: Final = 0.5
MANY_SATURATED: Final = 0.5  # likewise; of six trained networks the largest share of values at the limit is 0.07
# Squared residuals, mean and spread: half a standard deviation, as in ``calibration.finding.MISFIT_LIMIT``. Of a
# layer's channels the median counts: a channel that was constant in training has no spread to compare with.
STALE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Statistics:
    """How far what a layer reads is from what its batch normalization remembers.

    Attributes:
        layer: the checkpoint's module whose result is normalized.
        misfit: squared difference of the means, plus that of the logarithms of the spreads, both in standard deviations
            of training: the median over channels.
    """

    layer: str
    misfit: float


def batch_norm_of(model: FloatModel, pixels: NDArray[np.uint8]) -> tuple[Statistics, ...]:
    """Of every layer with batch normalization, how far these images are from what it remembers; () without any.

    Every layer is asked by itself, as ``calibration.witness`` has it.
    """
    witness = witness_of(model.graph)
    if witness is None:
        return ()
    moments = witness.ask(model.preprocessing.normalization(pixels))
    squares = (moments.residuals() ** 2).sum(0)
    names = [n.name for n in model.graph if n.name in model.graph.statistics and model.graph.tensors[n.output].is_image]
    layers = np.split(squares, np.cumsum(moments.layers)[:-1])
    return tuple(Statistics(name, float(np.median(of))) for name, of in zip(names, layers, strict=True))


def of_layers(layers: Sequence[LayerStatistics], maps: frozenset[str], retrain: str, prune: str) -> Iterator[Finding]:
    """What the statistics of layers show.

    Args:
        layers: of all.
        maps: layers that give a map, with more than one place: gates of a squeeze-and-excite are often constant.
        retrain: a command that trains the network on.
        prune: a command that removes dead channels.
    """
    broken = [one for one in layers if one.not_finite]
    if broken:
        yield Finding(
            Trouble.BROKEN_WEIGHTS,
            f"From {broken[0].layer} on, the network gives NaN or infinity.",
            f"{broken[0].not_finite:,} values of {broken[0].layer}; {count(len(broken), 'layer')} in all",
            f"{retrain} --clip-grad 1",
        )
        return
    shown = [one for one in layers if one.layer in maps]
    if dead := [one for one in shown if len(one.dead) >= MANY_DEAD * one.channels]:
        worst = max(dead, key=lambda one: len(one.dead) / one.channels)
        yield Finding(
            Trouble.DEAD_CHANNELS,
            f"Most channels of {worst.layer} are dead: they give the same number for every image.",
            f"{len(worst.dead)} of {worst.channels} channels of {worst.layer}: {_listed(worst.dead)}"
            f"{_and(dead, worst)}",
            prune,
        )
    if saturated := [one for one in shown if len(one.saturated) >= MANY_SATURATED * one.channels]:
        worst = max(saturated, key=lambda one: len(one.saturated) / one.channels)
        assert worst.at_limit is not None, "it is saturated"
        yield Finding(
            Trouble.SATURATED,
            f"Most channels of {worst.layer} are saturated: nearly all of their values are the activation's limit.",
            f"{len(worst.saturated)} of {worst.channels} channels of {worst.layer}, "
            f"{percent(round(worst.at_limit, 3))} of its values at {worst.max:g}: "
            f"{_listed(worst.saturated)}{_and(saturated, worst)}",
            retrain,
        )


def of_batch_norm(statistics: Sequence[Statistics], retrain: str) -> Iterator[Finding]:
    """Layers whose batch normalization remembers other numbers than they read; the first layer sees the pixels alone.

    ``retrain`` is a command that lets batch normalization learn again.
    """
    stale = [one for one in statistics[1:] if one.misfit > STALE]
    if not stale:
        return
    worst = max(stale, key=lambda one: one.misfit)
    yield Finding(
        Trouble.STALE_BN,
        f"Batch normalization of {worst.layer} remembers other statistics than the layer reads.",
        f"{count(len(stale), 'layer')} of {len(statistics)} off by more than {STALE}, {worst.layer} by "
        f"{worst.misfit:.2f}, where the median layer is off by {float(np.median([s.misfit for s in statistics])):.3f}",
        retrain,
    )


def _listed(channels: Sequence[int]) -> str:
    shown = ", ".join(map(str, channels[:8]))
    return f"{shown}, …" if len(channels) > 8 else shown


def _and(layers: Sequence[LayerStatistics], worst: LayerStatistics) -> str:
    others = [one.layer for one in layers if one is not worst]
    return f"; likewise {', '.join(others[:3])}{', …' if len(others) > 3 else ''}" if others else ""
