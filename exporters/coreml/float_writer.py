"""Writes the float network.

The input is an image. coremltools' ImageType has one scale for all channels; here the program itself subtracts each
channel's mean and multiplies by 1 / std, in float32 also where the operators are float16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters import metadata
from edgekit.exporters.coreml import NORMALIZED, operators
from edgekit.exporters.coreml.builder import Value
from edgekit.exporters.coreml.document import IOS15, IOS16, Document
from edgekit.exporters.coreml.reals import to_real
from edgekit.exporters.metadata import Head, Precision

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.exporters.metadata import Metadata
    from edgekit.float_model import FloatModel


def write_float_model(
    model: FloatModel, path: Path, *, precision: Precision, head: Head = Head.LOGITS, batch: int | None = None
) -> None:
    """Write an .mlpackage for iOS 15 and later, or iOS 16 with int8 weights.

    Args:
        model: the float model.
        path: of the package.
        precision: float32 or float16, of the weights and operators, or weight-only.
        head: what stands beside the logits: with labels, the package is a classifier of these probabilities then.
        batch: how many images it takes at once. More than one come as an array of what the float network takes; one is
            an image, of which Core ML's own interface takes any number.

    Raises:
        ConfigError: a weight that float16 cannot hold.
        UnsupportedOperator: the model holds an operator that has no function here.
        MissingDependency: coremltools is not installed.
        BadInput: the package cannot be written.
    """
    writer = _FloatWriter(model, metadata.of_float_model(model, precision, head, batch=batch or 1, suppresses=False))
    writer.write()
    if precision is Precision.WEIGHT_ONLY:
        writer.document.save(path, IOS16, "int8 weights and float32 operators")
    else:
        writer.document.save(path, IOS15, f"{precision} weights and operators")


class _FloatWriter:
    def __init__(self, model: FloatModel, about: Metadata) -> None:
        self.model = model
        halves = about.precision is Precision.FLOAT16
        self.document = Document(model.graph, about, Precision.FLOAT16 if halves else Precision.FLOAT32)
        self.program = self.document.program
        self.values: dict[str, Value] = {}

    def write(self) -> None:
        """Append every operation."""
        document, program, graph = self.document, self.program, self.model.graph
        self.values[graph.input] = self._input()
        for node in graph:
            program.origins.enter(node)
            value = Value(document.names[node.output], program.dtype, document.shapes[node.output])
            is_mask = graph.tensors[node.output].is_mask
            output = document.mask(node.output) if is_mask else document.or_output(node.output, value)
            operators.float_layer(program, node, output, *(self._operand(name) for name in node.inputs))
            self.values[node.output] = document.of_one_image(node.output, output) if is_mask else output
        program.origins.enter(None)
        document.finish(self.values)

    def _input(self) -> Value:
        document, program = self.document, self.program
        if not document.fits_image:
            return document.to_program_type(document.array())
        image, normalization = document.image(), self.model.preprocessing.normalization
        mean, std = (np.array(values).reshape(1, -1, 1, 1) for values in (normalization.mean, normalization.std))
        centred = program.value("image_centred", image.shape, "float32")
        program.add("sub", centred, x=image, y=mean.astype(np.float32))
        scaled = program.value(NORMALIZED, image.shape, "float32")
        program.add("mul", scaled, x=centred, y=(1 / std).astype(np.float32))
        return document.to_program_type(scaled)

    def _operand(self, name: str) -> Value:
        if name in self.model.grids:
            grid = self.model.grids[name]
            stored = grid.quantize(self.model.graph.constants[name])
            self.values[name] = self.program.int8_constant(self.document.names[name], stored, grid)
        elif name not in self.values:
            array = to_real(self.model.graph.constants[name], self.program.dtype, name)
            value = Value(self.document.names[name], array.dtype.name, array.shape)
            self.values[name] = self.program.constant(value, array)
        return self.values[name]
