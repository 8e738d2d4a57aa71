"""Makes the files of this folder: ``python -m edgekit.defaults.train`` (a few minutes; needs scikit-learn).

NOTES for developers: the same machine, torch and one thread give the same weights. Another torch or processor sums in
another order, and gives another network that is about as good.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from edgekit import extras
from edgekit.defaults import CONFIG, FOLDER
from edgekit.models import checkpoint
from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits
from edgekit.models.network import build
from edgekit.preprocessing import Preprocessing
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgekit.models.architecture import Architecture

CHECKPOINT, CALIBRATION, TEST = "digits_v3.safetensors", "calibration.npz", "test.npz"
CALIBRATION_IMAGES, TEST_IMAGES = 128, 360
FULL = 16  # scikit-learn's images count the black dots of 4 x 4 blocks

SEED = 0
EPOCHS = 20
BATCH_SIZE = 32
PEAK_LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1

# Largest changes of an image while training. The digits fill their image: larger changes would push them out of it.
ANGLE_RADIANS = math.radians(10)
SCALE = 0.1
SHIFT = 3 / 32  # of the image's side
CONTRAST = 0.25
NOISE_LEVELS = 8  # standard deviation, in levels of 0..255


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Digits:
    """Images with what they show.

    Attributes:
        images: uint8, grey, 0 is background, [N, 8, 8].
        labels: the digits, int64, [N].
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __getitem__(self, chosen: slice | NDArray[np.int64]) -> Digits:
        """Some of the images."""
        return Digits(self.images[chosen], self.labels[chosen])

    def save(self, path: Path) -> None:
        """Write an .npz archive that edgekit takes as calibration or test images."""
        np.savez_compressed(path, images=self.images, labels=self.labels)


def load_digits() -> Digits:
    """All 1797 images, as 8-bit pixels.

    Raises:
        MissingDependency: scikit-learn is not installed.
    """
    bunch = extras.load("sklearn.datasets", "dev").load_digits()
    return Digits((bunch.images * 255 / FULL).round().astype(np.uint8), bunch.target.astype(np.int64))


def split(digits: Digits) -> tuple[Digits, Digits]:
    """Training and test images, both in such an order that their first n hold about n / 10 of each digit.

    A hash of the image decides, and no random number: no version of any library can move an image to the other part.
    """
    hashes = [hashlib.sha256(image.tobytes()).digest() for image in digits.images]
    rank = np.empty(len(hashes), np.int64)  # of each image among those of the same digit
    for digit in np.unique(digits.labels):
        same = np.flatnonzero(digits.labels == digit)
        rank[sorted(same, key=hashes.__getitem__)] = np.arange(len(same))
    ordered = digits[np.lexsort((digits.labels, rank))]
    return ordered[TEST_IMAGES:], ordered[:TEST_IMAGES]


def preprocessing_for(architecture: Architecture) -> Preprocessing:
    """The preprocessing of edgekit.toml, so that the network is trained on what it will be given."""
    settings = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["preprocessing"]
    return Preprocessing(architecture.size, settings["resize"], tuple(settings["mean"]), tuple(settings["std"]))


def network_pixels(digits: Digits, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """The pixels that the network sees, [N, H, W, C]."""
    return np.stack([preprocessing.pixels(Image.fromarray(image)) for image in digits.images])


def augment(pixels: Tensor) -> Tensor:
    """Turns, scales, shifts, fades and roughens each image in its own way; float, 0..255, [N, C, H, W]."""
    count = len(pixels)

    def uniform(largest: float) -> Tensor:
        return torch.empty(count).uniform_(-largest, largest)

    angle, zoom = uniform(ANGLE_RADIANS), 1 + uniform(SCALE)
    cos, sin = angle.cos() / zoom, angle.sin() / zoom
    shifts = 2 * uniform(SHIFT), 2 * uniform(SHIFT)  # affine_grid's coordinates run from -1 to 1
    affine = torch.stack([cos, -sin, shifts[0], sin, cos, shifts[1]], dim=1).view(count, 2, 3)
    grid = functional.affine_grid(affine, list(pixels.shape), align_corners=False)
    moved = functional.grid_sample(pixels, grid, align_corners=False)
    contrast = 1 + uniform(CONTRAST).view(count, 1, 1, 1)
    return (moved * contrast + NOISE_LEVELS * torch.randn_like(moved)).clamp(0, 255)


def train(
    module: nn.Module,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    preprocessing: Preprocessing,
    *,
    progress: Progress = silent,
) -> None:
    """Trains ``module`` in place, and leaves it in evaluation mode.

    Args:
        module: a network with random weights.
        pixels: [N, H, W, C].
        labels: [N].
        preprocessing: of the network.
        progress: told after every epoch.
    """
    images, targets = torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), torch.from_numpy(labels)
    steps = len(images) // BATCH_SIZE
    optimizer = torch.optim.AdamW(module.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, total_steps=EPOCHS * steps)
    module.train()
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in torch.randperm(len(images))[: steps * BATCH_SIZE].view(steps, BATCH_SIZE):
            # Whole levels again: what the network will be given are 8-bit images.
            levels = augment(images[batch]).round().byte().permute(0, 2, 3, 1).numpy()
            logits = module(torch.from_numpy(preprocessing.normalization(levels)))
            loss = functional.cross_entropy(logits, targets[batch], label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call] # torch declares no types here
            optimizer.step()
            schedule.step()
            total += loss.item()
        progress(f"training, loss {total / steps:.3f}", epoch + 1, EPOCHS)
    module.eval()


def count_correct(
    module: nn.Module, pixels: NDArray[np.uint8], labels: NDArray[np.int64], preprocessing: Preprocessing
) -> int:
    """On how many images the largest logit is the right one."""
    with torch.inference_mode():
        logits: NDArray[np.float32] = module(torch.from_numpy(preprocessing.normalization(pixels))).numpy()
    return int((logits.argmax(axis=1) == labels).sum())


def main() -> None:
    """Train, write the files, and print how good the network is."""
    parser = argparse.ArgumentParser(description="Trains edgekit's default network on scikit-learn's digits.")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the files (default: edgekit's own)")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(mode=True)
    torch.set_num_threads(1)  # sums in the same order whatever the number of cores, and tensors this small gain nothing
    architecture = mobilenet_v3_digits()
    preprocessing = preprocessing_for(architecture)
    training, test = split(load_digits())
    module = build(architecture)

    def show(stage: str, done: int, total: int) -> None:
        print(f"{stage}: {done}/{total}", flush=True)

    train(module, network_pixels(training, preprocessing), training.labels, preprocessing, progress=show)
    checkpoint.save(out / CHECKPOINT, module, architecture)
    training[:CALIBRATION_IMAGES].save(out / CALIBRATION)
    test.save(out / TEST)
    for name, part in (("training", training), ("test", test)):
        correct = count_correct(module, network_pixels(part, preprocessing), part.labels, preprocessing)
        show(f"{name} images right", correct, len(part.labels))


if __name__ == "__main__":
    main()
