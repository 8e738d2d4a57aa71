"""Everything that a TorchScript file says, operator by operator.

``forward`` is read as torch has loaded it, which runs nothing of it but the packing of weights; its variables are named
after the layers. What the lite interpreter of phones reads is a second program in the file, and compared as bytes.
"""

# ruff: noqa: SLF001 - torch._C is where torch keeps its bindings, and graphs have no public face

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from edgekit.device import torchscript
from edgekit.exporters.contents import (
    OPERATOR,
    Contents,
    Operator,
    flat,
    head_option,
    io_dtype_of,
    metadata_facts,
    unique_names,
)
from edgekit.exporters.torch import script
from edgekit.exporters.torch.reading import Loaded, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.exporters.contents import Value

# What torch's schemas and edgekit's methods call what they read, in the words of the other formats.
_ROLES: Final = {
    "output_scale": "scale",
    "output_zero_point": "zero point",
    "packed_weight": "weight",
    "qa": "first",
    "qb": "second",
    "qx": "input",
    "self": "input",
    "x": "input",
    "X": "input",
    "W_prepack": "weight",
    "Y_scale_i": "scale",
    "Y_zero_point_i": "zero point",
    "zero_point": "zero point",
}


def read_contents(path: Path) -> Contents:
    """Everything that a file says.

    Raises:
        ArtifactError: the file is missing, damaged, or not what edgekit writes.
    """
    loaded = load(path, engine=script.packing_engine())
    reader = _Forward(loaded)
    io_dtype = io_dtype_of(loaded.texts.input.dtype)
    options: dict[str, Any] = {"engine": loaded.texts.engine} if loaded.texts.engine else {}
    facts = dict(_facts(path, reader))
    return Contents(tuple(reader.operators()), facts, io_dtype, options | head_option(facts))


def _facts(path: Path, reader: _Forward) -> Iterator[tuple[str, Value]]:
    yield from reader.facts()
    texts = torchscript.read(path, (torchscript.METADATA, torchscript.PROGRAM, torchscript.BYTECODE))
    yield from flat("program", json.loads(texts[torchscript.PROGRAM]))
    yield from metadata_facts(texts[torchscript.METADATA].decode()).items()
    if torchscript.BYTECODE in texts:
        yield "bytecode", np.frombuffer(texts[torchscript.BYTECODE], np.uint8)


class _Forward:
    """The graph of ``forward``, walked once: variables named, constants and attributes in the place of their values."""

    def __init__(self, loaded: Loaded) -> None:
        self._module: Any = loaded.module
        self._graph: Any = loaded.module.graph
        self._nodes: list[Any] = []  # those that compute
        self._values: dict[str, Value] = {}  # constants by torch's own name of each
        self._attributes: dict[str, Any] = {}  # tensors and packed weights, likewise
        self._constants: dict[str, str] = {}  # what the file calls these, likewise
        self._methods: dict[str, Any] = {}
        for node in self._graph.nodes():
            self._add(node)
        self._names = self._named()

    def _add(self, node: Any) -> None:  # noqa: ANN401 - a node of torch._C
        match node.kind():
            case "prim::Constant":
                value = node.output().toIValue()
                self._values[_id(node.output())] = value if isinstance(value, str | int | float) else None
            case "prim::GetAttr":
                self._attributes[_id(node.output())] = getattr(self._module, node.s("name"))
                self._constants[_id(node.output())] = node.s("name")
            case "prim::ListConstruct" | "prim::TupleConstruct":
                self._values[_id(node.output())] = tuple(self._values.get(_id(value)) for value in node.inputs())
            case kind:
                if kind == "prim::CallMethod":
                    self._methods[node.s("name")] = self._module._c._get_method(node.s("name"))
                self._nodes.append(node)

    def _named(self) -> dict[str, str]:
        """What each value that an operator makes is called.

        A variable has its own name; what stands inside of an expression that of the variable to come, or, in the last
        expression, that of what it reads.
        """
        names = {_id(value): _variable(value) for value in self._graph.inputs()}
        unnamed: list[Any] = []
        for node in self._nodes:
            unnamed.append(node)
            if not _variable(node.output()).isdecimal():
                stem = _variable(node.output())
                inner = (f"{stem}.{_tail(before)}" for before in unnamed[:-1])
                names |= {_id(n.output()): name for n, name in zip(unnamed, [*inner, stem], strict=True)}
                unnamed.clear()
        for node in unnamed:
            read = next((names[_id(value)] for value in node.inputs() if _id(value) in names), "")
            names[_id(node.output())] = f"{read}.{_tail(node)}"
        return dict(zip(names, unique_names(names.values()), strict=True))

    def operators(self) -> Iterator[Operator]:
        for node in self._nodes:
            read = (_id(value) for value in node.inputs())
            constants = tuple(self._constants[value] for value in read if value in self._constants)
            yield Operator(self._names[_id(node.output())], dict(self._fields(node)), constants)

    def facts(self) -> Iterator[tuple[str, Value]]:
        for role in ("inputs", "outputs"):
            values = list(getattr(self._graph, role)())
            yield role, tuple(f"{self._names.get(_id(value), '?')}: {value.type()}" for value in values)
        for name in sorted(self._module._c._method_names()):
            if name != "forward":
                yield f"method {name}", self._module._c._get_method(name).code

    def _fields(self, node: Any) -> Iterator[tuple[str, Value]]:  # noqa: ANN401 - a node of torch._C
        if node.kind() == "prim::CallMethod":
            yield OPERATOR, node.s("name")
            schema = self._methods[node.s("name")].schema
        else:
            yield OPERATOR, node.kind()
            schema = torch._C.parse_schema(node.schema()) if "(" in node.schema() else None
        for position, value in enumerate(node.inputs()):
            name = schema.arguments[position].name if schema is not None else f"input {position}"
            if node.kind() == "prim::CallMethod" and name == "self":
                continue
            yield from self._input(_ROLES.get(name, name.replace("_", " ")), value)
        if any(True for _ in node.blocks()):
            yield "body", str(node)

    def _input(self, role: str, value: Any) -> Iterator[tuple[str, Value]]:  # noqa: ANN401 - a value of torch._C
        if _id(value) in self._names:
            yield role, self._names[_id(value)]
        elif _id(value) in self._attributes:
            yield from _attribute(role, self._attributes[_id(value)])
        else:
            yield role, self._values.get(_id(value))


def _attribute(role: str, stored: Any) -> Iterator[tuple[str, Value]]:  # noqa: ANN401 - whatever a module holds
    """What a module stores: a tensor, or the packed weights of a convolution or linear layer."""
    if isinstance(stored, torch.Tensor):
        yield from _tensor(role, stored)
        return
    ops: Any = torch.ops.quantized
    convolution = "Conv2dPackedParams" in str(stored._type())
    weight, bias = (ops.conv2d_unpack if convolution else ops.linear_unpack)(stored)
    yield from _tensor(role, weight)
    yield "bias", None if bias is None else bias.detach().numpy()
    if convolution:
        for key in ("stride", "padding", "dilation"):
            yield key, tuple(getattr(ops, f"conv2d_{key}")(stored))
        yield "groups", ops.conv2d_groups(stored)


def _tensor(role: str, value: torch.Tensor) -> Iterator[tuple[str, Value]]:
    value = value.detach()
    if not value.is_quantized:
        yield role, value.numpy()
        return
    yield role, value.int_repr().numpy()
    if value.qscheme() == torch.per_tensor_affine:
        yield f"{role} scale", value.q_scale()
        yield f"{role} zero point", value.q_zero_point()
    else:
        yield f"{role} scale", value.q_per_channel_scales().numpy()
        yield f"{role} zero point", value.q_per_channel_zero_points().numpy()
        yield f"{role} scale axis", value.q_per_channel_axis()


def _id(value: Any) -> str:  # noqa: ANN401 - a value of torch._C
    return str(value.debugName())


def _variable(value: Any) -> str:  # noqa: ANN401 - a value of torch._C
    """The name of a variable; a number for what stands inside of an expression."""
    return _id(value).partition(".")[0]


def _tail(node: Any) -> str:  # noqa: ANN401 - a node of torch._C
    return str(node.s("name") if node.kind() == "prim::CallMethod" else node.kind().rpartition("::")[2])
