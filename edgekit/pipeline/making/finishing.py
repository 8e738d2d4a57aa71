"""What files give: raw outputs of heads, or what these stand for, computed in float behind all integers.

Integers are those of the raw network: it is finished after it was calibrated, and any ranges serve for both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from edgekit.errors import ConfigError
from edgekit.models.priors import Priors
from edgekit.tasks.detection.coding import decode
from edgekit.tasks.detection.in_graph import decoded
from edgekit.tasks.detection.suppression import probabilities
from edgekit.tasks.detection.task import BOXES, CORNERS, PRIORS, PROBABILITIES, SCORES
from edgekit.tasks.registry import heads_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.pipeline.making.trained import Answering, Trained

    M = TypeVar("M", FloatModel, IntegerModel)

OUTPUTS: Final = "outputs"  # the entry of a provenance that says it; there is none of raw ones
RAW: Final = "raw"


def as_wanted(trained: Trained, outputs: str) -> Trained:
    """A trained network that answers, and says of itself, what its files are to give.

    Raises:
        ConfigError: it has no head whose outputs could be decoded.
    """
    if outputs == trained.provenance.get(OUTPUTS, RAW):
        return trained
    if not [*_detectors(trained.provenance)]:
        raise ConfigError(f"export.outputs is {outputs}, and the network is no detector: leave --outputs out")
    answering = _answering(trained.outputs, trained.provenance)
    return replace(trained, outputs=answering, provenance={**trained.provenance, OUTPUTS: outputs})


def finished(model: M) -> M:
    """A model that gives what its provenance says."""
    if model.provenance.get(OUTPUTS, RAW) == RAW:
        return model
    graph, quantized = model.graph, getattr(model, "params", ())
    for outputs, called, priors in _detectors(model.provenance):
        graph = decoded(graph, outputs, called, priors, quantized)
    return replace(model, graph=graph)


def _detectors(provenance: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], tuple[str, str], Priors]]:
    """Of each detector: what it gives, what that becomes, and the prior boxes."""
    heads = heads_of(provenance)
    for head in heads:
        if PRIORS in head:
            before = f"{head['name']}_" if len(heads) > 1 else ""
            raw, named = (BOXES, SCORES), (CORNERS, PROBABILITIES)
            yield (
                (before + raw[0], before + raw[1]),
                (before + named[0], before + named[1]),
                Priors.from_dict(head[PRIORS]),
            )


def _answering(raw: Answering, provenance: Mapping[str, Any]) -> Answering:
    """What decodes all answers of ``raw``."""
    detectors = [*_detectors(provenance)]

    def answer(images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        outputs = raw(images)
        made = {}
        for (boxes, scores), (corners, likely), priors in detectors:
            made[boxes] = corners, decode(outputs[boxes], priors.boxes)
            made[scores] = likely, probabilities(outputs[scores])
        return dict(made.get(name, (name, values)) for name, values in outputs.items())

    return answer
