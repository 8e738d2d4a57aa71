"""torchvision's MnasNets are read as what they are: keys and logits were recorded from torchvision 0.29 itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.models.architecture import make_divisible
from edgekit.models.checkpoint import load
from edgekit.models.families.mnasnet import mnasnet
from tests.models.families.timm_networks import conv, digest, filled, image, norm

if TYPE_CHECKING:
    from pathlib import Path

# Kernel, expansion, channels, repeats.
ROWS = ((3, 3, 24, 3), (5, 3, 40, 3), (5, 6, 80, 3), (3, 6, 96, 2), (5, 6, 192, 4), (3, 6, 320, 1))


def shapes_of(width: float) -> dict[str, tuple[int, ...]]:
    stem, before = make_divisible(32 * width), make_divisible(16 * width)
    layers = [("0", stem, 3, 3), ("3", stem, 1, 3), ("6", before, stem, 1)]
    for stage, (kernel, expansion, channels, repeats) in enumerate(ROWS):
        for index in range(repeats):
            name, wide, out = f"{8 + stage}.{index}.layers", before * expansion, make_divisible(channels * width)
            layers += [(f"{name}.0", wide, before, 1), (f"{name}.3", wide, 1, kernel), (f"{name}.6", out, wide, 1)]
            before = out
    layers.append(("14", 1280, before, 1))
    shapes: dict[str, tuple[int, ...]] = {"classifier.1.weight": (1000, 1280), "classifier.1.bias": (1000,)}
    for name, out, inside, kernel in layers:
        parent, _, child = name.rpartition(".")
        behind = f"layers.{parent}.{int(child) + 1}" if parent else f"layers.{int(child) + 1}"
        shapes |= dict([*conv(f"layers.{name}", out, inside, kernel), *norm(behind, out)])
    return shapes


@pytest.mark.parametrize(
    ("width", "keys", "logits"),
    [
        (0.5, "02633f4cf0da5c50", [-0.1238, -0.2744, -0.2488]),
        (0.75, "5f920b1bdb02d196", [0.0798, -0.6934, -0.9084]),
        (1.0, "c01649eb91239c3e", [-0.3138, 0.319, -0.2023]),
        (1.3, "7c31697d4bf75a16", [0.3544, -1.0977, -0.5774]),
    ],
)
def test_a_published_mnasnet(width: float, keys: str, logits: list[float], tmp_path: Path) -> None:
    shapes = shapes_of(width)
    assert digest(shapes) == keys
    torch.save(filled(shapes), tmp_path / "m.pth")
    checkpoint = load(tmp_path / "m.pth", resolution=64)
    assert checkpoint.architecture == mnasnet(width, resolution=64)
    assert checkpoint.source == "torchvision's MnasNet"
    with torch.no_grad():
        torch.testing.assert_close(checkpoint.module(image(64))[0, :3], torch.tensor(logits), rtol=1e-4, atol=2e-4)
