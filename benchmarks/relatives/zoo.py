"""The networks by name, small and in full, with weights drawn by lot."""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.benchmarks.random_weights import drawn, pictures
from edgekit.benchmarks.relatives.networks import BlazeFace, UNet, YoloTiny, resnet, shufflenet_v2, squeezenet
from edgekit.benchmarks.relatives.recognizer import Recognizer
from edgekit.models.families import FAMILIES as OWN
from edgekit.models.network import build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SEEN = 12  # images that batch normalization has seen
_LEAST_VARIANCE = 0.05  # of a channel, in medians of its layer: a dead one must not become the loudest


@dataclass(frozen=True, slots=True)
class Relative:
    """A network.

    Attributes:
        small: makes one with few channels, for tests.
        full: makes the one that people deploy.
        small_size: of the small one's images, (height, width).
        full_size: of the other's.
        near: outputs of which identity is not claimed.
    """

    small: Callable[[], nn.Module]
    full: Callable[[], nn.Module]
    small_size: tuple[int, int]
    full_size: tuple[int, int] = (224, 224)
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)  # modules have no equality
class Drawn:
    """A network with weights and images.

    Attributes:
        name: of it.
        module: in eval mode.
        images: to calibrate on, [N, H, W, 3].
        near: as the relative has it.
    """

    name: str
    module: nn.Module
    images: NDArray[np.uint8]
    near: tuple[str, ...]

    def save_onnx(self, path: Path) -> None:
        """An ONNX file as torch writes it, or, where another tool does, as that one does."""
        shape = (3, *self.images.shape[1:3])
        if isinstance(self.module, Recognizer):
            self.module.save(path, shape)
            return
        given = self.module(torch.zeros(1, *shape))
        names = list(given) if isinstance(given, dict) else [f"output_{i}" for i in range(len(given))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # this exporter is deprecated, and its files will be around for long
            torch.onnx.export(
                self.module,
                (torch.zeros(1, *shape),),
                path,
                dynamo=False,
                input_names=["image"],
                output_names=["output"] if isinstance(given, torch.Tensor) else names,
            )


def draw(name: str, *, full: bool = False) -> Drawn:
    """A network with weights that its name decides."""
    relative, random = (RELATIVES | FAMILIES)[name], np.random.default_rng(zlib.crc32(name.encode()))
    torch.manual_seed(int(random.integers(2**31)))
    images = pictures(random, _SEEN, relative.full_size if full else relative.small_size)
    module = (relative.full if full else relative.small)()
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.bias is not None:  # no batch normalization keeps it alive
            torch.nn.init.kaiming_normal_(layer.weight)
        if isinstance(layer, torch.nn.PReLU):
            torch.nn.init.uniform_(layer.weight, 0.0, 0.5)
    module = drawn(module, random, (images / 255 - MEAN) / STD)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, torch.nn.BatchNorm2d) and layer.running_var is not None:
                layer.running_var.clamp_(min=_LEAST_VARIANCE * float(layer.running_var.median()))
    if name in FAMILIES:
        _level(module, images)
    return Drawn(name, module, images, relative.near)


def _level(module: nn.Module, images: NDArray[np.uint8]) -> None:
    """Divide weights that no batch normalization follows so that what they make has the standard deviation 1.

    Else the numbers of deployed MobileOnes grow from layer to layer, beyond what float16 holds. Source: Mishkin and
    Matas 2015, arXiv:1511.06422.
    """

    def level(layer: nn.Module, _: object, made: torch.Tensor) -> torch.Tensor:
        deviation = made.std()
        for parameter in layer.parameters():
            parameter.div_(deviation)
        return made / deviation

    convolutions = [
        layer for layer in module.modules() if isinstance(layer, torch.nn.Conv2d) and layer.bias is not None
    ]
    hooks = [layer.register_forward_hook(level) for layer in convolutions]
    with torch.no_grad():
        module(torch.from_numpy((images / 255 - MEAN) / STD).float().permute(0, 3, 1, 2))
    for hook in hooks:
        hook.remove()


_RESNET_18 = partial(resnet, (2, 2, 2, 2), bottleneck=False)
_RESNET_50 = partial(resnet, (3, 4, 6, 3), bottleneck=True)
RELATIVES = {
    "resnet18": Relative(
        partial(_RESNET_18, width=8, classes=10), partial(_RESNET_18, width=64, classes=1000), (64, 64)
    ),
    "resnet50": Relative(
        partial(_RESNET_50, width=4, classes=10), partial(_RESNET_50, width=64, classes=1000), (64, 64)
    ),
    "shufflenet_v2": Relative(
        partial(shufflenet_v2, width=6, classes=10), partial(shufflenet_v2, width=24, classes=1000), (64, 64)
    ),
    "squeezenet": Relative(
        partial(squeezenet, width=16, classes=10), partial(squeezenet, width=64, classes=1000), (64, 64)
    ),
    "unet_bilinear": Relative(
        partial(UNet, width=4, classes=3, transposed=False),
        partial(UNet, width=32, classes=3, transposed=False),
        (48, 64),
    ),
    "unet_aligned": Relative(
        partial(UNet, width=4, classes=3, transposed=False, aligned=True),
        partial(UNet, width=32, classes=3, transposed=False, aligned=True),
        (48, 64),
        near=("output",),
    ),
    "unet_transposed": Relative(
        partial(UNet, width=4, classes=3, transposed=True),
        partial(UNet, width=32, classes=3, transposed=True),
        (48, 64),
    ),
    "paddle_recognizer": Relative(partial(Recognizer, scale=0.35), partial(Recognizer, scale=1.0), (48, 96), (48, 192)),
    "yolo_tiny": Relative(
        partial(YoloTiny, width=4, classes=2), partial(YoloTiny, width=32, classes=80), (64, 96), (416, 416)
    ),
    "blazeface": Relative(
        partial(BlazeFace, width=8, prelu=False), partial(BlazeFace, width=24, prelu=False), (64, 64), (128, 128)
    ),
    "blazeface_prelu": Relative(
        partial(BlazeFace, width=8, prelu=True), partial(BlazeFace, width=24, prelu=True), (64, 64), (128, 128)
    ),
}


def _of_family(name: str, width: float, classes: int, side: int) -> nn.Module:
    return build(OWN[name].make(width, classes, resolution=side))


def _family(name: str) -> Relative:
    side = min(OWN[name].make().size) // 8 * 8  # pictures are made of blotches of 8
    # With a quarter of the channels, float16 was 5 to 7 % of the largest logit off in random EfficientNet-Lite0, and
    # 2.5 to 3 % with all of them.
    small, full = partial(_of_family, name, 1.0, 10, 96), partial(_of_family, name, 1.0, 1000, side)
    return Relative(small, full, (96, 96), (side, side))


# Networks of edgekit's own families, which are drawn alike.
FAMILIES = {name: _family(name) for name in OWN}
