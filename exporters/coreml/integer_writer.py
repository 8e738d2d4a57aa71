"""Writes the integer model.

**Operators.** Core ML spells an integer operator as ``dequantize``, the float operator, ``quantize``, and 8-bit weights
as ``constexpr_affine_dequantize``. All of them exist since iOS 17, which therefore is the oldest target. The block-wise
constant expression of iOS 18 would add blocks of scales, where these weights have one scale a channel.

**No passes.** The messages are written as they are meant. coremltools' pipeline would move scales from one operand of
an ADD to the other (distributive_quantized_binary_op_scale_normalization), and with them the integers.

**Zero points.** A tensor whose zero point is -128 is written as uint8 without a zero point, which is the same integers
plus 128: Core ML runs faster without zero points (coremltools, nullify_redundant_quantization_zero_point).

**Input.** An image is 8-bit pixels already. Where the model takes pixels, the uint8 tensor *is* the pixels: quantized
with scale 1, which is exact, and dequantized with the scale and zero point that stand for the folded normalization.
A model that keeps its normalization outside takes a float32 array.

**Layers that are kept in float** are written as in float files; what they read is dequantized as everything is.

**float16.** The Neural Engine takes float16 programs only, and there scales are float16 too. They and the biases are
rounded, integers can differ from those of the other files, and so the metadata names another lowering.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import mean
from edgekit.errors import ConfigError
from edgekit.exporters import metadata
from edgekit.exporters.coreml import operators
from edgekit.exporters.coreml.builder import Value
from edgekit.exporters.coreml.document import IOS17, Document
from edgekit.exporters.coreml.names import REAL, RESULT
from edgekit.exporters.coreml.operators import OPERATORS
from edgekit.exporters.coreml.reals import to_real, to_scale
from edgekit.exporters.metadata import Head, IoDtype, Metadata, Precision
from edgekit.ir.operators.operator import Border
from edgekit.quantization import INT8_MIN

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.boundary import Alignment
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Node
    from edgekit.quantization import QuantParams


def write_integer_model(  # noqa: PLR0913 - one a choice of the user's
    model: IntegerModel,
    path: Path,
    *,
    io_dtype: IoDtype,
    precision: Precision = Precision.FLOAT32,
    head: Head = Head.LOGITS,
    batch: int | None = None,
) -> None:
    """Write an .mlpackage for iOS 17 and later.

    Args:
        model: the integer model.
        path: of the package.
        io_dtype: float32, Core ML's only boundary before iOS 26. The input of a model that takes pixels is an image.
        precision: what the program computes in between ``dequantize`` and ``quantize``: in float32 every scale is the
            model's; float16 rounds them, and the lowering in the metadata says so ("universal-float16").
        head: what stands beside the logits: with labels, the package is a classifier of these probabilities then.
        batch: how many images it takes at once, as for ``write_float_model``.

    Raises:
        ConfigError: another ``io_dtype``, or a number that float16 cannot hold.
        UnsupportedOperator: the model holds an operator that has no function here.
        MissingDependency: coremltools is not installed.
        BadInput: the package cannot be written.
    """
    if io_dtype is not IoDtype.FLOAT32:
        raise ConfigError(
            f"a Core ML file cannot take or give {io_dtype} arrays before iOS 26: use --io-dtype float32 "
            f"(the input is an image then, so pixels stay 8-bit)"
        )
    about = metadata.of_integer_model(model, io_dtype, head, batch=batch or 1, suppresses=False)
    if precision is Precision.FLOAT16:
        about = replace(about, lowering=f"{model.lowering}{metadata.FLOAT16_SCALES}")
    writer = _IntegerWriter(model, about, precision)
    writer.write()
    writer.document.save(path, IOS17, f"int8 weights and activations in a {precision} program")


class _IntegerWriter:
    """Each tensor is three values: the operator's result, the integers, named like the tensor, and their reals.

    A tensor that is kept in float is one value.
    """

    def __init__(self, model: IntegerModel, about: Metadata, precision: Precision) -> None:
        self.model = model
        self.document = Document(model.graph, about, precision)
        self.program = self.document.program
        self.names = self.document.names
        self.reals: dict[str, Value] = {}  # dequantized tensors and constants by name
        self.stored: dict[str, Value] = {}  # integers by name

    def write(self) -> None:
        """Append every operation."""
        graph = self.model.graph
        self._input()
        for node in graph:
            self.program.origins.enter(node)
            if node.op.border is Border.TO_INDICES:
                self._choose(node)
            elif node.op.border:
                self._border(node)
            elif node.output in self.model.params:
                self._integer_node(node)
            else:
                self._float_node(node)
        self.program.origins.enter(None)
        self.document.finish(self.reals)

    def _border(self, node: Node) -> None:
        """What others read as reals is there already; what is read as integers is quantized."""
        source = self.reals[node.operand("x")]
        if node.output in self.model.params:
            self._dequantize(node.output, self._quantize(node.output, source))
        else:
            self.reals[node.output] = source

    def _choose(self, node: Node) -> None:
        """The largest channel of each place: of integers as they are stored, the first of equal ones."""
        x, output = node.operand("x"), self.document.mask(node.output)
        if x in self.stored:
            steps = self._steps(output.name, self.stored[x])
            value = operators.told_apart(self.program, output.name, steps, output.shape[1:])
        else:
            value = self.reals[x]
        mask = OPERATORS[node](self.program, output, value)
        self.reals[node.output] = self.document.of_one_image(node.output, mask)

    def _integer_node(self, node: Node) -> None:
        if node.op.rounds_up:
            self._interpolate(node)
            return
        if self._reads_steps(node):
            self._average(node)
            return
        result = self.program.value(f"{self.names[node.output]}{RESULT}", self.document.shapes[node.output])
        OPERATORS[node](self.program, result, *(self._operand(node, name) for name in node.inputs))
        self._dequantize(node.output, self._quantize(node.output, result))

    def _reads_steps(self, node: Node) -> bool:
        """Whether a node reads whole steps, not the reals that they stand for."""
        is_whole = node.op.rounds_up or node.op.border is Border.TO_INDICES
        return is_whole or (node.op.averages and self.program.dtype == "float32")

    def _average(self, node: Node) -> None:
        """The mean of whole steps: float32 adds these up exactly, in whatever order, and reals only nearly.

        float16 would not hold the sum.
        """
        x, y = (self.model.params[name] for name in (node.operand("x"), node.output))
        name, source = self.names[node.output], self.stored[node.operand("x")]
        whole = replace(x, scale=np.ones(1, np.float32))
        steps = self.program.add(
            "dequantize",
            self.program.value(f"{name}_steps", source.shape),
            input=source,
            **self._affine(node.operand("x"), whole, source.dtype),
        )
        shape = self.document.shapes[node.output]
        result = OPERATORS[node](self.program, self.program.value(f"{name}{RESULT}", shape), steps)
        ratio = replace(y, scale=mean.step_ratio(x, y))
        self._dequantize(node.output, self._quantize(node.output, result, ratio))

    def _interpolate(self, node: Node) -> None:
        """Weighted means of integers as they are stored: whole steps, of which halves are rounded upwards."""
        shape, unit = self.document.shapes[node.output], np.ones((), self.program.dtype)
        name, source = self.names[node.output], self.stored[node.operand("x")]
        steps = self._steps(name, source)
        result = OPERATORS[node](self.program, self.program.value(f"{name}{RESULT}", shape), steps)
        whole = operators.rounded_up(self.program, self.program.value(f"{name}_whole", shape), result)
        stored = Value(name, source.dtype, shape)
        self.program.add("quantize", stored, input=whole, scale=unit, output_dtype=stored.dtype)
        self._dequantize(node.output, stored)

    def _steps(self, name: str, stored: Value) -> Value:
        """Integers as they are stored, as reals."""
        steps, unit = self.program.value(f"{name}_steps", stored.shape), np.ones((), self.program.dtype)
        return self.program.add("dequantize", steps, input=stored, scale=unit)

    def _float_node(self, node: Node) -> None:
        named = Value(self.names[node.output], self.program.dtype, self.document.shapes[node.output])
        output = self.document.or_output(node.output, named)
        operands = (self.reals[n] if n in self.reals else self._float_constant(n) for n in node.inputs)
        operators.float_layer(self.program, node, output, *operands)
        self.reals[node.output] = output

    def _input(self) -> None:
        document, name = self.document, self.model.graph.input
        if not (self.model.pixel_input and document.fits_image):
            aligned = self._aligned(document.array(), self.model.alignment)
            self._dequantize(name, self._quantize(name, document.to_program_type(aligned)))
            return
        pixels = document.to_program_type(document.image())
        stored = Value(self.names[name], "uint8", pixels.shape)
        self.program.add("quantize", stored, input=pixels, scale=np.ones((), pixels.dtype), output_dtype=stored.dtype)
        self._dequantize(name, stored)

    def _aligned(self, image: Value, alignment: Alignment) -> Value:
        """An array as it is to be quantized."""
        for operator, values in (("mul", alignment.gains), ("add", alignment.offsets)):
            if values:
                result = self.program.value(f"{image.name}_{operator}", image.shape, image.dtype)
                image = self.program.add(operator, result, x=image, y=np.array(values, np.float32).reshape(1, -1, 1, 1))
        return image

    def _quantize(self, tensor: str, real: Value, params: QuantParams | None = None) -> Value:
        params = self.model.params[tensor] if params is None else params
        stored = Value(self.names[tensor], "uint8" if params.zero_point == INT8_MIN else "int8", real.shape)
        affine = self._affine(tensor, params, stored.dtype)
        return self.program.add("quantize", stored, input=real, **affine, output_dtype=stored.dtype)

    def _dequantize(self, tensor: str, stored: Value) -> None:
        self.stored[tensor] = stored
        graph = self.model.graph
        readers = graph.consumers(tensor)
        if readers and all(map(self._reads_steps, readers)) and tensor not in graph.output_tensors:
            return
        real = self.document.or_output(tensor, self.program.value(f"{stored.name}{REAL}", stored.shape))
        affine = self._affine(tensor, self.model.params[tensor], stored.dtype)
        self.reals[tensor] = self.program.add("dequantize", real, input=stored, **affine)

    def _affine(self, tensor: str, params: QuantParams, dtype: str) -> dict[str, NDArray[Any]]:
        """Scale and zero point as parameters; without one, the zero point is 0."""
        affine = {"scale": to_scale(params.scale, self.program.dtype, tensor)}
        zero_point = params.zero_point - (INT8_MIN if dtype == "uint8" else 0)
        return affine | {"zero_point": np.array(zero_point, dtype)} if zero_point else affine

    def _operand(self, node: Node, name: str) -> Value | NDArray[Any]:
        if name not in self.reals and name not in self.model.params:
            return to_real(self.model.real_constant(node, name), self.program.dtype, f"the bias of {node.name}")
        if name not in self.reals:
            self.reals[name] = self._constant(name)
        return self.reals[name]

    def _float_constant(self, name: str) -> Value:
        array = to_real(self.model.graph.constants[name], self.program.dtype, name)
        return self.program.constant(Value(self.names[name], array.dtype.name, array.shape), array)

    def _constant(self, name: str) -> Value:
        stored = np.atleast_1d(self.model.graph.constants[name])
        return self.program.int8_constant(self.names[name], stored, self.model.params[name])
