"""What leaving early saves: multiplications, wall time and accuracy of a chain against the whole network.

    python -m edgekit.benchmarks.adaptive NAME.stages WHOLE.int8.tflite test.npz
    python -m edgekit.benchmarks.adaptive --predictor RUN train.npz test.npz

The first takes the stages that ``edgekit stages`` wrote, and a file of the same network without its early exits
(``edgekit export --heads classifier``). Each image goes through both, one right after the other and by turns the one
before the other, so that whatever else the machine does falls on both alike; the fastest of three such runs counts.

The second compares two ways to tell easy images: how sure an exit is, and a network that only sees the image. That is a
7 x 7 convolution of stride 4, the mean over all places, two linear layers and a sigmoid; it learns to foretell whether
the exit is right.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgekit.models import checkpoint
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.pipeline.measuring.leaving import time_stages
from edgekit.tasks.classification.answers import probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

EPOCHS, BATCH = 10, 128  # of the predictor
CHANNELS = 16


def compare(folder: Path, whole: Path, images: Path) -> None:
    """Print what a chain and the whole network need for the same images, and how often they are right."""
    found, (_, labels) = time_stages(folder, whole, images), _read(images)
    right, whole_right = found.answers == labels, found.whole_answers == labels
    print(f"{found.runner}, {found.images} images of {images.name}")
    for place, one in enumerate(found.exits):
        there = found.taken == place
        good = 100 * right[there].mean() if there.any() else 0.0
        share, macs = 100 * one.share, one.macs / 1e6
        print(f"  {one.exit}: {share:.1f} % leave, {good:.1f} % of them right, {macs:.2f} million MACs")
    drop = 100 * (whole_right.astype(float) - right)
    error = 1.96 * drop.std() / np.sqrt(len(drop))
    print(f"  top-1: whole {100 * whole_right.mean():.2f} %, chain {100 * right.mean():.2f} %")
    print(f"  drop: {drop.mean():.2f} ± {error:.2f} points (95 %, paired)")
    faster = found.whole_us / found.chain_us
    print(f"  million MACs an image: chain {found.macs / 1e6:.2f}")
    print(f"  mean time of an image: whole {found.whole_us:.0f} us, chain {found.chain_us:.0f} us, {faster:.2f} times")


def predict(run: Path, training: Path, test: Path) -> None:
    """Print how well an exit's confidence and a predictor tell the images on which the exit is right."""
    loaded = checkpoint.load(run)
    assert isinstance(loaded.structure, TaskArchitecture)
    assert loaded.recorded is not None
    normalization = loaded.recorded.preprocessing.normalization
    names = [head.name for head in loaded.structure.heads[:-1]]
    parts = []
    for path in (training, test):
        pixels, labels = _read(path)
        x = torch.from_numpy(normalization(pixels))
        with torch.inference_mode():
            batches = [loaded.module(x[start : start + BATCH]) for start in range(0, len(x), BATCH)]
        logits = {name: torch.cat([batch[name] for batch in batches]).numpy() for name in names}
        right = {name: own.argmax(1) == labels for name, own in logits.items()}
        parts.append((x, right, {name: probabilities(own).max(1) for name, own in logits.items()}))
    (seen, learned, _), (unseen, known, sure) = parts
    for name in names:
        torch.manual_seed(0)
        foretold = _trained(seen, torch.from_numpy(learned[name]).float())(unseen)
        print(
            f"{name}: right on {100 * known[name].mean():.1f} % of {len(unseen)} images; area under ROC of its"
            f" confidence {_area(sure[name], known[name]):.3f}, of the predictor {_area(foretold, known[name]):.3f}"
        )


def _trained(x: torch.Tensor, right: torch.Tensor) -> Any:  # noqa: ANN401 - a function
    """What foretells from images whether an exit is right."""
    layers = (nn.Conv2d(x.shape[1], CHANNELS, 7, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = nn.Sequential(*layers, nn.Linear(CHANNELS, CHANNELS), nn.ReLU(), nn.Linear(CHANNELS, 1))
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for start in range(0, len(x), BATCH):
            places = order[start : start + BATCH]
            optimizer.zero_grad()
            loss = functional.binary_cross_entropy_with_logits(network(x[places])[:, 0], right[places])
            loss.backward()  # type: ignore[no-untyped-call] # torch's
            optimizer.step()

    def foretell(images: torch.Tensor) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = network(images)[:, 0].sigmoid().numpy()
        return found

    return foretell


def _area(score: NDArray[Any], right: NDArray[np.bool_]) -> float:
    """The share of pairs of an image that is right and one that is not in which the former has the higher score."""
    order = score.argsort(kind="stable")
    ranks = np.empty(len(score))
    ranks[order] = np.arange(1, len(score) + 1)
    good, bad = int(right.sum()), int((~right).sum())
    return float((ranks[right].sum() - good * (good + 1) / 2) / (good * bad))


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    with np.load(path) as arrays:
        return arrays["images"], arrays["labels"].astype(np.int64)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="What leaving early saves.")
    parser.add_argument("--predictor", action="store_true", help="compare confidence with a predictor instead")
    parser.add_argument("paths", type=Path, nargs=3, help="STAGES WHOLE IMAGES, or RUN TRAINING TEST")
    given = parser.parse_args()
    first, second, images = given.paths
    if given.predictor:
        predict(first, second, images)
    else:
        compare(first, second, images)


if __name__ == "__main__":
    main()
