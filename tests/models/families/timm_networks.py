"""timm's own networks, spelled out independently: the keys and shapes of their state dicts, and numbers to fill them.

A row is one in timm's notation: kind, _r repeats, _k kernel, _s stride, _e expansion, _c channels, _se ratio, _a kernel
of a first depthwise convolution (timm/models/_efficientnet_builder.py).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edgekit.models.architecture import make_divisible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    Entry = tuple[str, tuple[int, ...]]
    Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Timm:
    """A network of timm.

    Attributes:
        stages: rows, stage by stage.
        stem: channels of the first convolution.
        head: channels of conv_head.
        head_norm: the batch normalization behind conv_head, or "bias", or "none".
        width: multiplier of all channels.
        depth: multiplier of the repeats between the first and the last stage.
        keeps_stem: the stem's channels are not multiplied.
        gates: channels inside squeeze-and-excite: "in" a ratio of those that a block gets, "wide" of those between
            its convolutions, "eights" the latter rounded to eights.
    """

    stages: tuple[str, ...]
    stem: int = 32
    head: int = 1280
    head_norm: str = "bn2"
    width: float = 1.0
    depth: float = 1.0
    keeps_stem: bool = False
    gates: str = "in"

    def shapes(self) -> Shapes:
        """Keys and shapes of the state dict."""
        before = self.stem if self.keeps_stem else make_divisible(self.stem * self.width)
        shapes: Shapes = dict([*conv("conv_stem", before, 3, 3), *norm("bn1", before)])
        for stage, text in enumerate(self.stages):
            index = 0
            for row in text.split():
                kind, values = decoded(row)
                repeats = int(values["r"])
                if 0 < stage < len(self.stages) - 1:
                    repeats = math.ceil(repeats * self.depth)
                out = make_divisible(values["c"] * self.width)
                for _ in range(repeats):
                    name = f"blocks.{stage}.{index}"
                    shapes |= dict(block(name, kind, values, before, out))
                    if "se" in values:
                        shapes |= dict(self._gate(f"{name}.se", before, make_divisible(before * values["e"])))
                    before, index = out, index + 1
        shapes |= dict(conv("conv_head", self.head, before, 1, bias=self.head_norm == "bias"))
        if self.head_norm not in {"bias", "none"}:
            shapes |= dict(norm(self.head_norm, self.head))
        return shapes | {"classifier.weight": (1000, self.head), "classifier.bias": (1000,)}

    def _gate(self, name: str, before: int, wide: int) -> Iterator[Entry]:
        inside = {"in": round(before / 4), "wide": round(wide / 4), "eights": make_divisible(wide / 4)}[self.gates]
        yield from conv(f"{name}.conv_reduce", inside, wide, 1, bias=True)
        yield from conv(f"{name}.conv_expand", wide, inside, 1, bias=True)


def decoded(row: str) -> tuple[str, dict[str, float]]:
    kind, *parts = row.split("_")
    values = {part.rstrip("0123456789."): float(part.lstrip("abcdefghijklmnopqrstuvwxyz") or 0) for part in parts}
    return kind, values


def conv(name: str, out: int, before: int, kernel: float, *, bias: bool = False) -> Iterator[Entry]:
    yield f"{name}.weight", (out, before, int(kernel), int(kernel))
    if bias:
        yield f"{name}.bias", (out,)


def norm(name: str, channels: int) -> Iterator[Entry]:
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{leaf}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def block(name: str, kind: str, values: Mapping[str, float], before: int, out: int) -> Iterator[Entry]:
    wide = before if kind == "ds" else make_divisible(before * values.get("e", 1))
    layers: list[tuple[str, str, int, int, float]] = {  # convolution, its batch normalization, out, in a group, kernel
        "cn": [("conv", "bn1", out, before, values["k"])],
        "er": [("conv_exp", "bn1", wide, before, values["k"]), ("conv_pwl", "bn2", out, wide, 1)],
        "ds": [("conv_dw", "bn1", wide, 1, values["k"]), ("conv_pw", "bn2", out, wide, 1)],
        "ir": [
            ("conv_pw", "bn1", wide, before, 1),
            ("conv_dw", "bn2", wide, 1, values["k"]),
            ("conv_pwl", "bn3", out, wide, 1),
        ],
        "uir": [
            ("dw_start.conv", "dw_start.bn", before, 1, values.get("a", 0)),
            ("pw_exp.conv", "pw_exp.bn", wide, before, 1),
            ("dw_mid.conv", "dw_mid.bn", wide, 1, values["k"]),
            ("pw_proj.conv", "pw_proj.bn", out, wide, 1),
        ],
    }[kind]
    for layer, its_norm, after, inside, kernel in layers:
        if kernel:
            yield from conv(f"{name}.{layer}", after, inside, kernel)
            yield from norm(f"{name}.{its_norm}", after)


def digest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The first 16 digits of the SHA-256 of "key shape" lines, sorted."""
    lines = "\n".join(sorted(f"{key} {list(shape)}" for key, shape in shapes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def scattered(count: int, number: int) -> Tensor:
    """Numbers from -1 to 1 that look random: the fractions of large sines."""
    large = torch.sin(torch.arange(1, count + 1, dtype=torch.float64) + number) * 43758.5453
    return 2 * (large - large.floor()) - 1


def filled(shapes: Mapping[str, tuple[int, ...]], gain: float = 1.0) -> dict[str, Tensor]:
    """Weights that any machine makes alike, and with the right gain so large that activations stay as they are."""
    state = {}
    for number, (key, shape) in enumerate(sorted(shapes.items())):
        noise = scattered(math.prod(shape), number).reshape(shape)
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros((), dtype=torch.int64)
        elif key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
            state[key] = 1 + 0.3 * noise
        else:
            state[key] = noise * (gain * math.sqrt(4 / math.prod(shape[1:])) if len(shape) > 1 else 0.2)
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in state.items()}


def image(size: int) -> Tensor:
    """Such an image, [1, 3, size, size]."""
    return scattered(3 * size * size, 1).reshape(1, 3, size, size).float()
