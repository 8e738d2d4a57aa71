"""What quantization-aware training of torch (torch.ao.quantization, eager) puts around float weights, taken off again.

A fused layer holds its batch normalization as a child: "0.0.weight" and "0.0.bn.weight", where "0.0.weight" and
"0.1.weight" were before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.models.architecture import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_OBSERVER = re.compile(r"(^|\.)(weight_fake_quant|activation_post_process(_\d+)?)\.")
_FUSED = re.compile(r"(?P<parent>.*\.)?(?P<place>\d+)\.bn\.(?P<leaf>\w+)$")


def without_observers(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Options, tuple[str, ...]]:
    """The float weights under the names that they had before, what fused layers tell, and a note of what was done."""
    observers = [key for key in tensors if _OBSERVER.search(key)]
    if not observers or any("_packed_params" in key for key in tensors):
        return dict(tensors), Options(), ()
    plain: dict[str, Tensor] = {}
    fused: list[str] = []
    for key, tensor in tensors.items():
        if _OBSERVER.search(key):
            continue
        match = _FUSED.match(key)
        if match is None:
            plain[key] = tensor
        else:
            parent, place = match["parent"] or "", int(match["place"])
            plain[f"{parent}{place + 1}.{match['leaf']}"] = tensor
            fused += [f"{parent}{place}"] if match["leaf"] == "running_var" else []
    note = f"left aside: {len(observers)} tensors of quantization-aware training; edgekit finds ranges itself"
    return plain, _told_by(fused, observers), (note,)


def _told_by(fused: list[str], observers: list[str]) -> Options:
    """The activation behind the first convolution: only ReLU is fused, and any other is observed by itself."""
    if not fused:
        return Options()
    parent, dot, place = fused[0].rpartition(".")
    behind = f"{parent}{dot}{int(place) + 2}.activation_post_process."
    return Options() if any(key.startswith(behind) for key in observers) else Options(activation="relu")
