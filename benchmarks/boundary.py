"""Int8 files fed with what the float network takes: ``python -m edgekit.benchmarks.boundary``.

For each of ``realdata``'s networks, trained on one mean for all channels, and the same with ImageNet's means and
standard deviations for its preprocessing: the files with a float32 boundary get the validation images as a training
script normalizes them, in every runtime that is here, and every logit is compared with the numpy reference, which gets
the pixels. Then latency: each file against one whose boundary takes (pixel - z) / s with a whole number for z, and so
needs no arithmetic.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.benchmarks.realdata import CHECKPOINTS, VARIABLE, settings_for
from edgekit.calibration.images import open_images
from edgekit.config import PreprocessingSettings, Target
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype
from edgekit.integer_model import IntegerModel
from edgekit.pipeline.making.export import export
from edgekit.reference.integer import Reference
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.planned import planned_file
from edgekit.timing.comparison import compare_latency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from edgekit.config import Settings

HALF = ((0.5,) * 3, (0.5,) * 3)
IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)
LIMITS = {"one mean": 1.03, "ImageNet": 1.06}
TIMED: tuple[Target, ...] = ("tflite", "onnx")
BATCH = 10


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=650, help="of validation, %(default)s if not given")
    parser.add_argument("--weight-bits", type=int, default=8, help="7 where the processor lacks VNNI")
    parser.add_argument("--only", choices=["identity", "latency"], help="the other one is left out")
    options = parser.parse_args()
    data = Path(os.environ.get(VARIABLE, ""))
    if not (data / "models").is_dir():
        sys.exit(f"set {VARIABLE} to a folder with models/ and images/")
    with tempfile.TemporaryDirectory() as folder:
        for network, checkpoint in CHECKPOINTS.items():
            for means, normalization in {"one mean": HALF, "ImageNet": IMAGENET}.items():
                settings = settings_for(data, data / "models" / checkpoint, Path(folder) / f"{network} {means}")
                model = integers_of(settings, normalization, options.weight_bits)
                what, work = f"{network}, {means}", settings.export.out
                if options.only != "latency":
                    pixels = open_images(data / "images" / "validation", model.preprocessing).sample(options.images)
                    for row in identity(model, pixels.pixels, work):
                        print(f"| {what} | {' | '.join(row)} |", flush=True)
                if options.only != "identity":
                    for row in latency(model, work, LIMITS[means]):
                        print(f"| {what} | {' | '.join(row)} |", flush=True)


def integers_of(settings: Settings, normalization: tuple[tuple[float, ...], ...], bits: int) -> IntegerModel:
    """The integer model of a network, with another mean and standard deviation for its preprocessing."""
    mean, std = normalization
    settings = replace(
        settings,
        model=replace(settings.model, insist=True),  # on ImageNet's, which the networks were not trained with
        preprocessing=PreprocessingSettings(resize="none", mean=mean, std=std),
        calibration=replace(settings.calibration, images=100, weight_bits=bits),
        export=replace(settings.export, targets=("tflite",), precisions=("int8",), verify=False),
    )
    export(settings)
    (path,) = settings.export.out.glob("*.edgekit")
    return IntegerModel.load(path)


def normalizations(model: IntegerModel) -> Mapping[str, Callable[[NDArray[np.uint8]], NDArray[np.float32]]]:
    """How training scripts make the network's input [N, C, H, W] of pixels [N, H, W, C]."""
    mean, std = (np.array(values) for values in (model.preprocessing.mean, model.preprocessing.std))

    def to_tensor(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = (pixels / np.float32(255) - mean.astype(np.float32)) / std.astype(np.float32)
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))

    def from_float64(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = pixels / (255 * std) - mean / std
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2).astype(np.float32))

    return {"own": model.preprocessing.normalization, "ToTensor": to_tensor, "float64": from_float64}


def identity(model: IntegerModel, pixels: NDArray[np.uint8], work: Path) -> Iterator[list[str]]:
    """Runner, logits compared in all ways to normalize, and the share that is the reference's."""
    reference, logits = Reference(model), model.params[model.graph.output_tensors[0]]
    batches = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
    expected = [logits.dequantize(reference.run(model.encode(batch))["logits"]) for batch in batches]
    for name, form in FORMATS.items():
        path = work / f"boundary{form.suffix}"
        form.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32)
        # For Core ML, edgekit makes a picture of the batch again: once is enough.
        ways = [normalize for way, normalize in normalizations(model).items() if name != "coreml" or way == "own"]
        for make in all_runners(path):
            with make() as runner:
                answers = [
                    _run(runner, normalize(batch)) == wanted
                    for batch, wanted in zip(batches, expected, strict=True)
                    for normalize in ways
                ]
                values = sum(answer.size for answer in answers)
                share = f"{100 * sum(int(answer.sum()) for answer in answers) / values:.4g} %"
                excuse = "" if runner.differs_because is None else f" ({runner.differs_because})"
                yield [runner.name, f"{values:,}", f"{share}{excuse}"]


def _run(runner: Any, batch: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: ANN401 - a Runner
    return np.concatenate([runner.run(image[None])["logits"] for image in batch])


def latency(model: IntegerModel, work: Path, limit: float) -> Iterator[list[str]]:
    """Runner, and the latency over that of a file without arithmetic."""
    mean, std = (tuple(v / 255 for v in values) for values in (model.normalization.mean, model.normalization.std))
    bare = replace(model, preprocessing=replace(model.preprocessing, mean=mean, std=std))
    assert model.alignment or not any(model.preprocessing.mean)
    assert not bare.alignment
    for name in TIMED:
        new, old = (work / f"{stem}{FORMATS[name].suffix}" for stem in ("aligned", "bare"))
        for path, written in ((new, model), (old, bare)):
            FORMATS[name].write_integer_model(written, path, io_dtype=IoDtype.FLOAT32)
        plans = [planned_file(path) for path in (new, old)]
        assert plans[0] is not None
        assert plans[1] is not None
        found = compare_latency(plans[0], plans[1], limit=limit)
        low, high = found.estimate.low, found.estimate.high
        yield [found.runner, f"{found.baseline_ms:.3f} ms", f"× {found.estimate.ratio:.3f} ({low:.3f} to {high:.3f})"]


if __name__ == "__main__":
    main()
