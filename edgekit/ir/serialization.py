"""Graph <-> plain JSON values. Constants are left out: they are arrays, and the caller stores them beside it."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from edgekit.errors import UnsupportedOperator
from edgekit.ir.graph import Axis, Graph, Lowered, Node, Output, Tensor
from edgekit.ir.operators.clamp import Clamp
from edgekit.ir.operators.operator import Op, operators

if TYPE_CHECKING:
    from numpy.typing import NDArray


def graph_to_dict(graph: Graph) -> dict[str, Any]:
    """JSON values of everything in ``graph`` but its constants."""
    return {
        "name": graph.name,
        "input": graph.input,
        "outputs": [dataclasses.asdict(output) for output in graph.outputs],
        "tensors": [
            {"name": t.name, "axes": "".join(t.axes), "shape": list(t.shape), "factor": t.factor}
            for t in graph.tensors.values()
        ],
        "nodes": [
            {
                "name": node.name,
                "op": op_to_dict(node.op),
                "inputs": list(node.inputs),
                "output": node.output,
                "activation": None if node.activation is None else op_to_dict(node.activation),
                **({} if node.lowered is None else {"lowered": dataclasses.asdict(node.lowered)}),
            }
            for node in graph
        ],
    }


def graph_from_dict(values: Mapping[str, Any], constants: Mapping[str, NDArray[Any]]) -> Graph:
    """The inverse of ``graph_to_dict``.

    Raises:
        UnsupportedOperator: they name an operator that there is not.
        KeyError, TypeError, ValueError: they do not describe a graph.
    """
    tensors = {t["name"]: _tensor(t) for t in values["tensors"]}
    outputs = tuple(Output(**output) for output in values["outputs"])
    nodes = []
    for node in values["nodes"]:
        activation = None if node["activation"] is None else _clamp_from_dict(node["activation"])
        op, lowered = _op_from_dict(node["op"]), Lowered(**node["lowered"]) if "lowered" in node else None
        nodes.append(Node(node["name"], op, tuple(node["inputs"]), node["output"], activation, lowered))
    return Graph(values["name"], values["input"], outputs, tuple(nodes), tensors, constants)


def _tensor(values: Mapping[str, Any]) -> Tensor:
    return Tensor(values["name"], tuple(values["shape"]), _factor(values["factor"]), tuple(map(Axis, values["axes"])))


def _factor(value: float | list[float]) -> float | tuple[float, ...]:
    return tuple(value) if isinstance(value, list) else value


def op_to_dict(op: Op) -> dict[str, Any]:
    """JSON values of an operator."""
    return {"op": type(op).__name__} | {key: _to_json(value) for key, value in dataclasses.asdict(op).items()}


def _op_from_dict(values: Mapping[str, Any]) -> Op:
    name = str(values["op"])
    if name not in operators():
        raise UnsupportedOperator(f"there is no operator {name}")
    op: Op = _from_json(operators()[name], _attributes(values))
    return op


def _clamp_from_dict(values: Mapping[str, Any]) -> Clamp:
    assert values["op"] == Clamp.__name__, "only clamps are fused"
    clamp: Clamp = _from_json(Clamp, _attributes(values))
    return clamp


def _attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "op"}


# --- attributes of operators, each by the type that its field declares ------------------------------------------------

_INFINITE = {math.inf: "inf", -math.inf: "-inf"}  # JSON has no infinity, and ReLU's upper bound is one


def _to_json(value: Any) -> Any:  # noqa: ANN401 - any attribute
    if isinstance(value, dict):
        return {key: _to_json(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return [_to_json(entry) for entry in value]
    return _INFINITE.get(value, value) if isinstance(value, float) else value


def _from_json(declared: Any, value: Any) -> Any:  # noqa: ANN401 - likewise
    """``value`` as the type ``declared``: a number, a word, a tuple of such, a dataclass of such, or nothing.

    Raises:
        TypeError: it is none, or there are attributes that the dataclass does not have.
    """
    if isinstance(declared, type) and dataclasses.is_dataclass(declared) and isinstance(value, Mapping):
        fields = _fields(declared)
        return declared(**{key: _from_json(fields.get(key), entry) for key, entry in value.items()})
    if get_origin(declared) is UnionType:
        (kind,) = set(get_args(declared)) - {NoneType}  # operators have no other unions
        return None if value is None else _from_json(kind, value)
    if get_origin(declared) is tuple and isinstance(value, list):
        kinds = get_args(declared)
        kinds = kinds[:1] * len(value) if kinds[-1] is ... else kinds
        return tuple(_from_json(of, entry) for of, entry in zip(kinds, value, strict=True))
    if declared is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        return float(value)
    if isinstance(declared, type) and type(value) is declared:
        return value
    raise TypeError(f"{value!r} is no {declared}")


@functools.cache
def _fields(kind: type) -> dict[str, Any]:
    """The declared types of a dataclass's fields, by name."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
