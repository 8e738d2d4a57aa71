"""Graph <-> plain JSON values. Constants are left out: they are arrays, and the caller stores them beside it."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from edgekit.ir import ops
from edgekit.ir.graph import Graph, Node, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def graph_to_dict(graph: Graph) -> dict[str, Any]:
    """JSON values of everything in ``graph`` but its constants."""
    return {
        "name": graph.name,
        "input": graph.input,
        "outputs": list(graph.outputs),
        "tensors": [{"name": t.name, "shape": list(t.shape), "factor": t.factor} for t in graph.tensors.values()],
        "nodes": [
            {
                "name": node.name,
                "op": _op_to_dict(node.op),
                "inputs": list(node.inputs),
                "output": node.output,
                "activation": None if node.activation is None else _op_to_dict(node.activation),
            }
            for node in graph
        ],
    }


def graph_from_dict(values: Mapping[str, Any], constants: Mapping[str, NDArray[Any]]) -> Graph:
    """The inverse of ``graph_to_dict``.

    Raises:
        KeyError, TypeError, AttributeError: the values do not describe a graph.
    """
    tensors = {t["name"]: Tensor(t["name"], tuple(t["shape"]), _factor(t["factor"])) for t in values["tensors"]}
    nodes = []
    for node in values["nodes"]:
        activation = None if node["activation"] is None else _op_from_dict(node["activation"])
        assert activation is None or isinstance(activation, ops.Clamp)
        nodes.append(Node(node["name"], _op_from_dict(node["op"]), tuple(node["inputs"]), node["output"], activation))
    return Graph(values["name"], values["input"], tuple(values["outputs"]), tuple(nodes), tensors, constants)


def _factor(value: float | list[float]) -> float | tuple[float, ...]:
    return tuple(value) if isinstance(value, list) else value


def _op_to_dict(op: ops.Op) -> dict[str, Any]:
    values = dataclasses.asdict(op)
    # JSON has no infinity, and ReLU's upper bound is one.
    infinite = {math.inf: "inf", -math.inf: "-inf"}
    return {"op": type(op).__name__} | {k: infinite.get(v, v) if isinstance(v, float) else v for k, v in values.items()}


def _op_from_dict(values: Mapping[str, Any]) -> ops.Op:
    attributes = {key: value for key, value in values.items() if key != "op"}
    if "padding" in attributes:
        attributes["padding"] = ops.Padding(**attributes["padding"])
    if "stride" in attributes:
        attributes["stride"] = tuple(attributes["stride"])
    attributes |= {key: float(value) for key, value in attributes.items() if value in {"inf", "-inf"}}
    op = getattr(ops, values["op"])(**attributes)
    assert isinstance(op, ops.Op)
    return op
