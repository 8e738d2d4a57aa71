"""What a function for an operator of ONNX is given, and gives: the operator with its operands, as views of ours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.capture.onnx_file import readable
from edgekit.errors import UnsupportedOperator
from edgekit.ir import Part, Rearrange, Slice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.capture.builder import GraphBuilder
    from edgekit.capture.onnx_file import OnnxFile, Operator


def axes_of(rank: int) -> str:
    """What the axes of a tensor of ours are called, the batch included, whose shape for one image has this rank."""
    return {1: "NC", 3: "NCHW"}.get(rank, "NPQRSTUV"[: rank + 1])


@dataclass(frozen=True, slots=True)
class View:
    """A tensor of the file as a view of one of ours.

    Attributes:
        tensor: ours, [C, H, W], [C], or of another rank.
        axes: what the axes of the file's tensor are of ours: "NCHW", "NHWC", "NC", or "NPQR" where ours is another.
    """

    tensor: str
    axes: str

    @staticmethod
    def of(tensor: str, builder: GraphBuilder) -> View:
        """A tensor of ours as it is."""
        return View(tensor, axes_of(len(builder.shape(tensor))))

    def as_it_is(self, name: str, builder: GraphBuilder) -> View:
        """The file's tensor as one of ours: rearranged, by a node of this name, where it is laid out otherwise."""
        usual, shape = axes_of(len(self.axes) - 1), builder.shape(self.tensor)
        if len(shape) != len(usual) - 1 or self.axes == usual:
            return self
        order = [usual.index(axis) - 1 for axis in self.axes[1:]]
        return View(builder.rearrange(name, self.tensor, Rearrange.transpose(shape, order)), usual)


@dataclass(frozen=True, slots=True)
class Channels:
    """Some channels of a tensor of ours.

    Attributes:
        tensor: ours, [C, H, W].
        axes: of the file's tensor; "NHW" where one channel was taken out without its axis.
        chosen: their numbers, in order.
        scale: what each was multiplied by since.
        shift: what was added to each then.
    """

    tensor: str
    axes: str
    chosen: tuple[int, ...]
    scale: tuple[float, ...]
    shift: tuple[float, ...]

    @staticmethod
    def of(view: View, channels: int) -> Channels:
        """All of a tensor's channels."""
        return Channels(view.tensor, view.axes, tuple(range(channels)), (1.0,) * channels, (0.0,) * channels)

    def taken(self, places: Sequence[int], axes: str | None = None) -> Channels:
        """Some of these, in the order of ``places``."""
        chosen = tuple(self.chosen[place] for place in places)
        scale, shift = (tuple(values[place] for place in places) for values in (self.scale, self.shift))
        return Channels(self.tensor, self.axes if axes is None else axes, chosen, scale, shift)

    def then(self, scale: NDArray[Any], shift: NDArray[Any]) -> Channels:
        """These, multiplied and shifted; both of one element or one a channel."""
        return replace(
            self,
            scale=tuple((np.array(self.scale) * scale).tolist()),
            shift=tuple((np.array(self.shift) * scale + shift).tolist()),
        )

    def settled(self, name: str, builder: GraphBuilder) -> View:
        """A tensor of their own, by nodes of this name: a slice, or a 1 x 1 convolution where they are computed.

        Of the image it always is a convolution, as the colours that a file exchanges are looked for there.

        Raises:
            UnsupportedOperator: they are single numbers.
        """
        shape = builder.shape(self.tensor)
        channels, *size = shape
        if self.is_whole and len(self.chosen) == channels and ("C" in self.axes or not size):
            return View(self.tensor, self.axes)
        start, count = self.chosen[0], len(self.chosen)
        step = self.chosen[1] - start if count > 1 else 1
        is_part = step > 0 and self.chosen == tuple(range(start, start + step * count, step))
        if is_part and not self.is_computed and self.tensor != builder.input:
            part = builder.slice(name, self.tensor, Slice.along(shape, 0, Part(start, count, step)))
            if "C" in self.axes:
                return View(part, self.axes)
            if size:
                dropped = builder.rearrange(f"{name}.axis", part, Rearrange.reshape(tuple(size)))
                return View(dropped, self.axes.translate(str.maketrans("HW", "PQ")))
        if "C" not in self.axes or not size:
            raise UnsupportedOperator(
                f"{name.removesuffix('.channels')!r} is computed with as single channels: let the network compute with "
                f"all of them at once"
            )
        weight = (np.eye(channels)[list(self.chosen)] * np.array(self.scale)[:, None])[:, :, None, None]
        return View(builder.conv2d(name, self.tensor, weight, np.array(self.shift)), self.axes)

    @property
    def is_computed(self) -> bool:
        """Whether they were multiplied or shifted."""
        return set(self.scale) != {1.0} or set(self.shift) != {0.0}

    @property
    def is_whole(self) -> bool:
        """Whether nothing was done with them, as far as one can tell without the tensor's size."""
        return not self.is_computed and self.chosen == tuple(range(len(self.chosen)))


if TYPE_CHECKING:
    Value = View | Channels | NDArray[Any]  # of a tensor of the file
    Lowering = Callable[["Call", GraphBuilder], View | Channels | tuple[View | Channels, ...]]

LOWERINGS: dict[str, Lowering] = {}


def lowers(*op_types: str) -> Callable[[Lowering], Lowering]:
    """Register the decorated function for operators of ONNX."""

    def register(function: Lowering) -> Lowering:
        for op_type in op_types:
            assert op_type not in LOWERINGS, f"{op_type} already belongs to {LOWERINGS[op_type].__name__}"
            LOWERINGS[op_type] = function
        return function

    return register


class Call:
    """An operator of the file with its operands."""

    def __init__(
        self,
        operator: Operator,
        values: Mapping[str, Value],
        file: OnnxFile,
    ) -> None:
        self._operator, self._values = operator, values
        self.opset = file.opset
        self.name = operator.name
        self.op_type = operator.op_type
        self.arity = len(operator.inputs)
        self.outputs = operator.outputs
        self.shape = file.shapes.get(operator.outputs[0], ())  # of the result, the batch included

    def view(self, index: int) -> View:
        """An operand that depends on the image."""
        value = self._value(index)
        if not isinstance(value, View):
            raise self.refuse(f"has no operand {index} that depends on the image")
        return value

    def image(self, index: int, builder: GraphBuilder) -> str:
        """Our name of an operand that is laid out as [N, C, H, W]; it is rearranged if it is not."""
        view = self.view(index)
        if sorted(view.axes) != sorted("NCHW") or view.axes[0] != "N":
            raise self.refuse(f"reads a tensor laid out as {view.axes} and not as NCHW")
        return view.as_it_is(f"{self.name}.layout", builder).tensor

    def constant(self, index: int) -> NDArray[Any] | None:
        """An operand that does not depend on the image; None if it is left out."""
        value = self._value(index)
        if isinstance(value, View | Channels):
            raise self.refuse(f"computes its operand {index} from the image")
        return value

    def array(self, index: int) -> NDArray[Any]:
        """As ``constant``, of an operand that must not be left out."""
        values = self.constant(index)
        if values is None:
            raise self.refuse(f"has no operand {index}")
        return values

    def is_channels(self, index: int) -> bool:
        """Whether an operand is some channels of a tensor."""
        return isinstance(self._value(index), Channels)

    @staticmethod
    def sizes(x: Channels, builder: GraphBuilder) -> tuple[int, ...]:
        """The sizes of the axes of ``x`` behind the first."""
        shape = builder.shape(x.tensor)
        of = dict(zip(axes_of(len(shape))[1:], shape, strict=True))
        return tuple(len(x.chosen) if axis == "C" else of.get(axis, 1) for axis in x.axes[1:])

    def settled(self, index: int, builder: GraphBuilder) -> View:
        """An operand that depends on the image as a tensor of ours, also where it is some channels of one."""
        value = self._value(index)
        name = f"{readable(self._operator.inputs[index])}.channels"
        return value.settled(name, builder) if isinstance(value, Channels) else self.view(index)

    def depends_on_image(self, index: int) -> bool:
        """Whether an operand depends on the image."""
        return isinstance(self._value(index), View | Channels)

    def number(self, attribute: str, default: float) -> float:
        """An attribute that is a number."""
        return float(self._operator.attributes.get(attribute, default))

    def numbers(self, attribute: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        """An attribute that is a list of integers."""
        return tuple(int(value) for value in self._operator.attributes.get(attribute, default))

    def reals(self, attribute: str) -> tuple[float, ...]:
        """An attribute that is a list of numbers; empty if it is left out."""
        return tuple(float(value) for value in self._operator.attributes.get(attribute, ()))

    def pair(self, attribute: str, default: tuple[int, int]) -> tuple[int, int]:
        """An attribute that is one integer for rows and one for columns."""
        rows, columns = self.numbers(attribute, default)
        return rows, columns

    def text(self, attribute: str, default: str) -> str:
        """An attribute that is a word."""
        value: bytes = self._operator.attributes.get(attribute, default.encode())
        return value.decode()

    def integers(self, index: int, attribute: str) -> tuple[int, ...]:
        """Integers that older opsets have as an attribute and newer ones as an operand; empty if left out."""
        values = self.constant(index)
        return self.numbers(attribute) if values is None else tuple(int(value) for value in values.reshape(-1))

    def bound(self, index: int, attribute: str, default: float) -> float:
        """A number that older opsets have as an attribute and newer ones as an operand."""
        values = self.constant(index)
        return self.number(attribute, default) if values is None else float(values.item())

    def refuse(self, what: str, remedy: str = "change the network there and export it again") -> UnsupportedOperator:
        """An error that says where; ``what`` continues "node 'Conv_3' (Conv) ...", ``remedy`` says what to do."""
        return UnsupportedOperator(
            f"node {self.name!r} ({self.op_type}) {what}, which edgekit does not support: {remedy}"
        )

    def channels(self, index: int, builder: GraphBuilder) -> Channels:
        """An operand that depends on the image, as channels of a tensor."""
        value = self._value(index)
        if isinstance(value, Channels):
            return value
        view = self.view(index)
        return Channels.of(view, builder.shape(view.tensor)[0])

    def _value(self, index: int) -> Value | None:
        name = self._operator.inputs[index] if index < len(self._operator.inputs) else ""
        return self._values[name] if name else None
