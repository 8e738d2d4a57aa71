"""Random networks of all operators: ``python -m edgekit.benchmarks.random_networks [--count N] [--seed S] [--jobs J]``.

Each is a torch module in memory: branches, sums, products, concatenations, pools, resizes, slices, shuffles, gates,
activations of all kinds, and up to four outputs of several ranks (``random_graphs.py``). It is exported as int8 to each
format, and run in every runtime. Every value of which identity is claimed has to be the reference's; of the others the
largest difference is told. What differs is printed with its seed, which makes the same network again.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import edgekit
from edgekit.benchmarks.everywhere import Outcome, compared, outcomes, report
from edgekit.benchmarks.random_weights import drawn, pictures
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.errors import EdgekitError
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

CALIBRATED_ON = 12  # images
COMPARED_ON = 6  # other images, the extremes among them
_SIZES = ((32, 32), (32, 48), (48, 40), (64, 64))
_SEVEN_BIT = {"calibration.weight_bits": 7}  # with which no kernel of an x86 without VNNI clamps


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
    random = np.random.default_rng([seed, 7])
    mean, std = [((0.5,) * 3, (0.5,) * 3), (IMAGENET_MEAN, IMAGENET_STD), ((0.0,) * 3, (1.0,) * 3)][random.integers(3)]
    module, images, network = draw(random, mean, std)
    io_dtype = list(IoDtype)[random.integers(3)]
    pixels = pictures(random, COMPARED_ON, (images.shape[1], images.shape[2]))
    threads = int(random.choice((1, 2, 4)))
    with tempfile.TemporaryDirectory() as folder:
        try:
            exported = edgekit.export(
                module,
                images,
                targets=[name for name, form in FORMATS.items() if io_dtype in form.io_dtypes],
                mean=mean,
                std=std,
                order="RGB",
                io_dtype=io_dtype.value,
                name="network",
                out=Path(folder) / "exported",
                verify=False,  # that is what follows
                settings=_SEVEN_BIT | {"calibration.method": str(random.choice(("minmax", "percentile", "mse")))},
            )
            parities, differences = compared(exported, pixels, threads=threads)
        except EdgekitError as error:
            return Outcome(seed, network, time.perf_counter() - started, refused=str(error))
    return Outcome(seed, network, time.perf_counter() - started, parities, differences)


def draw(
    random: np.random.Generator, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[nn.Module, NDArray[np.uint8], str]:
    """A network with weights that have seen images, these, and it in words."""
    import torch  # noqa: PLC0415 - see prove

    from edgekit.benchmarks import random_graphs  # noqa: PLC0415 - needs torch

    height, width = _SIZES[random.integers(len(_SIZES))]
    torch.manual_seed(int(random.integers(2**31)))
    module, made_of = random_graphs.draw(random, (3, height, width))
    images = pictures(random, CALIBRATED_ON, (height, width))
    return drawn(module, random, (images / 255 - mean) / std), images, made_of


if __name__ == "__main__":
    main()
