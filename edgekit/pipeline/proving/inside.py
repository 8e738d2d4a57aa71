"""Integers inside of files that finish what heads give: there they go over to reals, and no output shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.integer_model import OUTPUTS
from edgekit.ir.operators.operator import Border
from edgekit.pipeline.making.finishing import RAW
from edgekit.reference.integer import Reference
from edgekit.runtimes.tracing import trace_file
from edgekit.verification import compare
from edgekit.verification.integer_parity import IntegerParity, compare_integers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel
    from edgekit.pipeline.proving.trials import Answers, Trial

IMAGES: Final = 2  # all tensors of a file are kept for each


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Inside:
    """What the last integers of a network have to be on a few images.

    Attributes:
        pixels: of the images, [N, H, W, C].
        integers: by the tensor's name, [N, ...]; of all heads.
    """

    pixels: NDArray[np.uint8]
    integers: Mapping[str, NDArray[np.int8]]

    @staticmethod
    def of(model: IntegerModel | None, answers: Answers) -> Inside | None:
        """As the reference has them; None where outputs are integers, or nothing is known."""
        if model is None or model.provenance.get(OUTPUTS, RAW) == RAW or not answers.pictures:
            return None
        pixels = np.stack([*answers.pictures.values()][:IMAGES])
        ends = (node.operand("x") for node in model.graph if node.op.border is Border.TO_REALS)
        tensors = tuple(dict.fromkeys(ends))
        reference, stored = Reference(model), model.encode(pixels)
        batches = [reference.run_all(image[None], keep=tensors) for image in stored]
        return Inside(pixels, {name: np.concatenate([batch[name] for batch in batches]) for name in tensors})

    def parities(
        self, path: Path, trial: Trial, model: IntegerModel, max_lsb_allowed: int
    ) -> tuple[IntegerParity, ...]:
        """Those of a file in one runner; none where that shows nothing but outputs."""
        try:
            found = trace_file(path, self.pixels, model, make_runner=trial.make_runner).tensors
        except EdgekitError:
            return ()
        reasons, near = model.near_in(trial.runner.simulated), compare.file_is_near(trial.about, model)
        parities = []
        for name, expected in self.integers.items():
            there = name in found and found[name].dtype == expected.dtype and found[name].shape == expected.shape
            arrays = (found[name], expected) if there else (expected[:0], expected[:0])  # nothing compared is no proof
            why = near or reasons.get(name, "")
            parities.append(
                compare_integers(trial.runner.name, *arrays, near=why, max_lsb_allowed=max_lsb_allowed, output=name)
            )
        return tuple(parities)
