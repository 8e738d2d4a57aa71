"""Networks whose weights are not to be had: a V3-Small off the int8 grid, and relatives of MobileNets.

The weights of the public V3-Small were dequantized from an int8 file, so that quantizing them again costs nearly
nothing, in any tool. Here it is fine-tuned for a few hundred steps, which leaves its accuracy where it was and moves
weights off the grid. Relatives are trained from random weights, for minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgekit.calibration.images import open_images
from edgekit.models import checkpoint
from edgekit.preprocessing import Preprocessing
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

SEED = 0
STEPS = 240
BATCH_SIZE = 8
PEAK_LEARNING_RATE = 4e-5

# Of networks that are trained from random weights.
SCRATCH_IMAGES = 60_000  # of all steps together: two and a half times those that there are
SCRATCH_BATCH = 32
SCRATCH_PEAK = 1.5e-3  # the learning rate
SHIFT = 3  # pixels

SIDE, CROP = 256, 224  # of the stored images and of the network's input, in pixels
# Augmentation, milder than the usual for ImageNet: the teachers have to be right about what is left of an image.
SMALLEST_CROP = 0.7  # of the image's side
COLOUR = 0.2  # largest relative change of brightness, contrast and saturation


def train(student: Path, teachers: list[Path], images: Path, out: Path, *, progress: Progress = silent) -> None:
    """Fine-tune the network in ``student`` and write it to ``out``; the same machine and torch give the same weights.

    The loss is the mean Kullback-Leibler divergence from each teacher's classes to the student's (arXiv:1503.02531, at
    temperature 1); no label is used. Batch normalization is frozen, statistics and affine parts.

    Args:
        student: a checkpoint trained with TensorFlow's padding.
        teachers: likewise; the student's own may be among them.
        images: a folder of images, 256 x 256 pixels.
        out: a .safetensors file.
        progress: told after every step.

    Raises:
        BadInput: a checkpoint or the images cannot be used, or ``out`` cannot be written.
    """
    random = torch.Generator().manual_seed(SEED)
    torch.set_num_threads(1)  # sums in the same order whatever the number of cores
    loaded = checkpoint.load(student, padding="same")
    module = loaded.module  # in evaluation mode, and so it stays: this freezes the statistics
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.requires_grad_(requires_grad=False)
    experts = [checkpoint.load(path, padding="same").module for path in teachers]
    pixels = [batch.pixels for batch in open_images(images, Preprocessing((SIDE, SIDE), None)).batches(BATCH_SIZE)]
    stored = torch.from_numpy(np.concatenate(pixels)).permute(0, 3, 1, 2)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=STEPS)
    for step in range(STEPS):
        chosen = torch.randint(len(stored), (BATCH_SIZE,), generator=random)
        batch = augment(stored[chosen].float(), random) / 127.5 - 1  # to -1..1, as these networks were trained
        with torch.no_grad():
            targets = [functional.log_softmax(expert(batch), 1) for expert in experts]
        found = functional.log_softmax(module(batch), 1)
        losses = [functional.kl_div(found, target, reduction="batchmean", log_target=True) for target in targets]
        loss = torch.stack(losses).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch declares no types here
        optimizer.step()
        schedule.step()
        progress(f"training, loss {loss.item():.3f}", step + 1, STEPS)
    checkpoint.save(out, module, loaded.architecture)


def train_from_scratch(
    module: nn.Module, pixels: NDArray[np.uint8], labels: NDArray[np.int64], side: int, *, progress: Progress = silent
) -> None:
    """Train a classifier on small pictures, which are moved, mirrored and enlarged to ``side`` pixels.

    Args:
        module: with random weights; in evaluation mode afterwards.
        pixels: [N, H, W, 3].
        labels: the numbers of their classes, [N].
        side: of the network's input.
        progress: told after every step.
    """
    random = torch.Generator().manual_seed(SEED)
    torch.set_num_threads(1)  # sums in the same order whatever the number of cores
    stored, wanted = torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(module.train().parameters(), weight_decay=0.01)
    steps = SCRATCH_IMAGES // SCRATCH_BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, SCRATCH_PEAK, total_steps=steps, pct_start=0.15)
    order = torch.empty(0, dtype=torch.int64)
    for step in range(steps):
        if len(order) < SCRATCH_BATCH:
            order = torch.randperm(len(stored), generator=random)
        chosen, order = order[:SCRATCH_BATCH], order[SCRATCH_BATCH:]
        batch = moved(stored[chosen].float(), random)
        large = functional.interpolate(batch, size=(side, side), mode="bilinear", align_corners=False)
        loss = functional.cross_entropy(module(large / 127.5 - 1), wanted[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch declares no types here
        optimizer.step()
        schedule.step()
        progress(f"training, loss {loss.item():.3f}", step + 1, steps)
    module.eval()


def moved(pixels: Tensor, random: torch.Generator) -> Tensor:
    """All images moved alike by at most SHIFT pixels, with black behind them, and half the batches mirrored."""
    height, width = pixels.shape[2:]
    padded = functional.pad(pixels, (SHIFT,) * 4)
    down, right = torch.randint(0, 2 * SHIFT + 1, (2,), generator=random).tolist()
    cut = padded[:, :, down : down + height, right : right + width]
    return cut.flip(3) if torch.rand((), generator=random) < 0.5 else cut


def augment(pixels: Tensor, random: torch.Generator) -> Tensor:
    """Crops, flips and recolours each image in its own way: [N, 3, 256, 256] -> [N, 3, 224, 224], float, 0..255."""
    count = len(pixels)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=random)

    # affine_grid's coordinates run from -1 to 1, so a crop of size s has its centre within 1 - s of the middle.
    size = uniform(SMALLEST_CROP, 1)
    x, y = uniform(-1, 1) * (1 - size), uniform(-1, 1) * (1 - size)
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    zero = torch.zeros(count)
    affine = torch.stack([size * flip, zero, x, zero, size, y], dim=1).view(count, 2, 3)
    grid = functional.affine_grid(affine, [count, 3, CROP, CROP], align_corners=False)
    cut = functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)

    brightness, contrast, saturation = (uniform(1 - COLOUR, 1 + COLOUR).view(count, 1, 1, 1) for _ in range(3))
    cut = cut * brightness
    grey = cut.mean(1, keepdim=True)
    cut = grey + saturation * (cut - grey)
    middle = cut.mean((1, 2, 3), keepdim=True)
    return (middle + contrast * (cut - middle)).clamp(0, 255)


def distance_from_grid(module: nn.Module) -> float:
    """How far convolution and linear weights lie from an int8 grid, in its steps, root mean square.

    The grid is symmetric, one scale an output channel, the largest weight at 127. Weights that know nothing of the grid
    are uniformly distributed between its points, and give 1 / sqrt(12) = 0.29.
    """
    weights = [m.weight.detach().flatten(1) for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    steps = [127 * w / w.abs().amax(1, keepdim=True).clamp(min=torch.finfo(w.dtype).tiny) for w in weights]
    return float(torch.cat([(s - s.round()).flatten() for s in steps]).square().mean().sqrt())
