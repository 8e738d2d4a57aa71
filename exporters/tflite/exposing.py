"""The same .tflite file with every activation for an output: a delegate shows nothing but its outputs.

XNNPACK takes operators over, and what passes between them stays inside. An output is written, by the same kernel.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.exporters.names import public_names
from edgekit.exporters.tflite import schema as tflite_schema
from edgekit.exporters.tflite.builder import inner_name
from edgekit.exporters.tflite.reader import items, opened, text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.ir import Graph

_ROOM_BYTES = 2**16  # for what a file grows by: four bytes a tensor


@dataclass(frozen=True, slots=True)
class Exposed:
    """A file in memory that shows what it makes.

    Attributes:
        content: the flatbuffer.
        tensors: the indices of its activations by name. Of two that share a name, an integer one is meant: at the
            boundary of an int8 file, the caller's reals may be called as the network's integers.
    """

    content: bytes
    tensors: Mapping[str, int]


def expose(path: Path) -> Exposed:
    """A .tflite file with every activation of its first subgraph among the outputs, behind those that it has.

    What operators make of constants alone, such as weights stored as halves, is no activation.

    Raises:
        ArtifactError: the file is missing or damaged.
        MissingDependency: ai-edge-litert is not installed.
    """
    schema = tflite_schema.load()
    with opened(path) as file:
        model, graph = file.model, file.graph
        reals = {schema.TensorType.FLOAT32, schema.TensorType.FLOAT16}
        known, made = {int(index) for index in graph.inputs}, []
        for operator in graph.operators:
            if known & {int(index) for index in items(operator.inputs)}:
                made += [int(index) for index in items(operator.outputs)]
                known.update(made)
        indices = sorted((*(int(index) for index in graph.inputs), *made), key=lambda i: _is(graph, i, reals))
        tensors: dict[str, int] = {}
        for index in indices:
            tensors.setdefault(text(graph.tensors[index].name), index)
        outputs = [int(index) for index in graph.outputs]
        shown, whole = copy.copy(graph), copy.copy(model)
        shown.outputs = [*outputs, *(index for index in made if index not in outputs)]
        whole.subgraphs = [shown, *model.subgraphs[1:]]
        builder = tflite_schema.flatbuffer_builder(len(file.data) + _ROOM_BYTES)
        builder.Finish(whole.Pack(builder), file_identifier=tflite_schema.FILE_IDENTIFIER)
        return Exposed(bytes(builder.Output()), tensors)


def activation_names(graph: Graph) -> dict[str, tuple[str, ...]]:
    """What each tensor of ``graph`` may be called in a file, by its name in the graph."""
    public = public_names(graph)
    called = public.values()
    return {
        name: tuple(dict.fromkeys((inner_name(name, called), name, *([public[name]] if name in public else []))))
        for name in graph.tensors
    }


def _is(graph: Any, index: int, types: set[int]) -> bool:  # noqa: ANN401 - generated classes
    return graph.tensors[index].type in types
