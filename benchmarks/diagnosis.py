"""What the calibration doctor notices, and what it lets pass: ``python -m edgekit.benchmarks.diagnosis``.

Every network of EDGEKIT_REALDATA (as for ``edgekit.benchmarks.realdata``) and the one that edgekit ships, with the
right calibration images and with every mistake that their pixels show. The right ones must raise no alarm, in whatever
number and choice from 16 on; each mistake must. What is made of wrong settings, ``edgekit.benchmarks.finding`` says.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit import config
from edgekit.benchmarks.realdata import CHECKPOINTS, VARIABLE, settings_for
from edgekit.calibration.diagnosis import SAMPLE, diagnose_pixels
from edgekit.calibration.images import open_images
from edgekit.defaults import CONFIG
from edgekit.pipeline.making.source import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edgekit.config import Settings

SUBSETS = 40  # of each number of right images: half by chance, half neighbours in the folder's order
NUMBERS = (16, 32, 64, 128, 256)
GREY_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as in JPEG


def mistakes(images: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Each mistake with its name, and the pixels as they would come, [N, H, W, 3]."""
    some = images[:: max(len(images) // SAMPLE, 1)]
    if (images[..., 0] != images[..., 2]).any():
        grey = np.rint(some @ GREY_WEIGHTS).astype(np.uint8)
        yield "grey images", np.repeat(grey[..., None], 3, axis=3)
    yield "a quarter of the contrast", (some // 4 + 96).astype(np.uint8)
    yield "stored as 0 and 1", np.rint(some / 255).astype(np.uint8)
    yield "one image, repeated", np.repeat(some[:1], SAMPLE, axis=0)
    yield "3 images", some[:3]
    yield "noise", np.random.default_rng(0).integers(0, 256, some.shape, np.uint8)
    yield "one colour each", np.broadcast_to(some.mean((1, 2), keepdims=True), some.shape).astype(np.uint8)


def main() -> None:
    """Measure and print Markdown."""
    data = Path(os.environ.get(VARIABLE, ""))
    if not (data / "models").is_dir():
        sys.exit(f"set {VARIABLE} to a folder with models/ and images/")
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            name: settings_for(data, data / "models" / file, Path(folder)) for name, file in CHECKPOINTS.items()
        }
        settings["digits"] = config.load(CONFIG)
        for name, given in settings.items():
            _network(name, given)


def _network(name: str, settings: Settings) -> None:
    model = open_source(settings).integer_form
    assert settings.calibration.data is not None
    source = open_images(settings.calibration.data, model.preprocessing)
    images = np.concatenate([batch.pixels for batch in source.batches(32)])
    started = time.perf_counter()
    diagnose_pixels(model, images[:: max(len(images) // SAMPLE, 1)])
    print(f"\n## {name}: {time.perf_counter() - started:.2f} s for {SAMPLE} images\n\n| images | noticed |\n|---|---|")
    for what, pixels in mistakes(images):
        found = diagnose_pixels(model, pixels).finding
        print(f"| {what} | {f'**{found.mistake}**: {found.advice}' if found else 'NOTHING'} |", flush=True)
    random = np.random.default_rng(0)
    for number in (n for n in NUMBERS if n <= len(images)):
        alarms, largest = [], 0.0
        for i in range(SUBSETS if number < len(images) else 1):
            start = (len(images) - number) * i // SUBSETS
            chosen = random.choice(len(images), number, replace=False) if i % 2 else np.arange(start, start + number)
            diagnosis = diagnose_pixels(model, images[chosen])
            alarms += [diagnosis.finding.advice] if diagnosis.finding else []
            largest = max(largest, diagnosis.divergence or 0.0)
        said = f"{len(alarms)} alarms" if alarms else "no alarm"
        print(f"| {number} right ones | {said}, at most {largest:.3f} nats {' '.join(alarms[:1])} |", flush=True)


if __name__ == "__main__":
    main()
