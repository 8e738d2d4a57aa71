"""Keras' MobileNet, MobileNetV2 and MobileNetV3 (keras/src/applications/mobilenet*.py).

A weight is named by its layer and its role: "conv_dw_1/kernel". What is left over is the classifier, by any name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointError
from edgekit.models.architecture import Options
from edgekit.models.families.mobilenet_v1 import WIRING as V1
from edgekit.models.families.mobilenet_v2 import WIRING as V2
from edgekit.models.families.mobilenet_v3 import WIRING as V3
from edgekit.models.names import Renamed, split
from edgekit.models.wiring import paired

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from edgekit.models.architecture import Part
    from edgekit.models.wiring import Wiring

_LEAVES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_BLOCK_INDEX = {
    V1: re.compile(r"conv_dw_(\d+)$"),  # from 1
    V2: re.compile(r"block_(\d+)_depthwise$"),  # from 1; block 0 is expanded_conv
    V3: re.compile(r"expanded_conv_(\d+)_depthwise$"),  # the same
}
_STEM: dict[Wiring, tuple[str, str]] = {
    V1: ("conv1", "conv1_bn"),
    V2: ("conv1", "bn_conv1"),
    V3: ("conv", "conv_bn"),
}
_V3_PARTS: dict[Part, str] = {
    "expand": "expand",
    "depthwise": "depthwise",
    "squeeze": "squeeze_excite_conv",
    "excite": "squeeze_excite_conv_1",
    "project": "project",
}


class Keras:
    """Keras' names."""

    def roots(self, weights: Mapping[str, Tensor]) -> list[str]:
        """[""] for one of Keras' MobileNets: a layer's name holds the models around it."""
        return [""] if _wiring(_by_layer(weights)) is not None else []

    def rename(self, weights: Mapping[str, Tensor], root: str, file_name: str) -> Renamed:  # noqa: ARG002 - keys tell all
        """The network under edgekit's names, with PyTorch's axes.

        Raises:
            CheckpointError: a kernel's axes cannot be turned.
        """
        layers = _by_layer(weights)
        wiring = _wiring(layers)
        assert wiring is not None, "rename is only called where there is a root"
        modules = _modules(layers, wiring)
        turned = {}
        for layer, roles in layers.items():
            if "moving_mean" in roles:  # a batch normalization without factor (scale) or summand (center)
                mean = roles["moving_mean"]
                roles.setdefault("gamma", mean.new_ones(mean.shape))
                roles.setdefault("beta", mean.new_zeros(mean.shape))
            for role, tensor in roles.items():
                value = _turned(tensor, layer) if role == "kernel" else tensor
                turned[f"{layer}.{_LEAVES.get(role, role)}"] = value
        renamed, rest = split(turned, modules)
        own_hidden = "conv_2" if wiring is V3 else None
        usual = Options(padding="same", bn_eps=1e-3)
        return Renamed("Keras weights", wiring, renamed, rest, usual, own_hidden=own_hidden, named_hidden=True)


def _by_layer(weights: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    layers: dict[str, dict[str, Tensor]] = {}
    for key, tensor in weights.items():
        layer, _, role = key.rpartition("/")
        layers.setdefault(_layer_name(layer), {})[role] = tensor
    return layers


def _layer_name(path: str) -> str:
    """The layer's name as today's Keras spells it, without the models around it.

    >>> _layer_name("mobilenetv2_1.00_224/Conv1"), _layer_name("expanded_conv_1/expand/BatchNorm")
    ('conv1', 'expanded_conv_1_expand_bn')
    """
    flat = re.sub(r"/BatchNorm$", "_bn", path)
    flat = re.sub(r"\b(expanded_conv(?:_\d+)?)/", r"\1_", flat).replace("squeeze_excite/", "squeeze_excite_")
    return flat.rpartition("/")[2].lower()


def _wiring(layers: Iterable[str]) -> Wiring | None:
    if "conv_dw_1" in layers:
        return V1
    if "block_1_depthwise" in layers:
        return V2
    return V3 if "expanded_conv_1_depthwise" in layers else None


def _modules(layers: Mapping[str, Mapping[str, Tensor]], wiring: Wiring) -> dict[str, str]:
    """Keras' layer names to edgekit's module names."""
    indices = [int(match[1]) for layer in layers if (match := _BLOCK_INDEX[wiring].match(layer))]
    count = max(indices) + (wiring is not V1)
    modules = paired(_STEM[wiring], wiring.stem_names())
    for index in range(count):
        modules |= _block_modules(layers, wiring, index)
    last = wiring.last_names(count)
    if last is not None:
        modules |= paired(("conv_1", "conv_1_bn"), last)
    return modules


def _block_modules(layers: Mapping[str, Mapping[str, Tensor]], wiring: Wiring, index: int) -> dict[str, str]:
    if wiring is V1:
        theirs: dict[Part, str] = {"depthwise": f"conv_dw_{index + 1}", "project": f"conv_pw_{index + 1}"}
    else:
        numbered = f"block_{index}" if wiring is V2 else f"expanded_conv_{index}"
        block = numbered if index else "expanded_conv"
        theirs = {part: f"{block}_{name}" for part, name in _V3_PARTS.items()}
    modules: dict[str, str] = {}
    has = [part for part, layer in theirs.items() if layer in layers]
    for part, ours in wiring.block_names(index, has).items():
        modules |= paired((theirs[part], f"{theirs[part]}_bn"), ours)
    return modules


def _turned(kernel: Tensor, layer: str) -> Tensor:
    """A kernel with PyTorch's axes.

    Convolution [H, W, I, O] -> [O, I, H, W], depthwise [H, W, C, 1] -> [C, 1, H, W], dense [I, O] -> [O, I].
    """
    is_depthwise = layer.endswith("depthwise") or layer.startswith("conv_dw_")
    match kernel.ndim, is_depthwise:
        case (2, _):
            return kernel.T
        case (4, True):
            return kernel.permute(2, 3, 0, 1)
        case (4, False):
            return kernel.permute(3, 2, 0, 1)
    raise CheckpointError(f"the kernel of layer {layer!r} has {kernel.ndim} axes, and 2 or 4 are needed")
