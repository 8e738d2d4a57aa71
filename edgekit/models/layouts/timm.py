"""timm's mobilenetv1_*, mobilenetv2_*, mobilenetv3_* and tf_mobilenetv3_* (timm/models/_efficientnet_blocks.py).

timm counts blocks by stage (blocks.2.1) and names convolutions by their kind: a DepthwiseSeparableConv has
conv_dw, bn1, conv_pw, bn2; an InvertedResidual conv_pw, bn1, conv_dw, bn2, conv_pwl, bn3. V3's last 1x1 convolution
with batch normalization is a block of its own (conv, bn1), and its conv_head the hidden linear layer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointError
from edgekit.models.architecture import Options
from edgekit.models.families.mobilenet_v1 import WIRING as V1
from edgekit.models.families.mobilenet_v2 import WIRING as V2
from edgekit.models.families.mobilenet_v3 import WIRING as V3
from edgekit.models.names import (
    WAY_BY_ONNX,
    Renamed,
    roots_of,
    scopes,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from edgekit.models.wiring import Wiring

_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.")
_TENSORFLOW_NAME = re.compile(r"(^|[^a-z])tf_mobilenet")


class Timm:
    """timm's names."""

    def roots(self, weights: Mapping[str, Tensor]) -> list[str]:
        """What stands before the names of each network of the blocks that MobileNetV1 to V3 have."""
        return [root for root in roots_of("conv_stem.weight", weights) if _has_our_blocks(_below(weights, root))]

    def rename(self, weights: Mapping[str, Tensor], root: str, file_name: str) -> Renamed:
        """The network at ``root``. ``file_name`` may tell that it comes from TensorFlow: the keys do not.

        Raises:
            CheckpointError: the network is mobilenetv3_rw, which differs where no key shows it.
        """
        own = _below(weights, root)
        wiring = _wiring(own)
        if wiring is V3 and "conv_head.weight" in own and "conv_head.bias" not in own:
            raise CheckpointError(
                "conv_head has no bias, as in timm's mobilenetv3_rw, whose first block lacks the residual of every"
                f" other MobileNetV3. It can come as ONNX: {WAY_BY_ONNX}"
            )
        modules = {root + theirs: ours for theirs, ours in _modules(own, wiring).items()}
        renamed, rest = split(weights, modules)
        is_tensorflow = _TENSORFLOW_NAME.search(file_name) is not None
        note = (
            f"TensorFlow's padding and batch normalization: {file_name!r} names one of timm's tf_ models"
            if is_tensorflow
            else "PyTorch's padding and batch normalization; timm's tf_ models have the same keys, and need padding"
            " same and bn_eps 0.001"
        )
        constants = Options(padding="same", bn_eps=1e-3) if is_tensorflow else Options(padding="symmetric", bn_eps=1e-5)
        return Renamed(
            source="timm state dict",
            wiring=wiring,
            weights=renamed,
            rest=rest,
            usual=constants,
            scopes=scopes(modules, f"{root}blocks."),
            own_hidden=f"{root}conv_head" if wiring is V3 else None,
            named_hidden=True,
            notes=(note,),
        )


def _below(weights: Mapping[str, Tensor], root: str) -> dict[str, Tensor]:
    return {key.removeprefix(root): tensor for key, tensor in weights.items() if key.startswith(root)}


def _has_our_blocks(weights: Mapping[str, Tensor]) -> bool:
    blocks = _blocks(weights)
    return bool(blocks) and all(
        f"{block}.conv_dw.weight" in weights or f"{block}.conv.weight" in weights for block in blocks
    )


def _blocks(weights: Mapping[str, Tensor]) -> list[str]:
    """The blocks' names in order, stage by stage."""
    found = {(int(match[1]), int(match[2])) for key in weights if (match := _BLOCK.match(key))}
    return [f"blocks.{stage}.{index}" for stage, index in sorted(found)]


def _wiring(weights: Mapping[str, Tensor]) -> Wiring:
    if not any(".conv_pwl." in key for key in weights):
        return V1
    return V2 if "bn2.weight" in weights else V3


def _modules(weights: Mapping[str, Tensor], wiring: Wiring) -> dict[str, str]:
    """Module names: timm's to edgekit's."""
    blocks = [block for block in _blocks(weights) if f"{block}.conv_dw.weight" in weights]
    modules = dict(zip(("conv_stem", "bn1"), wiring.stem_names(), strict=True))
    for index, block in enumerate(blocks):
        modules |= _block_modules(weights, wiring, index, block)
    last = wiring.last_names(len(blocks))
    if last is not None:
        own = _blocks(weights)[-1]
        theirs = (f"{own}.conv", f"{own}.bn1") if wiring is V3 else ("conv_head", "bn2")
        modules |= dict(zip(theirs, last, strict=True))
    return modules


def _block_modules(weights: Mapping[str, Tensor], wiring: Wiring, index: int, block: str) -> dict[str, str]:
    expands = f"{block}.conv_pwl.weight" in weights
    squeezes = f"{block}.se.conv_reduce.weight" in weights
    theirs = {
        "expand": ("conv_pw", "bn1"),
        "depthwise": ("conv_dw", "bn2" if expands else "bn1"),
        "squeeze": ("se.conv_reduce", None),
        "excite": ("se.conv_expand", None),
        "project": ("conv_pwl", "bn3") if expands else ("conv_pw", "bn2"),
    }
    modules = {}
    for part, (conv, norm) in wiring.block_names(index, expands=expands, squeezes=squeezes).items():
        their_conv, their_norm = theirs[part]
        modules[f"{block}.{their_conv}"] = conv
        if norm is not None:
            modules[f"{block}.{their_norm}"] = norm
    return modules
