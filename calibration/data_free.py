"""Calibration without images: synthetic ones that a network takes for its training images.

Batch normalization remembers the mean and the spread of every channel over the training images
(``Graph.statistics``). Pictures are changed by gradient descent until each layer's channels have these: ZeroQ (Cai et
al., arXiv:2001.00281, section 3.2), with three differences.

- Layers are compared by the Kullback-Leibler divergence of normal distributions, as in ``calibration.diagnosis``, mean
  over channels, so that every layer counts the same whatever the magnitude of its values.
- The pictures start with the spectrum of photographs, whose amplitude falls as one over the frequency (Field, JOSA A
  4, 1987), and with colours that mostly go together, instead of as white noise. A few dozen steps are then enough.
- Each picture is to be of a class of its own, of which the network is sure, as it is of photographs: DeepInversion (Yin
  et al., arXiv:1912.08795, section 3.1). Otherwise logits, behind the last normalization, stay small.

Afterwards calibration goes its ordinary way, with less trust (``trusted_gains``, ``LOGITS_MARGIN``): ranges of what
lies between two normalizations, of pooled tensors and of logits come out as well, of which statistics alone say
nothing. Weights are rounded to the nearest, as a few pictures do not show which of their errors cancel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.calibration.images import held_images
from edgekit.errors import DataError
from edgekit.executor.float import FloatExecutor
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.float_model import FloatModel
    from edgekit.ir import Graph, Node

    Gains = Mapping[str, NDArray[np.float64]]

LOGITS_MARGIN = 1.5  # logits may reach as much farther: to clip them loses the class, a coarser step hardly anything
IMAGES = 16
STEPS = 40
SEED = 0
_LEARNING_RATE = 0.1  # Adam's at the start, in standard deviations of the normalized input: it falls to 0 as a cosine
_CONTRAST = 60.0  # standard deviation of the first pictures, in levels of 255: about that of ImageNet's std, 0.225
_BRIGHTNESS = 30.0  # standard deviation between the means of the first pictures, likewise
_COLOUR = 0.35  # how much of the contrast the channels do not share
_SURENESS = 0.01  # what a nat of the class's cross-entropy weighs against one of divergence
_DEAD = 0.01  # channels of less than this part of the median spread are dead: their logarithm would rule the rest


def synthesize(
    model: FloatModel, *, images: int = IMAGES, steps: int = STEPS, seed: int = SEED, progress: Progress = silent
) -> ImageSource:
    """Images for ``model`` whose statistics are those that batch normalization remembers; the same for the same seed.

    Args:
        model: in any canonical form, before equalization.
        images: how many to make.
        steps: of gradient descent.
        seed: of the noise that they start from.
        progress: told after each step.

    Raises:
        DataError: the network has no statistics, or too few to make images from.
    """
    graph, normalization = model.graph, model.preprocessing.normalization
    if not graph.statistics:
        raise DataError(
            f"{graph.name} has no batch normalization, or it was folded before the file was written, so nothing is "
            f"known of its training images: give the checkpoint, or images by --calib DIR"
        )
    mean, std = (
        torch.tensor(v, dtype=torch.float32).reshape(-1, 1, 1) for v in (normalization.mean, normalization.std)
    )
    darkest, brightest = (0 - mean) / std, (255 - mean) / std
    x = (torch.from_numpy(first_pictures(images, model.preprocessing.shape, seed)) - mean) / std
    x = x.clamp(darkest, brightest).requires_grad_()
    network = _Compared(graph)
    optimizer = torch.optim.Adam([x], lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        progress("making images", step, steps)
        optimizer.zero_grad()
        divergence, unsure = network.compare(x)
        (divergence + _SURENESS * unsure).backward()  # type: ignore[no-untyped-call]  # torch has no types for it
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            x.clamp_(darkest, brightest)
    progress("making images", steps, steps)
    pixels = (x.detach() * std + mean).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return held_images(np.ascontiguousarray(pixels), f"{images} synthetic images")


def trusted_gains(graph: Graph, gains: Gains) -> dict[str, NDArray[np.float64]]:
    """The part of ``equalization.find_gains`` that synthetic images are a reason for.

    The first channels, next to the pixels, reach as far as they do in photographs, and their gains stay. Farther back
    single channels reach less: of a gain the fourth root is taken, so that 16, the largest one, becomes 2, and a wrong
    one costs one bit at most. Of pooled tensors an image gives one value a channel, which is no reason for any.
    """
    trusted = {}
    for place, (name, gain) in enumerate((n, g) for n, g in gains.items() if np.prod(graph.tensors[n].shape[1:]) > 1):
        trusted[name] = gain if place == 0 else gain**0.25
    return trusted


def first_pictures(images: int, shape: tuple[int, int, int], seed: int) -> NDArray[np.float32]:
    """Pixels [N, C, H, W], not yet within 0 and 255, of which neighbours and colours go together as in photographs.

    ``shape`` is [H, W, C].
    """
    height, width, channels = shape
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])  # cycles a pixel
    amplitude = np.divide(1.0, frequency, out=np.zeros_like(frequency), where=frequency > 0)

    def pictures(channels: int) -> NDArray[np.float64]:
        real, imaginary = random.normal(size=(2, images, channels, *frequency.shape))
        values = np.fft.irfft2((real + 1j * imaginary) * amplitude, (height, width))
        result: NDArray[np.float64] = values / values.std((2, 3), keepdims=True)
        return result

    shared = np.sqrt(1 - _COLOUR**2)
    contrast = _CONTRAST * (shared * pictures(1) + _COLOUR * pictures(channels))
    pixels = 127.5 + contrast + _BRIGHTNESS * random.normal(size=(images, 1, 1, 1))
    return np.asarray(pixels, np.float32)


class _Compared(FloatExecutor):
    """Compares each layer's results, before the activation, with what is known of them."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.wanted: dict[str, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}
        for name, known in graph.statistics.items():
            alive = known.std > _DEAD * np.median(known.std)
            mean, std = (torch.from_numpy(values[alive].astype(np.float32)) for values in (known.mean, known.std))
            self.wanted[name] = torch.from_numpy(alive), mean, std
        self.found: list[torch.Tensor] = []

    def compare(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """How images [N, C, H, W] differ from those of training, and how unsure the network is of their classes.

        The first is the divergence, mean over layers, nats a channel. The second is the cross-entropy of classes that
        are evenly spaced over the images; 0 where there are no logits.
        """
        self.found = []
        given = self(x)
        divergence = torch.stack(self.found).mean()
        if self.graph.logits is None:
            return divergence, torch.zeros(())
        logits = given[self.graph.logits.name]
        meant = torch.arange(len(x)) * logits.shape[1] // len(x)
        return divergence, F.cross_entropy(logits, meant)

    def accumulate(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        y = super().accumulate(node, inputs)
        if node.name in self.wanted:
            alive, mean, std = self.wanted[node.name]
            places = [axis for axis in range(y.ndim) if axis != 1]
            variance, middle = torch.var_mean(y, places, correction=0)
            ratio = variance[alive] / std**2 + 1e-6  # not 0, where all images are alike
            means = ((middle[alive] - mean) / std) ** 2
            self.found.append(((means + ratio - 1 - ratio.log()) / 2).mean())
        return y
