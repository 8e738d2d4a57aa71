"""Every figure of docs/results.md, measured on real checkpoints and images: ``python -m edgekit.benchmarks.realdata``.

The environment variable EDGEKIT_REALDATA names a folder with models/ (MobileNet checkpoints), images/calibration and
images/validation (with labels.csv). None of it belongs to the project. Networks are calibrated on calibration/ alone;
validation/ only measures. Timings are ratios taken in one interleaved run.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.calibration.images import open_images
from edgekit.config import (
    BenchSettings,
    CalibrationSettings,
    ExportSettings,
    ModelSettings,
    PreprocessingSettings,
    Settings,
    VerifySettings,
)
from edgekit.device.memory import peak_kib
from edgekit.integer_model import IntegerModel
from edgekit.pipeline.making.export import ExportResult, export
from edgekit.pipeline.measuring.bench import bench
from edgekit.pipeline.proving.verify import verify
from edgekit.preprocessing import Preprocessing
from edgekit.reference.integer import Reference
from edgekit.tasks.values import measured_as
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgekit.models.architecture import Architecture
    from edgekit.pipeline.proving.verdicts import VerifyResult

VARIABLE = "EDGEKIT_REALDATA"
CHECKPOINTS = {
    "V1 0.25": "mobilenet_v1_0.25_224_imagenet.pth",
    "V2 1.0": "mobilenet_v2_1.0_224_imagenet.pth",
    "V3-Small": "mobilenet_v3_small_1.0_224_imagenet.pth",
}
RANDOM = "V3-Large, random weights"
ONE_SCALE = "one weight scale a layer"
BATCH_NORM_IMAGES = 64


def main() -> None:
    """Measure everything and print Markdown."""
    from edgekit.models.families.mobilenet_v3 import mobilenet_v3_large  # noqa: PLC0415 - needs torch

    data = Path(os.environ.get(VARIABLE, ""))
    if not (data / "models").is_dir():
        sys.exit(f"set {VARIABLE} to a folder with models/ and images/")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        settings = {name: settings_for(data, data / "models" / file, work / name) for name, file in CHECKPOINTS.items()}
        random = work / "mobilenet_v3_large_random.safetensors"
        save_random(mobilenet_v3_large(padding="same"), data / "images" / "calibration", random)
        settings[RANDOM] = settings_for(data, random, work / RANDOM)
        exported = {name: export(s) for name, s in settings.items()}
        coarse = {
            f"{name}, {ONE_SCALE}": _with_one_scale(settings[name], work / f"{name} coarse") for name in CHECKPOINTS
        }
        for one_scale in coarse.values():
            export(one_scale)
        print("## Accuracy and identity\n")
        _table(
            ["network", "float top-1", "int8 top-1", "agreement", "logits compared", "identical, by runtime"],
            (_accuracy_row(name, verify([s.export.out], s)) for name, s in (settings | coarse).items()),
        )
        print("\n## Operators and latency in LiteRT, one thread\n")
        _table(
            ["network", "int8 operators", "pieces", "outside", "int8 p50 ms", "float p50 ms", "ratio"],
            (_latency_row(name, exported[name], s, work) for name, s in settings.items()),
        )
        print("\n## Time, memory, bytes\n")
        _table(["what", "measured"], _cost_rows(data, work, exported["V2 1.0"]))


def settings_for(data: Path, checkpoint: Path, out: Path) -> Settings:
    """Centre crop of 224, TensorFlow's padding, all calibration images; everything else is the default."""
    images = data / "images"
    return Settings(
        model=ModelSettings(checkpoint=checkpoint, padding="same", labels=images / "imagenet_classes.txt"),
        preprocessing=PreprocessingSettings(resize="none"),
        calibration=CalibrationSettings(data=images / "calibration"),
        export=ExportSettings(targets=("tflite", "onnx", "torch"), precisions=("float32", "int8"), out=out),
        verify=VerifySettings(data=images / "validation"),
        bench=BenchSettings(),
    )


def _with_one_scale(settings: Settings, out: Path) -> Settings:
    return replace(
        settings,
        calibration=replace(settings.calibration, per_tensor_weights=True),
        export=replace(settings.export, precisions=("int8",), out=out),
    )


def save_random(shape: Architecture, images: Path, path: Path) -> None:
    """A checkpoint with random weights, whose batch normalization has seen real images: its ranges are sensible.

    Args:
        shape: of the network.
        images: a folder of them.
        path: of the .safetensors file.
    """
    import torch  # noqa: PLC0415 - heavy

    from edgekit.models import checkpoint, network  # noqa: PLC0415

    torch.manual_seed(0)
    module = network.build(shape).train()
    preprocessing = Preprocessing((224, 224), None)
    with torch.no_grad():
        for batch in open_images(images, preprocessing, limit=BATCH_NORM_IMAGES).batches(32):
            module(torch.from_numpy(preprocessing.normalization(batch.pixels)))
    checkpoint.save(path, module.eval(), shape)


def _accuracy_row(name: str, result: VerifyResult) -> list[str]:
    summaries = [(file, file.summary) for file in result.files if file.summary is not None]
    int8 = [file for file, summary in summaries if summary.int8_share == 1.0]
    parities = [parity for file in int8 for parity in file.parities if isinstance(parity, IntegerParity)]
    top1 = " / ".join(
        f"{found.value:.2f} % ({file.path.suffix})"
        for file in int8
        if (found := measured_as("top1", file.measured)) and name != RANDOM
    )
    floats = measured_as("top1", result.float_measured)
    agreement = next((found for file in int8 if (found := measured_as("agreement", file.measured))), None)
    return [
        name,
        f"{floats.value:.2f} %" if floats and name != RANDOM else "–",
        top1 or "–",
        f"{agreement.value:.2f} %" if agreement else "–",
        f"{parities[0].values:,}",
        "; ".join(f"{p.runner} {'all' if p.passed else f'{p.identical:.4%}, max {p.max_lsb} LSB'}" for p in parities),
    ]


def _latency_row(name: str, result: ExportResult, settings: Settings, work: Path) -> list[str]:
    """The int8 file has an int8 boundary here: what a camera pipeline would use."""
    out = work / f"{name} int8 boundary"
    ranges = replace(settings.calibration, ranges=result.ranges)
    boundary = replace(settings.export, targets=("tflite",), precisions=("int8",), io_dtype="int8", out=out)
    int8 = export(replace(settings, calibration=ranges, export=boundary)).files[0]
    twin = next(file for file in result.files if file.target == "tflite" and file.precision == "float32")
    timed = bench([twin.path, int8.path], BenchSettings(), against=twin.path).results.rows
    slow, fast = (next(row for row in timed if row.path == str(file.path)) for file in (twin, int8))
    assert fast.ratio is not None
    return [
        name,
        f"{int8.summary.int8_share:.0%} of {sum(int8.summary.operators.values())}",
        str(fast.delegate_pieces),
        str(len(fast.outside)),
        f"{fast.p50_ms.value:.2f}",
        f"{slow.p50_ms.value:.2f}",
        f"**{fast.ratio.value.value:.2f}**",
    ]


def _cost_rows(data: Path, work: Path, result: ExportResult) -> Iterable[list[str]]:
    """The costs of one whole process, of each file, of the reference and of --help."""
    arguments = [
        "export", str(data / "models" / CHECKPOINTS["V2 1.0"]), "--target", "all", "--int8", "--padding", "same",
        "--resize", "none", "--calib", str(data / "images" / "calibration"),
    ]  # fmt: skip
    digests = []
    for attempt, images in (("first", 100), ("second", 100), ("third", 256)):
        folder = work / attempt
        seconds, peak_gib = _process([*arguments, "--set", f"calibration.images={images}", "--out", str(folder)])
        if attempt != "second":
            what = f"V2: checkpoint and {images} images to all targets, whole process"
            yield [what, f"{seconds:.1f} s, {peak_gib:.2f} GiB"]
        if attempt != "third":
            digests.append(_digests(folder))
    same = "the same bytes" if digests[0] == digests[1] else "DIFFERENT bytes"
    yield [f"the same command again, {len(digests[0])} files", same]
    everything = replace(
        settings_for(data, data / "models" / CHECKPOINTS["V2 1.0"], work / "all"),
        calibration=CalibrationSettings(ranges=result.ranges),
        export=ExportSettings(
            targets=("tflite", "onnx", "coreml", "torch"),
            precisions=("int8", "float32"),
            out=work / "all",
            verify=False,
        ),
    )
    export(everything)  # imports what writing needs
    written = export(everything)
    for precision in ("int8", "float32"):
        files = [file for file in written.files if file.precision == precision]
        times = ", ".join(f"{file.target} {file.write_seconds:.3f} s" for file in files)
        yield [f"V2: writing one {precision} file, imports apart", times]
    assert written.integer_model is not None
    yield ["numpy reference, V2 at 224, one image", f"{_reference_seconds(written.integer_model):.3f} s"]
    best = min(_process(["--help"])[0] for _ in range(7))
    yield ["edgekit --help, whole process, best of 7", f"{best:.2f} s"]


def _process(arguments: list[str]) -> tuple[float, float]:
    """Seconds and peak memory in GiB of one edgekit process."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgekit", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    most_kib = 0
    while process.poll() is None:  # what wait4 tells begins with the memory of this process, which was forked
        most_kib = max(most_kib, peak_kib(process.pid))
        time.sleep(0.01)
    seconds = time.perf_counter() - started
    assert process.returncode == 0, f"edgekit {' '.join(arguments)} ended with {process.returncode}"
    return seconds, most_kib / 2**20


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _reference_seconds(path: Path) -> float:
    model = IntegerModel.load(path)
    reference = Reference(model)
    pixels = np.random.default_rng(0).integers(0, 256, (6, *model.preprocessing.size, 3), np.uint8)
    images = model.encode(pixels)
    times = []
    for image in images:
        started = time.perf_counter()
        reference.run(image[None])
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def _table(columns: list[str], rows: Iterable[list[str]]) -> None:
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
