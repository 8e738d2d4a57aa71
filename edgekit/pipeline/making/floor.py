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
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import GateFailed
from edgekit.pipeline.making.ranking import rank
from edgekit.progress import Progress, silent
from edgekit.tasks.classification.accuracy import agreement, measure
from edgekit.tasks.classification.labels import understand

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.calibration.ranges import Ranges
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph
    from edgekit.pipeline.making.ranking import Sensitivity

    Quantized = tuple[Ranges, IntegerModel]

HELD_OUT_EVERY = 5  # one image in five decides
LEAST_IMAGES = 2 * HELD_OUT_EVERY
RANKED_ON = 16  # images
LARGEST_SHARE = 1 / 3  # of the layers; beyond, little is left of an int8 model
TRUSTED = 0.5  # labels count if the float network agrees with so many: subfolders may be named by anything
_BATCH_SIZE = 16
_STAGE = "looking for layers to keep in float"


class Measure(StrEnum):
    """What the floor is about, in points: percent of the held-out images."""

    DROP = "top-1 drop"  # of images on which float is right, less those on which int8 is
    CHANGED = "changed top-1"  # images on which int8 names another class than float: at least as many


@dataclass(frozen=True, slots=True)
class Floor:
    """How a floor was kept; all numbers are simulated, by the executor that gives the deployed integers.

    Attributes:
        allowed_points: what may be lost.
        measure: what the points are of: the drop where labels are known, else what is stricter and needs none.
        images: how many held-out images decided; one of them is ``100 / images`` points.
        kept: the layers that are in float for it, in the order of the network.
        layers: how many layers the network has.
        points_without: lost without them.
        points: lost with them.
    """

    allowed_points: float
    measure: Measure
    images: int
    kept: tuple[str, ...]
    layers: int
    points_without: float
    points: float


def keep_floor(  # noqa: PLR0913 - a network, what makes it, and what decides
    model: FloatModel,
    make: Callable[[Collection[str]], Quantized],
    *,
    allowed_points: float,
    ranked_on: NDArray[np.uint8],
    held_out: ImageSource,
    keep_float: Collection[str] = (),
    never: Collection[str] = (),
    progress: Progress = silent,
) -> tuple[Quantized, Floor]:
    """The model with the fewest layers in float, of those that were tried, that loses at most ``allowed_points``.

    Args:
        model: in ``passes.integer_form``.
        make: calibrates it with the named layers in float.
        allowed_points: percent of the held-out images.
        ranked_on: pixels [N, H, W, C] of images that the parts are ranked on.
        held_out: images that ``make`` does not see.
        keep_float: layers that are in float in any case.
        never: layers that must not be.
        progress: told of every candidate.

    Raises:
        DataError: there are too few images, or their labels are of another network.
        GateFailed: a third of the layers does not suffice.
    """
    total = len(model.graph.nodes)
    loss = _Loss(model, held_out)

    def tried(kept: tuple[str, ...]) -> _Candidate:
        progress(f"{_STAGE}, {len(kept) or 'none'} so far", len(kept), total)
        quantized = make((*keep_float, *kept))
        return _Candidate(kept, quantized, loss.points(quantized[1]))

    first = found = tried(())
    if first.points > allowed_points:
        from edgekit.calibration.one_at_a_time import quantize_one_at_a_time  # noqa: PLC0415 - needs torch

        ranking = rank(quantize_one_at_a_time(model, *first.quantized, ranked_on))
        integers = first.quantized[1]
        settled = {*never, *(node.name for node in integers.float_nodes + integers.int16_nodes)}
        choices = _choices(model.graph, ranking, settled)
        found = _fewest(choices, tried, allowed_points) if choices else first
    progress(_STAGE, total, total)
    floor = Floor(allowed_points, loss.measure, loss.images, found.kept, total, first.points, found.points)
    if found.points > allowed_points:
        raise GateFailed(_refusal(floor))
    return found.quantized, floor


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A model, and what it loses."""

    kept: tuple[str, ...]
    quantized: Quantized
    points: float


class _Loss:
    """What models lose on the held-out images.

    Attributes:
        images: how many these are.
        measure: what counts as lost.
    """

    def __init__(self, model: FloatModel, held_out: ImageSource) -> None:
        from edgekit.verification.closeness import float_logits  # noqa: PLC0415 - needs torch

        batches = list(held_out.batches(_BATCH_SIZE))
        self._pixels = np.concatenate([batch.pixels for batch in batches])
        self._floats = float_logits(model, self._pixels)
        labels = [label for batch in batches for label in batch.labels or ()]
        self._labels = understand(labels, held_out.folders, model.labels, self._floats).classes
        self.images = len(self._pixels)
        trusted = bool(self._labels) and measure(self._floats, self._labels).top1 >= TRUSTED
        self.measure = Measure.DROP if trusted else Measure.CHANGED

    def points(self, model: IntegerModel) -> float:
        from edgekit.verification.closeness import integer_logits  # noqa: PLC0415 - needs torch

        found = integer_logits(model, self._pixels)
        if self.measure is Measure.DROP:
            return 100 * (measure(self._floats, self._labels).top1 - measure(found, self._labels).top1)
        return 100 * (1 - agreement(found, self._floats))


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
    choices: Sequence[tuple[str, ...]], tried: Callable[[tuple[str, ...]], _Candidate], allowed_points: float
) -> _Candidate:
    """The shortest choice that suffices, found by doubling and bisection; the longest where none does."""
    failed, place = -1, 0
    found = tried(choices[place])
    while found.points > allowed_points and place < len(choices) - 1:
        failed, place = place, min(2 * place + 1, len(choices) - 1)
        found = tried(choices[place])
    while found.points <= allowed_points and place - failed > 1:
        middle = (failed + place) // 2
        candidate = tried(choices[middle])
        if candidate.points <= allowed_points:
            found, place = candidate, middle
        else:
            failed = middle
    return found


def _refusal(floor: Floor) -> str:
    """What was reached, and what to do next."""
    return (
        f"a {floor.measure} of at most {floor.allowed_points:g} points cannot be had with a third of the layers in "
        f"float: it is {floor.points:.2f} with {len(floor.kept)} of {floor.layers}, and {floor.points_without:.2f} "
        f"without, on {floor.images} held-out images (one is {100 / floor.images:.2f}). Train it to be closer to "
        f"float, edgekit finetune; or give more images, or a higher --floor"
    )
