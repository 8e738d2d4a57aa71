"""What an operator declares, so that no pass, interpreter or exporter needs to know the operator itself."""

from __future__ import annotations

import abc
import math
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from edgekit.ir.operators.padding import Padding

Shape = tuple[int, ...]  # [C, H, W] or [C] of an activation, all axes of a constant


class Scales(Enum):
    """How the scales of the tensors that an operator reads and makes are related in an integer model."""

    FREE = "any scales serve: its weights take up the rest, or the result is rounded to a grid of its own"
    SOLVED = "the ratio of its scales has to be tie-free (edgekit.quantization), so some of them are moved"
    SHARED = "integers are moved and stay what they are: one scale and zero point for all"
    FIXED = "its result has one grid always, which its kernels insist on"
    NONE = "it has no integer form"


class Factors(Enum):
    """What becomes of a positive factor that the operands carry: f x instead of x."""

    ABSORBED = "the weights take it, and can give the result any other"
    EQUAL = "all operands have to carry the same, and so does the result"
    PRODUCT = "the result carries the product of those of the operands"
    NONE = "neither operands nor result can carry any"


class Gains(Enum):
    """What becomes of positive factors of single channels, one a channel."""

    SEPARATE = "the weights take those of the operand, and can give the result others"
    EQUAL = "a channel of the result has those of all channels that it is made of (``Op.channels``)"
    FIRST = "likewise, of the first operand; the others can have none"
    NONE = "neither operands nor result can have any"


class Border(Enum):
    """Between which kinds of tensors an operator of an integer model stands."""

    TO_INTEGERS = "from reals to integers"
    TO_ANOTHER_WIDTH = "from integers to those of another width"
    TO_REALS = "from integers to the reals that they stand for"
    TO_INDICES = "from integers, or reals, to indices of channels"


@dataclass(frozen=True, slots=True)
class Window:
    """How the kernel of an operator goes over feature maps.

    Attributes:
        stride: rows and columns from one place to the next.
        padding: zeros around the feature map.
        dilation: rows and columns from one number of the kernel to the next.
    """

    stride: tuple[int, int]
    padding: Padding
    dilation: tuple[int, int] = (1, 1)

    def reach(self, kernel: Sequence[int]) -> tuple[int, int]:
        """The rows and columns between the ends of a kernel, (height, width), both included."""
        height, width = ((count - 1) * step + 1 for count, step in zip(kernel, self.dilation, strict=True))
        return height, width

    def places(self, size: Sequence[int], kernel: Sequence[int]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Which rows and columns of the padded feature map each result is made of.

        Args:
            size: (height, width) of the feature map, without padding.
            kernel: (height, width).

        Returns:
            [H', kH] and [W', kW].
        """
        p = self.padding
        borders = (p.top + p.bottom, p.left + p.right)
        axes = zip(size, borders, self.reach(kernel), kernel, self.stride, strict=True)
        rows, columns = (
            step * np.arange((length + border - reach) // step + 1)[:, None]
            + (reach - 1) // max(count - 1, 1) * np.arange(count)
            for length, border, reach, count, step in axes
        )
        return rows, columns


@dataclass(frozen=True, slots=True)
class Op(abc.ABC):
    """Base of all operators. A new one declares everything below that has no value here.

    Attributes:
        roles: what it reads, by name, in the order of ``Node.inputs``. "weight", an array whose first axis is that of
            the output channels, always comes with "bias", one number for each of them.
        repeats: the last role stands for any number of operands.
        scales: how scales are related in an integer model.
        factors: what becomes of a factor of a whole tensor.
        grid: scale and zero point of the result where they are FIXED.
        takes_clamp: every format and every integer kernel clamps its result at no cost.
        border: the two kinds of tensors that it stands between, computing no values; None of all others.
        keeps_channels: it computes each channel by itself, though gains of channels do not pass.
        has_ratio_per_operand: in integers each operand is multiplied by a ratio of its own, all of one denominator;
            of other operators, what was accumulated is.
        lowered: why no graph that is executed or written holds it, as the end of a sentence; "" if one can.
        has_weights: it is a layer with weights and a bias. This and what is below follow from the rest.
        normalizes: it is batch normalization, with statistics of each channel.
        requantizes: an integer kernel computes something of integers, and then rounds it to the scale of the result.
        tabulated: that is a function of one number, on a grid that is fixed, and so a table of 256 integers.
        moves_values: the result holds what is read and nothing computed, or means of it on the same grid.
    """

    roles: ClassVar[tuple[str, ...]]
    scales: ClassVar[Scales]
    factors: ClassVar[Factors]
    grid: ClassVar[tuple[float, int] | None] = None
    repeats: ClassVar[bool] = False
    takes_clamp: ClassVar[bool] = False
    border: ClassVar[Border | None] = None
    keeps_channels: ClassVar[bool] = False
    has_ratio_per_operand: ClassVar[bool] = False
    lowered: ClassVar[str] = ""
    has_weights: ClassVar[bool]
    normalizes: ClassVar[bool]
    requantizes: ClassVar[bool]
    tabulated: ClassVar[bool]
    moves_values: ClassVar[bool]

    def __init_subclass__(cls) -> None:
        """Register the operator; one that leaves a rule undeclared, or has another's name, is a mistake of ours."""
        missing = [name for name in ("roles", "scales", "factors") if not hasattr(cls, name)]
        assert not missing, f"the operator {cls.__name__} does not declare {', '.join(missing)}"
        assert (cls.grid is not None) == (cls.scales is Scales.FIXED), f"{cls.__name__}: a grid is what is fixed"
        known = _OPERATORS.setdefault(cls.__name__, cls)
        assert known.__module__ == cls.__module__, f"{known.__module__} has an operator {cls.__name__} already"
        _OPERATORS[cls.__name__] = cls  # a dataclass with slots is made twice
        cls.has_weights = "weight" in cls.roles
        cls.normalizes = "variance" in cls.roles
        cls.tabulated = cls.scales is Scales.FIXED
        cls.requantizes = cls.scales in {Scales.SOLVED, Scales.FIXED} or (cls.has_weights and cls.scales is Scales.FREE)
        cls.moves_values = cls.scales is Scales.SHARED

    @abc.abstractmethod
    def output_shape(self, *operands: Shape) -> Shape:
        """The shape of the result, from those of everything that is read, in the order of ``roles``.

        Raises:
            ValueError: the shapes do not fit; the message continues "layer 'features.0' ...".
        """

    @abc.abstractmethod
    def gains(self, *tensors: Shape) -> Gains:
        """What becomes of gains of channels, for activations of these shapes."""

    def channels(self, *tensors: Shape) -> tuple[NDArray[np.intp], ...]:
        """Which channels of the result are made of which, where gains are EQUAL or those of the FIRST.

        Args:
            tensors: the shapes of the activations that it reads.

        Returns:
            Of each of them [P, 2], pairs of a channel that is read and one that is made. Left undeclared, channels keep
            their places, and a single one is read by all.
        """
        made = np.arange(max(shape[0] for shape in tensors))
        return tuple(np.stack(np.broadcast_arrays(np.arange(shape[0]), made), axis=1) for shape in tensors)

    def macs(self, *operands: Shape) -> int:
        """The multiplications by weights, each with its addition, for one image: what papers count."""
        if not self.has_weights:
            return 0
        of_one = operands[self.roles.index("weight")][1:]  # for one number of the result
        return math.prod(self.output_shape(*operands)) * math.prod(of_one)

    def times(self, factor: float) -> Self:
        """The operator that does the same on tensors that carry ``factor``: its bounds carry it, too."""
        del factor
        return self

    def as_image(self) -> Op:
        """What does on [C, 1, 1] the same as this on [C]."""
        return self

    @property
    def rounds_up(self) -> bool:
        """Whether it makes weighted means of integers, and rounds them to the nearest, halves upwards."""
        return False

    @property
    def averages(self) -> bool:
        """Whether it adds up numbers as they are, however many, and divides."""
        return False

    def unproven(self, *operands: Shape) -> str:
        """Why kernels may give other integers for activations of these shapes, as the end of a sentence; "" if not."""
        del operands
        return "" if self.requantizes or self.moves_values else f"nothing is proven of {type(self).__name__}"

    @property
    def window(self) -> Window | None:
        """How its kernel goes over feature maps; None if it has no kernel."""
        return None

    def with_padding(self, padding: Padding) -> Self:
        """The operator with other zeros around its window, if it has one."""
        del padding
        return self

    def with_channels(self, channels: int) -> Op:
        """What does the same where so many channels are read, if it names them."""
        del channels
        return self

    @property
    def groups_of_weights(self) -> int:
        """Into how many groups of channels the weights fall, each of which reads its own part of the input."""
        return 1

    def channels_read(self, weight: Shape) -> NDArray[np.intp]:
        """Which channel of x each column of weights of this shape is multiplied by, [O, I / groups]."""
        made, of_group, *_ = weight
        groups = self.groups_of_weights
        return np.arange(groups * of_group).reshape(groups, of_group).repeat(made // groups, axis=0)


def broadcast_shape(a: Shape, b: Shape, does: str) -> Shape:
    """The shape of an elementwise result: that of a, to which b is repeated along axes of one element.

    A constant of one element goes with every a.

    Raises:
        ValueError: b does not fit; ``does`` says what is done, as in "adds".
    """
    fits = len(a) == len(b) and all(there in {here, 1} for here, there in zip(a, b, strict=True))
    if b != (1,) and not fits:
        raise ValueError(
            f"has operands of the shapes {a} and {b}: edgekit {does} equal shapes, or such that one is repeated along "
            f"axes of one element to fit the other"
        )
    return a


def operators() -> Mapping[str, type[Op]]:
    """Every operator by the name of its class."""
    return dict(_OPERATORS)


_OPERATORS: dict[str, type[Op]] = {}
