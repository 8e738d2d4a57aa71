"""A small network that edgekit knows nothing of, and images for it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD

SIDE = 16


class Residual(nn.Module):
    """A block of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU6(),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = x + self.body(x)
        return y


class OwnNet(nn.Module):
    """None of edgekit's families."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.block = Residual(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.block(self.stem(x)).mean((2, 3)))
        return logits


@pytest.fixture(scope="session")
def pixels() -> torch.Tensor:
    """uint8 [N, 3, H, W]."""
    return torch.randint(0, 256, (24, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


@pytest.fixture(scope="session")
def inputs(pixels: torch.Tensor) -> torch.Tensor:
    """The same as a network takes it that was trained with ImageNet's normalization."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels / 255 - mean) / std


@pytest.fixture(scope="session")
def module(inputs: torch.Tensor) -> nn.Module:
    """In training mode; its batch normalization remembers ``inputs``."""
    torch.manual_seed(0)
    net = OwnNet()
    for _ in range(20):
        net(inputs)
    return net
