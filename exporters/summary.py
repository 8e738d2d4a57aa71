"""What is found when a finished file is read back: the same words for every format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.ir import LOGITS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.exporters.metadata import Metadata


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An input or output of a file.

    Attributes:
        name: in the file.
        dtype: "float32", "int8", "uint8", "float16", "int32" of masks, or "image".
        shape: with the batch; -1 where it is free.
        scale: of quantized endpoints, else None.
        zero_point: of quantized endpoints, else None.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule of its format, or a limit of a runtime, that a file breaks.

    Attributes:
        name: in the file, of what breaks it; None for the file as a whole.
        text: the rule and how it is broken.
    """

    name: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A finished file, counted.

    Attributes:
        path: of the file or package.
        format: the name of its format.
        size_bytes: of the file, or of all files in the package.
        operators: how often each operator occurs, by the format's own names, boundary conversions left out.
        float_operators: those that compute in float, with the names of their results ("CONV_2D features.0.0"); an int8
            file has those of the layers that it keeps in float.
        boundary: operators between what callers see and the network: from the float network's input to integers (ADD,
            QUANTIZE) and back (DEQUANTIZE), and from logits to probabilities.
        inputs: what the file takes.
        outputs: what the file gives.
        version: opset, schema or specification version, in words ("opset 17, IR 8").
        metadata: what the file says about itself; None where another tool wrote it.
        signatures: names of the graphs that applications can run, of a .tflite file; formats with one graph have none.
    """

    path: Path
    format: str
    size_bytes: int
    operators: Mapping[str, int]
    float_operators: tuple[str, ...]
    boundary: tuple[str, ...]
    inputs: tuple[Endpoint, ...]
    outputs: tuple[Endpoint, ...]
    version: str
    metadata: Metadata | None
    signatures: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs that claims are about: the network's own. Of other tools' files, the logits, or the first."""
        if self.metadata is not None and self.metadata.outputs:
            return tuple(output.name for output in self.metadata.outputs)
        return (next((output.name for output in self.outputs if output.name == LOGITS), self.outputs[0].name),)

    @property
    def answers(self) -> tuple[Endpoint, ...]:
        """The same, as the file declares them."""
        declared = {output.name: output for output in self.outputs}
        return tuple(declared[name] for name in self.names if name in declared)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Their shapes for one image, [C] or [C, H, W], by name."""
        if self.metadata is not None and self.metadata.outputs:
            return {output.name: output.of_one_image for output in self.metadata.outputs}
        return {output.name: output.shape[1:] for output in self.answers}

    @property
    def int8_share(self) -> float:
        """The share of operators that compute in integers, 0..1."""
        total = sum(self.operators.values())
        return 1.0 - len(self.float_operators) / total if total else 0.0
