"""From a network to files in every format and precision, as a module in memory and as an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import edgekit
from edgekit.benchmarks.relatives.zoo import MEAN, STD
from edgekit.exporters.metadata import Precision
from edgekit.integer_model import IntegerModel
from edgekit.runtimes.catalog import all_runners
from edgekit.verification import compare

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgekit.api.results import Exported
    from edgekit.benchmarks.relatives.zoo import Drawn
    from edgekit.pipeline.making.export import ExportedFile
    from edgekit.verification.compare import Parity

MODULE, ONNX = "module", "ONNX file"
WAYS = (MODULE, ONNX)
FLOATS = ("float32", "float16")
_SEVEN_BIT = {"calibration.weight_bits": 7}  # with which no kernel of an x86 without VNNI clamps


@dataclass(frozen=True, slots=True)
class Compared:
    """What runtimes made of one file.

    Attributes:
        file: that was run.
        parities: of each output in each runtime of whose kernels something is claimed.
    """

    file: ExportedFile
    parities: tuple[Parity, ...]

    @property
    def passed(self) -> bool:
        """Whether every output is what it has to be, in every runtime."""
        return bool(self.parities) and all(parity.passed for parity in self.parities)


def export(network: Drawn, way: str, folder: Path, *, floats: Sequence[str] = FLOATS, int8: bool = True) -> Exported:
    """Files of a network in every format, int8 and the precisions in ``floats``, proven before they appear.

    Args:
        network: with images to calibrate on.
        way: that it comes in.
        folder: to write to.
        floats: "float32", "float16".
        int8: write int8 files.

    Raises:
        BadInput: the network cannot be taken.
        GateFailed: a file is not what it has to be.
    """
    model = network.module
    if way == ONNX:
        network.save_onnx(folder / f"{network.name}.onnx")
    return edgekit.export(
        folder / f"{network.name}.onnx" if way == ONNX else model,
        network.images,
        targets="all",
        int8=int8,
        float32="float32" in floats,
        float16="float16" in floats,
        mean=MEAN,
        std=STD,
        order="RGB",
        resize="none",
        insist=not int8,  # nothing is quantized by how images look, and weights by lot look like anything
        name=None if way == ONNX else network.name,
        out=folder / way,
        settings=_SEVEN_BIT,
    )


def compared(exported: Exported, pixels: NDArray[np.uint8]) -> Iterator[Compared]:
    """Every int8 file in every runtime of this machine, against the reference; export has proven the others.

    Args:
        exported: the files.
        pixels: [N, H, W, C].
    """
    assert exported.integer_model is not None
    model = IntegerModel.load(exported.integer_model)
    expected = compare.reference_outputs(model, pixels)
    for file in exported.files:
        about = file.summary.metadata
        assert about is not None
        if file.precision is not Precision.INT8:
            continue
        parities: list[Parity] = []
        for make_runner in all_runners(file.path):
            with make_runner() as runner:
                if runner.differs_because is None:
                    parities += compare.integers(runner, about, model, pixels, expected)
        yield Compared(file, tuple(parities))
