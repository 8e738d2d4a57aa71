"""Random networks in every runtime: ``python -m edgekit.benchmarks.identity [--count N] [--seed S] [--jobs J]``.

Each network is of the family, with everything else drawn by lot: wiring, channels, kernels, squeeze-and-excite,
weights, what batch normalization remembers, dead channels, images, normalization, the recipe of calibration, the
boundary and the number of threads. It goes the way of any checkpoint: saved, exported to every target, and run in
every runtime at every level. Every logit has to be that of the reference. What differs is printed with its seed, which
makes the same network again, and with the layer where it begins.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

import numpy as np

from edgekit.benchmarks.everywhere import Outcome, compared, outcomes, report
from edgekit.benchmarks.random_weights import drawn, pictures
from edgekit.config import CalibrationSettings, ExportSettings, ModelSettings, PreprocessingSettings, Settings
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.errors import EdgekitError
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype
from edgekit.models.architecture import Architecture, Block, PaddingStyle, make_divisible
from edgekit.pipeline.making.export import export

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.random import Generator

T = TypeVar("T")

CALIBRATED_ON = 12  # images
COMPARED_ON = 6  # other images, the extremes among them
RESOLUTIONS = (32, 48, 64, 80, 96)
FAMILIES = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large")


def main() -> None:
    """Draw networks, run them, and print Markdown."""
    found, seconds = outcomes(__doc__, prove)
    report(found, seconds)
    sys.exit(any(outcome.differences or outcome.refused for outcome in found))


def prove(seed: int) -> Outcome:
    """Draw a network, export it to every target, and compare every runtime with the reference."""
    import torch  # noqa: PLC0415 - heavy, and every process imports it for itself

    torch.set_num_threads(1)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        settings, network = draw(seed, Path(folder))
        try:
            random = _random(seed, 1)
            pixels = pictures(random, COMPARED_ON, _size(settings))
            parities, differences = compared(export(settings), pixels, threads=_one(random, (1, 2, 4)))
        except EdgekitError as error:
            return Outcome(seed, network, time.perf_counter() - started, refused=str(error))
    return Outcome(seed, network, time.perf_counter() - started, parities, differences)


# --- drawing --------------------------------------------------------------------------------------------------------


def draw(seed: int, folder: Path) -> tuple[Settings, str]:
    """A checkpoint and calibration images in ``folder``, how to export them, and the network in words."""
    import torch  # noqa: PLC0415 - see prove

    from edgekit.models import checkpoint, network  # noqa: PLC0415 - needs torch

    random = _random(seed, 0)
    architecture = _architecture(random)
    images = pictures(random, CALIBRATED_ON, architecture.size)
    mean, std = [((0.5,) * 3, (0.5,) * 3), (IMAGENET_MEAN, IMAGENET_STD), ((0.0,) * 3, (1.0,) * 3)][random.integers(3)]
    torch.manual_seed(int(random.integers(2**31)))
    module = drawn(network.build(architecture), random, (images / 255 - mean) / std)
    path = folder / "network.safetensors"
    checkpoint.save(path, module, architecture)
    np.save(folder / "images.npy", images)
    io_dtype = _one(random, IoDtype)
    settings = Settings(
        model=ModelSettings(checkpoint=path),
        preprocessing=PreprocessingSettings(resize="none", mean=mean, std=std),
        calibration=CalibrationSettings(
            data=folder / "images.npy",
            method=_one(random, ("minmax", "percentile", "percentile", "mse", "entropy")),
            percentile=_one(random, (99.0, 99.9, 99.997, 100.0)),
            per_tensor_weights=random.random() < 0.25,
        ),
        export=ExportSettings(
            targets=tuple(name for name, form in FORMATS.items() if io_dtype in form.io_dtypes),
            precisions=("int8",),
            io_dtype=io_dtype.value,
            out=folder / "exported",
            verify=False,  # that is what follows
        ),
    )
    chosen = settings.calibration
    recipe = f"{chosen.method}{', one weight scale a layer' if chosen.per_tensor_weights else ''}"
    return settings, (
        f"{architecture.family}, {len(architecture.blocks)} blocks, {architecture.resolution} pixels, "
        f"{architecture.padding} padding, {recipe}, {settings.export.io_dtype} boundary"
    )


def _random(seed: int, part: int) -> Generator:
    return np.random.default_rng([seed, part])


def _one(random: Generator, choices: Iterable[T]) -> T:
    options = list(choices)
    return options[random.integers(len(options))]


def _architecture(random: Generator) -> Architecture:
    """A network of the family that nobody has thought of."""
    family = _one(random, FAMILIES)
    is_v1, is_v3 = (family.startswith(f"mobilenet_v{version}") for version in (1, 3))
    before = stem = _channels(random, 8, 32)
    blocks = []
    for _ in range(int(random.integers(3, 9))):
        out = before if random.random() < 0.5 else _channels(random, 8, 64)  # the former makes a residual, at stride 1
        expands = not is_v1 and random.random() < 0.85
        wide = _channels(random, 16, 160) if expands else before
        blocks.append(
            Block(
                kernel=_one(random, (3, 3, 5)),
                expanded=wide,
                out=out,
                squeeze=make_divisible(wide // 4) if is_v3 and random.random() < 0.5 else 0,
                activation=_one(random, ("relu", "hard_swish")) if is_v3 else "relu6",
                stride=_one(random, (1, 1, 2)),
                expands=expands,
            )
        )
        before = out
    return Architecture(
        family=family,
        width=None,
        num_classes=int(random.integers(2, 120)),
        resolution=_one(random, RESOLUTIONS),
        in_channels=3,
        padding=_one(random, get_args(PaddingStyle)),
        bn_eps=_one(random, (1e-3, 1e-5)),
        stem_channels=stem,
        stem_stride=_one(random, (1, 2, 2)),
        activation="hard_swish" if is_v3 else "relu6",
        blocks=tuple(blocks),
        head_channels=0 if is_v1 else _channels(random, 32, 320),
        hidden_channels=(_channels(random, 32, 256),) if is_v3 else (),
    )


def _channels(random: Generator, low: int, high: int) -> int:
    return make_divisible(float(np.exp(random.uniform(np.log(low), np.log(high)))))


def _size(settings: Settings) -> tuple[int, int]:
    from edgekit.models import checkpoint  # noqa: PLC0415 - needs torch

    assert settings.model.checkpoint is not None
    return checkpoint.load(settings.model.checkpoint).architecture.size


if __name__ == "__main__":
    main()
