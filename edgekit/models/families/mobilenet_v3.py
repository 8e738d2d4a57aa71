"""MobileNetV3-Large and -Small (arXiv:1905.02244), under the names that edgekit and others give to their weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, Unpack

from torch import Tensor, nn

from edgekit.models.architecture import Activation, Architecture, Block, Options, check_width, make_divisible
from edgekit.models.blocks import Shape, SqueezeExcite, conv_bn, expand_and_filter, has_residual
from edgekit.models.families.registry import Family
from edgekit.models.naming import Naming, own_forms, pair, plain, squeezing, wide
from edgekit.models.wiring import SQUEEZING, Wiring

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgekit.models.architecture import Part, Size
    from edgekit.models.wiring import Names

# Kernel, expanded channels, output channels, squeeze-and-excite, activation, stride.
_Row: TypeAlias = tuple[int, int, int, bool, Activation, int]


@dataclass(frozen=True, slots=True)
class Table:
    """A V3-style network at width 1. The last convolution has six times the channels of the last row."""

    family: str
    resolution: int
    stem: int
    stem_stride: int
    rows: tuple[_Row, ...]
    hidden: int


# Table 1.
_LARGE = Table(
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

# Table 2.
_SMALL = Table(
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


def mobilenet_v3_large(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MobileNetV3-Large."""
    return of_table(_LARGE, width, num_classes).with_options(**options)


def mobilenet_v3_small(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MobileNetV3-Small."""
    return of_table(_SMALL, width, num_classes).with_options(**options)


def of_table(table: Table, width: float, num_classes: int) -> Architecture:
    """A V3 of such rows at a width."""
    check_width(width)
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


class InvertedResidual(nn.Module):
    """The block of V3: like V2's, with squeeze-and-excite before the projection where the table asks for it."""

    def __init__(self, architecture: Architecture, before: int, block: Block, size: Size) -> None:
        super().__init__()
        then = block.activation if architecture.squeeze_first and block.squeeze and block.expands else "none"
        layers = expand_and_filter(architecture, before, block, size, activates=then == "none")
        if block.squeeze:
            layers.append(SqueezeExcite(architecture, block, then))
        layers.append(conv_bn(architecture, Shape(block.expanded, block.out), size))
        self.block = nn.Sequential(*layers)
        self.has_residual = has_residual(architecture, before, block)

    def forward(self, x: Tensor) -> Tensor:
        """[N, I, H, W] -> [N, O, H / stride, W / stride]."""
        y: Tensor = self.block(x)
        return x + y if self.has_residual else y


def _parts(block: str, has: Collection[Part]) -> dict[Part, Names]:
    names: dict[Part, Names] = {"expand": (f"{block}.block.0.0", f"{block}.block.0.1")} if "expand" in has else {}
    depthwise = len(names)
    names["depthwise"] = f"{block}.block.{depthwise}.0", f"{block}.block.{depthwise}.1"
    project = depthwise + 1
    if "squeeze" in has:
        names["squeeze"] = f"{block}.block.{project}.fc1", None
        names["excite"] = f"{block}.block.{project}.fc2", None
        project += 1
    names["project"] = f"{block}.block.{project}.0", f"{block}.block.{project}.1"
    return names


def _minimalistic(blocks: tuple[Block, ...]) -> tuple[Options, str] | None:
    """The minimalistic V3 has ReLU everywhere, kernels of 3 x 3 and no squeeze-and-excite (Keras' mobilenet_v3.py)."""
    if any(block.kernel != 3 or block.squeeze for block in blocks):
        return None
    return Options(activation="relu"), (
        "ReLU everywhere: the minimalistic V3, as all kernels are 3 and nothing squeezes"
    )


WIRING = Wiring(
    name="mobilenet_v3",
    block=InvertedResidual,
    parts=_parts,
    mark="block",
    forms=SQUEEZING,
    told_by=_minimalistic,
)

# torchvision/models/mobilenetv3.py; networks that edgekit saved without metadata have these names.
TORCHVISION = Naming(
    "torchvision state dict",
    WIRING,
    ("0.0", "0.1"),
    own_forms(WIRING, "{n}"),
    ("{last}.0", "{last}.1"),
    usual=Options(padding="symmetric", bn_eps=1e-3),
    hidden="classifier.0",
)

# github.com/d-li14/mobilenetv3.pytorch: squeeze-and-excite before the activation, where the block expands.
_D_LI14_WIDE = wide(pair("features.{n}.conv", 0), pair("features.{n}.conv", 3), pair("features.{n}.conv", 7))
_D_LI14_PLAIN = plain(pair("features.{n}.conv", 0), pair("features.{n}.conv", 4))
D_LI14 = Naming(
    "d-li14's MobileNetV3",
    WIRING,
    ("features.0.0", "features.0.1"),
    (
        squeezing(_D_LI14_WIDE, "features.{n}.conv.5.fc.0", "features.{n}.conv.5.fc.2"),
        _D_LI14_WIDE,
        squeezing(_D_LI14_PLAIN, "features.{n}.conv.3.fc.0", "features.{n}.conv.3.fc.2"),
        _D_LI14_PLAIN,
    ),
    ("conv.0", "conv.1"),
    stated=Options(squeeze_first=True),
    hidden="classifier.0",
)

NAMINGS = (TORCHVISION, D_LI14)
LARGE = Family("mobilenet_v3_large", mobilenet_v3_large, WIRING, NAMINGS)
SMALL = Family("mobilenet_v3_small", mobilenet_v3_small, WIRING, NAMINGS)
