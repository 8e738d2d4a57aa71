"""Batch normalization -> the weights and biases of the layers around it, or a layer of its own.

Given   y = gamma (x - mean) / sqrt(variance + eps) + beta, that is g x + s
        with g = gamma / sqrt(variance + eps) and s = beta - g mean
Result  y = (g W) * u + (g b + s)          if x = W * u + b and nothing else reads x
Result  z = (W g) * x + (b + W * s)        if only layers read y, z = W * y + b, and none of them adds zeros to it
Result  y = depthwise 1x1(x; g, s)         otherwise, as behind a concatenation; of vectors a diagonal linear layer

Computed in float64: a dead channel has a variance near eps, and a float32 quotient would cost it digits.

What the normalization says of y before it goes is kept (``Graph.statistics``): in training, x had the mean and the
variance that it remembers, so y has mean beta and standard deviation |g| sqrt(variance). Where it remembers mean 0 and
variance 1 in every channel it has seen nothing, being untrained, or a scale and a shift that were written as one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edgekit.ir import BatchNorm, ChannelStatistics, Conv2d, Graph, Linear, TransposedConv2d
from edgekit.passes.matching import Pattern, has_one_reader

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from edgekit.ir import Node

_NORM, _TRANSPOSED = Pattern(BatchNorm), Pattern(TransposedConv2d)


def fold_batch_norm(graph: Graph) -> Graph:
    """Fold every BatchNorm into the layer that feeds it, or into those that read it, or make it a layer."""
    nodes: dict[str, Node] = {}  # by output
    places: dict[str, str] = {}  # what to read instead of what was folded into its readers
    constants: dict[str, NDArray[Any]] = dict(graph.constants)
    statistics: dict[str, ChannelStatistics] = {}
    for captured in graph:
        node = replace(captured, inputs=tuple(places.get(name, name) for name in captured.inputs))
        norm = _NORM.match(node)
        if norm is None:
            nodes[node.output] = node
            continue
        affine = _Affine.of(node, norm, constants)
        layer = nodes.get(node.operand("x"))
        if layer is not None and layer.op.has_weights and has_one_reader(graph, captured.operand("x")):
            affine.fold_into(layer, constants)
            del nodes[layer.output]
            layer = nodes[node.output] = replace(layer, output=node.output)
        elif _is_read_by_layers(graph, node, moves=bool(affine.shift.any())):
            for reader in graph.consumers(node.output):
                affine.fold_behind(reader, constants)
            places[node.output] = node.operand("x")
            continue
        else:
            layer = nodes[node.output] = _as_layer(graph, node, affine, constants)
        if affine.known is not None:
            statistics[layer.name] = affine.known
        elif layer.name in statistics:
            statistics[layer.name] = statistics[layer.name].rescaled(affine.gain, affine.shift)
    return graph.with_nodes(tuple(nodes.values()), constants=constants, statistics=statistics)


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class _Affine:
    """gain (x - mean) + beta, one number of each a channel, and what is known of the result."""

    gain: NDArray[np.float64]
    mean: NDArray[np.float64]
    beta: NDArray[np.float64]
    known: ChannelStatistics | None

    @staticmethod
    def of(node: Node, norm: BatchNorm, constants: dict[str, NDArray[Any]]) -> _Affine:
        """What a batch normalization computes."""
        gamma, beta, mean, variance = (
            constants[node.operand(role)].astype(np.float64) for role in ("gamma", "beta", "mean", "variance")
        )
        gain = gamma / np.sqrt(variance + norm.eps)
        has_seen = mean.any() or (variance != 1).any()
        known = ChannelStatistics(beta, np.abs(gain) * np.sqrt(variance)) if has_seen else None
        return _Affine(gain, mean, beta, known)

    @property
    def shift(self) -> NDArray[np.float64]:
        """What 0 becomes."""
        return self.beta - self.gain * self.mean

    def fold_into(self, layer: Node, constants: dict[str, NDArray[Any]]) -> None:
        """Let ``layer`` compute this of its results."""
        weight, bias = layer.read("weight", "bias")
        kernel, shift = (constants[name].astype(np.float64) for name in (weight, bias))
        constants[weight] = (kernel * self.gain.reshape(-1, *(1,) * (kernel.ndim - 1))).astype(np.float32)
        constants[bias] = (self.gain * (shift - self.mean) + self.beta).astype(np.float32)

    def fold_behind(self, layer: Node, constants: dict[str, NDArray[Any]]) -> None:
        """Let ``layer`` compute this of what it reads."""
        weight, bias = layer.read("weight", "bias")
        kernel, shift = (constants[name].astype(np.float64) for name in (weight, bias))
        spatial = (1,) * (kernel.ndim - 2)
        read = layer.op.channels_read(kernel.shape).reshape(*kernel.shape[:2], *spatial)
        moved = (kernel * self.shift[read]).reshape(len(kernel), -1).sum(1)
        constants[weight] = (kernel * self.gain[read]).astype(np.float32)
        constants[bias] = (shift + moved).astype(np.float32)


def _is_read_by_layers(graph: Graph, node: Node, *, moves: bool) -> bool:
    """Whether layers alone read the result of ``node``, to which they add no zeros if it ``moves`` what it reads."""
    readers = graph.consumers(node.output)
    return (
        node.output not in graph.output_tensors
        and bool(readers)
        and all(reader.op.has_weights and not (moves and _reads_zeros(reader)) for reader in readers)
    )


def _reads_zeros(layer: Node) -> bool:
    """Whether a layer adds zeros to what it reads, at the border or between its numbers."""
    window = layer.op.window
    return _TRANSPOSED.match(layer) is not None or (window is not None and bool(window.padding))


def _as_layer(graph: Graph, node: Node, affine: _Affine, constants: dict[str, NDArray[Any]]) -> Node:
    """A layer that computes what ``node`` does."""
    weight, bias = node.read("gamma", "beta")
    channels, is_image = len(affine.gain), graph.tensors[node.output].is_image
    kernel = affine.gain.reshape(-1, 1, 1, 1) if is_image else np.diag(affine.gain)
    constants |= {weight: kernel.astype(np.float32), bias: affine.shift.astype(np.float32)}
    op = Conv2d(groups=channels) if is_image else Linear()
    return replace(node, op=op, inputs=(node.operand("x"), weight, bias))
