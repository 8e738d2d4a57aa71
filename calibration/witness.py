"""What batch normalization says of images that a network is shown, layer by layer.

Each batch normalization remembers the mean and the spread of what it read in training. A witness shows the network
images and tells the mean and spread that each of these layers reads now.

**Every layer is asked by itself.** An error at the start moves everything behind it, and so does a set of images that
differs a little from the training's. So a layer's result is brought to the mean and spread of training before it goes
on, channel by channel: what a layer shows then comes from that layer and the one before it alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from edgekit.calibration.stem import Stem
from edgekit.executor.float import FloatExecutor
from edgekit.ir import ChannelStatistics, Padding
from edgekit.ir.operators.operator import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Graph, Node

BATCH = 4  # images that are shown at a time, and whose common mean and spread are brought to the training's
_LARGEST_CORRECTION = 4.0  # of a channel's spread: a channel that is nearly constant here would become noise
_TINY = 1e-30  # added to a variance that may be zero


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Moments:
    """What all layers with batch normalization read, their channels one behind the other (K in all).

    Attributes:
        mean: over each batch of images, [B, K], in standard deviations of training from the mean of training.
        square: mean of the squares of the same, [B, K].
        layers: how many channels each layer has, in order.
    """

    mean: NDArray[np.float64]
    square: NDArray[np.float64]
    layers: tuple[int, ...]

    def of(self, batches: slice) -> Moments:
        """Those of some batches."""
        return Moments(self.mean[batches], self.square[batches], self.layers)

    def residuals(self) -> NDArray[np.float64]:
        """(m - mu) / sigma and ln(s / sigma) of every channel, [2, K].

        m and s are the mean and the spread that a channel reads now, mu and sigma those of training.
        """
        mean, square = self.mean.mean(0), self.square.mean(0)
        return np.stack([mean, np.log(np.maximum(square - mean**2, 1e-12)) / 2])

    def joined(self, other: Moments) -> Moments:
        """These images and others."""
        return Moments(
            np.concatenate([self.mean, other.mean]), np.concatenate([self.square, other.square]), self.layers
        )


class Witness(ABC):
    """A network that can be asked."""

    @abstractmethod
    def stem(self, pixels: NDArray[np.uint8]) -> Stem | None:
        """The first convolution for ``pixels`` [N, H, W, C]; None where nothing is known of it."""

    @abstractmethod
    def _run(self, images: torch.Tensor, told: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Show a batch [N, C, H, W]; add what each layer reads, as ``_corrected`` gives it, to ``told``."""

    def ask(self, images: NDArray[np.float32]) -> Moments:
        """Show normalized images [N, C, H, W] in batches of about ``BATCH``, and collect what each layer reads."""
        rows: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        layers: tuple[int, ...] = ()
        for batch in np.array_split(images, max(1, round(len(images) / BATCH))):
            told: list[tuple[torch.Tensor, torch.Tensor]] = []
            with torch.inference_mode():
                self._run(torch.from_numpy(batch).contiguous(memory_format=torch.channels_last), told)
            mean, spread = (torch.cat(parts).double().numpy() for parts in zip(*told, strict=True))
            rows.append((mean, spread**2 + mean**2))
            layers = tuple(len(part) for part, _ in told)
        means, squares = (np.stack(row) for row in zip(*rows, strict=True))
        return Moments(means, squares, layers)


def witness_of(network: nn.Module | Graph) -> Witness | None:
    """A witness for a module, which is changed by that, or for a folded graph; None where there is no statistic."""
    if isinstance(network, nn.Module):
        known = any(isinstance(part, nn.BatchNorm2d) for part in network.modules())
        return _ModuleWitness(network) if known else None
    of_images = any(n.name in network.statistics and network.tensors[n.output].is_image for n in network)
    return _GraphWitness(network) if of_images else None


class _Asked(nn.Module):
    """Stands in the place of a batch normalization, and tells what it reads."""

    def __init__(self, norm: nn.BatchNorm2d, told: list[list[tuple[torch.Tensor, torch.Tensor]]]) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        self.mean, self.std = norm.running_mean, norm.running_var.clamp_min(1e-30).sqrt()
        # What the normalization makes of a value that lies one standard deviation of training above the mean.
        self.gain = norm.weight.detach() * self.std / (norm.running_var + norm.eps).sqrt()
        self.bias = norm.bias.detach()
        self._told = told

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] -> the same."""
        y, told = _corrected(x, self.mean, self.std, self.gain, self.bias)
        self._told[-1].append(told)
        return y


class _ModuleWitness(Witness):
    """A torch module with batch normalization in it."""

    def __init__(self, module: nn.Module) -> None:
        self._told: list[list[tuple[torch.Tensor, torch.Tensor]]] = []
        self._conv = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
        self._norm = next(part for part in module.modules() if isinstance(part, nn.BatchNorm2d))
        for parent in list(module.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(parent, name, _Asked(child, self._told))
        self._module = module

    def stem(self, pixels: NDArray[np.uint8]) -> Stem | None:
        conv, norm = self._conv, self._norm
        if conv is None or conv.groups != 1 or conv.in_channels != pixels.shape[3]:
            return None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        border = getattr(conv, "border", None)  # of a convolution that pads unlike on its sides
        if border is None:
            assert not isinstance(conv.padding, str)
            (top, left) = conv.padding
            padding = Padding(top, top, left, left)
        else:
            left, right, top, bottom = border
            padding = Padding(top, bottom, left, right)
        stride = (conv.stride[0], conv.stride[1])
        known = ChannelStatistics(norm.running_mean.double().numpy(), norm.running_var.double().sqrt().numpy())
        bias = np.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().numpy()
        return Stem(Window(stride, padding), conv.weight.detach().numpy(), bias, known, pixels)

    def _run(self, images: torch.Tensor, told: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self._told.append(told)
        self._module(images)
        self._told.pop()


class _GraphWitness(Witness, FloatExecutor):
    """A graph whose batch normalization was folded, and which remembers what that said."""

    def __init__(self, graph: Graph) -> None:
        FloatExecutor.__init__(self, graph)
        self._known = {
            name: (torch.from_numpy(known.mean).float(), torch.from_numpy(known.std).float().clamp_min(1e-15))
            for name, known in graph.statistics.items()
        }
        self._told: list[tuple[torch.Tensor, torch.Tensor]] = []

    def stem(self, pixels: NDArray[np.uint8]) -> Stem | None:
        return Stem.of_graph(self.graph, pixels)

    def _run(self, images: torch.Tensor, told: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self._told = told
        self(images)

    def accumulate(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        """The output of ``node`` before its clamp, brought to the mean and spread of training where they are known."""
        y = super().accumulate(node, inputs)
        if node.name not in self._known or y.ndim != 4:
            return y
        mean, std = self._known[node.name]
        y, told = _corrected(y, mean, std, std, mean)
        self._told.append(told)
        return y


def _corrected(
    x: torch.Tensor, mean: torch.Tensor, std: torch.Tensor, gain: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """``x`` [N, C, H, W] with the mean and spread of training, times ``gain`` plus ``bias``; and what ``x`` showed.

    Args:
        x: what a layer reads.
        mean: of training, [C].
        std: likewise.
        gain: of what is in standard deviations of training, [C].
        bias: likewise.

    Returns:
        The corrected values; how far their mean was from that of training, and their spread, [C] each, in standard
        deviations of training.
    """
    # Batch normalization as in training: one of the few reductions that torch does fast over channels_last.
    y, centre, inverse = torch.native_batch_norm(x, gain, bias, None, None, True, 0.0, _TINY)
    spread = 1 / (inverse * std)
    largest = spread * (1 / spread).clamp(1 / _LARGEST_CORRECTION, _LARGEST_CORRECTION)
    beyond = (largest < 0.999) | (largest > 1.001)
    if beyond.any():
        shift = bias[beyond][:, None, None]
        y[:, beyond] = (y[:, beyond] - shift) * largest[beyond][:, None, None] + shift
    return y, ((centre - mean) / std, spread)
