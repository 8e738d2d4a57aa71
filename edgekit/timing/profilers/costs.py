"""What operators cost whatever runs them: multiplications, and bytes that have to be moved at least once.

The MACs are those that papers count: of convolutions and linear layers. The bytes are those of the weights and of the
activations that are read and written, each once, as the file stores them; what fused operators hand to each other stays
in registers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.timing.profilers.matching import reads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.exporters.contents import Operator

WEIGHT: Final = "weight"
_CONSTANTS: Final = ("weight", "bias", "integers", "input", "first", "second")
_REREADS: Final = {"DequantizeLinear"}  # it is read as what it was made from


@dataclass(frozen=True, slots=True)
class Activation:
    """A tensor of a file.

    Attributes:
        shape: [C, H, W] or [C], for one image.
        dtype: as numpy names it.
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def size_bytes(self) -> int:
        """Of one image."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


_UNKNOWN: Final = Activation((0,), "float32")


@dataclass(frozen=True, slots=True)
class Cost:
    """What some operators cost, for one image.

    Attributes:
        macs: multiplications, each with its addition.
        weight_bytes: of constants.
        activation_bytes: of what is read and written.
    """

    macs: int
    weight_bytes: int
    activation_bytes: int

    @property
    def moved_bytes(self) -> int:
        """All of them."""
        return self.weight_bytes + self.activation_bytes


class Costs:
    """Counts for one file."""

    def __init__(self, operators: Sequence[Operator], activations: Mapping[str, Activation]) -> None:
        """All operators of a file, and the activations that are known of it, by their names there."""
        self._operators = operators
        self._makers = {operator.name: operator for operator in operators}
        self._known = activations
        self._readers: dict[str, list[Operator]] = {}
        for operator in operators:
            for name in self._read(operator):
                self._readers.setdefault(name, []).append(operator)

    def of(self, places: Sequence[int]) -> Cost:
        """Of operators that are computed in one go, by their positions in the file."""
        ours = [self._operators[place] for place in places]
        names = {operator.name for operator in ours}
        read = {self._stored(name) for operator in ours for name in self._read(operator)} - names
        written = {operator.name for operator in ours if self._leaves(operator, names)}
        return Cost(
            macs=sum(map(self.macs, ours)),
            weight_bytes=sum(array.nbytes for operator in ours for array in _constants(operator)),
            activation_bytes=sum(self.activation(name).size_bytes for name in (*read, *written) if self._moves(name)),
        )

    def macs(self, operator: Operator) -> int:
        """Of a convolution or linear layer; 0 of others."""
        weight, made = self.weight(operator), self.activation(operator.name).shape
        if weight is None or made == _UNKNOWN.shape:
            return 0
        return math.prod(made) * weight.size // made[0]

    def weight(self, operator: Operator) -> NDArray[np.generic] | None:
        """The weights of a convolution or linear layer, also where another operator dequantizes them; None of others.

        Packed weights of torch are as in its modules. Only their number and the size of the kernel matter here.
        """
        value = operator.fields.get(WEIGHT)
        if isinstance(value, str) and value in self._makers:
            value = next(iter(_constants(self._makers[value])), None)
        return value if isinstance(value, np.ndarray) else None

    def activation(self, name: str) -> Activation:
        """A tensor. One inside of a fused kernel is like that behind it, or like that before it."""
        return self._like(name, set()) or _UNKNOWN

    def _like(self, name: str, seen: set[str]) -> Activation | None:
        """The nearest tensor that is known, without a convolution or linear layer in between."""
        if name in self._known or name in seen:
            return self._known.get(name)
        seen.add(name)
        maker = self._makers.get(name)
        before = self._read(maker) if maker is not None and self.weight(maker) is None else ()
        behind = [reader.name for reader in self._readers.get(name, ()) if self.weight(reader) is None]
        near = (*before, *behind) if maker is None or maker.kind in _REREADS else (*behind, *before)
        return next((found for other in near if (found := self._like(other, seen)) is not None), None)

    def inputs(self, operator: Operator) -> tuple[Activation, ...]:
        """What an operator reads, constants apart."""
        return tuple(self.activation(name) for name in self._read(operator) if self._moves(name))

    def _read(self, operator: Operator) -> tuple[str, ...]:
        return reads(operator, {**self._makers, **self._known})

    def _stored(self, name: str) -> str:
        """What is really read: integers that are dequantized on the way are read as integers."""
        maker = self._makers.get(name)
        if maker is None or maker.kind not in _REREADS:
            return name
        sources = self._read(maker)
        return sources[0] if sources else name

    def _leaves(self, operator: Operator, names: set[str]) -> bool:
        """Whether anybody else reads what an operator makes."""
        readers = self._readers.get(operator.name)
        rereads = operator.kind in _REREADS and readers is not None
        return not rereads and (readers is None or any(reader.name not in names for reader in readers))

    def _moves(self, name: str) -> bool:
        """Whether it is an activation: what is made of constants alone is counted as these."""
        return name not in self._makers or bool(self._read(self._makers[name]))


def _constants(operator: Operator) -> tuple[NDArray[np.generic], ...]:
    values = (operator.fields.get(role) for role in _CONSTANTS)
    return tuple(value for value in values if isinstance(value, np.ndarray) and value.size > 1)
