"""``forward`` of a TorchScript program, walked once: what computes, in order, and what each of it is called.

Reading a program runs nothing of it. Its variables are named after the layers; what stands inside of an expression has
no name in the file, and gets one here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.exporters.contents import unique_names

if TYPE_CHECKING:
    import torch

    from edgekit.exporters.contents import Value

_METHOD_CALL = "prim::CallMethod"
# What turns reals or plain bytes into quantized tensors, and back; the two methods are integer.FROM_INT8 and TO_INT8.
TO_INTEGERS = frozenset({"aten::quantize_per_tensor", "aten::_make_per_tensor_quantized_tensor", "from_int8"})
FROM_INTEGERS = frozenset({"aten::dequantize", "aten::int_repr", "to_int8"})


@dataclass(frozen=True, slots=True)
class Step:
    """A node that computes.

    Attributes:
        node: of torch._C.
        kind: torch's name of the operator; of a method of the program, that of the method.
        is_method: whether it calls one.
        name: what its result is called: a variable has its own name, what stands inside of an expression that of the
            variable to come, or, in the last expression, that of what it reads, with the operator behind.
        variable: the result is one; otherwise the expression goes on.
        reads: torch's own names of the values that are read, those in a list each by itself.
    """

    node: Any
    kind: str
    is_method: bool
    name: str
    variable: str | None
    reads: tuple[str, ...]


class Forward:
    """The graph: constants and attributes stand in the place of their values.

    Attributes:
        graph: of torch._C.
        steps: what computes, in order.
        names: of the inputs and results, by torch's own name of each.
        values: constants, likewise.
        attributes: tensors and packed weights, likewise.
        constants: what the file calls these, likewise.
        lists: torch's own names of the tensors in a list, by that of the list.
    """

    def __init__(self, module: torch.jit.ScriptModule) -> None:
        self.graph: Any = module.graph
        self.values: dict[str, Value] = {}
        self.attributes: dict[str, Any] = {}
        self.constants: dict[str, str] = {}
        self.lists: dict[str, tuple[str, ...]] = {}
        nodes = [node for node in self.graph.nodes() if self._computes(node, module)]
        self.names = self._named(nodes)
        self.steps = tuple(
            Step(
                node,
                kind_of(node),
                node.kind() == _METHOD_CALL,
                self.names[value_id(node.output())],
                variable_of(node.output()),
                self._reads(node),
            )
            for node in nodes
        )

    def _computes(self, node: Any, module: torch.jit.ScriptModule) -> bool:  # noqa: ANN401 - a node of torch._C
        """Whether a node does; the value of any other is kept."""
        match node.kind():
            case "prim::Constant":
                value = node.output().toIValue()
                self.values[value_id(node.output())] = value if isinstance(value, str | int | float) else None
            case "prim::GetAttr":
                self.attributes[value_id(node.output())] = getattr(module, node.s("name"))
                self.constants[value_id(node.output())] = node.s("name")
            case "prim::ListConstruct" | "prim::TupleConstruct":
                read = tuple(value_id(value) for value in node.inputs())
                if all(value in self.values for value in read):
                    self.values[value_id(node.output())] = tuple(self.values[value] for value in read)
                else:
                    self.lists[value_id(node.output())] = read
            case _:
                return True
        return False

    def is_constant(self, step: Step) -> bool:
        """Whether an operator reads nothing but what the file holds."""
        return bool(step.reads) and all(value in self.constants or value in self.values for value in step.reads)

    def _reads(self, node: Any) -> tuple[str, ...]:  # noqa: ANN401 - likewise
        read = (value_id(value) for value in node.inputs())
        return tuple(name for value in read for name in self.lists.get(value, (value,)))

    def _named(self, nodes: list[Any]) -> dict[str, str]:
        """What each input, and each value that a node makes, is called."""
        names = {value_id(value): _stem(value) for value in self.graph.inputs()}
        unnamed: list[Any] = []
        for node in nodes:
            unnamed.append(node)
            if (stem := variable_of(node.output())) is not None:
                inner = (f"{stem}.{_tail(before)}" for before in unnamed[:-1])
                names |= {value_id(n.output()): name for n, name in zip(unnamed, [*inner, stem], strict=True)}
                unnamed.clear()
        for node in unnamed:
            read = next((names[value] for value in self._reads(node) if value in names), "")
            names[value_id(node.output())] = f"{read}.{_tail(node)}"
        return dict(zip(names, unique_names(names.values()), strict=True))


def kind_of(node: Any) -> str:  # noqa: ANN401 - a node of torch._C
    """Torch's name of an operator; of a method of the program, that of the method."""
    return str(node.s("name") if node.kind() == _METHOD_CALL else node.kind())


def value_id(value: Any) -> str:  # noqa: ANN401 - a value of torch._C
    """Torch's own name of a value, which no other in the graph has."""
    return str(value.debugName())


def variable_of(value: Any) -> str | None:  # noqa: ANN401 - a value of torch._C
    """The variable that a value is; None for what stands inside of an expression, which torch gives a number."""
    stem = _stem(value)
    return None if stem.isdecimal() else stem


def _stem(value: Any) -> str:  # noqa: ANN401 - a value of torch._C
    return value_id(value).partition(".")[0]


def _tail(node: Any) -> str:  # noqa: ANN401 - a node of torch._C
    return kind_of(node).rpartition("::")[2]
