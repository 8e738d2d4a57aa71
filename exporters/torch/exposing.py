"""A TorchScript program that returns every activation beside its answer: the same operators, in the same order."""

# ruff: noqa: SLF001 - torch._C is where torch keeps its bindings; its stubs leave out how a function is made of a graph

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from edgekit.exporters.torch import script
from edgekit.exporters.torch.floating import result_names
from edgekit.exporters.torch.forward import TO_INTEGERS, kind_of, variable_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph

_ANSWER = "forward"  # no variable is called like that


@dataclass(frozen=True, slots=True)
class Exposed:
    """A program that shows what it makes.

    Attributes:
        argument: of ``forward``.
        names: of its variables, in order.
        run: gives a tensor for each variable.
    """

    argument: str
    names: tuple[str, ...]
    run: Callable[[torch.Tensor], tuple[torch.Tensor, ...]]


def expose(module: torch.jit.ScriptModule) -> Exposed:
    """The ``forward`` of a program with every variable that an operator made for a result.

    Expressions inside of others have no name and are left out. The integers of the input, the first that are made, are
    bound to the argument's name a second time, which a loaded program no longer shows; they have that name here.
    """
    graph: Any = module.graph.copy()
    argument = str(variable_of(list(graph.inputs())[1]))
    shown: dict[str, Any] = {}
    for node in graph.nodes():
        kind, variable = kind_of(node), variable_of(node.output())
        if kind.startswith("prim::") or str(node.output().type()) != "Tensor":
            continue
        if kind in TO_INTEGERS and argument not in shown:
            shown[argument] = node.output()
        elif variable is not None:
            shown[variable] = node.output()
    for value in shown.values():
        graph.registerOutput(value)
    graph.makeMultiOutputIntoTuple()
    function: Any = torch._C._create_function_from_graph(_ANSWER, graph)

    def run(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        _, *values = function(module._c, x)
        return tuple(values)

    return Exposed(argument, tuple(shown), run)


def activation_names(graph: Graph) -> dict[str, tuple[str, ...]]:
    """What each tensor of ``graph`` is called in a file, by its name in the graph."""
    program = script.Program(outputs=result_names(graph))
    program.takes(graph.input)
    for node in graph:
        program.assign(node.output, "")
    return {name: (program.variable(name),) for name in graph.tensors}
