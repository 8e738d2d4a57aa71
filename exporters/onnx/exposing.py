"""The same .onnx file with every activation for an output, so that runtimes still fuse what they fuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import ModelProto, TensorProto, helper

from edgekit.exporters.names import public_names
from edgekit.exporters.onnx.reader import CLAMPS, CONVERSIONS, FLOATS, Census, load

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import NodeProto

    from edgekit.ir import Graph


def expose(path: Path) -> ModelProto:
    """An .onnx file with every activation among its outputs, behind those that it has.

    Of an integer layer that is what QuantizeLinear makes: the reals around it are in no fused kernel. Of a float layer
    with a fused clamp it is what the clamp makes.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    model = load(path)
    census = Census(model)
    exposed = ModelProto()
    exposed.CopyFrom(model)
    there = {value.name for value in model.graph.output}
    for name in (node.output[0] for node in model.graph.node if _makes_activation(node, census)):
        if name not in there:
            exposed.graph.output.append(helper.make_tensor_value_info(name, census.types[name], None))
    return exposed


def activation_names(graph: Graph) -> dict[str, tuple[str, ...]]:
    """What each tensor of ``graph`` may be called in a file, by its name in the graph.

    Stored integers come first, and at last what would be their reals if they were not quantized.
    """
    public = public_names(graph)
    return {
        name: (f"{name}.quantized", *((public[name],) if name in public else ()), f"{name}.inner", name, f"{name}.real")
        for name in graph.tensors
    }


def _makes_activation(node: NodeProto, census: Census) -> bool:
    if node.output[0] in census.folded:
        return False
    dtype = census.types.get(node.output[0], TensorProto.UNDEFINED)
    if census.is_boundary(node) and node.op_type not in CONVERSIONS:
        return False
    if dtype not in FLOATS:
        return dtype != TensorProto.UNDEFINED and node.op_type != "Constant"
    readers = census.readers.get(node.output[0], [])
    is_clamped = len(readers) == 1 and readers[0].op_type in CLAMPS
    return node.op_type not in {*CONVERSIONS, "Constant"} and census.is_float(node) and not is_clamped
