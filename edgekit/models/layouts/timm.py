"""timm's networks of inverted residuals (timm/models/_efficientnet_blocks.py).

timm counts blocks by stage (blocks.2.1) and names convolutions by the kind of their block. The last 1x1 convolution of
V3 and V4 with its batch normalization is a block of its own (conv, bn1), and their conv_head the hidden linear layer.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import torch

from edgekit.errors import CheckpointError
from edgekit.models.architecture import Options, make_divisible
from edgekit.models.families import family_of
from edgekit.models.families.mobilenet_v1 import WIRING as V1
from edgekit.models.families.mobilenet_v2 import WIRING as V2
from edgekit.models.families.mobilenet_v3 import WIRING as V3
from edgekit.models.families.mobilenet_v4 import WIRING as V4
from edgekit.models.names import WAY_BY_ONNX, Renamed, roots_of, scopes, split
from edgekit.models.wiring import paired

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from torch import Tensor

    from edgekit.models.architecture import Architecture, Block, Part
    from edgekit.models.wiring import Names, Wiring

_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.")
_TENSORFLOW_NAME = re.compile(r"(^|[^a-z])tf_(mobilenet|efficientnet_lite)")
_TENSORFLOW_IMAGES = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)  # timm's mean and deviation of 0..1 pixels for all of these
_FILTERED_NAME = re.compile(r"mobilenetv4_conv_(aa|blur)_")
EPSILON = 1e-5  # of timm's batch normalization, unless bn_eps says another
_HUNDREDTHS = {0.5: "050", 0.75: "075", 1.0: "100", 1.4: "140"}
# What timm makes, by edgekit's family and width.
NAMES: Mapping[str, Mapping[float, str]] = {
    "mobilenet_v1": {1.0: "mobilenetv1_100", 1.25: "mobilenetv1_125"},
    "mobilenet_v2": {0.35: "mobilenetv2_035", **{width: f"mobilenetv2_{name}" for width, name in _HUNDREDTHS.items()}},
    "mobilenet_v3_large": {0.75: "mobilenetv3_large_075", 1.0: "mobilenetv3_large_100"},
    "mobilenet_v3_small": {
        0.5: "mobilenetv3_small_050",
        0.75: "mobilenetv3_small_075",
        1.0: "mobilenetv3_small_100",
    },
    "mobilenet_v4_conv_small": {
        0.35: "mobilenetv4_conv_small_035",
        0.5: "mobilenetv4_conv_small_050",
        1.0: "mobilenetv4_conv_small",
    },
    "mobilenet_v4_conv_medium": {1.0: "mobilenetv4_conv_medium"},
    "mobilenet_v4_conv_large": {1.0: "mobilenetv4_conv_large"},
    "mnasnet": {width: f"mnasnet_{name}" for width, name in _HUNDREDTHS.items()},
    "mnasnet_a1": {width: f"semnasnet_{name}" for width, name in _HUNDREDTHS.items()},
    "mnasnet_small": {1.0: "mnasnet_small"},
    **{f"efficientnet_lite{level}": {1.0: f"efficientnet_lite{level}"} for level in range(5)},
}
# Where channels alone do not tell the stages of a table.
_STAGES = {"mnasnet_small": (1, 1, 2, 4, 3, 3, 1), "mobilenet_v4_conv_small": (2, 2, 6, 6)}
_KEEPS_STEM = 0.75  # a V3 keeps the channels of its stem below this width
_GATE: dict[Part, Names] = {"squeeze": ("se.conv_reduce", None), "excite": ("se.conv_expand", None)}
# A convolution that only one kind of block has, and the names of that kind's parts.
_KINDS: tuple[tuple[str, dict[Part, Names]], ...] = (
    (  # UniversalInvertedResidual
        "pw_exp.conv",
        {
            "start": ("dw_start.conv", "dw_start.bn"),
            "expand": ("pw_exp.conv", "pw_exp.bn"),
            "depthwise": ("dw_mid.conv", "dw_mid.bn"),
            "project": ("pw_proj.conv", "pw_proj.bn"),
        },
    ),
    ("conv_exp", {"filter": ("conv_exp", "bn1"), "project": ("conv_pwl", "bn2")}),  # EdgeResidual
    ("conv", {"filter": ("conv", "bn1")}),  # ConvBnAct
    (  # InvertedResidual
        "conv_pwl",
        {"expand": ("conv_pw", "bn1"), "depthwise": ("conv_dw", "bn2"), "project": ("conv_pwl", "bn3"), **_GATE},
    ),
    (  # DepthwiseSeparableConv
        "conv_dw",
        {"depthwise": ("conv_dw", "bn1"), "project": ("conv_pw", "bn2"), **_GATE},
    ),
)


class Timm:
    """timm's names."""

    def roots(self, weights: Mapping[str, Tensor]) -> list[str]:
        """What stands before the names of each network of the blocks that MobileNetV1 to V4 have."""
        return [root for root in roots_of("conv_stem.weight", weights) if _has_our_blocks(_below(weights, root))]

    def rename(self, weights: Mapping[str, Tensor], root: str, file_name: str) -> Renamed:
        """The network at ``root``. ``file_name`` may tell that it comes from TensorFlow: the keys do not.

        Raises:
            CheckpointError: the network is a V4 that pools where others stride, which no key shows.
        """
        own = _below(weights, root)
        wiring = _wiring(own)
        if wiring is V4 and (match := _FILTERED_NAME.search(file_name)) is not None:
            raise CheckpointError(
                f"{file_name!r} names a MobileNetV4 that pools where others stride ({match[1]}), which no key shows."
                f" It can come as ONNX: {WAY_BY_ONNX}"
            )
        modules = {root + theirs: ours for theirs, ours in _modules(own, wiring).items()}
        renamed, rest = split(weights, modules)
        is_tensorflow = _TENSORFLOW_NAME.search(file_name) is not None
        is_rw = _is_rw(own)
        return Renamed(
            source="timm state dict",
            wiring=wiring,
            weights=renamed,
            rest=rest,
            usual=Options(
                padding="same" if is_tensorflow else "symmetric", bn_eps=1e-3 if is_tensorflow or is_rw else 1e-5
            ),
            scopes=scopes(modules, f"{root}blocks."),
            own_hidden=None if _has_last(own) else f"{root}conv_head",
            named_hidden=True,
            own_norm=f"{root}norm_head" if wiring is V4 else None,
            family="mobilenet_v3_rw" if is_rw else None,
            normalization=_TENSORFLOW_IMAGES if is_tensorflow else None,
            notes=(_note(wiring, file_name, is_tensorflow=is_tensorflow),),
        )


# --- writing


def as_there(architecture: Architecture) -> Architecture:
    """A family's network with timm's channels.

    A V3 expands what was rounded, below some width keeps its stem, and has the same hidden layer at every width. All
    other families are the same. Source: _gen_mobilenet_v3 in timm/models/mobilenetv3.py.
    """
    usual = family_of(architecture.family).make()
    if family_of(architecture.family).wiring is not V3 or not architecture.hidden_channels:
        return architecture
    stem = usual.stem_channels if (architecture.width or 1.0) < _KEEPS_STEM else architecture.stem_channels
    before, usual_before, blocks = stem, usual.stem_channels, []
    for row, base in zip(architecture.blocks, usual.blocks, strict=True):
        expanded = make_divisible(before * base.expanded / usual_before)
        squeeze = make_divisible(expanded / 4) if base.squeeze else 0
        blocks.append(replace(row, expanded=expanded, squeeze=squeeze, expands=base.expands))
        before, usual_before = row.out, base.out
    hidden = usual.hidden_channels
    return replace(architecture, stem_channels=stem, blocks=tuple(blocks), hidden_channels=hidden)


def modules_of(architecture: Architecture) -> dict[str, str]:
    """The modules of a network, timm's to edgekit's."""
    wiring, count = family_of(architecture.family).wiring, len(architecture.blocks)
    modules = paired(("conv_stem", "bn1"), wiring.stem_names())
    stages = _stages(architecture.family)
    names = [f"blocks.{stage}.{place}" for stage, size in enumerate(stages) for place in range(size)]
    for index, (name, block) in enumerate(zip(names, architecture.blocks, strict=True)):
        theirs = _parts_of(wiring, block)
        for part, ours in wiring.block_names(index, block.parts).items():
            modules |= {f"{name}.{their}": own for their, own in paired(theirs[part], ours).items()}
    *hidden, last = wiring.classifier_names(len(architecture.hidden_channels))
    behind = wiring.last_names(count)
    if behind is not None:
        own = f"blocks.{len(stages)}.0"
        modules |= paired((f"{own}.conv", f"{own}.bn1") if hidden else ("conv_head", "bn2"), behind)
    layers = ["conv_head", "classifier"] if hidden else ["classifier"]
    return modules | dict(zip(layers, (*hidden, last), strict=True))


def with_head(weights: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """The weights with the hidden layer as timm has it, a 1x1 convolution; in V4 without a bias, before normalization.

    That normalization divides by 1, to the bit, where the layer is read again (``heads.recognition``).
    """
    written = dict(weights)
    if not architecture.hidden_channels:
        return written
    written["conv_head.weight"] = weights["conv_head.weight"][:, :, None, None]
    if family_of(architecture.family).wiring is V4:
        bias = written.pop("conv_head.bias")
        written["norm_head.weight"], written["norm_head.bias"] = torch.ones_like(bias), bias
        written["norm_head.running_mean"] = torch.zeros_like(bias)
        written["norm_head.running_var"] = torch.full_like(bias, 1 - architecture.bn_eps)
        written["norm_head.num_batches_tracked"] = torch.zeros((), dtype=torch.int64)
    return written


def _stages(family: str) -> tuple[int, ...]:
    """How many blocks each stage has: those behind each other with as many channels, at width 1."""
    if family in _STAGES:
        return _STAGES[family]
    return tuple(len(list(rows)) for _, rows in groupby(block.out for block in family_of(family).make().blocks))


def _parts_of(wiring: Wiring, block: Block) -> dict[Part, Names]:
    """What timm calls the parts of a block."""
    if wiring is V4:
        mark = {"inverted": "pw_exp.conv", "fused": "conv_exp", "single": "conv"}[block.kind]
    else:
        mark = "conv_pwl" if block.expands else "conv_dw"
    return dict(_KINDS)[mark]


# --- reading


def _note(wiring: Wiring, file_name: str, *, is_tensorflow: bool) -> str:
    """What was guessed where timm gives several networks the same keys, and why."""
    if wiring is V4:
        return "no pooling before a stride, which timm's mobilenetv4_conv_aa and _blur have under the same keys"
    if is_tensorflow:
        return f"TensorFlow's padding and batch normalization: {file_name!r} names one of timm's tf_ models"
    return (
        "PyTorch's padding and batch normalization; timm's tf_ models have the same keys, and need padding same and"
        " bn_eps 0.001"
    )


def _below(weights: Mapping[str, Tensor], root: str) -> dict[str, Tensor]:
    return {key.removeprefix(root): tensor for key, tensor in weights.items() if key.startswith(root)}


def _has_our_blocks(weights: Mapping[str, Tensor]) -> bool:
    blocks = _blocks(weights)
    marks = ("pw_exp.conv", "conv_exp", "conv") if _is_v4(weights) else ("conv_dw", "conv")
    return bool(blocks) and all(any(f"{block}.{mark}.weight" in weights for mark in marks) for block in blocks)


def _is_v4(weights: Iterable[str]) -> bool:
    return any(".pw_exp." in key for key in weights)


def _blocks(weights: Mapping[str, Tensor]) -> list[str]:
    """The blocks' names in order, stage by stage."""
    found = {(int(match[1]), int(match[2])) for key in weights if (match := _BLOCK.match(key))}
    return [f"blocks.{stage}.{index}" for stage, index in sorted(found)]


def _wiring(weights: Mapping[str, Tensor]) -> Wiring:
    if _is_v4(weights):
        return V4
    if not any(".conv_pwl." in key for key in weights):
        return V1
    return V2 if _has_last(weights) and not any(".se." in key for key in weights) else V3


def _has_last(weights: Container[str]) -> bool:
    """Whether the last 1x1 convolution is conv_head, and no block of its own; a V1 has none at all."""
    return "bn2.weight" in weights or "conv_head.weight" not in weights


def _is_rw(weights: Container[str]) -> bool:
    """Whether it is mobilenetv3_rw: there alone has conv_head neither a bias nor batch normalization."""
    behind = ("conv_head.bias", "norm_head.weight", "bn2.weight")
    return "conv_head.weight" in weights and not any(key in weights for key in behind)


def _modules(weights: Mapping[str, Tensor], wiring: Wiring) -> dict[str, str]:
    """Module names: timm's to edgekit's."""
    blocks = _blocks(weights)
    own = "" if _has_last(weights) else blocks.pop()
    modules = paired(("conv_stem", "bn1"), wiring.stem_names())
    for index, block in enumerate(blocks):
        modules |= _block_modules(weights, wiring, index, block)
    last = wiring.last_names(len(blocks))
    if last is not None:
        theirs = (f"{own}.conv", f"{own}.bn1") if own else ("conv_head", "bn2")
        modules |= paired(theirs, last)
    return modules


def _block_modules(weights: Mapping[str, Tensor], wiring: Wiring, index: int, block: str) -> dict[str, str]:
    theirs = next((parts for mark, parts in _KINDS if f"{block}.{mark}.weight" in weights), {})
    has = [part for part, (conv, _) in theirs.items() if f"{block}.{conv}.weight" in weights]
    modules: dict[str, str] = {}
    for part, ours in wiring.block_names(index, has).items():
        if part in theirs:  # else the wiring has no such block, and what is missing will be named
            modules |= paired(theirs[part], ours)
    return {f"{block}.{name}": own for name, own in modules.items()}
