"""False alarms and misses of the latency gate: ``python -m edgekit.benchmarks.latency_gate --work FOLDER``.

MobileNetV2 in int8, with random weights, as .tflite and .onnx, is compared with itself, with the same network after
other training (other random weights), and with one that has three blocks more. The machine is as it is, or has a
neighbour on one core, who comes and goes. Cases take turns, and every comparison is written to FOLDER at once: the
command can be stopped, by ``--minutes`` too, and goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from edgekit.config import (
    CalibrationSettings,
    ExportSettings,
    ModelSettings,
    PreprocessingSettings,
    Settings,
    VerifySettings,
)
from edgekit.exporters.formats import FORMATS
from edgekit.pipeline.making.export import export
from edgekit.preprocessing import Preprocessing
from edgekit.runtimes.planned import planned_file
from edgekit.timing.comparison import compare_latency

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgekit.models.architecture import Architecture

TARGETS = ("tflite", "onnx")
LIMIT = VerifySettings().max_latency_ratio
BASELINE, RETRAINED, SLOWER = "V2", "V2, other weights", "V2, three blocks more"
REPEATED, ADDED = 12, 3  # which block of V2 there is more of, and how often: in the middle, 14 x 14 pixels, 96 channels
COUNTS = {BASELINE: 13, RETRAINED: 12, SLOWER: 10}  # comparisons for each format, without and with the neighbour
IMAGES = 16  # of noise: they decide values, and no kernel's time depends on these

# Works for 5 to 200 ms on an array of 8 MB, more than a core's own cache, sleeps for up to 100 ms, does not outlive us.
NEIGHBOUR = """
import os, random, time
import numpy as np
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
values, parent = np.ones((1024, 1024)), os.getppid()
while os.getppid() == parent:
    ends = time.perf_counter() + random.uniform(0.005, 0.2)
    while time.perf_counter() < ends:
        values *= 1.0
    time.sleep(random.uniform(0, 0.1))
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table."""

    target: str
    network: str
    neighbour: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison with the baseline."""

    case: Case
    ratio: float
    low: float
    high: float
    pairs: int
    passed: bool
    settled: bool
    seconds: float


def main() -> None:
    """Compare, and print Markdown."""
    parser = argparse.ArgumentParser(description="False alarms and misses of the latency gate.")
    parser.add_argument("--work", type=Path, required=True, help="folder for files and results")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after that many; the next call goes on")
    options = parser.parse_args()
    ends = time.monotonic() + 60 * options.minutes
    paths = {network: _export(network, options.work / network) for network in COUNTS}
    log = options.work / "comparisons.jsonl"
    done = _read(log)
    for case in _missing(done):
        if time.monotonic() > ends:
            break
        with _neighbour() if case.neighbour else nullcontext():
            planned = (planned_file(paths[network][case.target]) for network in (case.network, BASELINE))
            new, old = (file for file in planned if file is not None)
            found = compare_latency(new, old, limit=LIMIT)
        estimate = found.estimate
        done.append(
            Comparison(case, **asdict(estimate), passed=found.passed, settled=found.settled, seconds=found.seconds)
        )
        with log.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(done[-1])) + "\n")
    print(f"Limit {LIMIT}.\n")
    print("| file | compared with V2 | machine | comparisons | wrong | unsettled | ratio | pairs | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in _cases():
        if found_here := [comparison for comparison in done if comparison.case == case]:
            print(f"| {' | '.join(_row(case, found_here))} |")
    for kind, networks in (("false alarms", (BASELINE, RETRAINED)), ("misses", (SLOWER,))):
        these = [comparison for comparison in done if comparison.case.network in networks]
        print(f"\n{sum(map(_is_wrong, these))} {kind} in {len(these)} comparisons.")


def _row(case: Case, found: Sequence[Comparison]) -> list[str]:
    ratios, seconds = [c.ratio for c in found], [c.seconds for c in found]
    return [
        FORMATS[case.target].suffix,
        case.network,
        "a neighbour on one core" if case.neighbour else "as it is",
        str(len(found)),
        str(sum(map(_is_wrong, found))),
        str(sum(not c.settled for c in found)),
        f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
        f"{min(c.pairs for c in found)} to {max(c.pairs for c in found)}",
        f"{median(seconds):.1f}, at most {max(seconds):.1f}",
    ]


def _is_wrong(comparison: Comparison) -> bool:
    return comparison.passed == (comparison.case.network == SLOWER)


def _cases() -> Iterator[Case]:
    for target in TARGETS:
        for network in COUNTS:
            for neighbour in (False, True):
                yield Case(target, network, neighbour)


def _missing(done: Sequence[Comparison]) -> Iterator[Case]:
    """Cases that are still to be compared, taking turns."""
    counts = {case: sum(comparison.case == case for comparison in done) for case in _cases()}
    for number in range(max(COUNTS.values())):
        for case, count in counts.items():
            if count <= number < COUNTS[case.network]:
                yield case


def _read(log: Path) -> list[Comparison]:
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [Comparison(**{**values, "case": Case(**values["case"])}) for values in map(json.loads, lines)]


def _export(network: str, folder: Path) -> dict[str, Path]:
    """Its int8 files by target, which are written where they are not there yet."""
    out = folder / "exported"
    if not out.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 224, 224, 3), np.uint8)
        np.savez(folder / "noise.npz", images=pixels)
        shape, checkpoint = _architecture(network), folder / "random.safetensors"
        _save_random(
            shape, checkpoint, Preprocessing((224, 224), None).normalization(pixels), int(network == RETRAINED)
        )
        export(
            Settings(
                model=ModelSettings(checkpoint=checkpoint),
                preprocessing=PreprocessingSettings(resize="none"),
                calibration=CalibrationSettings(data=folder / "noise.npz"),
                export=ExportSettings(targets=TARGETS, precisions=("int8",), out=out, verify=False),
            )
        )
    return {target: next(out.glob(f"*{FORMATS[target].suffix}")) for target in TARGETS}


def _architecture(network: str) -> Architecture:
    from edgekit.models.families.mobilenet_v2 import mobilenet_v2  # noqa: PLC0415 - needs torch

    shape = mobilenet_v2(padding="same")
    if network != SLOWER:
        return shape
    before, block, after = shape.blocks[:REPEATED], shape.blocks[REPEATED], shape.blocks[REPEATED + 1 :]
    return replace(shape, blocks=(*before, *[block] * (1 + ADDED), *after))


def _save_random(shape: Architecture, path: Path, images: NDArray[np.float32], seed: int) -> None:
    """Random weights; batch normalization sees the images, so that activations have sensible ranges."""
    import torch  # noqa: PLC0415 - heavy

    from edgekit.models import checkpoint, network  # noqa: PLC0415

    torch.manual_seed(seed)
    module = network.build(shape).train()
    with torch.no_grad():
        module(torch.from_numpy(images))
    checkpoint.save(path, module.eval(), shape)


@contextmanager
def _neighbour() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", NEIGHBOUR])
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
