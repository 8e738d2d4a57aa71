"""MobileOne s0 to s4 (arXiv:2206.04040), as it is deployed: one convolution with a bias, and ReLU, after another.

Training sees each of them as several branches of convolution and batch normalization, which are added. A checkpoint of
that form is brought into this one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.errors import CheckpointError
from edgekit.models import numbers
from edgekit.models.architecture import Architecture, Block, Options, check_width
from edgekit.models.blocks import Shape, SqueezeExcite, activate, conv, depthwise
from edgekit.models.families.registry import Family
from edgekit.models.names import Renamed, roots_of
from edgekit.models.naming import Naming, own_forms
from edgekit.models.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from edgekit.models.architecture import Kind, Part, Size
    from edgekit.models.wiring import Names

# Table 2: channels at width 1 and pairs of convolutions of each stage, of which the first strides.
_STAGES = ((64, 2), (128, 8), (256, 10), (512, 1))
_STEM = 64
# Table 3: multipliers of the stages' channels; squeezing pairs at the end of each.
_SCALES = {
    "s0": ((0.75, 1.0, 1.0, 2.0), (0, 0, 0, 0)),
    "s1": ((1.5, 1.5, 2.0, 2.5), (0, 0, 0, 0)),
    "s2": ((1.5, 2.0, 2.5, 4.0), (0, 0, 0, 0)),
    "s3": ((2.0, 2.5, 3.0, 4.0), (0, 0, 0, 0)),
    "s4": ((3.0, 3.5, 3.5, 4.0), (0, 0, 5, 1)),
}
_SQUEEZE = 16  # channels for one inside squeeze-and-excite
_EPS = 1e-5  # of batch normalization in both implementations


def mobileone(scale: str, width: float = 1.0, num_classes: int = 1000, **options: Unpack[Options]) -> Architecture:
    """MobileOne of a scale, "s0" to "s4"; ``width`` multiplies its channels once more."""
    check_width(width)
    multipliers, squeezing = _SCALES[scale]
    stem = before = max(8, int(_STEM * min(1.0, multipliers[0]) * width))
    blocks = []
    for (channels, pairs), multiplier, last in zip(_STAGES, multipliers, squeezing, strict=True):
        out = max(8, int(channels * multiplier * width))
        for pair in range(pairs):
            squeezes, stride = pair >= pairs - last, 2 if pair == 0 else 1
            blocks.append(_row("depthwise", 3, before, stride, squeezes=squeezes))
            blocks.append(_row("single", 1, out, 1, squeezes=squeezes))
            before = out
    architecture = Architecture(
        family=f"mobileone_{scale}",
        width=width,
        num_classes=num_classes,
        resolution=224,
        in_channels=3,
        padding="symmetric",
        bn_eps=_EPS,
        stem_channels=stem,
        stem_stride=2,
        activation="relu",
        blocks=tuple(blocks),
        head_channels=0,
        hidden_channels=(),
        gate="sigmoid",
    )
    return architecture.with_options(**options)


def _row(kind: Kind, kernel: int, channels: int, stride: int, *, squeezes: bool) -> Block:
    squeeze = max(1, channels // _SQUEEZE) if squeezes else 0
    return Block(kernel, channels, channels, squeeze, "relu", stride, expands=False, kind=kind, skips=False)


class Reparametrized(nn.Module):
    """A convolution with a bias, squeeze-and-excite where the row has it, and an activation."""

    def __init__(self, architecture: Architecture, before: int, block: Block, size: Size) -> None:
        super().__init__()
        is_depthwise = block.kind == "depthwise"
        shape = (
            depthwise(block)
            if is_depthwise
            else Shape(before, block.out, block.kernel, block.stride, dilation=block.dilation)
        )
        self.reparam_conv = conv(shape, size, architecture.padding, bias=True)
        self.se = SqueezeExcite(architecture, block) if block.squeeze else None
        self.act = activate(block.activation)

    def forward(self, x: Tensor) -> Tensor:
        """[N, I, H, W] -> [N, O, H / stride, W / stride]."""
        x = self.reparam_conv(x)
        y: Tensor = self.act(x if self.se is None else self.se(x))
        return y


def _parts(block: str, has: Collection[Part]) -> dict[Part, Names]:
    gate: dict[Part, str] = {"squeeze": "se.fc1", "excite": "se.fc2"}
    return {part: (f"{block}.{gate.get(part, 'reparam_conv')}", None) for part in has}


_FORMS: tuple[frozenset[Part], ...] = (frozenset(("depthwise",)), frozenset(("filter",)))
_GATE: frozenset[Part] = frozenset(("squeeze", "excite"))
WIRING = Wiring(
    name="mobileone",
    block=Reparametrized,
    parts=_parts,
    mark="reparam_conv",
    forms=(*(form | _GATE for form in _FORMS), *_FORMS),
    normalizes=False,
    has_last=False,
)


@dataclass(frozen=True, slots=True, eq=False)
class _Branches:
    """An implementation's names: of the stem, of blocks, and of the branches of each.

    Attributes:
        source: whose names they are, for people.
        stem: the first block.
        first: the second block, which tells this implementation from others with the same stem.
        block: an expression of the other blocks; its groups are stage and place.
        convs: what branches of the full kernel have before their number.
        scale: the branch of a 1x1 kernel.
        skip: batch normalization alone.
        gate: the layers of squeeze-and-excite, theirs to ours.
    """

    source: str
    stem: str
    first: str
    block: re.Pattern[str]
    convs: str
    scale: str
    skip: str
    gate: dict[str, str]

    def roots(self, weights: Mapping[str, Tensor]) -> list[str]:
        """What stands before the names of each network of this layout."""
        kernels = "reparam_conv.weight", f"{self.convs}.0.conv.weight"
        found = [root for kernel in kernels for root in roots_of(f"{self.stem}.{kernel}", weights)]
        return [root for root in found if any(f"{root}{self.first}.{kernel}" in weights for kernel in kernels)]

    def rename(self, weights: Mapping[str, Tensor], root: str, file_name: str) -> Renamed:  # noqa: ARG002 - keys tell all
        """The network at ``root``, with one convolution for all branches of a block.

        Raises:
            CheckpointError: branches are incomplete, do not belong together, or hold what are no numbers.
        """
        places = {
            (int(match[1]), int(match[2])): root + match[0]
            for key in weights
            if key.startswith(root) and (match := self.block.match(key.removeprefix(root)))
        }
        blocks = {f"{root}{self.stem}.": WIRING.stem_names()[0]}
        for index, place in enumerate(sorted(places)):
            blocks[places[place]] = f"{WIRING.block_module(index)}.reparam_conv"
        renamed: dict[str, Tensor] = {}
        rest = {key: tensor for key, tensor in weights.items() if not key.startswith(tuple(blocks))}
        merged = 0
        for theirs, module in blocks.items():
            own = {key.removeprefix(theirs): tensor for key, tensor in weights.items() if key.startswith(theirs)}
            if f"{self.convs}.0.conv.weight" in own:
                merged += 1
                renamed[f"{module}.weight"], renamed[f"{module}.bias"] = self._merged(own, theirs)
            for key, tensor in own.items():
                layer, _, leaf = key.rpartition(".")
                if layer == "reparam_conv":
                    renamed[f"{module}.{leaf}"] = tensor
                elif layer in self.gate:
                    renamed[f"{module.rpartition('.')[0]}.{self.gate[layer]}.{leaf}"] = tensor
                elif not key.startswith((f"{self.convs}.", f"{self.scale}.", f"{self.skip}.")):
                    rest[theirs + key] = tensor
        notes = (f"branches of training merged into one convolution in {merged} blocks",) if merged else ()
        return Renamed(
            source=self.source,
            wiring=WIRING,
            weights=renamed,
            rest=rest,
            usual=Options(padding="symmetric"),
            stated=Options(bn_eps=_EPS),
            scopes=tuple(blocks),
            notes=notes,
        )

    def _merged(self, own: Mapping[str, Tensor], block: str) -> tuple[Tensor, Tensor]:
        """Kernel and bias of the sum of a block's branches (section 3.2), in float64."""
        convs = sorted(key.removesuffix(".conv.weight") for key in own if re.match(rf"{self.convs}\.\d+\.conv\.", key))
        first = own[f"{self.convs}.0.conv.weight"]
        out, inside, side = len(first), first.shape[1], first.shape[-1]
        kernel = torch.zeros(out, inside, side, side, dtype=torch.float64)
        bias = torch.zeros(out, dtype=torch.float64)
        for branch in (*convs, self.scale, self.skip):
            if branch == self.skip and f"{branch}.weight" in own:
                norm, channels = branch, torch.arange(out)
                one = torch.zeros_like(kernel)
                one[channels, channels % inside, side // 2, side // 2] = 1
            elif f"{branch}.conv.weight" in own:
                norm = f"{branch}.bn"
                one = numbers.float32(f"{block}{branch}.conv.weight", own[f"{branch}.conv.weight"]).double()
                one = functional.pad(one, [side // 2 - one.shape[-1] // 2] * 4)
            else:
                continue
            factor, shift = _affine(own, block, norm)
            if one.shape != kernel.shape or factor.shape != bias.shape:
                raise CheckpointError(f"branches of {block} have other shapes: they do not belong together")
            kernel, bias = kernel + one * factor[:, None, None, None], bias + shift
        return kernel.float(), bias.float()


def _affine(own: Mapping[str, Tensor], block: str, norm: str) -> tuple[Tensor, Tensor]:
    """Factor and summand of a batch normalization."""
    parts = [f"{norm}.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var")]
    if missing := [part for part in parts if part not in own]:
        raise CheckpointError(f"weight {block + missing[0]!r} is missing: the checkpoint is incomplete")
    weight, bias, mean, variance = (numbers.float32(block + part, own[part]).double() for part in parts)
    factor = weight / (variance + _EPS).sqrt()
    return factor, bias - mean * factor


# Networks that edgekit saved without metadata.
EDGEKIT = Naming("MobileOne state dict", WIRING, ("features.0.0", None), own_forms(WIRING, "features.{n}"))
# github.com/apple/ml-mobileone.
APPLE = _Branches(
    source="Apple's MobileOne",
    stem="stage0",
    first="stage1.0",
    block=re.compile(r"stage([1-9])\.(\d+)\."),
    convs="rbr_conv",
    scale="rbr_scale",
    skip="rbr_skip",
    gate={"se.reduce": "se.fc1", "se.expand": "se.fc2"},
)
# timm/models/byobnet.py.
TIMM = _Branches(
    source="timm's MobileOne",
    stem="stem",
    first="stages.0.0",
    block=re.compile(r"stages\.(\d+)\.(\d+)\."),
    convs="conv_kxk",
    scale="conv_scale",
    skip="identity",
    gate={"attn.fc1": "se.fc1", "attn.fc2": "se.fc2"},
)

FAMILIES = tuple(
    Family(f"mobileone_{scale}", partial(mobileone, scale), WIRING, (EDGEKIT, APPLE, TIMM)) for scale in _SCALES
)
