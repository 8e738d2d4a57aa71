"""Images a second of the loader: ``python -m edgekit.benchmarks.training.loading FOLDER``.

Photos are read from FOLDER, and from their files each time, not from memory: what is compared is ``Image.open``,
``convert`` and ``resize`` to 224 x 224 in as many threads, and nothing else. Images of CIFAR's size are random pixels,
as an array. Everything runs in turns, several times, and the median of what each turn's ratio was counts: other work
on the machine slows both sides down.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from edgekit.annotations.boxes import Boxes
from edgekit.annotations.targets import BoxTargets
from edgekit.calibration.origins import Files, origin_of
from edgekit.preprocessing import Preprocessing
from edgekit.training.data.augmentation import Augmentation
from edgekit.training.data.crops import IoUCrop, PadCrop, ResizedCrop
from edgekit.training.data.examples import array_examples, file_examples
from edgekit.training.data.loader import Loader, threads
from edgekit.training.data.randaugment import RandAugment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SIDE, BATCH, ROUNDS = 224, 32, 5
SMALL_SIDE, SMALL_BATCH, SMALL_IMAGES = 32, 128, 50_000
_RESIZED = Augmentation(ResizedCrop())


@dataclass(frozen=True, slots=True)
class _Seconds:
    """Of one run: by the clock, and of all processors together, which other work on the machine changes little."""

    wall: float
    processor: float


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description="Images a second of the loader, against decoding alone.")
    parser.add_argument("folder", type=Path, help="of photos")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often everything is measured")
    parser.add_argument("--threads", type=int, default=threads(), help="for both sides")
    options = parser.parse_args()
    _print_photos(options.folder, options.threads, options.rounds)
    _print_small(options.threads, options.rounds)


def _print_photos(folder: Path, workers: int, rounds: int) -> None:
    origin, _ = origin_of(folder)
    assert isinstance(origin, Files), "a folder holds files"
    paths = list(origin.paths)
    examples = file_examples(origin.names, np.zeros(len(paths), np.int64), paths)
    seen = Preprocessing((SIDE, SIDE), 256)
    held = examples.held()
    for place in range(len(held)):
        held.image(place)
    everything = Augmentation(ResizedCrop(), randaugment=RandAugment())
    whole = Preprocessing((SIDE, SIDE), "whole")
    objects = examples.labelled(BoxTargets(Boxes.of([[0.25, 0.25, 0.75, 0.75]], [0]) for _ in paths))
    again = Loader(examples, BATCH, seen, workers=workers)
    _epoch(again)
    runs: dict[str, Callable[[], None]] = {
        "decoding alone": partial(_decode, paths, workers),
        "the same": lambda: _epoch(Loader(examples, BATCH, whole, workers=workers)),
        "shorter side 256, middle": lambda: _epoch(Loader(examples, BATCH, seen, workers=workers)),
        "shorter side 256, middle, after the first epoch": lambda: _epoch(again),
        "resized crop, flip": lambda: _epoch(Loader(examples, BATCH, seen, _RESIZED, workers=workers)),
        "resized crop, flip, RandAugment": lambda: _epoch(Loader(examples, BATCH, seen, everything, workers=workers)),
        "SSD's crop, flip": partial(_epoch, Loader(objects, BATCH, whole, Augmentation(IoUCrop()), workers=workers)),
        "resized crop, flip, from memory": lambda: _epoch(Loader(held, BATCH, seen, _RESIZED, workers=workers)),
    }
    print(f"{len(paths):,} photos, {SIDE} x {SIDE}, {workers} threads, median of {rounds} turns\n")
    _print(_measured(runs, rounds), len(paths))


def _print_small(workers: int, rounds: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (SMALL_IMAGES, SMALL_SIDE, SMALL_SIDE, 3), np.uint8)
    examples = array_examples([str(i) for i in range(len(pixels))], np.zeros(len(pixels), np.int64), pixels)
    seen = Preprocessing((SMALL_SIDE, SMALL_SIDE), None)
    shifting, everything = Augmentation(PadCrop(4)), Augmentation(PadCrop(4), randaugment=RandAugment())
    runs: dict[str, Callable[[], None]] = {
        "as they are": partial(_epoch, Loader(examples, SMALL_BATCH, seen, workers=workers)),
        "padded by 4 and cropped, flip": partial(
            _epoch, Loader(examples, SMALL_BATCH, seen, shifting, workers=workers)
        ),
        "and RandAugment": partial(_epoch, Loader(examples, SMALL_BATCH, seen, everything, workers=workers)),
    }
    print(f"\n{SMALL_IMAGES:,} images of {SMALL_SIDE} x {SMALL_SIDE} in an array, batches of {SMALL_BATCH}\n")
    _print(_measured(runs, rounds), SMALL_IMAGES)


def _decode(paths: Sequence[Path], workers: int) -> None:
    def decoded(path: Path) -> Image.Image:
        with Image.open(path) as image:
            return image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)

    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(decoded, paths):
            pass


def _epoch(loader: Loader) -> None:
    for _ in loader.epoch(0):
        pass


def _measured(runs: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, list[_Seconds]]:
    """What each run took, in turns."""
    found: dict[str, list[_Seconds]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            found[name].append(_Seconds(time.perf_counter() - wall, time.process_time() - processor))
    return found


def _print(found: Mapping[str, Sequence[_Seconds]], images: int) -> None:
    first = next(iter(found))
    print(f"| what | images a second | s an epoch | speed, {first} = 1 | processor ms an image |")
    print("|---|---|---|---|---|")
    for name, runs in found.items():
        wall, processor = median(run.wall for run in runs), median(run.processor for run in runs)
        ratio = median(base.wall / run.wall for base, run in zip(found[first], runs, strict=True))
        print(f"| {name} | {images / wall:,.0f} | {wall:.2f} | {ratio:.2f} | {1000 * processor / images:.2f} |")


if __name__ == "__main__":
    main()
