"""What a MobileNet looks like, as a value: every channel, kernel, stride and activation, and no weights.

NOTES for developers: no torch in here. An architecture travels with every saved artefact and is read on devices that
have no torch.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields, replace
from math import prod
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, Unpack, get_args

from edgekit.errors import ArtifactError, ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

Activation = Literal["relu", "relu6", "hard_swish"]
HeadActivation = Literal["relu", "relu6", "hard_swish", "none"]
PaddingStyle = Literal["same", "symmetric"]
Gate = Literal["hard_sigmoid", "sigmoid"]
Kind = Literal["inverted", "fused", "single", "depthwise"]
Part = Literal["start", "expand", "depthwise", "squeeze", "excite", "project", "filter", "shortcut"]
Size = tuple[int, int]  # height and width, in pixels

# Pixels of an image of 32 x 32 to each place of its last map, which is 4 x 4 then; and the size of such images.
# Source: models/mobilenetv2.py of github.com/kuangliu/pytorch-cifar, which has no stride in the stem and in stage 2.
_CIFAR_STRIDE, _CIFAR_SIDE = 8, 32


class Options(TypedDict, total=False):
    """What leaves no trace in the channels; each family has its defaults. See ``Architecture``."""

    resolution: int | Size
    in_channels: int
    padding: PaddingStyle
    bn_eps: float
    activation: Activation
    head_activation: HeadActivation | None
    stem_stride: int
    cifar_stem: bool
    squeeze_first: bool
    residuals: bool
    gate: Gate
    squeezes_as_block: bool


@dataclass(frozen=True, slots=True)
class Block:
    """One row of the network's table.

    An inverted residual is [depthwise,] [expansion 1x1,] [depthwise,] [squeeze-and-excite,] 1x1 projection. A fused one
    expands by a convolution of the full kernel, and has no depthwise one. A single one is that convolution alone, a
    depthwise one a depthwise convolution alone, with squeeze-and-excite behind where the row has it.

    Attributes:
        kernel: side of the depthwise kernel, in pixels, 0 without one; of the full kernel where the row is no inverted
            residual.
        expanded: channels between the expansion and the projection; those that come out of a single convolution.
        out: channels after the projection.
        squeeze: channels inside squeeze-and-excite, 0 without it.
        activation: after the expansion and the depthwise convolution (in V1 after the projection, too).
        stride: of the depthwise convolution, the later one where there are two; or of the full kernel.
        expands: an expansion convolution comes first. Not read off ``expanded``: a pruned expansion may happen to have
            as many channels as its input.
        start: side of the kernel of a depthwise convolution before the expansion, in pixels, 0 without one.
        kind: which of these it is.
        skips: a row of stride 1 that keeps the channels adds its input.
        shortcut: it adds its input through a 1x1 convolution with batch normalization.
        dilation: rows and columns from one number of its kernels to the next.
    """

    kernel: int
    expanded: int
    out: int
    squeeze: int
    activation: Activation
    stride: int
    expands: bool
    start: int = 0
    kind: Kind = "inverted"
    skips: bool = True
    shortcut: bool = False
    dilation: int = 1

    @property
    def parts(self) -> frozenset[Part]:
        """The convolutions that it consists of."""
        filters, is_inverted = self.kind in {"fused", "single"}, self.kind == "inverted"
        has: dict[Part, object] = {
            "start": self.start,
            "expand": self.expands,
            "filter": filters,
            "depthwise": self.kernel and not filters,
            "squeeze": self.squeeze,
            "excite": self.squeeze,
            "project": is_inverted or self.kind == "fused",
            "shortcut": self.shortcut,
        }
        return frozenset(part for part, there in has.items() if there)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A whole network.

    Attributes:
        family: its name in ``edgekit.models.families``, which says what its blocks are and how weights are named.
        width: the multiplier of all channels; None where the channels belong to no multiplier, as in a pruned or a
            searched network.
        num_classes: how many logits come out.
        resolution: height and width of the input image in pixels: one number where they are equal, else both.
        in_channels: of the image.
        padding: "symmetric" pads every convolution alike on all sides, as PyTorch does; "same" as TensorFlow does.
        bn_eps: added to each batch normalization's variance.
        stem_channels: of the first convolution, 3 x 3.
        stem_stride: of the first convolution.
        activation: after the first convolution and in the head.
        blocks: the rows of the table.
        head_channels: of the last 1x1 convolution; 0 in V1, which has none.
        hidden_channels: of each linear layer before the last; V1 and V2 have none of their own, V3 has one.
        head_activation: after each hidden linear layer; None is as ``activation``.
        keeps_hidden: the first hidden layer is the family's own, with ``activation``, and others follow.
        squeeze_first: squeeze-and-excite comes before the depthwise convolution's activation, in blocks that expand.
        residuals: blocks of stride 1 that keep the channels add their input.
        gate: the function at the end of squeeze-and-excite.
        squeezes_as_block: inside squeeze-and-excite is the block's activation, and not ReLU.
        cifar_stem: the first strides were taken out, for images of 32 x 32 (``with_options``).

    Raises:
        ConfigError: a size is below 1, or padding, an activation or a gate is unknown.
    """

    family: str
    width: float | None
    num_classes: int
    resolution: int | Size
    in_channels: int
    padding: PaddingStyle
    bn_eps: float
    stem_channels: int
    stem_stride: int
    activation: Activation
    blocks: tuple[Block, ...]
    head_channels: int
    hidden_channels: tuple[int, ...]
    head_activation: HeadActivation | None = None
    keeps_hidden: bool = False
    squeeze_first: bool = False
    residuals: bool = True
    gate: Gate = "hard_sigmoid"
    squeezes_as_block: bool = False
    cifar_stem: bool = False

    def __post_init__(self) -> None:
        kinds = (
            ("padding", PaddingStyle),
            ("activation", Activation),
            ("head_activation", HeadActivation),
            ("gate", Gate),
        )
        for name, kind in kinds:
            value = getattr(self, name)
            if value not in get_args(kind) and (name, value) != ("head_activation", None):
                raise ConfigError(f"unknown {name} {value!r}: {did_you_mean(str(value), get_args(kind))}")
        for name, least in (
            ("num_classes", self.num_classes),
            ("resolution", min(self.size)),
            ("in_channels", self.in_channels),
        ):
            if least < 1:
                raise ConfigError(f"{name} is {least}, and must be at least 1")
        if self.bn_eps <= 0:
            raise ConfigError(f"bn_eps is {self.bn_eps}, and must be above 0")

    def with_options(self, **options: Unpack[Options]) -> Architecture:
        """This network with other options.

        An activation other than that of stem and head replaces it everywhere in the trunk. In a V3 that is the
        hard-swish of the later blocks, as in the minimalistic V3; its first blocks keep their ReLU.

        With ``cifar_stem`` strides are taken out from the first convolution on, until images of 32 x 32 leave a last
        map of 4 x 4 instead of 1 x 1; they are its size unless another is among the options.

        Raises:
            ConfigError: a value is invalid, or strides that are taken out would have to be put back.
        """
        activation = options.get("activation", self.activation)
        blocks = tuple(
            replace(block, activation=activation) if block.activation == self.activation else block
            for block in self.blocks
        )
        network = replace(self, blocks=blocks)
        if options.get("cifar_stem", self.cifar_stem) != self.cifar_stem:
            network, options = _for_cifar(network), Options(resolution=_CIFAR_SIDE) | options
        return replace(network, **options)

    @property
    def size(self) -> Size:
        """Height and width of the input image, in pixels."""
        return self.resolution if isinstance(self.resolution, tuple) else (self.resolution, self.resolution)

    @property
    def name(self) -> str:
        """Family, width and resolution: "mobilenet_v2_1.0_224", "mobilenet_v2_0.35_192x256"."""
        width = "custom" if self.width is None else float(self.width)
        return f"{self.family}_{width}_{'x'.join(str(side) for side in dict.fromkeys(self.size))}"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; what most networks have alike is left out, as it was before it could differ."""
        values = asdict(self)
        if len(self.hidden_channels) < 2:
            values["hidden_channels"] = sum(self.hidden_channels)
        values["blocks"] = [_unusual(Block, block) for block in values["blocks"]]
        return _unusual(Architecture, values)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Architecture:
        """The inverse of ``to_dict``.

        Raises:
            ArtifactError: a field is missing, unknown or invalid.
        """
        try:
            resolution, hidden = values["resolution"], values["hidden_channels"]
            read: dict[str, Any] = {
                "blocks": tuple(Block(**row) for row in values["blocks"]),
                "resolution": tuple(resolution) if isinstance(resolution, list | tuple) else resolution,
                "hidden_channels": tuple(hidden) if isinstance(hidden, list | tuple) else (hidden,) if hidden else (),
            }
            return Architecture(**{**values, **read})
        except (KeyError, TypeError, ConfigError) as error:
            expected = ", ".join(field.name for field in fields(Architecture))
            raise ArtifactError(
                f"not a saved architecture ({error}); it needs {expected}. Export the model again with this version"
            ) from error


def _unusual(kind: type[Architecture | Block], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of fields without those that are as most are."""
    usual = {field.name: field.default for field in fields(kind) if field.default is not MISSING}
    return {name: value for name, value in values.items() if name not in usual or value != usual[name]}


def _for_cifar(network: Architecture) -> Architecture:
    """A network without its first strides."""
    if network.cifar_stem:
        raise ConfigError("the network's first strides were taken out: cifar_stem = false cannot put them back")
    strides = [network.stem_stride, *(block.stride for block in network.blocks)]
    for index in range(len(strides)):
        if prod(strides) > _CIFAR_STRIDE:
            strides[index] = 1
    stem, *others = strides
    blocks = tuple(replace(block, stride=stride) for block, stride in zip(network.blocks, others, strict=True))
    return replace(network, stem_stride=stem, blocks=blocks)


def dilated(network: Architecture, output_stride: int) -> Architecture:
    """A network whose last map has no fewer places than one in ``output_stride`` pixels of a row and of a column.

    Strides beyond that are taken out, and the kernels behind each reach as much farther. So weights of ``network`` give
    the same numbers at those places that it has, and others in between. Source: arXiv:1706.05587, section 3.1.

    Raises:
        ConfigError: its strides do not multiply to that number.
    """
    reached, dilation, blocks = network.stem_stride, 1, []
    for block in network.blocks:
        if reached * block.stride <= output_stride:
            reached *= block.stride
            blocks.append(replace(block, dilation=dilation))
        else:
            blocks.append(replace(block, stride=1, dilation=dilation, skips=False))
            dilation *= block.stride
    if reached != output_stride:
        raise ConfigError(f"the output stride {output_stride} is none that {network.name} can have: it has {reached}")
    return replace(network, blocks=tuple(blocks))


def make_divisible(value: float, divisor: int = 8) -> int:
    """``value`` rounded to a multiple of ``divisor``, and never below 90 % of itself.

    Source: slim/nets/mobilenet/mobilenet.py in tensorflow/models, which the published V2 and V3 weights follow.

    >>> make_divisible(32 * 0.35), make_divisible(16 * 1.4)
    (16, 24)
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * value else rounded + divisor


WIDEST: Final = 8  # weights grow with the square: V3-Large of this width has 300 million numbers


def check_width(width: float) -> None:
    """Refuses a multiplier of channels that leaves none, or more than a memory holds.

    Raises:
        ConfigError: it is 0 or below, or above ``WIDEST``.
    """
    if width <= 0:
        raise ConfigError(f"width is {width}, and must be above 0")
    if not width <= WIDEST:
        raise ConfigError(f"width is {width}, and may be {WIDEST} at most: 1 is the network of the paper")
