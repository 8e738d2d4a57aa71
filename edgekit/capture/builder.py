"""A Graph under construction: what both front ends, torch.export and ONNX, say about an operator, said once.

Two conventions make the front ends short and the passes simple:

- Every node gets constants of its own, even where the network shares a weight, so a pass may rewrite them in place.
- A mean keeps its axes, [C, 1, 1]. Whoever wants [C] flattens it, and ``image`` goes the other way: it turns the linear
  layers of a squeeze-and-excite into 1x1 convolutions. So nothing is reshaped there.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from edgekit.errors import CheckpointError, UnsupportedOperator
from edgekit.ir import (
    Add,
    BatchNorm,
    Clamp,
    Concat,
    Conv2d,
    Graph,
    LeakyReLU,
    Linear,
    Lowered,
    Mean,
    Mul,
    Node,
    Op,
    Pad,
    Padding,
    Part,
    PReLU,
    Rearrange,
    Sigmoid,
    Slice,
    Tensor,
    TransposedConv2d,
)
from edgekit.ir.graph import IMAGE, LOGITS, VALUES, VECTOR, Output, check
from edgekit.ir.naming import BESIDE_TENSORS, output_names
from edgekit.ir.operators.operator import Window
from edgekit.passes.matching import Pattern

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.ir.operators.conv2d import ConvolutionAttributes

    Copies = Literal["reflect", "edge", "wrap"]

# What a front end tells of a classifier whose logits have axes of one element behind them: see ``finish``.
AS_VECTOR = "the network gives [N, {classes}, 1, 1], and files give the same numbers as [N, {classes}]"
_REARRANGED = Pattern(Rearrange)
_MOST_PARTS = 16  # of an axis that are joined: each is an operator of its own


class GraphBuilder:
    """Collects nodes in topological order. Every method takes and returns names of tensors.

    The methods that append a node take its name first; a name that is taken gets a number behind it. They raise
    UnsupportedOperator for what the vocabulary of ``edgekit.ir`` cannot say.

    Attributes:
        input: the name of the input tensor.
    """

    def __init__(self, input_name: str, input_shape: tuple[int, ...]) -> None:
        """``input_shape`` is [C, H, W]."""
        self.input = input_name
        self._tensors = {input_name: Tensor(input_name, input_shape)}
        self._nodes: dict[str, Node] = {}  # by output
        self._constants: dict[str, NDArray[np.float32]] = {}
        self._taken = {input_name}
        self._flat: dict[str, str] = {}  # [C, 1, 1] -> the same as [C]

    def shape(self, tensor: str) -> tuple[int, ...]:
        """[C, H, W], [C], or what a rearrangement made of them."""
        return self._tensors[tensor].shape

    def conv2d(
        self,
        name: str,
        x: str,
        weight: NDArray[Any],
        bias: NDArray[Any] | None,
        **attributes: Unpack[ConvolutionAttributes],
    ) -> str:
        """A convolution; weight [O, I / groups, kH, kW], bias [O] or None."""
        try:
            op = Conv2d.described(self.shape(x), weight.shape, **attributes)
        except ValueError as error:
            raise UnsupportedOperator(f"the convolution {name!r} {error}") from error
        bias = np.zeros(weight.shape[0]) if bias is None else bias
        return self._emit(name, op, (x,), weight=weight, bias=bias)

    def transposed_conv2d(
        self, name: str, x: str, weight: NDArray[Any], bias: NDArray[Any] | None, op: TransposedConv2d
    ) -> str:
        """A transposed convolution; weight [I, O / groups, kH, kW] as other tools have it, bias [O] or None."""
        read, of_group, *kernel = weight.shape
        if read % op.groups:
            raise UnsupportedOperator(f"{name!r} has {op.groups} groups for {read} channels: they do not come out even")
        groups = weight.reshape(op.groups, read // op.groups, of_group, *kernel).swapaxes(1, 2)
        made = op.groups * of_group
        bias = np.zeros(made) if bias is None else bias
        return self._emit(name, op, (x,), weight=groups.reshape(made, -1, *kernel), bias=bias)

    def linear(self, name: str, x: str, weight: NDArray[Any], bias: NDArray[Any] | None) -> str:
        """A linear layer; weight [O, I], bias [O] or None."""
        bias = np.zeros(weight.shape[0]) if bias is None else bias
        return self._emit(name, Linear(), (self.flatten(f"{x}.flatten", x),), weight=weight, bias=bias)

    def linear_at_places(self, name: str, x: str, weight: NDArray[Any], bias: NDArray[Any] | None) -> str:
        """The same linear layer at every place of ``x`` [..., I]: a 1 x 1 convolution, the last axis being channels."""
        *places, read = self.shape(x)
        made, count = len(weight), math.prod(places)
        size = places if len(places) == len("HW") else (count, 1)
        x = self.rearrange(f"{name}.image", x, Rearrange((count, read), (1, 0), (read, *size)))
        x = self.conv2d(name, x, weight[:, :, None, None], bias)
        return self.rearrange(f"{name}.last", x, Rearrange((made, count), (1, 0), (*places, made)))

    def batch_norm(  # noqa: PLR0913 - batch normalization has this many parameters
        self,
        name: str,
        x: str,
        *,
        weight: NDArray[Any],
        bias: NDArray[Any],
        running_mean: NDArray[Any],
        running_var: NDArray[Any],
        eps: float,
    ) -> str:
        """Batch normalization at inference; all parameters are [C].

        Raises:
            CheckpointError: a variance is not above zero.
        """
        if not np.all(running_var.astype(np.float64) + eps > 0):
            raise CheckpointError(
                f"the batch normalization {name!r} has a negative variance: the checkpoint is damaged"
            )
        parameters = {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
        return self._emit(name, BatchNorm(eps), (x,), **parameters)

    def affine(self, name: str, x: str, scale: NDArray[Any], shift: NDArray[Any]) -> str:
        """Multiply by ``scale``, then add ``shift``; what does nothing is left out.

        One number a channel is batch normalization with mean 0 and variance 1, which folds into the layers around it.

        Args:
            name: of the node.
            x: [C, H, W] or [C].
            scale: of one element, or one for each of some axes of ``x``, the others having one element.
            shift: likewise.
        """
        scale, shift = (self._fitted(values, x) for values in (scale, shift))
        channels, *others = self.shape(x)
        of_channels = {(channels, *(1 for _ in others)), (1,)}
        if max(scale.size, shift.size) > 1 and {scale.shape, shift.shape} <= of_channels:
            weight, bias = (np.broadcast_to(values.reshape(-1), (channels,)) for values in (scale, shift))
            mean, variance = np.zeros(channels), np.ones(channels)
            return self.batch_norm(name, x, weight=weight, bias=bias, running_mean=mean, running_var=variance, eps=0.0)
        if np.any(scale != 1):
            both = np.any(shift != 0)
            x = self._emit(f"{name}.factor" if both else name, Mul(), (x,), operand=scale)
        if np.any(shift != 0):
            x = self._emit(name, Add(), (x,), operand=shift)
        return x

    def apply(self, name: str, op: Op, *tensors: str) -> str:
        """An operator that reads tensors and no constants, all of one rank: [C, 1, 1] beside [C] becomes [C]."""
        return self._emit(name, op, self._of_one_rank(*tensors))

    def add(self, name: str, a: str, b: str) -> str:
        """Add two tensors of equal shapes, or one that is repeated along axes of one element."""
        return self._emit(name, Add(), self._larger_first(a, b))

    def sub(self, name: str, a: str, b: str) -> str:
        """As ``add``, but subtract ``b``. The sign becomes part of the layer that makes ``b``, if one does."""
        return self.add(name, a, self.affine(f"{name}.negated", b, -np.ones(1), np.zeros(1)))

    def mul(self, name: str, a: str, b: str) -> str:
        """Multiply two tensors of equal shapes, or one that is repeated along axes of one element."""
        return self._emit(name, Mul(), self._larger_first(a, b))

    def silu(self, name: str, x: str) -> str:
        """X sigmoid(x): two nodes, which tell that they are one layer."""
        gate = self._emit(f"{name}.sigmoid", Sigmoid(), (x,))
        product = self.mul(name, x, gate)
        for part in (gate, product):
            self._nodes[part] = replace(self._nodes[part], lowered=Lowered(product, "SiLU"))
        return product

    def prelu(self, name: str, x: str, slope: NDArray[Any]) -> str:
        """``x`` where it is above 0, else slope x; slopes of any shape that ``affine`` takes."""
        if slope.size == 1:
            return self.apply(name, LeakyReLU(slope.item()), x)
        slope = self._fitted(slope, x)
        if slope.size == len(slope) == self.shape(x)[0]:
            return self._emit(name, PReLU(), (x,), slope=slope.reshape(-1))
        below = self.apply(f"{name}.negative", Clamp(-math.inf, 0.0), x)
        return self.add(name, x, self.affine(f"{name}.rest", below, slope - 1, np.zeros(1)))

    def mean(self, name: str, x: str) -> str:
        """The mean over H and W, [C, 1, 1]."""
        return self._emit(name, Mean(), (x,))

    def pad(self, name: str, x: str, padding: Padding, channels: tuple[int, int] = (0, 0)) -> str:
        """Zeros around ``x``, or before and behind its channels; what is negative crops. Nothing if there are none."""
        around = (channels, (padding.top, padding.bottom), (padding.left, padding.right))
        if any(width < 0 for widths in around for width in widths):
            sizes = zip(around, self.shape(x), strict=True)
            parts = (Part.of(slice(max(-a, 0), size - max(-b, 0)), size) for (a, b), size in sizes)
            x = self.slice(f"{name}.crop", x, Slice(tuple(parts)))
        channels, (top, bottom), (left, right) = ((max(a, 0), max(b, 0)) for a, b in around)
        op = Pad(Padding(top, bottom, left, right), channels)
        return x if op == Pad() else self._emit(name, op, (x,))

    def pad_by_copies(self, name: str, x: str, padding: Padding, mode: Copies) -> str:
        """Rows and columns of ``x`` [C, H, W] around it; modes are those of ``numpy.pad``."""
        sides = {1: (padding.top, padding.bottom), 2: (padding.left, padding.right)}
        for axis, widths in sides.items():
            places = np.pad(np.arange(self.shape(x)[axis]), widths, mode)
            x = self.taken(name, x, axis, places.tolist())
        return x

    def taken(self, name: str, x: str, axis: int, places: Sequence[int]) -> str:
        """Places of an axis of ``x`` in any order, also several times: slices, joined."""
        shape, parts = self.shape(x), _runs(places)
        if len(parts) > _MOST_PARTS:
            raise UnsupportedOperator(
                f"{name!r} takes places of an axis in an order of its own, as {len(parts)} parts: {_MOST_PARTS} are "
                f"joined at most"
            )
        if len(parts) == 1:
            return self.slice(name, x, Slice.along(shape, axis, parts[0]))
        return self.apply(
            name, Concat(axis), *(self.slice(f"{name}.part", x, Slice.along(shape, axis, part)) for part in parts)
        )

    def slice(self, name: str, x: str, op: Slice) -> str:
        """A part of ``x``; itself where everything is taken."""
        return x if op.moves_nothing(self.shape(x)) else self._emit(name, op, (x,))

    def flatten(self, name: str, x: str) -> str:
        """[C] in the place of [C, 1, 1]; nothing where ``x`` is [C], or is flattened already."""
        _, *rest = self.shape(x)
        if not rest:
            return x
        if rest != [1, 1]:
            raise UnsupportedOperator(
                f"{name!r} flattens a tensor of the shape {self.shape(x)}: put global average pooling before it"
            )
        if x not in self._flat:
            self._flat[x] = self._emit(name, Rearrange.reshape(self.shape(x)[:1]), (x,))
        return self._flat[x]

    def rearrange(self, name: str, x: str, op: Rearrange) -> str:
        """``x`` in another order and shape; nothing where it stays as it is."""
        return x if op.moves_nothing(self.shape(x)) else self._emit(name, op, (x,))

    def reshape(self, name: str, x: str, shape: tuple[int, ...]) -> str:
        """``x`` in another shape. What has one pixel stays as it is until somebody wants a vector or an image of it."""
        channels, *size = self.shape(x)
        if size not in ([], [1, 1]) or shape != (channels, *(1 for _ in shape[1:])):
            return self.rearrange(name, x, Rearrange.reshape(shape))
        return self.flatten(name, x) if len(shape) == 1 else self.of_rank(x, 1 + len(shape))

    def image(self, x: str) -> str:
        """[C, 1, 1] in the place of [C]: the layers since it was flattened work on images of one pixel instead."""
        return self._as_image(x, reader=None)

    def of_rank(self, x: str, rank: int) -> str:
        """``x`` as [N, C] or as [N, C, 1, 1], whichever has so many axes; as it is where it has neither form."""
        if rank == len(VECTOR) and self.shape(x)[1:] == (1, 1):
            return self.flatten(f"{x}.flatten", x)
        return self.image(x) if rank == len(IMAGE) else x

    def finish(self, name: str, given: Mapping[str, str], logits: Collection[str] = ()) -> Graph:
        """The graph that gives these tensors.

        What gives one number a class and nothing else is a classifier: its output is [N, classes], and called "logits"
        whatever the network calls it.

        Args:
            name: of the network.
            given: the tensors, by what the network calls its outputs.
            logits: which of them are known to be logits, besides one that is called so.

        Raises:
            UnsupportedOperator: an output is the image itself, or another one, too.
        """
        for called, tensor in given.items():
            if tensor == self.input:
                raise UnsupportedOperator(f"the network gives its own input, as {called!r}: leave that output out")
        if len(given) == 1:
            ((called, tensor),) = given.items()
            shape = self.shape(tensor)
            outputs: tuple[Output, ...] = (Output(output_names([called])[0], tensor),)
            if shape[1:] in {(), (1, 1)}:
                outputs = (Output.logits(self.flatten(f"{tensor}.flatten", tensor)),)
        else:
            outputs = tuple(
                Output(public, tensor, LOGITS if self._is_logits(tensor, {called, public}, logits) else VALUES)
                for public, (called, tensor) in zip(output_names(given), given.items(), strict=True)
            )
        if twice := [output for output in outputs if [o.tensor for o in outputs].count(output.tensor) > 1]:
            names = " and as ".join(repr(output.name) for output in twice)
            raise UnsupportedOperator(f"the network gives the same tensor as {names}: let it give that once")
        graph = Graph(name, self.input, outputs, tuple(self._nodes.values()), self._tensors, self._constants)
        check(graph)
        return graph

    def _is_logits(self, tensor: str, names: Collection[str], logits: Collection[str]) -> bool:
        return self._tensors[tensor].axes == VECTOR and not {*logits, LOGITS}.isdisjoint(names)

    def _emit(self, name: str, op: Op, inputs: Sequence[str], **constants: NDArray[Any]) -> str:
        """Append a node. Its constants follow its inputs, in the order of the operator's docstring."""
        name = self._unique(name)
        names = [self._constant(f"{name}.{role}", values) for role, values in constants.items()]
        node = self._nodes[name] = Node(name, op, (*inputs, *names), name)
        self._tensors[name] = Tensor(name, self._output_shape(node))
        return name

    def _output_shape(self, node: Node) -> tuple[int, ...]:
        """The shape of what ``node`` makes.

        Raises:
            UnsupportedOperator: its operands do not fit together.
        """
        shapes = (self.shape(n) if n in self._tensors else self._constants[n].shape for n in node.inputs)
        try:
            return node.op.output_shape(*shapes)
        except ValueError as error:
            raise UnsupportedOperator(f"layer {node.name!r} {error}") from error

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        if not np.isfinite(values).all():
            raise CheckpointError(f"{name} holds NaN or infinity: the training diverged, take an earlier epoch")
        name = self._unique(name)
        self._constants[name] = np.array(values, np.float32, order="C")  # a copy: the network may go on training
        return name

    def _unique(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self._taken or self._is_beside(candidate):
            count += 1
            candidate = f"{name}_{count}"
        self._taken.add(candidate)
        return candidate

    def _is_beside(self, name: str) -> bool:
        """Whether files give this name to something that belongs to a tensor, or another name to what belongs to it."""
        tensor, _, end = name.rpartition(".")
        of_another = end in BESIDE_TENSORS and tensor in self._taken
        return of_another or any(f"{name}.{end}" in self._taken for end in BESIDE_TENSORS)

    def _of_one_rank(self, *tensors: str) -> tuple[str, ...]:
        if len({self._tensors[tensor].axes for tensor in tensors}) == 1:
            return tensors
        return tuple(self.flatten(f"{tensor}.flatten", tensor) for tensor in tensors)

    def _larger_first(self, a: str, b: str) -> tuple[str, ...]:
        """Both of one rank, in the order that sums and products document."""
        a, b = self._of_one_rank(a, b)
        return (b, a) if math.prod(self.shape(a)) < math.prod(self.shape(b)) else (a, b)

    def _fitted(self, values: NDArray[Any], x: str) -> NDArray[Any]:
        """An operand as operators take it: [1], or with as many axes as ``x``; [C] are the channels, too."""
        if values.size == 1:
            return values.reshape(1)
        channels, *others = self.shape(x)
        return values.reshape(channels, *(1 for _ in others)) if values.shape == (channels,) else values

    def _as_image(self, x: str, reader: Node | None) -> str:
        if self._tensors[x].is_image:
            return x
        node = self._nodes[x]
        if (flattened := _REARRANGED.match(node)) is not None:
            as_image = replace(flattened, shape=(*flattened.shape, 1, 1))
            return self.rearrange(f"{x}.image", node.operand("x"), as_image)
        if any(x in other.inputs for other in self._nodes.values() if other is not reader):
            raise UnsupportedOperator(f"the result of {node.name!r} is used both as [N, C] and as [N, C, 1, 1]")
        if node.op.has_weights:
            weight = node.operand("weight")
            self._constants[weight] = self._constants[weight][:, :, None, None]
        inputs = tuple(self._as_image(name, node) if name in self._tensors else name for name in node.inputs)
        node = self._nodes[x] = replace(node, op=node.op.as_image(), inputs=inputs)
        self._tensors[x] = Tensor(x, self._output_shape(node))
        return x


def _runs(places: Sequence[int]) -> list[Part]:
    """Places of an axis as parts of it, each of which goes forward in even steps.

    >>> _runs([2, 1, 0, 1, 2, 3, 2])
    [Part(start=2, count=1, step=1), Part(start=1, count=1, step=1), Part(start=0, count=4, step=1), Part(start=2, count=1, step=1)]
    """  # noqa: E501 - a result
    parts: list[Part] = []
    for place in places:
        last = parts[-1] if parts else None
        step = 0 if last is None else place - last.start - (last.count - 1) * last.step
        if last is not None and step > 0 and (last.count == 1 or step == last.step):
            parts[-1] = Part(last.start, last.count + 1, step)
        else:
            parts.append(Part(place, 1))
    return parts


def with_gaps(weight: NDArray[Any], dilation: Sequence[int]) -> NDArray[Any]:
    """Weights [..., kH, kW] with the zeros between them that a dilation, (rows, columns), stands for."""
    reach = Window((1, 1), Padding(), (dilation[0], dilation[1])).reach(weight.shape[2:])
    spread = np.zeros((*weight.shape[:2], *reach), weight.dtype)
    spread[:, :, :: dilation[0], :: dilation[1]] = weight
    return spread
