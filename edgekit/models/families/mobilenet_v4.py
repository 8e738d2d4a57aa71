"""MobileNetV4 of convolutions alone (arXiv:2404.10518), small, medium and large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, Unpack

from torch import Tensor, nn

from edgekit.models.architecture import Architecture, Block, Kind, Options, check_width, make_divisible
from edgekit.models.blocks import Shape, conv_bn, depthwise, has_residual, size_behind
from edgekit.models.families.registry import Family
from edgekit.models.naming import Naming, own_forms
from edgekit.models.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from edgekit.models.architecture import Part, Size
    from edgekit.models.wiring import Names

# Kind, kernel of the first and of the second depthwise convolution, expansion, output channels, stride. What is no
# inverted residual has the full kernel in the second place, and a single convolution no expansion.
_Row: TypeAlias = tuple[Kind, int, int, int, int, int]

_LAST = 960
_HIDDEN = 1280


@dataclass(frozen=True, slots=True)
class _Table:
    """A V4 at width 1."""

    family: str
    resolution: int
    stem: int
    rows: tuple[_Row, ...]


# Table 11 of the paper, as timm writes it (timm/models/mobilenetv3.py, _gen_mobilenet_v4).
_SMALL = _Table(
    family="mobilenet_v4_conv_small",
    resolution=224,
    stem=32,
    rows=(
        ("single", 0, 3, 0, 32, 2),
        ("single", 0, 1, 0, 32, 1),
        ("single", 0, 3, 0, 96, 2),
        ("single", 0, 1, 0, 64, 1),
        ("inverted", 5, 5, 3, 96, 2),
        *(("inverted", 0, 3, 2, 96, 1),) * 4,
        ("inverted", 3, 0, 4, 96, 1),
        ("inverted", 3, 3, 6, 128, 2),
        ("inverted", 5, 5, 4, 128, 1),
        ("inverted", 0, 5, 4, 128, 1),
        ("inverted", 0, 5, 3, 128, 1),
        *(("inverted", 0, 3, 4, 128, 1),) * 2,
    ),
)
_MEDIUM = _Table(
    family="mobilenet_v4_conv_medium",
    resolution=256,
    stem=32,
    rows=(
        ("fused", 0, 3, 4, 48, 2),
        ("inverted", 3, 5, 4, 80, 2),
        ("inverted", 3, 3, 2, 80, 1),
        ("inverted", 3, 5, 6, 160, 2),
        *(("inverted", 3, 3, 4, 160, 1),) * 2,
        ("inverted", 3, 5, 4, 160, 1),
        ("inverted", 3, 3, 4, 160, 1),
        ("inverted", 3, 0, 4, 160, 1),
        ("inverted", 0, 0, 2, 160, 1),
        ("inverted", 3, 0, 4, 160, 1),
        ("inverted", 5, 5, 6, 256, 2),
        ("inverted", 5, 5, 4, 256, 1),
        *(("inverted", 3, 5, 4, 256, 1),) * 2,
        ("inverted", 0, 0, 4, 256, 1),
        ("inverted", 3, 0, 4, 256, 1),
        ("inverted", 3, 5, 2, 256, 1),
        ("inverted", 5, 5, 4, 256, 1),
        *(("inverted", 0, 0, 4, 256, 1),) * 2,
        ("inverted", 5, 0, 2, 256, 1),
    ),
)
_LARGE = _Table(
    family="mobilenet_v4_conv_large",
    resolution=384,
    stem=24,
    rows=(
        ("fused", 0, 3, 4, 48, 2),
        ("inverted", 3, 5, 4, 96, 2),
        ("inverted", 3, 3, 4, 96, 1),
        ("inverted", 3, 5, 4, 192, 2),
        *(("inverted", 3, 3, 4, 192, 1),) * 3,
        ("inverted", 3, 5, 4, 192, 1),
        *(("inverted", 5, 3, 4, 192, 1),) * 5,
        ("inverted", 3, 0, 4, 192, 1),
        ("inverted", 5, 5, 4, 512, 2),
        *(("inverted", 5, 5, 4, 512, 1),) * 3,
        ("inverted", 5, 0, 4, 512, 1),
        ("inverted", 5, 3, 4, 512, 1),
        *(("inverted", 5, 0, 4, 512, 1),) * 2,
        ("inverted", 5, 3, 4, 512, 1),
        ("inverted", 5, 5, 4, 512, 1),
        *(("inverted", 5, 0, 4, 512, 1),) * 3,
    ),
)


def mobilenet_v4_conv_small(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MobileNetV4-Conv-Small."""
    return _of_table(_SMALL, width, num_classes).with_options(**options)


def mobilenet_v4_conv_medium(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MobileNetV4-Conv-Medium."""
    return _of_table(_MEDIUM, width, num_classes).with_options(**options)


def mobilenet_v4_conv_large(width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MobileNetV4-Conv-Large."""
    return _of_table(_LARGE, width, num_classes).with_options(**options)


def _of_table(table: _Table, width: float, num_classes: int) -> Architecture:
    """A V4 at a width. Below 1 the first convolution keeps its channels, as in timm."""
    check_width(width)
    stem = before = make_divisible(table.stem * max(1.0, width))
    blocks = []
    for kind, start, kernel, expansion, channels, stride in table.rows:
        out = make_divisible(channels * width)
        expanded = make_divisible(before * expansion) if expansion else out
        expands = kind == "inverted"
        blocks.append(Block(kernel, expanded, out, 0, "relu", stride, expands, start, kind, skips=expansion > 0))
        before = out
    return Architecture(
        family=table.family,
        width=width,
        num_classes=num_classes,
        resolution=table.resolution,
        in_channels=3,
        padding="symmetric",
        bn_eps=1e-5,
        stem_channels=stem,
        stem_stride=2,
        activation="relu",
        blocks=tuple(blocks),
        head_channels=make_divisible(_LAST * width),
        hidden_channels=(_HIDDEN,),
    )


class UniversalInvertedBottleneck(nn.Module):
    """The block of V4 (section 3): an inverted residual, fused or not, or a convolution alone."""

    def __init__(self, architecture: Architecture, before: int, block: Block, size: Size) -> None:
        super().__init__()
        self.uib = nn.Sequential()
        for part, shape in _shapes(before, block):
            activation = None if part in {"start", "project"} else block.activation
            self.uib.add_module(part, conv_bn(architecture, shape, size, activation))
            size = size_behind(size, shape.stride)
        self.has_residual = has_residual(architecture, before, block)

    def forward(self, x: Tensor) -> Tensor:
        """[N, I, H, W] -> [N, O, H / stride, W / stride]."""
        y: Tensor = self.uib(x)
        return x + y if self.has_residual else y


def _shapes(before: int, block: Block) -> Iterator[tuple[Part, Shape]]:
    """The convolutions in the order in which they act; the last depthwise one has the stride."""
    if block.kind != "inverted":
        yield "filter", Shape(before, block.expanded, block.kernel, block.stride, dilation=block.dilation)
    if block.start:
        yield "start", Shape(before, before, block.start, 1 if block.kernel else block.stride, before, block.dilation)
    if block.expands:
        yield "expand", Shape(before, block.expanded)
    if block.kernel and block.kind == "inverted":
        yield "depthwise", depthwise(block)
    if block.kind != "single":
        yield "project", Shape(block.expanded, block.out)


def _parts(block: str, has: Collection[Part]) -> dict[Part, Names]:
    return {part: (f"{block}.uib.{part}.0", f"{block}.uib.{part}.1") for part in has}


_ALWAYS: frozenset[Part] = frozenset(("expand", "project"))
WIRING = Wiring(
    name="mobilenet_v4",
    block=UniversalInvertedBottleneck,
    parts=_parts,
    mark="uib",
    forms=(
        _ALWAYS | {"start", "depthwise"},
        _ALWAYS | {"start"},
        _ALWAYS | {"depthwise"},
        _ALWAYS,
        frozenset(("filter", "project")),
        frozenset(("filter",)),
    ),
)

# Networks that edgekit saved without metadata; published ones are timm's.
EDGEKIT = Naming(
    "MobileNetV4 state dict",
    WIRING,
    ("features.0.0", "features.0.1"),
    own_forms(WIRING, "features.{n}"),
    ("features.{last}.0", "features.{last}.1"),
    hidden="classifier.0",
)

NAMINGS = (EDGEKIT,)
SMALL = Family("mobilenet_v4_conv_small", mobilenet_v4_conv_small, WIRING, NAMINGS)
MEDIUM = Family("mobilenet_v4_conv_medium", mobilenet_v4_conv_medium, WIRING, NAMINGS)
LARGE = Family("mobilenet_v4_conv_large", mobilenet_v4_conv_large, WIRING, NAMINGS)
