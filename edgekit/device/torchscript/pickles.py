"""The values of a program's attributes, read without unpickling: opcodes build plain values here, and call nothing.

Every tensor is compared with the bytes that it is made of, so that none reads beyond them.

The opcodes are those that torch writes (torch/csrc/jit/serialization/pickler.cpp), with pickle's own meaning. Tensors
are calls of the functions that torch.load knows by the same names.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.device.torchscript.program import PACKED, TENSOR, TYPE, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _Call:
    function: Any
    arguments: Any


@dataclass(frozen=True)
class _Stored:
    where: Any


@dataclass(eq=False)
class _Object:
    kind: Any
    state: Any = None


# --- opcodes to values ----------------------------------------------------------------------------------------------

_MARK = object()


class _Machine:
    """The stack machine of pickle, with the opcodes of ``_OPCODES``."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: object) -> None:
        self.stack.append(value)

    def last(self, count: int) -> tuple[Any, ...]:
        """Pop so many values."""
        return tuple(reversed([self.stack.pop() for _ in range(count)]))

    def marked(self) -> list[Any]:
        """Pop what was pushed since the last mark, and the mark."""
        values: list[Any] = []
        while (value := self.stack.pop()) is not _MARK:
            values.insert(0, value)
        return values

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def extend(self) -> None:
        values = self.marked()
        self.stack[-1].extend(values)

    def update(self) -> None:
        values = self.marked()
        names = values[::2]
        self.stack[-1].update(zip(names, values[1::2]))
        if len(self.stack[-1]) != len(names) or len(values) % 2:
            raise Unknown("an attribute twice")

    def new(self) -> None:
        kind, arguments = self.last(2)
        if arguments != ():
            raise Unknown("an object that is made of arguments")
        self.push(_Object(kind))

    def build(self) -> None:
        (state,) = self.last(1)
        self.stack[-1].state = state


_OPCODES: Mapping[str, Callable[[_Machine, Any], object]] = {
    "APPENDS": lambda machine, _: machine.extend(),
    "BINFLOAT": _Machine.push,
    "BINGET": lambda machine, index: machine.push(machine.memo[index]),
    "BININT": _Machine.push,
    "BININT1": _Machine.push,
    "BININT2": _Machine.push,
    "BINPERSID": lambda machine, _: machine.push(_Stored(*machine.last(1))),
    "BINPUT": _Machine.put,
    "BINUNICODE": _Machine.push,
    "BUILD": lambda machine, _: machine.build(),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "GLOBAL": lambda machine, name: machine.push(_Global(name)),
    "LONG_BINGET": lambda machine, index: machine.push(machine.memo[index]),
    "LONG_BINPUT": _Machine.put,
    "MARK": lambda machine, _: machine.push(_MARK),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "NEWOBJ": lambda machine, _: machine.new(),
    "PROTO": lambda *_: None,
    "REDUCE": lambda machine, _: machine.push(_Call(*machine.last(2))),
    "SETITEMS": lambda machine, _: machine.update(),
    "STOP": lambda *_: None,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.marked())),
    "TUPLE2": lambda machine, _: machine.push(machine.last(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.last(3)),
}


def value(data: bytes) -> Any:  # noqa: ANN401 - whatever a pickle holds
    """What a pickle describes: its objects and calls as values of this module.

    Raises:
        Unknown: it has other opcodes than torch writes, more than one value, or bytes behind its end.
    """
    try:
        machine, opcodes = _Machine(), list(pickletools.genops(data))
        for opcode, argument, _ in opcodes:
            _OPCODES[opcode.name](machine, argument)
        (described,), (_, _, end) = machine.stack, opcodes[-1]
    except Unknown:
        raise
    except Exception as error:  # whatever a crafted pickle leads to
        raise Unknown("a pickle that edgekit does not write") from error
    if end != len(data) - 1:
        raise Unknown("bytes behind a pickle")
    return described


# --- values to attributes -------------------------------------------------------------------------------------------

_ITEM_BYTES = {"Char": 1, "Double": 8, "Float": 4, "Half": 2, "Long": 8, "QInt8": 1, "QUInt8": 1, "Short": 2}
_CONVOLUTION, _LINEAR = PACKED


def attributes(data: bytes, records: Mapping[str, bytes]) -> dict[str, str]:
    """The attributes of a module, by name, in order: their types, as a program calls them.

    Args:
        data: the pickle of the module.
        records: what its tensors are made of, by the name that it gives them.

    Raises:
        Unknown: anything is there that edgekit does not write.
    """
    module, reader = value(data), _Reader(records)
    if not isinstance(module, _Object) or module.kind != _class(TYPE) or not isinstance(module.state, dict):
        raise Unknown("a pickle of something else than its class")
    try:
        return {name: reader.type_of(stored) for name, stored in module.state.items()}
    except (ValueError, TypeError, RecursionError) as error:
        raise Unknown("an attribute that is neither a tensor nor packed weights") from error


class _Reader:
    """Attributes with the records that their tensors are made of; what is none of edgekit's is a ValueError."""

    def __init__(self, records: Mapping[str, bytes]) -> None:
        self._records = records

    def type_of(self, stored: object) -> str:
        if stored is False:
            return "bool"
        if isinstance(stored, _Object):
            if stored.kind == _class(_CONVOLUTION):
                self._convolution(*stored.state)
                return _CONVOLUTION
            _require(stored.kind == _class(_LINEAR))
            self._linear(*stored.state)
            return _LINEAR
        if isinstance(stored, _Call) and stored.function == _Global("torch._utils _rebuild_qtensor"):
            self._constant(stored)
        else:
            self._tensor(stored, "Char", "Float", "Half")
        return TENSOR

    def _convolution(self, version: object, tensors: object, optional: object) -> None:
        """What aten/src/ATen/native/quantized/cpu/conv_serialization.h calls the second version.

        The integers of a convolution are one tensor: how many axes it has; for each axis its stride, padding, dilation
        and output padding; the groups; and flags, of which 1 means transposed.
        """
        (packed,) = _arguments(tensors, "torch.jit._pickle build_tensorlist")
        (biases, tag) = _arguments(optional, "torch.jit._pickle restore_type_tag")
        integers, weight = packed
        (bias,) = biases
        shape, data = self._tensor(integers, "Short")
        _require(version == "2" and tag == "List[Optional[Tensor]]" and shape == (11,))
        axes, *numbers, groups, flags = np.frombuffer(data, "<i2").tolist()
        strides, paddings, dilations = numbers[0:2], numbers[2:4], numbers[4:6]
        channels, *rest = self._weight(weight)
        _require(axes == 2 and len(rest) == 3 and groups >= 1 and channels % groups == 0 and flags == 0)
        _require(min(strides) >= 1 and min(paddings) >= 0 and min(dilations) >= 1)
        _require(self._tensor(bias, "Float")[0] == (channels,))

    def _linear(self, weight: object, bias: object) -> None:
        channels, *rest = self._weight(weight)
        _require(len(rest) == 1 and self._tensor(bias, "Float")[0] == (channels,))

    def _weight(self, stored: object) -> tuple[int, ...]:
        """The shape of a qint8 tensor with a scale for each channel of its first axis."""
        *data, quantizer, grad, hooks = _arguments(stored, "torch._utils _rebuild_qtensor")
        (scheme, scales, zero_points, axis) = quantizer
        shape, _ = self._data(data, "QInt8")
        _require(scheme == _Global("torch per_channel_affine") and axis == 0 and _is_plain(grad, hooks))
        _require(self._tensor(scales, "Double")[0] == self._tensor(zero_points, "Long")[0] == shape[:1])
        return shape

    def _constant(self, stored: object) -> None:
        """A quint8 tensor with one scale."""
        *data, quantizer, grad, hooks = _arguments(stored, "torch._utils _rebuild_qtensor")
        (scheme, scale, zero_point) = quantizer
        self._data(data, "QUInt8")
        _require(scheme == _Global("torch per_tensor_affine") and _is_plain(grad, hooks))
        _require(isinstance(scale, float) and isinstance(zero_point, int))

    def _tensor(self, stored: object, *kinds: str) -> tuple[tuple[int, ...], bytes]:
        """Shape and bytes of a tensor of one of these kinds."""
        *data, grad, hooks = _arguments(stored, "torch._utils _rebuild_tensor_v2")
        _require(_is_plain(grad, hooks))
        return self._data(data, *kinds)

    def _data(self, data: Sequence[Any], *kinds: str) -> tuple[tuple[int, ...], bytes]:
        """Shape and bytes of what lies in a storage of one of these kinds, and does not reach beyond it."""
        stored, offset, shape, strides = data
        _require(isinstance(stored, _Stored))
        word, kind, key, place, count = stored.where
        found = next((name for name in kinds if kind == _Global(f"torch {name}Storage")), "")
        _require(bool(found) and word == "storage" and place == "cpu" and isinstance(key, str) and key in self._records)
        sizes = [offset, count, *shape, *strides]
        _require(all(type(size) is int and size >= 0 for size in sizes) and len(shape) == len(strides))
        end = offset + 1 + sum((size - 1) * stride for size, stride in zip(shape, strides))
        _require(len(self._records[key]) == count * _ITEM_BYTES[found] and end <= count and 0 not in shape)
        return tuple(shape), self._records[key]


def _class(name: str) -> _Global:
    """How a pickle names a class that a program names with dots."""
    return _Global(" ".join(name.rsplit(".", 1)))


def _arguments(stored: object, function: str) -> tuple[Any, ...]:
    """What a function is called with."""
    _require(isinstance(stored, _Call) and stored.function == _Global(function) and isinstance(stored.arguments, tuple))
    arguments: tuple[Any, ...] = stored.arguments  # type: ignore[attr-defined]
    return arguments


def _is_plain(grad: object, hooks: object) -> bool:
    return grad is False and hooks == _Call(_Global("collections OrderedDict"), ())


def _require(holds: bool) -> None:  # noqa: FBT001 - it reads like an assert, and stays where asserts go
    if not holds:
        raise ValueError
