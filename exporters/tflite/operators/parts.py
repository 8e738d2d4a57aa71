"""Parts of tensors, and tensors behind one another, in the forms that XNNPACK takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgekit.exporters.tflite.operators.movement import reshape
from edgekit.exporters.tflite.operators.table import OPERATORS
from edgekit.exporters.tflite.operators.writing import code_of
from edgekit.ir import Concat, Part, Slice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.ir import Node

    Shape = tuple[int, ...]  # in the file, the batch included

_MOST_JOINED = 5  # operands of a CONCATENATION that XNNPACK takes: xnn_define_concatenate5 in its include/xnnpack.h


@OPERATORS.implements(Concat)
def _concat(op: Concat, node: Node, model: TfliteBuilder) -> None:
    xs, axis = node.operands("xs"), 1 + model.order(node.output).index(op.axis)
    Parts(node, model).join([(model.activation(x), model.shape(x)) for x in xs], axis, model.activation(node.output))


@OPERATORS.implements(Slice)
def _slice(op: Slice, node: Node, model: TfliteBuilder) -> None:
    """XNNPACK takes STRIDED_SLICE, but no strides: every n-th place is taken from blocks of n."""
    x, made = node.operand("x"), Parts(node, model)
    source, shape, target = model.activation(x), model.shape(x), model.activation(node.output)
    parts = [op.parts[axis] for axis in model.order(x)]
    for axis, (part, size) in enumerate(zip(parts, shape[1:], strict=True), start=1):
        if part.step > 1 and size % part.step == 0:
            source, shape = made.every(source, shape, axis, part)
            parts[axis - 1] = Part(0, part.count)
    if shape == model.shape(node.output):
        reshape(f"{node.name}.shape", source, target, shape[1:], model)
    else:
        made.take(source, shape, parts, target)


class Parts:
    """Writes what takes parts of tensors and joins them, for one node; everything has the scale of its result."""

    def __init__(self, node: Node, model: TfliteBuilder) -> None:
        self._node, self._model = node, model
        self._count = 0

    def take(self, source: int, shape: Shape, parts: Sequence[Part], target: int | None = None) -> tuple[int, Shape]:
        """STRIDED_SLICE, with ``parts`` of all axes but the first, of which everything is taken."""
        name, model = self._name("part"), self._model
        made = (shape[0], *(part.count for part in parts))
        result = self._tensor(name, made) if target is None else target
        ends = zip((0, 0, 1), *((part.start, part.stop, part.step) for part in parts), strict=True)
        names = ("begin", "end", "strides")
        inputs = [model.integers(f"{name}.{key}", values) for key, values in zip(names, ends, strict=True)]
        code = code_of("STRIDED_SLICE", self._node.output, model, 1, 2, 4)
        model.operator(*code, [source, *inputs], result, ("StridedSliceOptions", {"beginMask": 1, "endMask": 1}))
        return result, made

    def every(self, source: int, shape: Shape, axis: int, part: Part) -> tuple[int, Shape]:
        """What a part with a step takes of an axis that is a multiple of it, as a reshape, a part, and a reshape."""
        before, behind = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        blocks = (before, shape[axis] // part.step, part.step, behind)
        split = self._reshaped(source, blocks)
        places = (Part(part.start // part.step, part.count), Part(part.start % part.step, 1), Part(0, behind))
        taken, _ = self.take(split, blocks, places)
        made = (*shape[:axis], part.count, *shape[axis + 1 :])
        return self._reshaped(taken, made), made

    def with_edges(self, source: int, shape: Shape, axis: int, edges: tuple[int, int]) -> tuple[int, Shape]:
        """A tensor behind its own first places along an axis, and before its last, so many of each."""
        before, behind = edges
        whole = [Part(0, size) for size in shape[1:]]

        def edge(start: int, count: int) -> list[tuple[int, Shape]]:
            parts = [*whole[: axis - 1], Part(start, count), *whole[axis:]]
            return [self.take(source, shape, parts)] if count else []

        parts = [*edge(0, before), (source, shape), *edge(shape[axis] - behind, behind)]
        return self.join(parts, axis) if len(parts) > 1 else (source, shape)

    def join(self, parts: Sequence[tuple[int, Shape]], axis: int, target: int | None = None) -> tuple[int, Shape]:
        """CONCATENATION of tensors, given with their shapes; the first few in one, until they are few."""
        while len(parts) > _MOST_JOINED:
            parts = [self.join(parts[:_MOST_JOINED], axis), *parts[_MOST_JOINED:]]
        (_, first), model = parts[0], self._model
        made = (*first[:axis], sum(shape[axis] for _, shape in parts), *first[axis + 1 :])
        result = self._tensor(self._name("joined"), made) if target is None else target
        code = code_of("CONCATENATION", self._node.output, model, 1, 2, 3)
        options = ("ConcatenationOptions", {"axis": axis, "fusedActivationFunction": 0})
        model.operator(*code, [tensor for tensor, _ in parts], result, options)
        return result, made

    def _reshaped(self, source: int, shape: Shape) -> int:
        name = self._name("reshaped")
        result = self._tensor(name, shape)
        reshape(f"{name}.shape", source, result, shape[1:], self._model)
        return result

    def _tensor(self, name: str, shape: Shape) -> int:
        model, output = self._model, self._node.output
        return model.tensor(name, shape, model.dtype(output), model.params.get(output))

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{self._node.name}.{kind}_{self._count}"
