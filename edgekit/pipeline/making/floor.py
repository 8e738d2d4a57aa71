"""The fewest layers in float with which an int8 model loses no more than is allowed.

The parts of the network are ranked by what quantizing each of them alone does, and the worst of them get layers in
float until what is lost is within the floor: how many, is found by doubling and bisection. Every candidate is
calibrated in full and measured as it is deployed, on images that none of them was calibrated on. That more layers in
float lose less is likely, but no law, so the fewest that were found need not be the fewest that there are.

A layer in float reads and makes tensors of int8 as long as its neighbours are integers: that rids it of the error of
its weights, not of its activation's. So a part that is an activation takes with it the layers that read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.errors import GateFailed
from edgekit.pipeline.making.ranking import rank
from edgekit.progress import Progress, silent
from edgekit.tasks.registry import task_of_model
from edgekit.tasks.values import Better, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.found import Ranges
    from edgekit.calibration.images import ImageSource
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph
    from edgekit.pipeline.making.ranking import Sensitivity

    Quantized = tuple[Ranges, IntegerModel]

HELD_OUT_EVERY = 5  # one image in five decides
LEAST_IMAGES = 2 * HELD_OUT_EVERY
RANKED_ON = 16  # images
LARGEST_SHARE = 1 / 3  # of the layers; beyond, little is left of an int8 model
_BATCH_SIZE = 16
_STAGE = "looking for layers to keep in float"


# What counts as lost where images have no targets, or none that the float network agrees with: answers that are not
# float's. No drop of a classifier is larger.
CHANGED: Final = Metric("changed", "changed answers", "points", Better.LOWER)


@dataclass(frozen=True, slots=True)
class Floor:
    """How a floor was kept; all numbers are simulated, by the executor that gives the deployed integers.

    Attributes:
        measure: what may be lost: the drop of the task's first metric where targets are known, else ``CHANGED``.
        allowed: how much of it, in its unit.
        images: how many held-out images decided.
        kept: the layers that are in float for it, in the order of the network.
        layers: how many layers the network has.
        lost_without: lost without them.
        lost: lost with them.
    """

    measure: Metric
    allowed: float
    images: int
    kept: tuple[str, ...]
    layers: int
    lost_without: float
    lost: float


def keep_floor(  # noqa: PLR0913 - a network, what makes it, and what decides
    model: FloatModel,
    make: Callable[[Collection[str]], Quantized],
    *,
    allowed: float,
    ranked_on: NDArray[np.uint8],
    held_out: ImageSource,
    never: Collection[str] = (),
    progress: Progress = silent,
) -> tuple[Quantized, Floor]:
    """The model with the fewest layers in float, of those that were tried, that loses at most ``allowed``.

    Args:
        model: in ``passes.integer_form``.
        make: calibrates it with the named layers in float, besides those that are so in any case.
        allowed: of the task's first metric, in the unit of its drop, on the held-out images.
        ranked_on: pixels [N, H, W, C] of images that the parts are ranked on.
        held_out: images that ``make`` does not see.
        never: layers that must not be.
        progress: told of every candidate.

    Raises:
        DataError: there are too few images, or their targets are of another network.
        GateFailed: a third of the layers does not suffice.
    """
    total = len(model.graph.nodes)
    loss = _Loss(model, held_out)

    def tried(kept: tuple[str, ...]) -> _Candidate:
        progress(f"{_STAGE}, {len(kept) or 'none'} so far", len(kept), total)
        quantized = make(kept)
        return _Candidate(kept, quantized, loss.of(quantized[1]))

    first = found = tried(())
    if first.lost > allowed:
        from edgekit.calibration.one_at_a_time import quantize_one_at_a_time  # noqa: PLC0415 - needs torch

        ranking = rank(quantize_one_at_a_time(model, *first.quantized, ranked_on), loss.task)
        integers = first.quantized[1]
        settled = {*never, *(node.name for node in integers.float_nodes + integers.int16_nodes)}
        choices = _choices(model.graph, ranking, settled)
        found = _fewest(choices, tried, allowed) if choices else first
    progress(_STAGE, total, total)
    floor = Floor(loss.measure, allowed, loss.images, found.kept, total, first.lost, found.lost)
    if found.lost > allowed:
        raise GateFailed(_refusal(floor))
    return found.quantized, floor


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A model, and what it loses."""

    kept: tuple[str, ...]
    quantized: Quantized
    lost: float


class _Loss:
    """What models lose on the held-out images.

    Attributes:
        task: what the network is for.
        images: how many these are.
        measure: what counts as lost.
    """

    def __init__(self, model: FloatModel, held_out: ImageSource) -> None:
        from edgekit.verification.closeness import float_outputs  # noqa: PLC0415 - needs torch

        self.task = task_of_model(model)
        self._pixels = np.concatenate([batch.pixels for batch in held_out.batches(_BATCH_SIZE)])
        self._floats = float_outputs(model, self._pixels)
        self.images = len(self._pixels)
        targets = self.task.targets(held_out, self._floats).targets
        self._targets = targets if targets is not None and self.task.trusts(self._floats, targets) else None
        self.measure = CHANGED if self._targets is None else self.task.dropped

    def of(self, model: IntegerModel) -> float:
        """What an integer model loses, in the measure's unit."""
        from edgekit.verification.closeness import integer_outputs  # noqa: PLC0415 - needs torch

        found = integer_outputs(model, self._pixels)
        if self._targets is None:
            return 100 - self.task.agreement(found, self._floats).value
        return self.task.drop(found, self._floats, self._targets).value


def _choices(graph: Graph, ranking: Sequence[Sensitivity], settled: Collection[str]) -> list[tuple[str, ...]]:
    """Ever more layers to keep in float: what rids the network of its worst part, of its two worst parts, and so on.

    Args:
        graph: the network.
        ranking: its parts, the worst first.
        settled: layers that are left as they are.
    """
    nodes = {node.name: node for node in graph}
    chosen: set[str] = set()
    choices = []
    for part in ranking:
        if part.layer not in nodes:  # the input, which is the picture
            continue
        readers = graph.consumers(nodes[part.layer].output) if part.part == "activation" else ()
        grown = chosen | {part.layer, *(reader.name for reader in readers)}.difference(settled)
        if len(grown) > LARGEST_SHARE * len(nodes):
            break
        if grown != chosen:
            choices.append(tuple(name for name in nodes if name in grown))
        chosen = grown
    return choices


def _fewest(
    choices: Sequence[tuple[str, ...]], tried: Callable[[tuple[str, ...]], _Candidate], allowed: float
) -> _Candidate:
    """The shortest choice that suffices, found by doubling and bisection; the longest where none does."""
    failed, place = -1, 0
    found = tried(choices[place])
    while found.lost > allowed and place < len(choices) - 1:
        failed, place = place, min(2 * place + 1, len(choices) - 1)
        found = tried(choices[place])
    while found.lost <= allowed and place - failed > 1:
        middle = (failed + place) // 2
        candidate = tried(choices[middle])
        if candidate.lost <= allowed:
            found, place = candidate, middle
        else:
            failed = middle
    return found


def _refusal(floor: Floor) -> str:
    """What was reached, and what to do next."""
    measure = floor.measure
    return (
        f"{measure.title}: {measure.allowed(floor.allowed)} cannot be had with a third of the layers in float: it is "
        f"{measure.number(floor.lost)} with {len(floor.kept)} of {floor.layers}, and "
        f"{measure.number(floor.lost_without)} without, on {floor.images} held-out images. Train it to be closer to "
        f"float, edgekit finetune; or give more images, or a higher --floor"
    )
