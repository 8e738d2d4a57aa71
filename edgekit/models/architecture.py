"""What a MobileNet looks like, as a value: every channel, kernel, stride and activation, and no weights.

NOTES for developers: no torch in here. An architecture travels with every saved artefact and is read on devices that
have no torch.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, Unpack, get_args

from edgekit.errors import ArtifactError, ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    class Factory(Protocol):
        """One of the functions below that make an architecture."""

        def __call__(self, width: float = ..., num_classes: int = ..., **options: Unpack[Options]) -> Architecture:
            """The family's architecture at a width."""


Activation = Literal["relu", "relu6", "hard_swish"]
HeadActivation = Literal["relu", "relu6", "hard_swish", "none"]
PaddingStyle = Literal["same", "symmetric"]
Family = Literal[
    "mobilenet_v1",
    "mobilenet_v1_cifar",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "mobilenet_v3_digits",
    "mobilenet_v3_nas",
]
Size = tuple[int, int]  # height and width, in pixels


class Options(TypedDict, total=False):
    """What leaves no trace in the channels; each family has its defaults. See ``Architecture``."""

    resolution: int | Size
    in_channels: int
    padding: PaddingStyle
    bn_eps: float
    activation: Activation
    head_activation: HeadActivation | None
    stem_stride: int
    squeeze_first: bool
    residuals: bool


@dataclass(frozen=True, slots=True)
class Block:
    """One row of the network's table: [expansion 1x1,] depthwise, [squeeze-and-excite,] 1x1 projection.

    Attributes:
        kernel: side of the depthwise kernel, in pixels.
        expanded: channels of the depthwise convolution.
        out: channels after the projection.
        squeeze: channels inside squeeze-and-excite, 0 without it.
        activation: after the expansion and the depthwise convolution (in V1 after the projection, too).
        stride: of the depthwise convolution.
        expands: an expansion convolution comes first. Not read off ``expanded``: a pruned expansion may happen to have
            as many channels as its input.
    """

    kernel: int
    expanded: int
    out: int
    squeeze: int
    activation: Activation
    stride: int
    expands: bool


@dataclass(frozen=True, slots=True)
class Architecture:
    """A whole network.

    Attributes:
        family: which wiring, and which names the weights have.
        width: the multiplier of all channels; None where the channels belong to no multiplier (a pruned network).
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

    Raises:
        ConfigError: a size is below 1, or padding or an activation is unknown.
    """

    family: Family
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

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ConfigError(f"unknown family {self.family!r}: {did_you_mean(str(self.family), FAMILIES)}")
        kinds = (("padding", PaddingStyle), ("activation", Activation), ("head_activation", HeadActivation))
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
        """
        activation = options.get("activation", self.activation)
        blocks = tuple(
            replace(block, activation=activation) if block.activation == self.activation else block
            for block in self.blocks
        )
        return replace(replace(self, blocks=blocks), **options)

    @property
    def size(self) -> Size:
        """Height and width of the input image, in pixels."""
        return self.resolution if isinstance(self.resolution, tuple) else (self.resolution, self.resolution)

    @property
    def name(self) -> str:
        """Family, width and resolution.

        >>> mobilenet_v2().name, mobilenet_v2(resolution=(192, 256)).name
        ('mobilenet_v2_1.0_224', 'mobilenet_v2_1.0_192x256')
        """
        width = "pruned" if self.width is None else float(self.width)
        return f"{self.family}_{width}_{'x'.join(str(side) for side in dict.fromkeys(self.size))}"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; what most networks have alike is left out, as it was before it could differ."""
        values = asdict(self)
        usual = {field.name: field.default for field in fields(self) if field.default is not MISSING}
        if len(self.hidden_channels) < 2:
            values["hidden_channels"] = sum(self.hidden_channels)
        return {name: value for name, value in values.items() if name not in usual or value != usual[name]}

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


def make_divisible(value: float, divisor: int = 8) -> int:
    """``value`` rounded to a multiple of ``divisor``, and never below 90 % of itself.

    Source: slim/nets/mobilenet/mobilenet.py in tensorflow/models, which the published V2 and V3 weights follow.

    >>> make_divisible(32 * 0.35), make_divisible(16 * 1.4)
    (16, 24)
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * value else rounded + divisor


# arXiv:1704.04861, table 1: output channels and stride of each depthwise separable block.
_V1_STEM = 32
_V1_ROWS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)


# A V1 for images of 32 x 32, as people write it for CIFAR-10: no stride in the stem, and eight blocks.
_V1_CIFAR_ROWS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1))


def mobilenet_v1(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MobileNetV1 (arXiv:1704.04861). Channels are cut off, not rounded, and at least 8 (slim's mobilenet_v1.py)."""
    return _v1(_V1_ROWS, width, num_classes).with_options(**options)


def mobilenet_v1_cifar(width: float = 1.0, num_classes: int = 10, **options: Unpack[Options]) -> Architecture:
    """A MobileNetV1 of eight blocks for images of 32 x 32, with ReLU, as it is written in PyTorch."""
    small = replace(_v1(_V1_CIFAR_ROWS, width, num_classes), family="mobilenet_v1_cifar", stem_stride=1)
    usual = Options(resolution=32, padding="symmetric", bn_eps=1e-5, activation="relu")
    return small.with_options(**usual).with_options(**options)


def _v1(rows: Sequence[tuple[int, int]], width: float, num_classes: int) -> Architecture:
    _check_width(width)
    stem = before = max(8, int(_V1_STEM * width))
    blocks = []
    for channels, stride in rows:
        out = max(8, int(channels * width))
        blocks.append(Block(3, before, out, 0, "relu6", stride, expands=False))
        before = out
    return Architecture(
        family="mobilenet_v1",
        width=width,
        num_classes=num_classes,
        resolution=224,
        in_channels=3,
        padding="same",
        bn_eps=1e-3,
        stem_channels=stem,
        stem_stride=2,
        activation="relu6",
        blocks=tuple(blocks),
        head_channels=0,
        hidden_channels=(),
    )


# arXiv:1801.04381, table 2: expansion, output channels, repetitions, stride of the first.
_V2_STEM = 32
_V2_HEAD = 1280
_V2_ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MobileNetV2 (arXiv:1801.04381). The head keeps its 1280 channels below width 1."""
    _check_width(width)
    stem = before = make_divisible(_V2_STEM * width)
    blocks = []
    for expansion, channels, repeats, first_stride in _V2_ROWS:
        for index in range(repeats):
            out, stride = make_divisible(channels * width), first_stride if index == 0 else 1
            blocks.append(Block(3, before * expansion, out, 0, "relu6", stride, expands=expansion != 1))
            before = out
    architecture = Architecture(
        family="mobilenet_v2",
        width=width,
        num_classes=num_classes,
        resolution=224,
        in_channels=3,
        padding="symmetric",
        bn_eps=1e-5,
        stem_channels=stem,
        stem_stride=2,
        activation="relu6",
        blocks=tuple(blocks),
        head_channels=make_divisible(_V2_HEAD * max(1.0, width)),
        hidden_channels=(),
    )
    return architecture.with_options(**options)


# Kernel, expanded channels, output channels, squeeze-and-excite, activation, stride.
_V3Row: TypeAlias = tuple[int, int, int, bool, Activation, int]


@dataclass(frozen=True, slots=True)
class _V3Table:
    """A V3-style network at width 1. The last convolution has six times the channels of the last row."""

    family: Family
    resolution: int
    stem: int
    stem_stride: int
    rows: tuple[_V3Row, ...]
    hidden: int


# arXiv:1905.02244, table 1.
_V3_LARGE = _V3Table(
    family="mobilenet_v3_large",
    resolution=224,
    stem=16,
    stem_stride=2,
    rows=(
        (3, 16, 16, False, "relu", 1),
        (3, 64, 24, False, "relu", 2),
        (3, 72, 24, False, "relu", 1),
        (5, 72, 40, True, "relu", 2),
        (5, 120, 40, True, "relu", 1),
        (5, 120, 40, True, "relu", 1),
        (3, 240, 80, False, "hard_swish", 2),
        (3, 200, 80, False, "hard_swish", 1),
        (3, 184, 80, False, "hard_swish", 1),
        (3, 184, 80, False, "hard_swish", 1),
        (3, 480, 112, True, "hard_swish", 1),
        (3, 672, 112, True, "hard_swish", 1),
        (5, 672, 160, True, "hard_swish", 2),
        (5, 960, 160, True, "hard_swish", 1),
        (5, 960, 160, True, "hard_swish", 1),
    ),
    hidden=1280,
)

# arXiv:1905.02244, table 2.
_V3_SMALL = _V3Table(
    family="mobilenet_v3_small",
    resolution=224,
    stem=16,
    stem_stride=2,
    rows=(
        (3, 16, 16, True, "relu", 2),
        (3, 72, 24, False, "relu", 2),
        (3, 88, 24, False, "relu", 1),
        (5, 96, 40, True, "hard_swish", 2),
        (5, 240, 40, True, "hard_swish", 1),
        (5, 240, 40, True, "hard_swish", 1),
        (5, 120, 48, True, "hard_swish", 1),
        (5, 144, 48, True, "hard_swish", 1),
        (5, 288, 96, True, "hard_swish", 2),
        (5, 576, 96, True, "hard_swish", 1),
        (5, 576, 96, True, "hard_swish", 1),
    ),
    hidden=1024,
)

# Ours, for 32 x 32 images: the operators of V3 (both activations, both kernels, squeeze-and-excite, residuals), a stem
# that keeps the resolution, and few enough weights to ship.
_V3_DIGITS = _V3Table(
    family="mobilenet_v3_digits",
    resolution=32,
    stem=16,
    stem_stride=1,
    rows=(
        (3, 16, 16, True, "relu", 2),
        (3, 64, 24, False, "relu", 1),
        (3, 72, 24, False, "relu", 1),
        (5, 96, 40, True, "hard_swish", 2),
        (5, 120, 40, True, "hard_swish", 1),
        (5, 144, 56, True, "hard_swish", 2),
        (5, 168, 56, True, "hard_swish", 1),
    ),
    hidden=128,
)


# Ours by its name only: eleven rows that a search might give, as written in textbooks. Without residuals, hard-swish
# everywhere, and squeeze-and-excite before it.
_V3_NAS = _V3Table(
    family="mobilenet_v3_nas",
    resolution=224,
    stem=32,
    stem_stride=2,
    rows=(
        (3, 96, 24, True, "hard_swish", 1),
        (3, 72, 24, False, "hard_swish", 2),
        (5, 72, 40, True, "hard_swish", 2),
        (5, 120, 40, True, "hard_swish", 1),
        (3, 240, 80, False, "hard_swish", 2),
        (3, 200, 80, False, "hard_swish", 1),
        (3, 480, 112, True, "hard_swish", 1),
        (3, 672, 112, True, "hard_swish", 1),
        (5, 672, 160, True, "hard_swish", 2),
        (5, 960, 160, True, "hard_swish", 1),
        (5, 960, 160, True, "hard_swish", 1),
    ),
    hidden=0,
)
_NAS_HEAD = 1280


def mobilenet_v3_large(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MobileNetV3-Large (arXiv:1905.02244)."""
    return _v3(_V3_LARGE, width, num_classes).with_options(**options)


def mobilenet_v3_small(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MobileNetV3-Small (arXiv:1905.02244)."""
    return _v3(_V3_SMALL, width, num_classes).with_options(**options)


def mobilenet_v3_digits(width: float = 1.0, num_classes: int = 10, **options: Unpack[Options]) -> Architecture:
    """A small V3-style network for small images, with every operator that MobileNetV3 has."""
    return _v3(_V3_DIGITS, width, num_classes).with_options(**options)


def mobilenet_v3_nas(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """A V3-style network of eleven searched rows, without residuals."""
    table = _v3(_V3_NAS, width, num_classes)
    usual = Options(bn_eps=1e-5, squeeze_first=True, residuals=False)
    return replace(table, head_channels=_NAS_HEAD).with_options(**usual).with_options(**options)


def _v3(table: _V3Table, width: float, num_classes: int) -> Architecture:
    _check_width(width)
    stem = before = make_divisible(table.stem * width)
    blocks = []
    for kernel, expanded, out, squeezes, activation, stride in table.rows:
        wide = make_divisible(expanded * width)
        squeeze = make_divisible(wide // 4) if squeezes else 0
        before, expands = make_divisible(out * width), wide != before
        blocks.append(Block(kernel, wide, before, squeeze, activation, stride, expands))
    return Architecture(
        family=table.family,
        width=width,
        num_classes=num_classes,
        resolution=table.resolution,
        in_channels=3,
        padding="symmetric",
        bn_eps=1e-3,
        stem_channels=stem,
        stem_stride=table.stem_stride,
        activation="hard_swish",
        blocks=tuple(blocks),
        head_channels=6 * before,
        hidden_channels=(make_divisible(table.hidden * width),) if table.hidden else (),
    )


def _check_width(width: float) -> None:
    if width <= 0:
        raise ConfigError(f"width is {width}, and must be above 0")


FAMILIES: Mapping[str, Factory] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v1_cifar": mobilenet_v1_cifar,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": mobilenet_v3_large,
    "mobilenet_v3_small": mobilenet_v3_small,
    "mobilenet_v3_nas": mobilenet_v3_nas,
    "mobilenet_v3_digits": mobilenet_v3_digits,
}
