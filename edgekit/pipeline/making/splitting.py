"""An integer model with exits -> the integer models of its stages, one an exit, which together compute the same.

Each stage takes the map that crosses the cut before it, and gives the exit's logits and the map that crosses the next.
Nothing is rounded at a cut, for what crosses it are the integers themselves. So that all that edgekit can do with a
network it can do with a stage, a map is taken for a picture of as many channels: its "pixel" is the integer plus 128.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from edgekit.device.chain import MAP
from edgekit.errors import ConfigError, UnsupportedOperator
from edgekit.ir.graph import Output, check
from edgekit.models.head_tasks import EXITS
from edgekit.preprocessing import Normalization, Preprocessing
from edgekit.quantization import INT8_MIN
from edgekit.tasks.registry import heads_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph, Node

STAGE: Final = "stage"  # the entry of a provenance that says of which network a file is a stage, and which one
_OF_WHOLE: Final = ("architecture", EXITS)  # entries that are of the whole network


def cut(model: IntegerModel) -> tuple[IntegerModel, ...]:
    """The stages of a network with exits, in order; the outputs of all but the last are the exit's logits and ``MAP``.

    Raises:
        ConfigError: the network has no exits.
        UnsupportedOperator: more than one map crosses a cut, or one that is kept in float.
    """
    names = [output.name for output in model.graph.outputs]
    exits = [head["name"] for head in heads_of(model.provenance) if head["task"] == EXITS]
    if len(names) < 2 or names != exits:
        raise ConfigError(f"{model.graph.name} has no early exits, so there is nothing to cut: train it with --exits")
    parts = _parts(model.graph)
    stages: list[IntegerModel] = []
    entered = model.graph.input
    for number, (output, nodes) in enumerate(zip(model.graph.outputs, parts, strict=True), 1):
        later = [node for part in parts[number:] for node in part]
        outputs = [output]
        if later:
            crossing = _crossing(model, nodes, later, output.name)
            outputs.append(Output(MAP, crossing))
        graph = _graph(model.graph, f"{model.graph.name}_stage{number}", entered, nodes, outputs)
        stages.append(_stage(model, graph, {"network": model.graph.name, "number": number, "of": len(parts)}))
        entered = outputs[-1].tensor
    return tuple(stages)


def _parts(graph: Graph) -> list[list[Node]]:
    """What each exit needs that none before it does, in the graph's order."""
    makers = {node.output: node for node in graph}
    parts: list[list[Node]] = []
    taken = set[str]()
    for output in graph.outputs:
        needed, wanted = set[str](), [output.tensor]
        while wanted:
            maker = makers.get(wanted.pop())
            if maker is not None and maker.name not in taken | needed:
                needed.add(maker.name)
                wanted += graph.activations(maker)
        parts.append([node for node in graph if node.name in needed])
        taken |= needed
    return parts


def _crossing(model: IntegerModel, nodes: Sequence[Node], later: Sequence[Node], exit_name: str) -> str:
    """The one tensor of a stage that later ones read."""
    made = {node.output for node in nodes}
    read = {name for node in later for name in node.inputs if name in model.graph.tensors}
    own = {node.output for node in later}
    crossing = sorted(read - own)
    if len(crossing) != 1 or crossing[0] not in made:
        raise UnsupportedOperator(
            f"{model.graph.name} cannot be cut at {exit_name}: {len(crossing)} maps go on from there, and a stage "
            f"takes one"
        )
    if model.width(crossing[0]) != 8:
        raise UnsupportedOperator(
            f"{model.graph.name} cannot be cut at {exit_name}: {crossing[0]} is no map of int8; leave its layer out of "
            f"--keep-float and --int16-activations"
        )
    return crossing[0]


def _graph(whole: Graph, name: str, entered: str, nodes: Sequence[Node], outputs: Iterable[Output]) -> Graph:
    named = replace(whole, name=name, input=entered)
    graph = named.with_nodes(nodes, outputs=tuple(outputs))
    check(graph)
    return graph


def _stage(model: IntegerModel, graph: Graph, about: Mapping[str, Any]) -> IntegerModel:
    """The integers of ``model`` that ``graph`` needs."""
    provenance = {key: value for key, value in model.provenance.items() if key not in _OF_WHOLE} | {STAGE: dict(about)}
    known = {*graph.tensors, *graph.constants}
    part = replace(
        model,
        graph=graph,
        params={name: params for name, params in model.params.items() if name in known},
        ratios={node.name: model.ratios[node.name] for node in graph if node.name in model.ratios},
        provenance=provenance,
    )
    if graph.input == model.graph.input:
        return part
    channels, height, width = graph.tensors[graph.input].shape
    taken = model.params[graph.input]
    scale, zero = float(taken.scale[0]), taken.zero_point - INT8_MIN  # the "pixel" that stands for 0
    picture = Preprocessing((height, width), None, (zero / 255,) * channels, (1 / (255 * scale),) * channels)
    normalization = Normalization((float(zero),) * channels, (1 / scale,) * channels)
    return replace(part, preprocessing=picture, normalization=normalization, pixel_input=True)
