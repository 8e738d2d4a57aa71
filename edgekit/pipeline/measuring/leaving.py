"""What leaving early saves: the stages of a network over real images, against a file of the whole network."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.calibration.images import open_images
from edgekit.device.chain import AdaptiveRunner
from edgekit.device.engines import open_file
from edgekit.errors import ArtifactError
from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import Precision
from edgekit.facts import of_provenance
from edgekit.pipeline.making.given import as_read
from edgekit.progress import Progress, silent
from edgekit.quantization import QuantParams
from edgekit.runtimes.catalog import engine_of
from edgekit.runtimes.runner import encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

_CHECKPOINT: Final = "checkpoint_sha256"  # in a file's provenance
RUNS: Final = 3  # of each image, of which the fastest counts
_WARM_UP: Final = 20  # runs
_BATCH: Final = 64  # images that are read at once


@dataclass(frozen=True, slots=True)
class ExitShare:
    """How many images left at an exit.

    Attributes:
        exit: its name.
        share: of all images, 0..1.
        macs: multiplications by weights for an image that leaves there.
        moved_bytes: that it moves at least: weights and activations, each read and written once.
    """

    exit: str
    share: float
    macs: int
    moved_bytes: int


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Saved:
    """What leaving early saved.

    Attributes:
        runner: runtime, version and kernels.
        images: how many were run.
        exits: where they left.
        macs: mean multiplications of an image.
        moved_bytes: likewise, bytes that it moves at least.
        chain_us: mean time of an image through the stages, microseconds.
        whole_us: likewise, through the whole network.
        taken: the place of the exit of each image, [N].
        answers: the class that the stages name, [N].
        whole_answers: likewise, the whole network.
    """

    runner: str
    images: int
    exits: tuple[ExitShare, ...]
    macs: float
    moved_bytes: float
    chain_us: float
    whole_us: float
    taken: NDArray[np.intp] = field(repr=False, metadata={"json": False})
    answers: NDArray[np.intp] = field(repr=False, metadata={"json": False})
    whole_answers: NDArray[np.intp] = field(repr=False, metadata={"json": False})


def _check_same(stage: Path, whole: Path) -> None:
    """Refuse a file that is no int8 file of the network of a stage: nothing would follow from its time.

    Raises:
        ArtifactError: it is not.
    """
    ours, other = format_of(stage).read(stage).metadata, format_of(whole).read(whole).metadata
    assert ours is not None, "edgekit wrote it"
    same = other is not None and ours.provenance.get(_CHECKPOINT) == other.provenance.get(_CHECKPOINT)
    if other is None or not same or other.precision is not Precision.INT8:
        raise ArtifactError(
            f"{whole} is no int8 file of the network that was cut into stages: write one of the same checkpoint, "
            f"edgekit export CHECKPOINT --int8 --heads classifier"
        )


def time_stages(folder: Path, whole: Path, images: Path, progress: Progress = silent) -> Saved:
    """Run the stages in ``folder`` and the file ``whole`` on images, one at a time and by turns, on one thread.

    Each image goes through both, one right after the other, now the one first and now the other; so whatever else the
    machine does falls on both alike. The fastest of three such runs counts.

    Raises:
        ArtifactError: a file is damaged, or another tool wrote it, or it gives several outputs.
        DataError: the images cannot be used.
        MissingDependency: the runtime is not installed.
    """
    name = engine_of(format_of(whole).name)
    if name is None:
        raise ArtifactError(f"nothing here times {whole}: give a file for LiteRT, ONNX Runtime or torch")
    runner, other = AdaptiveRunner(folder, name), open_file(whole, name)
    first = folder / runner.chain.stages[0].files[name]
    _check_same(first, whole)
    feed, other_feed = _feeding(first, runner.shape), _feeding(whole, other.shape)
    about = format_of(first).read(first).metadata
    assert about is not None, "it was read above"
    source = open_images(images, as_read(about.preprocessing, of_provenance(about.provenance)))
    seconds: list[tuple[float, float]] = []
    taken: list[int] = []
    answers: list[tuple[int, int]] = []
    for batch in source.batches(_BATCH):
        for pixels in batch.pixels:
            image, other_image = feed(pixels), other_feed(pixels)
            best = [np.inf, np.inf]
            for turn in range(2 * RUNS if seconds else 2 * _WARM_UP):
                which = (len(seconds) + turn) % 2
                started = time.perf_counter()
                if which:
                    given = other.run(other_image)
                else:
                    left = runner.run(image)
                best[which] = min(best[which], time.perf_counter() - started)
            if len(given) != 1:
                raise ArtifactError(f"{whole} gives {', '.join(given)}: export the network without its early exits")
            seconds.append((best[0], best[1]))
            taken.append(left.exit)
            answers.append((int(left.logits.argmax()), int(next(iter(given.values())).argmax())))
        progress("timing", len(taken), max(len(source), len(taken)))
    until, moved = np.cumsum([(stage.macs, stage.moved_bytes) for stage in runner.chain.stages], 0).T
    exits = np.array(taken, np.intp)
    shares = tuple(
        ExitShare(stage.exit, float((exits == place).mean()), int(until[place]), int(moved[place]))
        for place, stage in enumerate(runner.chain.stages)
    )
    chain_us, whole_us = 1e6 * np.array(seconds).mean(0)
    own, others = np.array(answers, np.intp).T
    costs = float(until[exits].mean()), float(moved[exits].mean())
    return Saved(runner.name, len(exits), shares, *costs, float(chain_us), float(whole_us), exits, own, others)


def _feeding(path: Path, shape: tuple[int, ...] | None) -> Callable[[NDArray[np.uint8]], NDArray[Any]]:
    """What makes of pixels [H, W, C] what a file takes, in its layout and type.

    Raises:
        ArtifactError: another tool wrote it.
    """
    summary = format_of(path).read(path)
    about = summary.metadata
    if about is None:
        raise ArtifactError(f"{path} was not written by edgekit: it does not say how images are read")
    (taken,) = summary.inputs
    params = None
    if taken.scale is not None and taken.zero_point is not None:
        params = QuantParams(np.array([taken.scale], np.float32), taken.zero_point - 128 * (taken.dtype == "uint8"))

    def feed(pixels: NDArray[np.uint8]) -> NDArray[Any]:
        batch = encode(pixels[None], about, params)
        is_last = shape is not None and shape[1] != batch.shape[1]
        return np.ascontiguousarray(batch.transpose(0, 2, 3, 1) if is_last else batch)

    return feed
