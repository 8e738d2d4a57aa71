"""Graphs to rewrite, and an evaluation that shares nothing with the project's executors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgekit.capture.builder import GraphBuilder
from edgekit.ir import (
    Add,
    AveragePool2d,
    BatchNorm,
    Clamp,
    Concat,
    Conv2d,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Linear,
    Mean,
    Mul,
    Pad,
    Padding,
    PReLU,
    Rearrange,
    Slice,
    TransposedConv2d,
)
from edgekit.ir.graph import check

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph, Node

    Values = dict[str, torch.Tensor]

SHAPE = (4, 6, 6)  # [C, H, W] of the graphs here
NO_PADDING = Padding()


class CapturedSketch(GraphBuilder):
    """A graph as capture makes it, before any pass, with random weights of all signs."""

    def __init__(self) -> None:
        super().__init__("x", SHAPE)
        self._random = np.random.default_rng(0)

    def values(self, *shape: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        return self._random.normal(size=shape)

    def conv(
        self, name: str, x: str, out: int = 4, kernel: int = 1, padding: Padding = NO_PADDING, groups: int = 1
    ) -> str:
        weight = self.values(out, self.shape(x)[0] // groups, kernel, kernel)
        return self.conv2d(
            name, x, weight, self.values(out), stride=(1, 1), padding=padding, dilation=(1, 1), groups=groups
        )

    def dense(self, name: str, x: str, out: int = 3) -> str:
        return self.linear(name, x, self.values(out, self.shape(x)[0]), self.values(out))

    def norm(self, name: str, x: str) -> str:
        channels = self.shape(x)[0]
        return self.batch_norm(
            name,
            x,
            weight=self.values(channels),
            bias=self.values(channels),
            running_mean=self.values(channels),
            running_var=np.abs(self.values(channels)),
            eps=1e-3,
        )

    def times(self, name: str, x: str, scale: float) -> str:
        return self.affine(name, x, np.array([scale]), np.zeros(1))

    def plus(self, name: str, x: str, shift: float) -> str:
        return self.affine(name, x, np.ones(1), np.array([shift]))

    def ending_in(self, output: str) -> Graph:
        """A classifier that ends with a tensor."""
        return self.finish("toy", {"logits": output})

    def end(self, x: str) -> Graph:
        """The graph, with a mean, a flatten and a linear layer after ``x``."""
        return self.ending_in(self.dense("classifier", self.mean("pool", x)))


@pytest.fixture
def sketch() -> CapturedSketch:
    return CapturedSketch()


def _apply(node: Node, a: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:  # noqa: C901 - one case an operator
    match node.op:
        case Conv2d(stride=stride, padding=p, groups=groups, dilation=dilation):
            a = functional.pad(a, (p.left, p.right, p.top, p.bottom))
            return functional.conv2d(a, rest[0], rest[1], stride, dilation=dilation, groups=groups)
        case TransposedConv2d(stride=stride, padding=p, more=more, groups=groups):
            made, of_group, *kernel = rest[0].shape
            weight = rest[0].reshape(groups, made // groups, of_group, *kernel).transpose(1, 2)
            weight = weight.reshape(-1, made // groups, *kernel)
            a = functional.conv_transpose2d(a, weight, rest[1], stride, 0, more, groups)
            return a[:, :, p.top : a.shape[2] - p.bottom, p.left : a.shape[3] - p.right]
        case Linear():
            return a @ rest[0].T + rest[1]
        case BatchNorm(eps=eps):
            gamma, beta, mean, variance = (values.reshape(-1, *(1,) * (a.ndim - 2)) for values in rest)
            return gamma * (a - mean) / (variance + eps).sqrt() + beta
        case Clamp(low=low, high=high):
            return a.clamp(low, high)
        case AveragePool2d(kernel=kernel, stride=stride, padding=p):
            return functional.avg_pool2d(functional.pad(a, (p.left, p.right, p.top, p.bottom)), kernel, stride)
        case LeakyReLU(slope=slope):
            return functional.leaky_relu(a, slope)
        case PReLU():
            return functional.prelu(a, rest[0])
        case HardSwish():
            return a * (a + 3).clamp(0, 6) / 6
        case HardSigmoid():
            return (a + 3).clamp(0, 6) / 6
        case Concat(axis=axis):
            return torch.cat((a, *rest), 1 + axis)
        case Slice():
            return a[node.op.indices]
        case Add():
            return a + rest[0]
        case Mul():
            return a * rest[0]
        case Mean(keep_dims=keep):
            return a.mean((2, 3), keepdim=keep)
        case Pad(padding=p):
            return functional.pad(a, (p.left, p.right, p.top, p.bottom))
        case Rearrange(split=split, order=order, shape=shape):
            return a.reshape(-1, *split).permute(0, *(1 + axis for axis in order)).reshape(-1, *shape)
    raise AssertionError(node.op)


def _evaluate(graph: Graph, x: torch.Tensor) -> Values:
    """The value of every tensor of any graph, captured or canonical, in float64."""
    values = {graph.input: x.double()}
    constants = {name: torch.from_numpy(array).double() for name, array in graph.constants.items()}
    for node in graph:
        value = _apply(node, *(values[name] if name in values else constants[name] for name in node.inputs))
        if node.activation is not None:
            value = value.clamp(node.activation.low, node.activation.high)
        assert tuple(value.shape[1:]) == graph.tensors[node.output].shape, node
        values[node.output] = value
    return values


@pytest.fixture
def evaluate() -> Callable[[Graph, torch.Tensor], Values]:
    return _evaluate


@pytest.fixture
def unchanged() -> Callable[..., None]:
    """Asserts that two graphs compute the same outputs, and tensors of one name the same but for their factor."""

    def assert_unchanged(before: Graph, after: Graph, rtol: float = 1e-5) -> None:
        check(after)
        torch.manual_seed(0)
        x = 3 * torch.randn(2, *before.tensors[before.input].shape)
        expected, found = _evaluate(before, x), _evaluate(after, x)
        assert len(before.outputs) == len(after.outputs)
        for old, new in zip(before.output_tensors, after.output_tensors, strict=True):
            torch.testing.assert_close(found[new], expected[old], rtol=rtol, atol=1e-5)
        for name in after.tensors.keys() & before.tensors.keys():
            one, other = (torch.as_tensor(graph.tensors[name].factor).double() for graph in (before, after))
            torch.testing.assert_close(found[name] / other, expected[name] / one, rtol=rtol, atol=1e-5)

    return assert_unchanged


@pytest.fixture
def kinds() -> Callable[[Graph], list[str]]:
    """The operators of a graph by name, in order."""
    return lambda graph: [type(node.op).__name__ for node in graph]
