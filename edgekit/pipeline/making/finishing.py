"""What files give: raw outputs of heads, or what these stand for, computed behind all that was calibrated.

Integers are those of the raw network: it is finished after it was calibrated, and any ranges serve for all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from edgekit.errors import ConfigError
from edgekit.integer_model import OUTPUTS
from edgekit.models.priors import Priors
from edgekit.suppression import SUPPRESSION, USUAL, Ending, Suppression, ended, endings_of
from edgekit.tasks.detection.coding import decode, probabilities
from edgekit.tasks.detection.in_graph import decoded
from edgekit.tasks.detection.task import BOXES, CORNERS, PRIORS, PROBABILITIES, SCORES
from edgekit.tasks.registry import heads_of
from edgekit.tasks.segmentation.in_graph import classed, enlarged
from edgekit.tasks.segmentation.masks import classes_of, logits_of
from edgekit.tasks.segmentation.task import CLASSES, LOGITS, SIZE, Segmentation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from edgekit.config import ExportSettings
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.pipeline.making.trained import Answering, Trained

    M = TypeVar("M", FloatModel, IntegerModel)

RAW: Final = "raw"
ENLARGED: Final = "enlarged"  # logits of segmenters alone
FINAL: Final = "final"
SAID: Final = (OUTPUTS, SUPPRESSION)  # the entries of a provenance that ``Finish.of`` reads


@dataclass(frozen=True, slots=True)
class Finish:
    """What files are to give.

    Attributes:
        outputs: how far it is computed: ``RAW``, ``ENLARGED``, "decoded" or ``FINAL``.
        rule: which boxes stay, of what is final.
    """

    outputs: str = RAW
    rule: Suppression = USUAL

    @classmethod
    def wanted(cls, settings: ExportSettings) -> Self:
        """As the settings of an export have it."""
        return cls(settings.outputs, Suppression(settings.least_score, USUAL.overlap, settings.most_boxes))

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> Self:
        """As a file says it."""
        rule = next((ending.rule for ending in endings_of(provenance)), USUAL)
        return cls(provenance.get(OUTPUTS) or RAW, rule)


def as_wanted(trained: Trained, finish: Finish) -> Trained:
    """A trained network that answers, and says of itself, what its files are to give.

    Raises:
        ConfigError: it has no head whose outputs could be decoded.
    """
    if finish.outputs == RAW or finish == Finish.of(trained.provenance):
        return trained
    provenance = {**trained.provenance, OUTPUTS: finish.outputs}
    detectors = [*_detectors(provenance)]
    if not detectors and not [*_segmenters(provenance)]:
        kinds = "no segmenter" if finish.outputs == ENLARGED else "neither detector nor segmenter"
        raise ConfigError(f"export.outputs is {finish.outputs}, and the network is {kinds}: leave --outputs out")
    if finish.outputs == FINAL and detectors:
        endings = [Ending(*decodes, before, finish.rule) for before, _, decodes, _ in detectors]
        provenance[SUPPRESSION] = [ending.to_dict() for ending in endings]
    return replace(trained, outputs=_answering(trained.outputs, provenance), provenance=provenance)


def finished(model: M) -> M:
    """A model that gives what its provenance says; what suppresses boxes stands behind it, in files."""
    if model.provenance.get(OUTPUTS, RAW) == RAW:
        return model
    graph, quantized = model.graph, getattr(model, "params", ())
    for _, outputs, called, priors in _detectors(model.provenance):
        graph = decoded(graph, outputs, called, priors, quantized)
    for output, named, size in _segmenters(model.provenance):
        if model.provenance[OUTPUTS] == ENLARGED:
            assert size is not None
            graph = enlarged(graph, output, size, quantized)
        else:
            graph = classed(graph, output, named, size)
    return replace(model, graph=graph)


def computed_in_float(provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """The outputs that files compute in float, by what they are called before boxes are suppressed."""
    match provenance.get(OUTPUTS, RAW):
        case "raw":
            return ()
        case "enlarged":
            return tuple(named for _, named, _ in _segmenters(provenance))
        case _:
            return tuple(name for _, _, called, _ in _detectors(provenance) for name in called)


def _detectors(provenance: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str], tuple[str, str], Priors]]:
    """Of each detector: what stands before its names, what it gives, what that becomes, and the prior boxes."""
    heads = heads_of(provenance)
    for head in heads:
        if PRIORS in head and provenance[OUTPUTS] != ENLARGED:
            before = f"{head['name']}_" if len(heads) > 1 else ""
            raw, named = (BOXES, SCORES), (CORNERS, PROBABILITIES)
            yield (
                before,
                (before + raw[0], before + raw[1]),
                (before + named[0], before + named[1]),
                Priors.from_dict(head[PRIORS]),
            )


def _segmenters(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[int, int] | None]]:
    """Of each segmenter: what it gives, what that becomes, and the size of the image where it is to have that."""
    heads = heads_of(provenance)
    for head in heads:
        if head["task"] == Segmentation.name:
            before = f"{head['name']}_" if len(heads) > 1 else ""
            (height, width), outputs = head[SIZE], provenance[OUTPUTS]
            named = LOGITS if outputs == ENLARGED else CLASSES
            yield before + LOGITS, before + named, (height, width) if outputs in {ENLARGED, FINAL} else None


def _answering(raw: Answering, provenance: Mapping[str, Any]) -> Answering:
    """What finishes all answers of ``raw``, apart from the nodes and operators of files that do the same."""
    detectors, segmenters = [*_detectors(provenance)], [*_segmenters(provenance)]

    def answer(images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        outputs = raw(images)
        made: dict[str, tuple[str, NDArray[Any]]] = {}
        for _, (boxes, scores), (corners, likely), priors in detectors:
            made[boxes] = corners, decode(outputs[boxes], priors.boxes)
            made[scores] = likely, probabilities(outputs[scores])
        for mask, named, size in segmenters:
            if size is not None and named == mask:
                made[mask] = named, logits_of(outputs[mask], size)
            else:
                made[mask] = named, classes_of(outputs[mask], size)
        return ended(dict(made.get(name, (name, values)) for name, values in outputs.items()), provenance)

    return answer
