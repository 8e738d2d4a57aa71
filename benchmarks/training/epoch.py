"""One epoch of edgekit's loop against the same in plain torch: ``python -m edgekit.benchmarks.training.epoch``.

Both train the same network from the same weights on the same images in memory, padded, cut and mirrored, with SGD. The
plain one is a for loop over shuffled indices. They take turns, and each turn gives a ratio; the median is printed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.nn import functional

from edgekit.config import TrainSettings
from edgekit.ir import LOGITS
from edgekit.models.families import family_of
from edgekit.models.network import build
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.classification import Classification
from edgekit.training.data.examples import array_examples
from edgekit.training.data.loader import Loader
from edgekit.training.from_images import FromImages
from edgekit.training.loop import Loop, Precision
from edgekit.training.objectives import objective_of
from edgekit.training.recipe import Recipe, resolve

SIDE, CLASSES, IMAGES, BATCH, BORDER = 32, 10, 2560, 128, 4
ROUNDS = 7


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description="edgekit's training loop against plain torch.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often both are measured")
    parser.add_argument("--width", type=float, default=0.5, help="of the MobileNetV1 for CIFAR")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (IMAGES, SIDE, SIDE, 3), np.uint8)
    labels = random.integers(0, CLASSES, IMAGES)
    ratios, plain_s = [], []
    for _ in range(options.rounds):
        plain_s.append(_plain(options.width, pixels, labels))
        ratios.append(_edgekit(options.width, pixels, labels) / plain_s[-1])
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(
        f"edgekit's epoch takes {median(ratios):.3f} times as long as plain torch ({spread} in {options.rounds} turns)"
    )
    print(f"plain torch: {IMAGES / median(plain_s):.0f} images a second, {torch.get_num_threads()} threads")


def _network(width: float) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(family_of("mobilenet_v1_cifar").make(width, CLASSES))


def _recipe() -> Recipe:
    settings = TrainSettings(recipe="cifar10", epochs=1, batch_size=BATCH, hflip=0.5, drop=0.2)
    return replace(resolve(settings, SIDE), crop="pad", pad=BORDER)


def _edgekit(width: float, pixels: np.ndarray, labels: np.ndarray) -> float:
    """Seconds of an epoch, without validation."""
    recipe, seen = _recipe(), Preprocessing((SIDE, SIDE), "whole")
    examples = array_examples([f"{i}" for i in range(IMAGES)], labels, pixels)
    few = examples.some(range(BATCH))
    task = Classification.of({LOGITS: (CLASSES,)}, (), {})
    trainee = FromImages(
        _network(width),
        [],
        Loader(examples, BATCH, seen, recipe.augmentation, drop_last=True),
        Loader(few, BATCH, seen, shuffle=False),
        objective=objective_of(task),
        task=task,
        normalization=seen.normalization,
        recipe=recipe,
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(trainee, recipe, 0, state=Path(folder) / "state.pt", identity="", precision=Precision())
        started = time.perf_counter()
        ended = started

        def tell(stage: str, done: int, total: int) -> None:
            nonlocal ended
            if stage.startswith("training") and done == total:
                ended = time.perf_counter()

        loop.run(lambda *_: None, progress=tell)
    return ended - started


def _plain(width: float, pixels: np.ndarray, labels: np.ndarray) -> float:
    """Seconds of an epoch as one writes it without a library."""
    network, recipe = _network(width).train(), _recipe()
    optimizer = torch.optim.SGD(
        network.parameters(), recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    images, targets = torch.from_numpy(pixels), torch.from_numpy(labels)
    started = time.perf_counter()
    order = torch.randperm(IMAGES)
    for first in range(0, IMAGES, BATCH):
        chosen = order[first : first + BATCH]
        x = images[chosen].permute(0, 3, 1, 2).float().div(127.5).sub(1)
        wide = functional.pad(x, (BORDER,) * 4, value=-1.0)
        cut = []
        for image in wide:
            top, left = torch.randint(0, 2 * BORDER + 1, (2,)).tolist()
            part = image[:, top : top + SIDE, left : left + SIDE]
            cut.append(part.flip(2) if torch.rand(()) < 0.5 else part)
        loss = functional.cross_entropy(network(torch.stack(cut)), targets[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch declares no types here
        optimizer.step()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
