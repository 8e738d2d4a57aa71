"""Pruning against a narrower width of equal int8 latency, trained alike.

    python -m edgekit.benchmarks.pruning_against_width OUT TRAIN TEST [--pretrained FILE | --arch NAME --width W]

For each seed a network is trained on TRAIN and pruned to half of its MACs, with training behind each cut. Then the same
trained network is cut to one share of channels in every layer, by the same machinery and with the same training. How
many MACs that leaves is the least share whose int8 file is not faster than the pruned network's, both timed in turns in
LiteRT with one thread: so the width never has less time. TEST chooses nothing.

OUT keeps the runs and ``results.jsonl``, a line a seed; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import edgekit
from edgekit.runtimes.planned import planned_file
from edgekit.timing.comparison import compare_latency

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.timing.comparison import LatencyRatio

HALVINGS: Final = 5  # of the interval of shares
TIMED_WITH: Final = 16  # calibration images of a network that is only timed
STUDENT_95: Final = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # Student's t, 97.5 % quantile, by number of seeds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed gave.

    Attributes:
        seed: of the training.
        share: of the MACs that the narrower network keeps.
        whole_percent: top-1 of the int8 file of the network before it was cut.
        pruned_percent: likewise after pruning.
        uniform_percent: likewise of the narrower network.
        speedup: latency of the whole network over that of the pruned one.
        uniform_over_pruned: latency of the narrower network over that of the pruned one, after training.
        right: how many more images the pruned network has right, of those on which the two differ, and these.
    """

    seed: int
    share: float
    whole_percent: float
    pruned_percent: float
    uniform_percent: float
    speedup: float
    uniform_over_pruned: float
    right: tuple[int, int]


def main() -> None:
    """Read the command line, run what is missing, and print Markdown."""
    parser = argparse.ArgumentParser(description="Pruning against width.")
    parser.add_argument("out", type=Path)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path, help="class folders, or a .npz with images and labels")
    parser.add_argument("--pretrained", type=Path)
    parser.add_argument("--arch")
    parser.add_argument("--width", type=float)
    parser.add_argument("--resolution", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=10, help="of the whole network, and behind all cuts together")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rank")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    log = options.out / "results.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    done = [Outcome(**json.loads(line)) for line in lines]
    for seed in range(len(done), options.seeds):
        done.append(_outcome(options, seed))
        with log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(done[-1])) + "\n")
        print(done[-1], flush=True)
    _report(done)


def _outcome(options: argparse.Namespace, seed: int) -> Outcome:
    folder = options.out / str(seed)
    network: dict[str, Any] = {"pretrained": options.pretrained, "arch": options.arch, "width": options.width}
    edgekit.train(
        options.train, out=folder / "whole", resolution=options.resolution, epochs=options.epochs, seed=seed,
        threads=1, **network,
    )  # fmt: skip
    whole = _exported(folder / "whole")
    again: dict[str, Any] = {"steps": options.steps, "epochs": options.epochs // options.steps, "seed": seed}
    edgekit.prune(
        folder / "whole", options.train, to="macs=0.5", rank=options.rank, out=folder / "pruned", threads=1, **again
    )
    pruned = _exported(folder / "pruned")
    share = _share(folder, pruned)
    edgekit.prune(
        folder / "whole", options.train, to=f"macs={share}", uniform=True, rank=options.rank,
        out=folder / "uniform", threads=1, **again,
    )  # fmt: skip
    uniform = _exported(folder / "uniform")
    right = {path: _right(path, options.test) for path in (whole, pruned, uniform)}
    percent = {path: 100 * float(found.mean()) for path, found in right.items()}
    differ = right[pruned] != right[uniform]
    return Outcome(
        seed,
        share,
        percent[whole],
        percent[pruned],
        percent[uniform],
        speedup=_timed(whole, pruned).estimate.ratio,
        uniform_over_pruned=_timed(uniform, pruned).estimate.ratio,
        right=(int(right[pruned].sum() - right[uniform].sum()), int(differ.sum())),
    )


def _share(folder: Path, pruned: Path) -> float:
    """The least share of MACs with which the network is not faster than the pruned one, found by halving."""
    low, high = 0.3, 0.9
    for number in range(HALVINGS):
        share = round((low + high) / 2, 3)
        path = folder / f"cut{number}.safetensors"
        edgekit.prune(folder / "whole", to=f"macs={share}", uniform=True, out=path, threads=1)
        if _timed(_exported(path, folder / "whole"), pruned).estimate.ratio < 1:
            low = share
        else:
            high = share
    return high


def _exported(checkpoint: Path, run: Path | None = None) -> Path:
    """The int8 file for LiteRT, calibrated on training images that the run has kept."""
    images = (run or checkpoint) / "calibration"
    found = edgekit.export(
        checkpoint, images if run else None, targets="tflite", int8=True, verify=False, threads=1,
        images=TIMED_WITH if run else None,
        out=checkpoint.parent / f"{checkpoint.stem}.exported",
    )  # fmt: skip
    return found["int8.tflite"]


def _timed(candidate: Path, baseline: Path) -> LatencyRatio:
    new, old = planned_file(candidate), planned_file(baseline)
    assert new is not None
    assert old is not None
    return compare_latency(new, old, limit=1.0)


def _right(path: Path, test: Path) -> NDArray[np.bool_]:
    """Of each image, whether the file names its class."""
    loaded = edgekit.load(path)
    if test.suffix == ".npz":
        with np.load(test) as arrays:
            images, labels = arrays["images"], arrays["labels"]
        return np.asarray([one.top[0].index for one in loaded.predict(images)] == labels, bool)
    found = []
    for place, one in enumerate(sorted(folder for folder in test.iterdir() if folder.is_dir())):
        found += [answer.top[0].index == place for answer in loaded.predict(one)]
    return np.array(found)


def _report(done: list[Outcome]) -> None:
    print("\n| seed | whole | pruned | narrower | MACs kept | whole over pruned | narrower over pruned |")
    print("|---|---|---|---|---|---|---|")
    for one in done:
        print(
            f"| {one.seed} | {one.whole_percent:.1f} % | {one.pruned_percent:.1f} % | {one.uniform_percent:.1f} % | "
            f"{one.share:.0%} | {one.speedup:.2f} | {one.uniform_over_pruned:.2f} |"
        )
    gains = np.array([one.pruned_percent - one.uniform_percent for one in done])
    if len(done) in STUDENT_95:
        half = STUDENT_95[len(done)] * gains.std(ddof=1) / math.sqrt(len(done))
        print(f"\npruned less narrower: {gains.mean():+.2f} ± {half:.2f} points (95 %, paired by seed)")


if __name__ == "__main__":
    main()
