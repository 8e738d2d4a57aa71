"""Weights drawn by lot that behave as if they had been trained, and images to calibrate them on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import nn

    AModule = TypeVar("AModule", bound=nn.Module)

_DEAD = 0.03  # of the channels of a batch normalization


def drawn(module: AModule, random: Generator, images: NDArray[np.floating]) -> AModule:
    """``module`` in eval mode; its activations neither vanish nor explode, and channels differ.

    Args:
        module: as it was built. Batch normalization gets gains and shifts, and remembers ``images``; some channels die.
        random: decides all of that, with torch's own generator.
        images: normalized, [N, H, W, C].
    """
    import torch  # noqa: PLC0415 - heavy

    module.train()
    spread = random.uniform(0, 0.8)  # of batch normalization's gains and of the channels' weights, as a logarithm
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dim() > 1:
                gains = np.exp(random.normal(0, spread, (len(parameter), *[1] * (parameter.dim() - 1))))
                gains *= random.uniform(1, 20) if name.startswith("classifier") else 1
                parameter.mul_(torch.from_numpy(gains))
        batch = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32))
        norms = [layer for layer in module.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0  # what it remembers is this batch
            gain = np.exp(random.normal(0, spread, norm.num_features)) * random.choice([1, 1, 1, -1], norm.num_features)
            gain[random.random(norm.num_features) < _DEAD] = 0.0
            norm.weight.copy_(torch.from_numpy(gain))
            norm.bias.copy_(torch.from_numpy(random.normal(0, random.uniform(0.1, 1.5), norm.num_features)))
        module(batch)
        for norm in norms:
            assert norm.running_var is not None
            norm.running_var *= torch.from_numpy(np.exp(random.normal(0, 0.2, norm.num_features)).astype(np.float32))
    return module.eval()


def pictures(random: Generator, count: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Blotches of 8 × 8 and noise [N, H, W, 3], H and W multiples of 8; the first two are black and white."""
    coarse = random.uniform(0, 255, (count, size[0] // 8, size[1] // 8, 3)).repeat(8, 1).repeat(8, 2)
    noise = random.normal(0, 1, (count, *size, 3)) * random.uniform(2, 60, (count, 1, 1, 1))
    images = np.clip(np.rint(coarse + noise), 0, 255).astype(np.uint8)
    images[0], images[1] = 0, 255
    return images
