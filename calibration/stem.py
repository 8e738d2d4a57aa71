"""The first convolution of a network: what it makes of images under any preprocessing, without running anything.

The convolution is linear in the pixels. Mean and covariance of the patches that its kernel reads are all it takes to
tell what it makes of the images under any order of the channels and any mean and standard deviation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.conventions import ORDERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import ChannelStatistics, Graph
    from edgekit.ir.operators.operator import Window
    from edgekit.preprocessing import Preprocessing

# A channel of smaller spread, compared with the median one, is dead: what is divided by it says nothing.
_DEAD = 0.01


class Stem:
    """The first convolution, and the first two moments of what it reads, image by image.

    A patch is described by its I kH kW pixels, minus 127.5 and 0 outside of the image, and by kH kW numbers that are 1
    inside and 0 outside. Every normalization is linear in these K numbers, padding with zeros after it included.

    Attributes:
        weight: of the channels that are not dead, [O, I, kH, kW], float64.
        bias: likewise, [O].
        mean: of the results in training, likewise, [O].
        std: likewise.
    """

    def __init__(
        self,
        window: Window,
        weight: NDArray[np.floating],
        bias: NDArray[np.floating],
        statistics: ChannelStatistics,
        pixels: NDArray[np.uint8],
    ) -> None:
        alive = statistics.std > _DEAD * np.median(statistics.std)
        self.weight, self.bias = (array.astype(np.float64)[alive] for array in (weight, bias))
        self.mean, self.std = statistics.mean[alive], statistics.std[alive]
        self._first, self._second = _moments(window, (weight.shape[2], weight.shape[3]), pixels)

    @staticmethod
    def of_graph(graph: Graph, pixels: NDArray[np.uint8]) -> Stem | None:
        """The convolution of the image; None where batch normalization does not tell its statistics."""
        readers = graph.consumers(graph.input)
        if len(readers) != 1 or readers[0].name not in graph.statistics:
            return None
        (node,) = readers
        if node.op.window is None or node.op.groups_of_weights != 1:
            return None
        weight, bias = (graph.constants[name] for name in node.read("weight", "bias"))
        return Stem(node.op.window, weight, bias, graph.statistics[node.name], pixels)

    def moments(self, given: Preprocessing, meant: Preprocessing) -> NDArray[np.float64]:
        """What the convolution makes of pixels that were read as ``given``, if they reach it as ``meant``.

        Returns:
            The means over each image of the results, without bias, and of their squares, [2, N, O].
        """
        scale = 1 / (255 * np.array(meant.std))
        offset = (127.5 - 255 * np.array(meant.mean)) * scale  # what a pixel of 127.5 becomes
        of_pixels = self.weight * scale[:, None, None]
        if meant.order != given.order:
            places, others = (ORDERS[preprocessing.order][1] for preprocessing in (given, meant))
            of_pixels = of_pixels[:, [others.index(place) for place in places]]
        of_inside = np.einsum("oihw,i->ohw", self.weight, offset)
        linear = np.concatenate(
            [values.reshape(len(values), -1) for values in (of_pixels, of_inside)], axis=1
        )  # [O, K]
        squares = np.einsum("nok,ok->no", linear @ self._second, linear)
        return np.stack([self._first @ linear.T, squares])

    def divergence(self, moments: NDArray[np.float64]) -> float:
        """How far results are from those in training, mean over channels, in nats.

        Args:
            moments: [2, O], as ``moments`` gives them, averaged over images.

        Returns:
            The Kullback-Leibler divergence of N(m, s^2) from N(mu, sigma^2), which is
            (m - mu)^2 / (2 sigma^2) + s^2 / (2 sigma^2) - 1/2 - ln(s / sigma).
        """
        means = ((moments[0] + self.bias - self.mean) / self.std) ** 2
        ratio = np.maximum(moments[1] - moments[0] ** 2, 1e-12 * self.std**2) / self.std**2
        return float((means + ratio - 1 - np.log(ratio)).mean() / 2)


def _moments(
    window: Window, kernel: tuple[int, int], pixels: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means over all places of an image of the K numbers of a patch, [N, K], and of their products, [N, K, K]."""
    p = window.padding
    rows, columns = map(torch.from_numpy, window.places(pixels.shape[1:3], kernel))

    def patches_of(image: torch.Tensor) -> torch.Tensor:
        """[C, H, W] to [C kH kW, places]."""
        padded = F.pad(image, (p.left, p.right, p.top, p.bottom))
        taps = padded[:, rows[:, None, :, None], columns[None, :, None, :]]  # [C, H', W', kH, kW]
        return taps.permute(0, 3, 4, 1, 2).reshape(len(image) * kernel[0] * kernel[1], -1)

    inside = patches_of(torch.ones(1, *pixels.shape[1:3]))
    first, second = [], []
    for image in pixels:
        centred = torch.from_numpy(image).permute(2, 0, 1).float() - 127.5
        patches = torch.cat([patches_of(centred), inside])  # [K, places]
        first.append(patches.mean(1).double().numpy())
        second.append((patches @ patches.T / patches.shape[1]).double().numpy())
    return np.stack(first), np.stack(second)
