"""timm's networks of inverted residuals (timm/models/_efficientnet_blocks.py).

timm counts blocks by stage (blocks.2.1) and names convolutions by the kind of their block. The last 1x1 convolution of
V3 and V4 with its batch normalization is a block of its own (conv, bn1), and their conv_head the hidden linear layer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointError
from edgekit.models.architecture import Options
from edgekit.models.families.mobilenet_v1 import WIRING as V1
from edgekit.models.families.mobilenet_v2 import WIRING as V2
from edgekit.models.families.mobilenet_v3 import WIRING as V3
from edgekit.models.families.mobilenet_v4 import WIRING as V4
from edgekit.models.names import WAY_BY_ONNX, Renamed, roots_of, scopes, split
from edgekit.models.wiring import paired

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from torch import Tensor

    from edgekit.models.architecture import Part
    from edgekit.models.wiring import Names, Wiring

_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.")
_TENSORFLOW_NAME = re.compile(r"(^|[^a-z])tf_(mobilenet|efficientnet_lite)")
_TENSORFLOW_IMAGES = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)  # timm's mean and deviation of 0..1 pixels for all of these
_FILTERED_NAME = re.compile(r"mobilenetv4_conv_(aa|blur)_")
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
