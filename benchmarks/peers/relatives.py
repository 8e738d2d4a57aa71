"""Relatives of MobileNets, trained a little on five classes of CIFAR-10: all that can be trained here in minutes.

Pictures are enlarged from 32 to 48 pixels, so that the last feature maps are not of one pixel. The calibration images
are of the training part, but none of them is trained on; the test part only measures.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import nn

from edgekit import files
from edgekit.models.families.efficientnet_lite import efficientnet_lite
from edgekit.models.families.mobilenet_v4 import mobilenet_v4_conv_small
from edgekit.models.network import build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 48  # pixels, of the stored images and of the networks' input
CLASSES = ("airplane", "automobile", "frog", "horse", "ship")
CALIBRATION = 256  # images at the end of the training part
OPSET = 17


class _Block(nn.Module):
    """Two convolutions beside a shortcut, which is a convolution where sizes differ."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != channels:
            self.shortcut.append(nn.Conv2d(inputs, channels, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W]."""
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet18(classes: int) -> nn.Module:
    """ResNet-18 (arXiv:1512.03385, table 1), as anybody writes it: it is no family of edgekit's."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]
    inputs = 64
    for channels, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [_Block(inputs, channels, stride), _Block(channels, channels, 1)]
        inputs = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


RELATIVES: Mapping[str, Callable[[int], nn.Module]] = {
    "v4_conv_small": lambda classes: build(mobilenet_v4_conv_small(num_classes=classes)),
    "efficientnet_lite0": lambda classes: build(efficientnet_lite(0, num_classes=classes)),
    "resnet18": resnet18,
}


def pictures(data: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Those of CLASSES in sets/cifar10, [N, 32, 32, 3], and the number of each one's class.

    Args:
        data: the folder that EDGEKIT_REALDATA names.
        part: "train" or "test".
    """
    packed = np.load(data / "sets" / "cifar10" / f"{part}.npz")
    jpeg, offsets, names = packed["jpeg"], packed["offsets"], packed["classes"].tolist()
    wanted = {names.index(name): number for number, name in enumerate(CLASSES)}
    chosen = [(i, wanted[label]) for i, label in enumerate(packed["labels"].tolist()) if label in wanted]
    opened = (Image.open(io.BytesIO(jpeg[offsets[i] : offsets[i + 1]].tobytes())) for i, _ in chosen)
    return np.stack([np.asarray(image) for image in opened]), np.array([label for _, label in chosen])


def write_folders(data: Path, cache: Path) -> None:
    """Write folders calibration and validation of enlarged images to ``cache``, as edgekit reads them."""
    for name, part, places in (
        ("calibration", "train", slice(-CALIBRATION, None)),
        ("validation", "test", slice(None)),
    ):
        pixels, labels = (array[places] for array in pictures(data, part))
        with files.staging(cache / name) as folder:
            rows = ["file,class_index"]
            for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
                rows.append(f"{number:05}.png,{label}")
                large = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
                large.save(folder / f"{number:05}.png")
            (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_onnx(module: nn.Module, path: Path) -> None:
    """The trained module as an .onnx file, by torch's own exporter: the way that anybody's network takes."""
    with files.replacing(path) as temporary:
        torch.onnx.export(
            module.eval(), (torch.zeros(1, 3, SIDE, SIDE),), str(temporary), opset_version=OPSET, dynamo=False
        )
