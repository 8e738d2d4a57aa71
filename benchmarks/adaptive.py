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
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgekit.device.chain import AdaptiveRunner
from edgekit.device.engines import open_file
from edgekit.models import checkpoint
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.tasks.classification.answers import probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.device.engines.engine import Engine

WARM_UP = 50  # images
RUNS = 3  # of each image
EPOCHS, BATCH = 10, 128  # of the predictor
CHANNELS = 16


def compare(folder: Path, whole: Path, images: Path, engine: str) -> None:
    """Print what a chain and the whole network need for the same images, and how often they are right."""
    pixels, labels = _read(images)
    runner, other = AdaptiveRunner(folder, engine), open_file(whole, engine)
    stored = [_fed(other, one) for one in pixels]
    seconds, right = np.full((len(pixels), 2), np.inf), np.zeros((len(pixels), 2), bool)
    exits = np.zeros(len(pixels), int)
    for image in stored[:WARM_UP]:
        runner.run(image)
        other.run(image)
    for place, (image, label) in enumerate(zip(stored, labels, strict=True)):
        for turn in range(2 * RUNS):
            which = (place + turn) % 2
            started = time.perf_counter()
            if which:
                left = runner.run(image)
            else:
                (logits,) = other.run(image).values()
            seconds[place, which] = min(seconds[place, which], time.perf_counter() - started)
        right[place] = logits.argmax() == label, left.logits.argmax() == label
        exits[place] = left.exit
    until = np.cumsum([stage.macs for stage in runner.chain.stages])
    print(f"{runner.name}, {len(pixels)} images of {images.name}")
    for place, stage in enumerate(runner.chain.stages):
        there = exits == place
        share, good = 100 * there.mean(), 100 * right[there, 1].mean() if there.any() else 0.0
        print(f"  {stage.exit}: {share:.1f} % leave, {good:.1f} % of them right, {until[place] / 1e6:.2f} million MACs")
    drop = 100 * (right[:, 0].astype(float) - right[:, 1])
    error = 1.96 * drop.std() / np.sqrt(len(drop))
    print(f"  top-1: whole {100 * right[:, 0].mean():.2f} %, chain {100 * right[:, 1].mean():.2f} %")
    print(f"  drop: {drop.mean():.2f} ± {error:.2f} points (95 %, paired)")
    print(f"  million MACs an image: chain {until[exits].mean() / 1e6:.2f}")
    whole_us, chain_us = 1e6 * seconds.mean(0)
    print(f"  mean time of an image: whole {whole_us:.0f} us, chain {chain_us:.0f} us, {whole_us / chain_us:.2f} times")


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


def _fed(engine: Engine, pixels: NDArray[np.uint8]) -> NDArray[Any]:
    """An image as an integer file takes it, in its layout and type."""
    turned = pixels if engine.shape is not None and engine.shape[-1] == pixels.shape[-1] else pixels.transpose(2, 0, 1)
    stored = turned if engine.dtype == "uint8" else (turned.astype(np.int16) - 128).astype(np.int8)
    return np.ascontiguousarray(stored[None])


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="What leaving early saves.")
    parser.add_argument("--predictor", action="store_true", help="compare confidence with a predictor instead")
    parser.add_argument("--engine", default="litert", help="that runs the files (default: litert)")
    parser.add_argument("paths", type=Path, nargs=3, help="STAGES WHOLE IMAGES, or RUN TRAINING TEST")
    given = parser.parse_args()
    first, second, images = given.paths
    if given.predictor:
        predict(first, second, images)
    else:
        compare(first, second, images, given.engine)


if __name__ == "__main__":
    main()
