"""Step 5: each bias moved by what quantization shifts, layer after layer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.bias_correction import bias_corrections
from edgekit.calibration.steps.step import Step, Work, nine_digits
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel

    Corrections = Mapping[str, Sequence[float] | NDArray[np.float64]]


class CorrectBiases(Step["Corrections"]):
    """What to add to each bias, by its name, in real units, after equalization.

    It suits a model with the same layers in float: another would be corrected for errors that it does not make.
    """

    name = "corrections"

    def find(self, work: Work) -> Corrections:
        """The sample goes through the float network and the integer model, layer by layer."""
        work.progress("correcting biases", 0, 1)
        quantized = work.integers
        found = bias_corrections(work.model, quantized, work.normalized, quantized.encode(work.sample))
        work.progress("correcting biases", 1, 1)
        return found

    def keep(self, found: Corrections) -> Corrections:
        """To nine digits."""
        return {name: nine_digits(values) for name, values in found.items()}

    def prepare(self, model: FloatModel, found: Corrections) -> FloatModel:
        """The biases with what is added."""
        constants = dict(model.graph.constants)
        for bias, correction in found.items():
            constants[bias] = (constants[bias] + np.array(correction)).astype(np.float32)
        return replace(model, graph=replace(model.graph, constants=constants))

    def tell(self, model: FloatModel, found: Corrections) -> tuple[str, ...]:  # noqa: ARG002 - as a Step is asked
        """How many."""
        if not found:
            return ()
        return (f"biases of {count(len(found), 'layer')} corrected by the mean error of quantization",)

    def encode(self, found: Corrections) -> Any:  # noqa: ANN401 - JSON
        """A list a bias."""
        return {name: list(values) for name, values in found.items()}

    def decode(self, values: Any) -> Corrections:  # noqa: ANN401 - JSON
        """The inverse of ``encode``."""
        return {name: tuple(map(float, found)) for name, found in values.items()}
