"""Networks of the MobileNets' kind, drawn by lot: what a latency model is fitted to.

They are made of the blocks that MobileNets are made of, in any order, with any channels: separable convolutions
(arXiv:1704.04861), inverted residuals (arXiv:1801.04381) with squeeze-and-excite and hard-swish (arXiv:1905.02244),
universal inverted bottlenecks and fused ones (arXiv:2404.10518). None of them is a published network, so these stay
what a model is tried on. Weights are noise: no kernel's time depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from edgekit.capture.builder import GraphBuilder
from edgekit.ir import Clamp, Concat, HardSigmoid, HardSwish, MaxPool2d, Padding, Resize, Sigmoid
from edgekit.ir.operators.padding import Same
from edgekit.ir.operators.resize import HALF_PIXEL, NEAREST
from edgekit.passes import integer_form

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator

    from edgekit.ir import Graph

T = TypeVar("T")

MOST_MACS: Final = 600e6  # of a network: MobileNetV1 at 224 pixels has 569 million
_SIDES: Final = (64, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256)
_STEMS: Final = (8, 40)  # channels, from and to
_EXPANSIONS: Final = (1, 2, 3, 4, 5, 6)
_KERNELS: Final = ((3,), (3, 5), (3, 5), (3, 5), (3, 5), (3, 3, 3, 5, 5, 5, 7))  # of depthwise layers of one network
_ODD: Final = (8, 8, 8, 4, 1, 1)  # divisors of channels: pruned networks have any number of them
# Kinds of blocks, activations, shares of blocks that squeeze, and divisors of channels; V3's kind needs the most
# networks, because it has the most kinds of operators.
_STYLES: Final = (
    (("separable",), ("relu6",), (0.0,), _ODD),
    (("inverted",), ("relu6",), (0.0,), _ODD),
    (("inverted",), ("hard_swish",), (0.4, 0.6, 0.9), (8,)),
    (("inverted",), ("hard_swish", "relu6"), (0.4, 0.6, 0.9), (8, 8, 4)),
    (("universal", "universal", "fused"), ("relu6",), (0.0,), (8,)),
    (("separable", "inverted", "universal", "fused"), ("relu6", "hard_swish"), (0.0, 0.4), _ODD),
)
_CLASSES: Final = (2, 10, 100, 1000, 1001)
_LEAST_SIDE: Final = 3  # of a feature map that is still halved


def network(seed: int) -> Graph:
    """The network of a number: the same graph each time, in ``passes.integer_form``."""
    random = np.random.default_rng(seed)
    while True:
        draft = _Draft(random, f"random{seed}")
        graph = integer_form(draft.classifier())
        if graph.macs <= MOST_MACS:
            return graph


@dataclass(frozen=True, slots=True)
class _Style:
    """What the blocks of one network have in common.

    Attributes:
        blocks: kinds, of which each block is one.
        activation: behind convolutions.
        kernels: of depthwise convolutions.
        squeezes: how many of the blocks have squeeze-and-excite.
        divisor: of the numbers of channels.
        symmetric: paddings are as PyTorch's, else as TensorFlow's.
    """

    blocks: tuple[str, ...]
    activation: str
    kernels: tuple[int, ...]
    squeezes: float
    divisor: int
    symmetric: bool


class _Draft:
    """A network in the making."""

    def __init__(self, random: Generator, name: str) -> None:
        self._random, self._name = random, name
        side = self._one(_SIDES)
        self._builder = GraphBuilder("image", (3, side, side))
        self._x, self._count = "image", 0
        blocks, activations, squeezes, divisors = self._one(_STYLES)
        self._style = _Style(
            blocks=blocks,
            activation=self._one(activations),
            kernels=self._one(_KERNELS),
            squeezes=self._one(squeezes),
            divisor=self._one(divisors),
            symmetric=self._chance(0.5),
        )
        self._blocks: dict[str, Callable[[int, int], None]] = {
            "separable": self._separable,
            "inverted": self._inverted,
            "universal": self._universal,
            "fused": self._fused,
        }

    def classifier(self) -> Graph:
        """Stem, stages, pooling, and one or two linear layers."""
        self._convolve(self._rounded(self._random.uniform(*_STEMS)), 3, stride=2)
        channels = self._channels * self._random.uniform(0.6, 2.0)
        stages = int(self._random.integers(3, 6))
        for stage in range(stages):
            stride = 2 if stage and self._side >= _LEAST_SIDE else 1
            for block in range(int(self._random.integers(1, 5))):
                self._blocks[self._one(self._style.blocks)](self._rounded(channels), 1 if block else stride)
            channels *= self._random.uniform(1.1, 2.2)
        if self._chance(0.15):
            self._neck()
        if self._chance(0.7):
            self._convolve(self._rounded(self._channels * self._random.uniform(1.0, 6.0)), 1)
        self._x = self._builder.mean("pooled", self._x)
        if self._chance(0.4):
            self._linear("hidden", self._rounded(self._random.uniform(64, 1280)))
            self._activate()
        self._linear("logits", self._one(_CLASSES))
        return self._builder.finish(self._name, {"logits": self._x})

    def _separable(self, channels: int, stride: int) -> None:
        self._depthwise(3, stride)
        self._convolve(channels, 1)

    def _inverted(self, channels: int, stride: int) -> None:
        before, expansion = self._x, self._one(_EXPANSIONS)
        if expansion > 1:
            self._convolve(self._rounded(self._channels * expansion), 1)
        self._depthwise(self._one(self._style.kernels), stride)
        if self._chance(self._style.squeezes):
            self._squeeze()
        self._project(channels, before)

    def _universal(self, channels: int, stride: int) -> None:
        before, has_start, has_middle = self._x, self._chance(0.5), self._chance(0.7) or stride > 1
        if has_start:
            self._depthwise(self._one(self._style.kernels), 1, activates=False)
        self._convolve(self._rounded(self._channels * self._one(_EXPANSIONS[1:])), 1)
        if has_middle:
            self._depthwise(self._one(self._style.kernels), stride)
        self._project(channels, before)

    def _fused(self, channels: int, stride: int) -> None:
        before = self._x
        self._convolve(self._rounded(min(self._channels * self._one(_EXPANSIONS[:4]), 256)), 3, stride=stride)
        self._project(channels, before)

    def _project(self, channels: int, before: str) -> None:
        """Back to the channels of the block, and its input added where that fits."""
        self._convolve(channels, 1, activates=False)
        if self._builder.shape(before) == self._builder.shape(self._x):
            self._x = self._builder.add(self._called("add"), before, self._x)

    def _squeeze(self) -> None:
        features, channels = self._x, self._channels
        self._x = self._builder.mean(self._called("mean"), features)
        self._convolve(self._rounded(channels / 4), 1, activates=False)
        self._x = self._builder.apply(self._called("relu"), Clamp(0.0), self._x)
        self._convolve(channels, 1, activates=False)
        gate = self._builder.apply(self._called("gate"), self._one((HardSigmoid(), HardSigmoid(), Sigmoid())), self._x)
        self._x = self._builder.mul(self._called("scale"), features, gate)

    def _neck(self) -> None:
        """What stands behind a backbone that finds or cuts out objects: a larger map, joined with one of its size."""
        height, width = self._builder.shape(self._x)[1:]
        self._convolve(self._rounded(min(self._channels, 128)), 1)
        larger = Resize((2 * height, 2 * width), self._one((NEAREST, HALF_PIXEL)))
        self._x = self._builder.apply(self._called("larger"), larger, self._x)
        enlarged = self._x
        self._depthwise(3, 1)
        self._x = self._builder.apply(self._called("joined"), Concat(), enlarged, self._x)
        self._convolve(self._rounded(self._channels / 2), 1)
        if self._chance(0.5):
            pool = MaxPool2d((2, 2), (2, 2))
            self._x = self._builder.apply(self._called("pool"), pool, self._x)

    def _depthwise(self, kernel: int, stride: int, *, activates: bool = True) -> None:
        self._convolve(self._channels, kernel, stride=stride, groups=self._channels, activates=activates)

    def _convolve(
        self, channels: int, kernel: int, *, stride: int = 1, groups: int = 1, activates: bool = True
    ) -> None:
        of_group = self._channels // groups
        weight = self._random.normal(0, (of_group * kernel**2) ** -0.5, (channels, of_group, kernel, kernel))
        half = kernel // 2
        padding = Padding(half, half, half, half) if self._style.symmetric else Same.UPPER
        self._x = self._builder.conv2d(
            self._called("conv"), self._x, weight, None, stride=(stride, stride), padding=padding, groups=groups
        )
        if activates:
            self._activate()

    def _linear(self, name: str, channels: int) -> None:
        weight = self._random.normal(0, self._channels**-0.5, (channels, self._channels))
        self._x = self._builder.linear(name, self._x, weight, None)

    def _activate(self) -> None:
        op = HardSwish() if self._style.activation == "hard_swish" else Clamp(0.0, 6.0)
        self._x = self._builder.apply(self._called("activation"), op, self._x)

    def _called(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    @property
    def _channels(self) -> int:
        return self._builder.shape(self._x)[0]

    @property
    def _side(self) -> int:
        return self._builder.shape(self._x)[1]

    def _rounded(self, channels: float) -> int:
        divisor = self._style.divisor
        return max(divisor, round(channels / divisor) * divisor)

    def _one(self, choices: Sequence[T]) -> T:
        return choices[int(self._random.integers(len(choices)))]

    def _chance(self, share: float) -> bool:
        return bool(self._random.random() < share)
