"""Step 4: each weight rounded so that its layer's output is nearest. Step 3, scales, follows from ranges alone."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.pixel_input import fold_normalization
from edgekit.calibration.rounding import round_weights, with_weights
from edgekit.calibration.steps.step import Step, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

    Offsets = Mapping[str, NDArray[np.int8]]


class RoundWeights(Step["Offsets"]):
    """How far from the nearest integer each weight is rounded, by the weights' name, int8 of their shape."""

    name = "roundings"

    def find(self, work: Work) -> Offsets:
        """From the moments of what layers read on all images; synthetic ones do not show which errors cancel."""
        if work.options.synthetic:
            return {}
        given, nearest = work.model.preprocessing.normalization, work.integers
        folded, normalization = fold_normalization(work.model.graph, given)
        input_gain = normalization.std[0] / np.array(given.std)
        weights = round_weights(folded, nearest, work.observed.moments, input_gain=input_gain, progress=work.progress)
        return {name: found - nearest.graph.constants[name] for name, found in weights.items()}

    def finish(self, integers: IntegerModel, found: Offsets) -> IntegerModel:
        """The nearest integers, moved; clipped, as where the last bit of a scale is another machine's, they may differ.

        The weights behind the input are others if the normalization is not folded into them, and so is what suits them.
        """
        graph, limit = integers.graph, integers.weight_limit
        first = graph.consumers(graph.input)
        unsuitable = {node.operand("weight") for node in first if node.op.has_weights and not integers.pixel_input}
        rounded = {
            name: np.clip(graph.constants[name].astype(np.int16) + offset, -limit, limit).astype(np.int8)
            for name, offset in found.items()
            if name in integers.params and name not in unsuitable
        }
        return with_weights(integers, rounded)

    def tell(self, model: FloatModel, found: Offsets) -> tuple[str, ...]:  # noqa: ARG002 - as a Step is asked
        """How many."""
        if not found:
            return ()
        moved = sum(int(np.count_nonzero(offsets)) for offsets in found.values())
        total = sum(offsets.size for offsets in found.values())
        share = f"{moved / total:.0%} of the weights"
        return (f"{share} not rounded to nearest but the other way: that brings their layers nearer to float",)

    def encode(self, found: Offsets) -> Any:  # noqa: ANN401 - JSON
        """Nearly all are 0: compressed, and written as text."""
        return {
            name: {
                "shape": list(offsets.shape),
                "zlib": base64.b64encode(zlib.compress(offsets.tobytes(), level=9)).decode("ascii"),
            }
            for name, offsets in found.items()
        }

    def decode(self, values: Any) -> Offsets:  # noqa: ANN401 - JSON
        """The inverse of ``encode``."""
        return {
            name: np.frombuffer(zlib.decompress(base64.b64decode(packed["zlib"], validate=True)), np.int8).reshape(
                packed["shape"]
            )
            for name, packed in values.items()
        }
