"""timm's mobilenetv1_*, mobilenetv2_*, mobilenetv3_* and tf_mobilenetv3_* (timm/models/_efficientnet_blocks.py).

timm counts blocks by stage (blocks.2.1) and names convolutions by their kind: a DepthwiseSeparableConv has
conv_dw, bn1, conv_pw, bn2; an InvertedResidual conv_pw, bn1, conv_dw, bn2, conv_pwl, bn3. V3's last 1x1 convolution
with batch normalization is a block of its own (conv, bn1), and its conv_head the hidden linear layer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointError
from edgekit.models.layouts.names import (
    Renamed,
    Wiring,
    block_names,
    classifier_names,
    head_names,
    rename_modules,
    stem_names,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.")
_TENSORFLOW_NAME = re.compile(r"(^|[^a-z])tf_mobilenet")


def recognises(weights: Mapping[str, Tensor]) -> bool:
    """Whether the names are timm's, for a network of the blocks that MobileNetV1 to V3 have."""
    blocks = _blocks(weights)
    return (
        "conv_stem.weight" in weights
        and bool(blocks)
        and all(f"{block}.conv_dw.weight" in weights or f"{block}.conv.weight" in weights for block in blocks)
    )


def rename(weights: Mapping[str, Tensor], file_name: str) -> Renamed:
    """The weights under edgekit's names. ``file_name`` may tell that they come from TensorFlow: the keys do not.

    Raises:
        CheckpointError: the network is mobilenetv3_rw, which differs where no key shows it.
    """
    wiring = _wiring(weights)
    modules = _modules(weights, wiring)
    hidden, _ = classifier_names(wiring, has_hidden=wiring == "mobilenet_v3")
    renamed = rename_modules(weights, modules)
    if hidden is not None:
        if "conv_head.weight" in weights and "conv_head.bias" not in weights:
            raise CheckpointError(
                "conv_head has no bias, as in timm's mobilenetv3_rw, whose first block lacks the residual of every"
                " other MobileNetV3: use mobilenetv3_large_100 or a torchvision model instead"
            )
        if f"{hidden}.weight" in renamed:
            renamed[f"{hidden}.weight"] = renamed[f"{hidden}.weight"].flatten(1)  # [O, I, 1, 1] -> [O, I]
    if _TENSORFLOW_NAME.search(file_name):
        note = f"TensorFlow's padding and batch normalization: {file_name!r} names one of timm's tf_ models"
        return Renamed("timm state dict", renamed, "same", 1e-3, (note,))
    note = "PyTorch's padding and batch normalization; timm's tf_ models have the same keys, and need padding same and"
    return Renamed("timm state dict", renamed, "symmetric", 1e-5, (f"{note} bn_eps 0.001",))


def _blocks(weights: Mapping[str, Tensor]) -> list[str]:
    """The blocks' names in order, stage by stage."""
    found = {(int(match[1]), int(match[2])) for key in weights if (match := _BLOCK.match(key))}
    return [f"blocks.{stage}.{index}" for stage, index in sorted(found)]


def _wiring(weights: Mapping[str, Tensor]) -> Wiring:
    if not any(".conv_pwl." in key for key in weights):
        return "mobilenet_v1"
    return "mobilenet_v2" if "bn2.weight" in weights else "mobilenet_v3"


def _modules(weights: Mapping[str, Tensor], wiring: Wiring) -> dict[str, str]:
    """Module names: timm's to edgekit's."""
    blocks = [block for block in _blocks(weights) if f"{block}.conv_dw.weight" in weights]
    stem, stem_bn = stem_names(wiring)
    hidden, classifier = classifier_names(wiring, has_hidden=wiring == "mobilenet_v3")
    modules = {"conv_stem": stem, "bn1": stem_bn, "classifier": classifier}
    for index, block in enumerate(blocks):
        modules |= _block_modules(weights, wiring, index, block)
    head = head_names(wiring, len(blocks))
    if head is not None and hidden is not None:
        last = _blocks(weights)[-1]
        modules |= {f"{last}.conv": head[0], f"{last}.bn1": head[1], "conv_head": hidden}
    elif head is not None:
        modules |= {"conv_head": head[0], "bn2": head[1]}
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
    for part, (conv, norm) in block_names(wiring, index, expands=expands, squeezes=squeezes).items():
        their_conv, their_norm = theirs[part]
        modules[f"{block}.{their_conv}"] = conv
        if norm is not None:
            modules[f"{block}.{their_norm}"] = norm
    return modules
