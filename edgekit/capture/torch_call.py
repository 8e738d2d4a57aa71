"""A call of an ATen operator, and the table of what each of them becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgekit.capture.advice import known_replacement
from edgekit.errors import UnsupportedOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgekit.capture.builder import GraphBuilder

    Lowering = Callable[["Call", GraphBuilder], str | tuple[str | None, ...]]

LOWERINGS: dict[str, Lowering] = {}
IMAGE_AXES = 3  # [C, H, W]
EXPANSIONS = ("expand.default", "expand_as.default")
EVALUATE = "call eval() before torch.export.export, and pass training=self.training in a forward"
_WITH_WEIGHTS = {"conv2d", "linear", "batch_norm"}  # their nodes have the names that the weights have


def lowers(*targets: str) -> Callable[[Lowering], Lowering]:
    """Register the decorated function for ATen operators, named without ``aten::`` ("conv2d.default")."""

    def register(function: Lowering) -> Lowering:
        for target in targets:
            assert target not in LOWERINGS, f"{target} already belongs to {LOWERINGS[target].__name__}"
            LOWERINGS[target] = function
        return function

    return register


def operator_of(fx_node: torch.fx.Node) -> str:
    """Name and overload of an ATen operator ("conv2d.default")."""
    return str(fx_node.target).removeprefix("aten.")


class Call:
    """A call of an ATen operator; its arguments go by their names in the operator's schema, but "self" is "input".

    Attributes:
        layer: the module that it belongs to ("features.4.conv.0"), "" for the whole network.
        name: for its node: the layer's, where the operator is what the layer is there for; below the layer's for what
            a ``forward`` of the user's does besides.
        shape: of its result, [1, ...]; of several, of the first.
        shapes: of all results.
    """

    def __init__(self, fx_node: torch.fx.Node, program: torch.fx.GraphModule, values: dict[str, Any]) -> None:
        arguments = fx_node.normalized_arguments(program, normalize_to_only_use_kwargs=True)
        assert arguments is not None
        self._arguments: dict[str, Any] = dict(arguments.kwargs)
        self._values = values
        modules = list(fx_node.meta.get("nn_module_stack", {}).values())
        self.layer = next((path for path, _ in reversed(modules) if path), "")
        self._operator = operator_of(fx_node).partition(".")[0]
        operator = self._operator.strip("_")
        kind = str(modules[-1][1]) if modules else ""
        is_own = kind.startswith("torch.nn.modules")
        is_main = operator in _WITH_WEIGHTS or is_own
        self._module = kind.rpartition(".")[2].removesuffix("'>") if is_own else ""  # by torch's name of its class
        self.name = self.layer if is_main and self.layer else f"{self.layer}.{operator}".lstrip(".")
        made = fx_node.meta["val"]
        self.shapes = tuple(tuple(one.shape) for one in (made if isinstance(made, tuple | list) else [made]))
        self.shape: tuple[int, ...] = self.shapes[0]

    def is_operator(self, name: str) -> bool:
        """Whether it is a call of this operator, of any overload."""
        return self._operator == name

    @property
    def place(self) -> str:
        """Where in the network, for people."""
        return f"layer {self.layer!r}" if self.layer else "in the network's own forward"

    def activation(self, name: str) -> str:
        """The name of a tensor that depends on the image."""
        value = self._value(name)
        if not isinstance(value, str):
            raise self.refuse(f"computes {name!r} without the image")
        return value

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor that it reads, [1, ...], as the network has it."""
        return tuple(self._arguments[name].meta["val"].shape)

    def activations(self, name: str) -> tuple[str, ...]:
        """The names of the tensors in a list, all of which depend on the image."""
        values = [self._values[node.name] for node in self._arguments[name]]
        if not all(isinstance(value, str) for value in values):
            raise self.refuse(f"computes some of {name!r} without the image")
        return tuple(values)

    def constant(self, name: str) -> NDArray[Any] | None:
        """An array or number that does not depend on the image; None if it was left out."""
        value = self._value(name)
        if isinstance(value, str):
            raise self.refuse(f"computes {name!r} from the image")
        return None if value is None else np.asarray(value)

    def array(self, name: str) -> NDArray[Any]:
        """As ``constant``, of an argument that must not be left out."""
        values = self.constant(name)
        if values is None:
            raise self.refuse(f"has no {name!r}")
        return values

    def depends_on_image(self, name: str) -> bool:
        """Whether an argument is a tensor that depends on the image."""
        return isinstance(self._value(name), str)

    def is_left_out(self, name: str) -> bool:
        """Whether an argument is None."""
        return self._arguments.get(name) is None

    def number(self, name: str, default: float = 0.0) -> float:
        """A number; ``default`` if it is None."""
        value = self._arguments[name]
        return default if value is None else float(value)

    def numbers(self, name: str) -> tuple[int, ...]:
        """A list of integers."""
        return tuple(int(value) for value in self._arguments[name] or ())

    def reals(self, name: str) -> tuple[float, ...]:
        """A list of numbers; empty if it is None."""
        return tuple(float(value) for value in self._arguments[name] or ())

    def pair(self, name: str) -> tuple[int, int]:
        """Two integers, of which one may stand for both."""
        first, *rest = self.numbers(name)
        return first, rest[0] if rest else first

    def text(self, name: str, default: str = "") -> str:
        """A word; ``default`` if the operator has no such argument."""
        return str(self._arguments.get(name, default))

    def refuse(self, what: str, remedy: str = "") -> UnsupportedOperator:
        """An error that says where; ``what`` continues "layer 'features.0': it ...", ``remedy`` says what to do.

        The capture adds how to go on with what comes before.
        """
        told = f"{self.place}: it {what}, which edgekit does not support"
        remedy = remedy or known_replacement(self._module)
        return UnsupportedOperator(f"{told}: {remedy}" if remedy else told)

    def _value(self, name: str) -> Any:  # noqa: ANN401 - whatever fx holds as an argument
        argument = self._arguments[name]
        return self._values[argument.name] if isinstance(argument, torch.fx.Node) else argument
