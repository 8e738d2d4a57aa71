"""Layers that are kept in float or have 16-bit activations, and the borders around them.

What has no integer form and stands behind the last layer, as a soft-max of a feature map does, is kept in float by
itself, with all that follows from it: it changes no integer.

Keeping a layer in float means that it computes what the checkpoint does, in float32, on the reals that its integer
inputs stand for. Giving it 16-bit activations means that it reads and makes tensors of 16 bits; its weights stay int8.
Neighbours of a kind share one region: only at its border stand a Dequantize, Quantize or Requantize for what it reads,
and another for what others read of it.

The outputs of a network are what the layers make that compute them, but for 16 bits, which are dequantized. Its input
is always int8, because it is the picture.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from edgekit.errors import ConfigError, UnsupportedOperator, did_you_mean
from edgekit.ir import Dequantize, Graph, Lowered, Node, Quantize, Requantize
from edgekit.ir.operators.operator import Scales

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from edgekit.ir import Op, Tensor


class Kind(StrEnum):
    """What the activations of a layer are."""

    INT8 = "int8"
    INT16 = "int16"
    FLOAT = "float32"


def select_kinds(graph: Graph, keep_float: Collection[str], int16: Collection[str]) -> dict[str, Kind]:
    """The kind of every node, by name, from the names of layers as in ``select_layers``.

    Raises:
        ConfigError: there is no such layer, or it is named for both.
        UnsupportedOperator: a layer has no integer form, and is neither at the end nor named.
    """
    kept, wide = select_layers(graph, keep_float), select_layers(graph, int16)
    if both := sorted(kept & wide):
        raise ConfigError(f"layer {both[0]!r} is to stay in float and to have 16-bit activations: choose one of them")
    kinds = dict.fromkeys((node.name for node in graph), Kind.INT8) | dict.fromkeys(kept, Kind.FLOAT)
    return kinds | dict.fromkeys(wide, Kind.INT16) | dict.fromkeys(_float_tails(graph, kept), Kind.FLOAT)


def _float_tails(graph: Graph, kept: Collection[str]) -> Iterator[str]:
    """Nodes that have no integer form, and all that follows from them, if there is no layer with weights among that.

    Raises:
        UnsupportedOperator: there is one, and the first is not among ``kept``.
    """
    for node in graph:
        if node.op.scales is not Scales.NONE or node.name in kept:
            continue
        following = [*_following(graph, node)]
        layer = next((other for other in following if other.op.has_weights), None)
        if layer is not None:
            raise UnsupportedOperator(
                f"layer {node.name!r} ({type(node.op).__name__}) has no integer form, and layer {layer.name!r} comes "
                f"after it: --keep-float {node.name} computes it in float, and integers behind it are near, not "
                f"identical; or let the network end before it"
            )
        yield from (node.name, *(other.name for other in following))


def _following(graph: Graph, node: Node) -> Iterator[Node]:
    """The nodes that read what follows from ``node``, in order."""
    made = {node.output}
    for other in graph:
        if made.intersection(other.inputs):
            made.add(other.output)
            yield other


def more_precise(graph: Graph, kinds: Mapping[str, Kind]) -> dict[str, list[str]]:
    """The layers that are no int8, as a provenance names them; nothing where all are.

    Args:
        graph: the network.
        kinds: of its layers, by name, as ``select_kinds`` gives them; others may be between them by now.
    """
    named = {kind: [node.name for node in graph if kinds.get(node.name) is kind] for kind in Kind}
    without = [node.name for node in graph if node.op.scales is Scales.NONE and not node.op.border]
    notes = {"kept_float": named[Kind.FLOAT], "no_integer_form": without, "int16": named[Kind.INT16]}
    return {key: names for key, names in notes.items() if names}


def select_layers(graph: Graph, wanted: Collection[str]) -> frozenset[str]:
    """The names of the nodes that are meant.

    Args:
        graph: the network.
        wanted: names of nodes, or what such names begin with: "features.4" for "features.4.conv.0" and all others of
            that block.

    Raises:
        ConfigError: there is no such layer.
    """
    selected: set[str] = set()
    for name in wanted:
        found = {node.name for node in graph if node.name == name or node.name.startswith(f"{name}.")}
        if not found:
            raise ConfigError(f"{graph.name} has no layer {name!r}: {did_you_mean(name, _choices(graph, name))}")
        selected |= found
    return frozenset(selected)


def with_borders(graph: Graph, kinds: Mapping[str, Kind]) -> tuple[Graph, dict[str, Kind]]:
    """``graph`` with a border wherever layers of two kinds meet, and the kind of every tensor of it, by name.

    Every tensor keeps its name; what a border makes of it has its kind for an ending: ``features.0.float32``.

    Args:
        graph: without borders.
        kinds: of every node, by name.
    """
    made = {graph.input: Kind.INT8} | {node.output: kinds[node.name] for node in graph}
    tensors: dict[str, Tensor] = {}
    nodes: list[Node] = []

    def converted(tensor: str, kind: Kind) -> str:
        """The name of ``tensor`` as a layer of ``kind`` reads it."""
        return tensor if made[tensor] is kind else f"{tensor}.{kind}"

    def add_borders(tensor: str, maker: Node | None) -> None:
        made_by = None if maker is None else maker.lowered or Lowered(maker.name, type(maker.op).__name__)
        wanted = {kinds[reader.name] for reader in graph.consumers(tensor)}
        if tensor in graph.output_tensors and made[tensor] is Kind.INT16:
            wanted.add(Kind.FLOAT)
        for kind in sorted(wanted - {made[tensor]}):
            name = converted(tensor, kind)
            tensors[name] = replace(graph.tensors[tensor], name=name)
            nodes.append(Node(name, _border(made[tensor], kind), (tensor,), name, lowered=made_by))

    add_borders(graph.input, None)
    for node in graph:
        inputs = (converted(name, kinds[node.name]) if name in graph.tensors else name for name in node.inputs)
        nodes.append(replace(node, inputs=tuple(inputs)))
        add_borders(node.output, node)
    outputs = tuple(
        replace(output, tensor=converted(output.tensor, Kind.FLOAT)) if made[output.tensor] is Kind.INT16 else output
        for output in graph.outputs
    )
    bordered = graph.with_nodes(nodes, tensors, outputs=outputs)
    return bordered, made | {name: Kind(name.rpartition(".")[2]) for name in tensors}


def _border(made: Kind, wanted: Kind) -> Op:
    if wanted is Kind.FLOAT:
        return Dequantize()
    return Quantize() if made is Kind.FLOAT else Requantize()


def _choices(graph: Graph, wrong: str) -> list[str]:
    """Names to suggest for a wrong one: layers and groups of them, no more deeply nested than it."""
    depth = wrong.count(".") + 1
    return sorted({".".join(node.name.split(".")[:depth]) for node in graph})
