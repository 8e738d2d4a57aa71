"""Relatives of MobileNets, in plain torch; ``width`` is the number of channels that a network begins with."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def conv_norm(  # noqa: PLR0913, PLR0917 - what a convolution has, in torch's order
    into: int,
    out: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    """A convolution of the same size with batch normalization, and what follows it."""
    layers = [nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(out)]
    return nn.Sequential(*layers, *([] if activation is None else [activation]))


# --- ResNet ---------------------------------------------------------------------------------------------------------


class Residual(nn.Module):
    """Two convolutions of 3 × 3, or one between two of 1 × 1 that narrow and widen by 4, beside a shortcut."""

    def __init__(self, into: int, channels: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        out = 4 * channels if bottleneck else channels
        if bottleneck:
            layers = [
                conv_norm(into, channels, 1, activation=nn.ReLU(inplace=True)),
                conv_norm(channels, channels, 3, stride, activation=nn.ReLU(inplace=True)),
                conv_norm(channels, out, 1),
            ]
        else:
            layers = [
                conv_norm(into, channels, 3, stride, activation=nn.ReLU(inplace=True)),
                conv_norm(channels, out, 3),
            ]
        self.layers = nn.Sequential(*layers)
        self.shortcut = nn.Identity() if (into, stride) == (out, 1) else conv_norm(into, out, 1, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W]."""
        return self.relu(self.layers(x) + self.shortcut(x))  # type: ignore[no-any-return] # a tensor


def resnet(blocks: tuple[int, ...], *, bottleneck: bool, width: int, classes: int) -> nn.Module:
    """ResNet of these blocks a stage. Source: He et al. 2015, arXiv:1512.03385, table 1; stride in the 3 × 3."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 7, 2, 3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    into = width
    for stage, count in enumerate(blocks):
        channels = width << stage
        for i in range(count):
            layers.append(Residual(into, channels, 2 if stage and not i else 1, bottleneck=bottleneck))
            into = 4 * channels if bottleneck else channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(into, classes))


# --- ShuffleNetV2 ---------------------------------------------------------------------------------------------------


class Shuffled(nn.Module):
    """Half of the channels pass by; both halves are dealt out in turn afterwards. With a stride, both are computed."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.splits = stride == 1
        half = out // 2
        own = half if self.splits else into
        self.branch = nn.Sequential(
            conv_norm(own, half, 1, activation=nn.ReLU(inplace=True)),
            conv_norm(half, half, 3, stride, half),
            conv_norm(half, half, 1, activation=nn.ReLU(inplace=True)),
        )
        self.beside = (
            nn.Identity()
            if self.splits
            else nn.Sequential(
                conv_norm(into, into, 3, stride, into), conv_norm(into, half, 1, activation=nn.ReLU(inplace=True))
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W]."""
        a, b = x.chunk(2, dim=1) if self.splits else (x, x)
        joined = torch.cat([self.beside(a), self.branch(b)], dim=1)
        count, channels, height, width = joined.shape
        dealt = joined.view(count, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return dealt.view(count, channels, height, width)


def shufflenet_v2(*, width: int, classes: int) -> nn.Module:
    """ShuffleNetV2 1.0 where ``width`` is 24. Source: Ma et al. 2018, arXiv:1807.11164, table 5."""
    layers: list[nn.Module] = [conv_norm(3, width, 3, 2, activation=nn.ReLU(inplace=True)), nn.MaxPool2d(3, 2, 1)]
    into = width
    for stage, count in enumerate((4, 8, 4)):
        out = (116 * width // 24 // 4 * 4) << stage
        layers += [Shuffled(into if i == 0 else out, out, 1 if i else 2) for i in range(count)]
        into = out
    last = 1024 * width // 24
    layers += [conv_norm(into, last, 1, activation=nn.ReLU(inplace=True)), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(last, classes))


# --- SqueezeNet -----------------------------------------------------------------------------------------------------


class Fire(nn.Module):
    """A narrow 1 × 1, then 1 × 1 and 3 × 3 beside each other."""

    def __init__(self, into: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(into, squeezed, 1)
        self.one, self.three = nn.Conv2d(squeezed, expanded, 1), nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W]."""
        x = functional.relu(self.squeeze(x))
        return torch.cat([functional.relu(self.one(x)), functional.relu(self.three(x))], 1)


def squeezenet(*, width: int, classes: int) -> nn.Module:
    """SqueezeNet 1.1 where ``width`` is 64. Source: Iandola et al. 2016, arXiv:1602.07360, and its repository."""
    w = width // 16
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(width, 4 * w, 16 * w),
        Fire(32 * w, 4 * w, 16 * w),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(32 * w, 8 * w, 32 * w),
        Fire(64 * w, 8 * w, 32 * w),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(64 * w, 12 * w, 48 * w),
        Fire(96 * w, 12 * w, 48 * w),
        Fire(96 * w, 16 * w, 64 * w),
        Fire(128 * w, 16 * w, 64 * w),
        nn.Dropout(0.5),
        nn.Conv2d(128 * w, classes, 1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


# --- U-Net ----------------------------------------------------------------------------------------------------------


class UNet(nn.Module):
    """U-Net of four steps, padded. Source: Ronneberger et al. 2015, arXiv:1505.04597, figure 1.

    Args:
        width: channels at the top.
        classes: of a pixel.
        transposed: up by transposed convolutions, as in the paper; else bilinearly, and a 1 × 1 convolution.
        aligned: corners, where it is bilinear: those of both images are the same points.
    """

    def __init__(self, *, width: int, classes: int, transposed: bool, aligned: bool = False) -> None:
        super().__init__()
        widths = [width << step for step in range(5)]
        self.down = nn.ModuleList(_twice(a, b) for a, b in zip([3, *widths[:-1]], widths, strict=True))
        self.pool = nn.MaxPool2d(2)
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 2, 2)
            if transposed
            else nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=aligned), nn.Conv2d(a, b, 1))
            for a, b in pairs
        )
        self.merge = nn.ModuleList(_twice(a, b) for a, b in pairs)
        self.last = nn.Conv2d(width, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] -> [N, classes, H, W], H and W multiples of 16."""
        seen = []
        for i, layer in enumerate(self.down):
            x = layer(self.pool(x) if i else x)
            seen.append(x)
        seen.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([seen.pop(), up(x)], dim=1))
        return self.last(x)  # type: ignore[no-any-return] # a tensor


def _twice(into: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        conv_norm(into, out, activation=nn.ReLU(inplace=True)), conv_norm(out, out, activation=nn.ReLU(inplace=True))
    )


# --- detectors' heads ------------------------------------------------------------------------------------------------


class CrossStage(nn.Module):
    """Half of the channels twice through 3 × 3, joined with what came in. Source: Wang et al., arXiv:2011.08036."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.first = conv_norm(channels, channels, activation=nn.LeakyReLU(0.1))
        self.second = conv_norm(half, half, activation=nn.LeakyReLU(0.1))
        self.third = conv_norm(half, half, activation=nn.LeakyReLU(0.1))
        self.last = conv_norm(channels, channels, 1, activation=nn.LeakyReLU(0.1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of [N, C, H, W]: [N, 2 C, H, W], and the part of it that was computed last."""
        x = self.first(x)
        a = self.second(x[:, x.shape[1] // 2 :])
        last = self.last(torch.cat([self.third(a), a], 1))
        return torch.cat([x, last], 1), last


class YoloTiny(nn.Module):
    """A detector of the kind of YOLOv4-Tiny: boxes at 1/32 and 1/16 of the image, three a place."""

    def __init__(self, *, width: int, classes: int) -> None:
        super().__init__()
        w, anchors = width, 3 * (5 + classes)
        self.stem = nn.Sequential(
            conv_norm(3, w, 3, 2, activation=nn.LeakyReLU(0.1)), conv_norm(w, 2 * w, 3, 2, activation=nn.LeakyReLU(0.1))
        )
        self.stages = nn.ModuleList(CrossStage(c) for c in (2 * w, 4 * w, 8 * w))
        self.pool = nn.MaxPool2d(2)
        self.deep = conv_norm(16 * w, 16 * w, activation=nn.LeakyReLU(0.1))
        self.neck = conv_norm(16 * w, 8 * w, 1, activation=nn.LeakyReLU(0.1))
        self.coarse = nn.Sequential(
            conv_norm(8 * w, 16 * w, activation=nn.LeakyReLU(0.1)), nn.Conv2d(16 * w, anchors, 1)
        )
        self.up = nn.Sequential(
            conv_norm(8 * w, 4 * w, 1, activation=nn.LeakyReLU(0.1)), nn.Upsample(scale_factor=2, mode="nearest")
        )
        self.fine = nn.Sequential(conv_norm(12 * w, 8 * w, activation=nn.LeakyReLU(0.1)), nn.Conv2d(8 * w, anchors, 1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[N, 3, H, W] -> [N, anchors, H / 32, W / 32] and [N, anchors, H / 16, W / 16]."""
        x = self.stem(x)
        for stage in self.stages:
            x, last = stage(x)
            x = self.pool(x)
        neck = self.neck(self.deep(x))
        return self.coarse(neck), self.fine(torch.cat([self.up(neck), last], 1))


class BlazeBlock(nn.Module):
    """Depthwise 5 × 5 and 1 × 1; the shortcut is pooled, and padded with channels of zeros."""

    def __init__(self, into: int, out: int, stride: int, activation: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(into, into, 5, stride, 2, groups=into), nn.Conv2d(into, out, 1), nn.BatchNorm2d(out)
        )
        self.pool = nn.MaxPool2d(2) if stride == 2 else nn.Identity()
        self.added, self.activation = out - into, activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W]."""
        shortcut = functional.pad(self.pool(x), (0, 0, 0, 0, 0, self.added))
        return self.activation(self.layers(x) + shortcut)  # type: ignore[no-any-return] # a tensor


class BlazeFace(nn.Module):
    """A detector of the kind of BlazeFace: rows of boxes and of scores. Source: Bazarevsky et al., arXiv:1907.05047.

    Args:
        width: channels of the stem; 24 in the paper.
        prelu: activations have a slope a channel, as in the network's later kinds; else they are ReLU.
    """

    VALUES = 16  # a box and six points

    def __init__(self, *, width: int, prelu: bool) -> None:
        super().__init__()
        w = width

        def activation(channels: int) -> nn.Module:
            return nn.PReLU(channels) if prelu else nn.ReLU()

        def block(into: int, out: int, stride: int = 1) -> BlazeBlock:
            return BlazeBlock(into, out, stride, activation(out))

        self.stem = conv_norm(3, w, 5, 2, activation=activation(w))
        self.upper = nn.Sequential(block(w, w), block(w, 2 * w, 2), block(2 * w, 2 * w), block(2 * w, 4 * w, 2))
        self.lower = nn.Sequential(block(4 * w, 4 * w, 2), block(4 * w, 4 * w))
        self.scores = nn.ModuleList(nn.Conv2d(4 * w, count, 1) for count in (2, 6))
        self.boxes = nn.ModuleList(nn.Conv2d(4 * w, count * self.VALUES, 1) for count in (2, 6))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """[N, 3, H, W] -> boxes [N, rows, 16] and scores [N, rows, 1]."""
        upper = self.upper(self.stem(x))
        maps = (upper, self.lower(upper))
        boxes = [self._rows(head(x), self.VALUES) for head, x in zip(self.boxes, maps, strict=True)]
        scores = [self._rows(head(x), 1) for head, x in zip(self.scores, maps, strict=True)]
        return {"boxes": torch.cat(boxes, 1), "scores": torch.cat(scores, 1)}

    @staticmethod
    def _rows(x: torch.Tensor, values: int) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)
