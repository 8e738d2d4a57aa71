"""Step 1: gains of channels that one scale has to serve, so that all reach equally far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.calibration.data_free import trusted_gains
from edgekit.calibration.equalization import equalize, find_gains
from edgekit.calibration.steps.step import Step, Work, nine_digits
from edgekit.passes.gate_convolution import gates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.calibration.equalization import Gains
    from edgekit.float_model import FloatModel

LEAST_SPREAD = 1.05  # of gains: less is no equalization worth a word


class Equalize(Step["Gains"]):
    """Gains of each channel of a tensor, by tensor name."""

    name = "gains"

    def find(self, work: Work) -> Gains:
        """A sample of the images tells how far channels reach."""
        gains = find_gains(work.model, work.normalized, work.options)
        return trusted_gains(work.model.graph, gains) if work.options.synthetic else gains

    def keep(self, found: Gains) -> Gains:
        """To nine digits."""
        return {name: nine_digits(values) for name, values in found.items()}

    def prepare(self, model: FloatModel, found: Gains) -> FloatModel:
        """Every channel multiplied by its gain."""
        return equalize(model, found)

    def tell(self, model: FloatModel, found: Gains) -> tuple[str, ...]:
        """By how much, and which hard-swishes became dearer for it."""
        return tuple(_told(model, found)) if found else ()

    def encode(self, found: Gains) -> Any:  # noqa: ANN401 - JSON
        """A list a tensor."""
        return {name: list(values) for name, values in found.items()}

    def decode(self, values: Any) -> Gains:  # noqa: ANN401 - JSON
        """The inverse of ``encode``."""
        return {name: tuple(map(float, found)) for name, found in values.items()}


def _told(model: FloatModel, found: Gains) -> Iterator[str]:
    spread = max(max(gain) / min(gain) for gain in found.values())
    families = f"{len(found)} {'families' if len(found) > 1 else 'family'} of tensors"
    factors = f"by factors up to {spread:.0f}" if spread >= 9.5 else f"by factors up to {spread:.1f}"
    equalized = f"channels equalized in {families}, {factors}: all channels of a tensor share one scale"
    yield equalized if spread >= LEAST_SPREAD else f"channels of {families} reach about equally far already"
    swishes = len(gates(model.graph))
    converted = swishes - len(gates(equalize(model, found).graph))
    if converted:
        made = "hard-swishes whose gate became a depthwise convolution, as their channels made most of the error"
        yield f"{made}: {converted} of {swishes}"
