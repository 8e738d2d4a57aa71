"""Graph, Node and Tensor: immutable values. A pass makes a new graph, it never changes one.

NOTES for developers: no torch, no protobuf, no files in here. What a graph looks like on disk is the business of
``edgekit.integer_model`` and of the exporters.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.ir.operators.clamp import Clamp
    from edgekit.ir.operators.operator import Op, Shape


T = TypeVar("T")


class Axis(StrEnum):
    """What an axis of a tensor counts."""

    BATCH = "N"
    CHANNEL = "C"
    HEIGHT = "H"
    WIDTH = "W"
    PLACE = "P"  # in a tensor that is neither an image nor a vector; it may have several such axes


Axes = tuple[Axis, ...]
IMAGE: Final[Axes] = (Axis.BATCH, Axis.CHANNEL, Axis.HEIGHT, Axis.WIDTH)
VECTOR: Final[Axes] = (Axis.BATCH, Axis.CHANNEL)
MASK: Final[Axes] = (Axis.BATCH, Axis.HEIGHT, Axis.WIDTH)  # of indices of channels, one a place
_USUAL_AXES: Final = {len(axes) - 1: axes for axes in (IMAGE, VECTOR)}  # by the length of a shape; others count places


@dataclass(frozen=True, slots=True)
class Tensor:
    """An activation.

    Attributes:
        name: unique in the graph.
        shape: the sizes of ``axes`` but the batch: [C, H, W] or [C], or what a rearrangement makes of them.
        factor: the tensor carries ``factor`` times what the checkpoint computes there (1/6 of a hard-swish that is
            folded into the weights behind it leaves a 6). Where channels were equalized there is one factor a channel.
            Comparisons with float divide by it.
        axes: what the axes are, the batch first. Left out, three sizes are those of an image, one is a vector's, and
            as many others count places, as the rows of a detector's boxes do.
    """

    name: str
    shape: tuple[int, ...]
    factor: float | tuple[float, ...] = 1.0
    axes: Axes = ()

    def __post_init__(self) -> None:
        """Fill in the usual axes; they have to fit the shape."""
        axes = self.axes or _USUAL_AXES.get(len(self.shape)) or (Axis.BATCH, *(Axis.PLACE for _ in self.shape))
        assert len(axes) == len(self.shape) + 1, f"{self.name}: {self.shape} has not the axes {axes}"
        assert axes[0] is Axis.BATCH, f"{self.name}: the batch comes first"
        object.__setattr__(self, "axes", axes)

    @property
    def is_image(self) -> bool:
        """Whether it is [N, C, H, W]."""
        return self.axes == IMAGE

    @property
    def is_mask(self) -> bool:
        """Whether it is [N, H, W]: indices of channels, int32 wherever it is held."""
        return self.axes == MASK


@dataclass(frozen=True, slots=True)
class Lowered:
    """What a pass has written as several nodes.

    Attributes:
        name: of the node that stood there: a module of the checkpoint.
        op: its operator ("HardSwish").
    """

    name: str
    op: str


@dataclass(frozen=True, slots=True)
class Node:
    """One operator at work.

    Attributes:
        name: the module of the checkpoint it comes from, unique in the graph ("features.4.conv.0").
        op: what it does, with its attributes.
        inputs: names of tensors and constants, in the order of the operator's ``roles``.
        output: the name of the tensor it makes.
        activation: a clamp applied to the result, or None.
        lowered: of what it is a part, where a pass has put it in the place of another node; else None.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    output: str
    activation: Clamp | None = None
    lowered: Lowered | None = None

    def operand(self, role: str) -> str:
        """The name of the one tensor or constant that is read in this role ("weight")."""
        (name,) = self.operands(role)
        return name

    def read(self, *roles: str) -> tuple[str, ...]:
        """The names of what is read in each of these roles: ``weight, bias = node.read("weight", "bias")``."""
        return tuple(map(self.operand, roles))

    def operands(self, role: str) -> tuple[str, ...]:
        """The names of all that are read in this role; several only in the last, and only where it repeats."""
        roles = self.op.roles
        place = roles.index(role)
        is_last = place == len(roles) - 1
        return self.inputs[place:] if is_last and self.op.repeats else self.inputs[place : place + 1]


LOGITS: Final = "logits"  # the role, and the name, of what a classifier gives: [N, classes], before soft-max
VALUES: Final = "values"  # the role of an output of which no more is known than its numbers


@dataclass(frozen=True, slots=True)
class Output:
    """What a network gives: a tensor, and what callers know it by, in every file and report.

    Attributes:
        name: an identifier, unique among the outputs.
        tensor: the name of the tensor.
        role: what it means: ``LOGITS``, ``VALUES``, or what a task calls it.
    """

    name: str
    tensor: str
    role: str = VALUES

    @classmethod
    def logits(cls, tensor: str) -> Output:
        """The output of a classifier."""
        return cls(LOGITS, tensor, LOGITS)


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class ChannelStatistics:
    """How the results of a layer, before its activation, were distributed while the network was trained.

    Attributes:
        mean: of each channel, [C], float64.
        std: standard deviation of each channel, [C], float64.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def rescaled(self, gain: float | NDArray[Any], shift: float | NDArray[Any] = 0.0) -> ChannelStatistics:
        """The statistics of gain x + shift, of which each is one number, or one a channel."""
        return ChannelStatistics(self.mean * gain + shift, self.std * np.abs(gain))


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Graph:
    """A network with one image input; nodes are in topological order.

    Attributes:
        name: of the network ("mobilenet_v2_1.0_224").
        input: name of the input tensor.
        outputs: what it gives, in order; no two are the same tensor.
        nodes: in topological order.
        tensors: every activation by name, the input included.
        constants: weights, biases and other arrays by name: float32, or int8 and int32 in an integer model.
        statistics: of convolutions and linear layers by node name, where batch normalization has told them. They are
            those of what the node computes, so whoever multiplies or moves a bias does so with its statistics.
    """

    name: str
    input: str
    outputs: tuple[Output, ...]
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    constants: Mapping[str, NDArray[Any]] = field(repr=False)
    statistics: Mapping[str, ChannelStatistics] = field(default_factory=dict, repr=False)

    @property
    def output_tensors(self) -> tuple[str, ...]:
        """The names of the tensors that it gives, in order."""
        return tuple(output.tensor for output in self.outputs)

    @property
    def logits(self) -> Output | None:
        """The first output whose role that is; None of a network that is no classifier."""
        return next((output for output in self.outputs if output.role == LOGITS), None)

    def named(self, tensors: Mapping[str, T]) -> dict[str, T]:
        """What is known of the output tensors, by the outputs' names."""
        return {output.name: tensors[output.tensor] for output in self.outputs}

    def activations(self, node: Node) -> tuple[str, ...]:
        """The inputs of ``node`` that are activations, in order."""
        return tuple(name for name in node.inputs if name in self.tensors)

    def producer(self, tensor: str) -> Node | None:
        """The node that makes ``tensor``; None for the input."""
        return next((node for node in self.nodes if node.output == tensor), None)

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """The nodes that read ``tensor``."""
        return tuple(node for node in self.nodes if tensor in node.inputs)

    def shapes_read(self, node: Node) -> tuple[Shape, ...]:
        """The shapes of the activations that ``node`` reads, in order."""
        return tuple(self.tensors[name].shape for name in self.activations(node))

    @property
    def macs(self) -> int:
        """The multiplications by weights, each with its addition, for one image."""
        shapes = {name: tensor.shape for name, tensor in self.tensors.items()}
        shapes |= {name: array.shape for name, array in self.constants.items()}
        return sum(node.op.macs(*(shapes[name] for name in node.inputs)) for node in self)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def with_nodes(
        self,
        nodes: Sequence[Node],
        tensors: Mapping[str, Tensor] | None = None,
        constants: Mapping[str, NDArray[Any]] | None = None,
        outputs: tuple[Output, ...] | None = None,
        statistics: Mapping[str, ChannelStatistics] | None = None,
    ) -> Graph:
        """This graph with other nodes; what is given beside them is added, and what belongs to no node is dropped."""
        outputs = outputs or self.outputs
        all_tensors = {**self.tensors, **(tensors or {})}
        all_constants = {**self.constants, **(constants or {})}
        read = {name for node in nodes for name in node.inputs}
        made = {node.output for node in nodes} | {self.input}
        names = {node.name for node in nodes}
        return replace(
            self,
            outputs=outputs,
            nodes=tuple(nodes),
            tensors={name: tensor for name, tensor in all_tensors.items() if name in made},
            constants={name: array for name, array in all_constants.items() if name in read},
            statistics={k: v for k, v in {**self.statistics, **(statistics or {})}.items() if k in names},
        )


def check(graph: Graph) -> None:
    """Assert what every pass may rely on: names are unique, each input is made before it is read, arrays are finite."""
    known = {graph.input}
    names: set[str] = set()
    for node in graph:
        assert node.name not in names, f"two nodes are named {node.name!r}"
        names.add(node.name)
        roles = node.op.roles
        fits = len(node.inputs) >= len(roles) if node.op.repeats else len(node.inputs) == len(roles)
        assert fits, (
            f"{node.name}: {type(node.op).__name__} reads {', '.join(roles)}, and has {len(node.inputs)} inputs"
        )
        for name in node.inputs:
            assert name in known or name in graph.constants, f"{node.name}: {name!r} is read before it is made"
        assert node.output not in known, f"{node.name}: {node.output!r} is made twice"
        known.add(node.output)
    assert known == set(graph.tensors), f"tensors and nodes disagree: {sorted(known ^ set(graph.tensors))}"
    assert graph.outputs, "nothing is given"
    assert set(graph.output_tensors) <= known, f"an output is never made: {graph.outputs}"
    for which in (graph.output_tensors, [output.name for output in graph.outputs]):
        assert len(set(which)) == len(which), f"an output is given twice: {graph.outputs}"
    for name, array in graph.constants.items():
        assert np.isfinite(array).all(), f"{name} is not finite"
