"""What heads cost in int8: ``python -m edgekit.benchmarks.peers.heads --cache DIR``, with EDGEKIT_REALDATA set.

A detector and a segmenter on MobileNetV3-Small, and for each the classifier on the same backbone at the same size: int8
over float32 in LiteRT on one thread, float32 boundary. Beside them stands the file that litert-torch and
ai-edge-quantizer make of the same detector or segmenter. Weights are random, on which the time of kernels does not
depend. Two files are compared by processor time, in pairs of processes that take turns on one core
(``edgekit.timing.comparison``), so that other work on the machine does not decide.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from edgekit import config
from edgekit.benchmarks.peers.contestants import ask
from edgekit.benchmarks.peers.latency import CONTESTANTS
from edgekit.benchmarks.peers.networks import Given, Images, Network, data_folder
from edgekit.calibration.images import open_images
from edgekit.device.engines.litert import Opened
from edgekit.models import checkpoint
from edgekit.models.building import built
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_small
from edgekit.models.heads.making import network_for
from edgekit.models.recorded import Recorded
from edgekit.pipeline.making.export import export
from edgekit.preprocessing import Preprocessing
from edgekit.runtimes.planned import planned_file
from edgekit.timing.comparison import compare_latency

if TYPE_CHECKING:
    from edgekit.models.architecture import Architecture
    from edgekit.models.task_architecture import TaskArchitecture
    from edgekit.timing.comparison import LatencyRatio

SEEN = 32  # images that batch normalization and calibration see
ALLOWED = 0.03  # that the ratio of a head's network may lie above its backbone's
AI_EDGE = CONTESTANTS[0]


@dataclass(frozen=True, slots=True)
class Case:
    """A network with a head.

    Attributes:
        key: names its files.
        title: for people.
        task: of the head.
        head: by its flag.
        classes: that it tells apart.
        size: (height, width) of its images.
    """

    key: str
    title: str
    task: str
    head: Literal["ssdlite", "lraspp"]
    classes: int
    size: tuple[int, int]


CASES = (
    Case("ssdlite", "SSDLite on V3-Small, 320 x 320, 3 classes", "detection", "ssdlite", 3, (320, 320)),
    Case("lraspp", "LR-ASPP on V3-Small, 480 x 360, 11 classes", "segmentation", "lraspp", 11, (360, 480)),
)


def main() -> None:
    """Make what is missing, compare, and print a table."""
    parser = argparse.ArgumentParser(description="What heads cost in int8, against their backbone's classifier.")
    parser.add_argument("--cache", type=Path, required=True, help="folder for environments and files")
    cache, images = parser.parse_args().cache.resolve(), data_folder() / "images" / "calibration"
    print("| network | int8 ms | float32 ms | int8 / float32 | pieces, outside |\n|---|---|---|---|---|")
    for case in CASES:
        folder = cache / "heads" / case.key
        backbone = mobilenet_v3_small(resolution=case.size)
        theirs = _theirs(case, network_for(backbone, case.head, case.classes), images, folder, cache)
        ours = _exported("head", network_for(backbone, case.head, case.classes), case, images, folder)
        classifier = _exported("classifier", backbone, case, images, folder)
        plain = _compared(*classifier)
        headed = _compared(*ours)
        print(_row(f"classifier on V3-Small, {case.size[1]} x {case.size[0]}", plain, classifier[0]))
        print(_row(case.title, headed, ours[0]))
        print(_row(f"the same, {AI_EDGE.title}", _compared(theirs, ours[1]), theirs), flush=True)
        above = headed.estimate.ratio - plain.estimate.ratio
        print(f"| above its classifier, {ALLOWED} allowed | | | {above:+.3f} | |", flush=True)


def _exported(
    kind: str, shape: Architecture | TaskArchitecture, case: Case, images: Path, folder: Path
) -> tuple[Path, Path]:
    """The int8 and the float32 file that edgekit writes of a network; they are made once."""
    out, path = folder / kind, folder / f"{kind}.safetensors"
    if not out.exists():
        recorded = Recorded(_preprocessing(case), case.task if kind == "head" else "classification", ())
        checkpoint.save(path, _module(shape, case, images), shape, recorded)
        wanted = {"targets": ["tflite"], "precisions": ["int8", "float32"], "out": out, "verify": False}
        seen = {"data": images, "images": SEEN}
        export(config.load(None, {"model": {"checkpoint": path}, "calibration": seen, "export": wanted}))
    (int8,), (float32,) = (tuple(out.glob(f"*.{precision}.tflite")) for precision in ("int8", "float32"))
    return int8, float32


def _theirs(case: Case, shape: Architecture | TaskArchitecture, images: Path, folder: Path, cache: Path) -> Path:
    """The int8 file that the other tool makes of it, once."""
    program, seen, out = folder / "float.pt2", folder / "images.npy", folder / AI_EDGE.key
    path = out / "model.tflite"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        torch.export.save(torch.export.export(_module(shape, case, images), (torch.zeros(1, 3, *case.size),)), program)
        np.save(seen, _inputs(case, images))
        given = Given(Network(case.key, case.title), program, program, program, seen, Images(images, seen, seen, ()))
        assert AI_EDGE.tool is not None
        ask(AI_EDGE, AI_EDGE.tool, given, cache, out)
    return path


def _module(shape: Architecture | TaskArchitecture, case: Case, images: Path) -> torch.nn.Module:
    """The network with random weights, whose batch normalization has seen images."""
    torch.manual_seed(0)
    module = built(shape).train()
    with torch.no_grad():
        module(torch.from_numpy(_inputs(case, images)))
    return module.eval()


def _inputs(case: Case, images: Path) -> np.ndarray:
    preprocessing = _preprocessing(case)
    (batch,) = open_images(images, preprocessing, limit=SEEN).batches(SEEN)
    return preprocessing.normalization(batch.pixels)


def _preprocessing(case: Case) -> Preprocessing:
    return Preprocessing(case.size, "whole")


def _compared(candidate: Path, baseline: Path) -> LatencyRatio:
    """A file's time over another's; the limit decides nothing here but how long it is timed."""
    ours, theirs = planned_file(candidate), planned_file(baseline)
    assert ours is not None
    assert theirs is not None
    return compare_latency(ours, theirs, limit=1.0)


def _row(title: str, found: LatencyRatio, path: Path) -> str:
    ratio, placed = found.estimate, Opened(path).placement
    return (
        f"| {title} | {found.candidate_ms:.2f} | {found.baseline_ms:.2f} | {ratio.ratio:.3f} ({ratio.low:.3f} to "
        f"{ratio.high:.3f}) | {placed.pieces}, {len(placed.outside)} |"
    )


if __name__ == "__main__":
    main()
