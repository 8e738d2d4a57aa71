"""Quantization-aware fine-tuning: weights and biases learn to make up for the noise of the integers.

The network learns from itself: its logits in float are what its logits in integers shall be, so that images suffice and
nobody has to label them (distillation: Hinton et al., arXiv:1503.02531). The loss is the power of the difference over
that of the float logits, which in decibels is the SQNR that edgekit reports. On MobileNetV3-Small and 205 images, it
brought other images closer than the divergence of the class probabilities did, even in terms of that divergence. On
MobileNetV1 0.25 the divergence did no better either, alone or beside it.

What is trained is the model that post-training quantization made, under the deployed arithmetic itself
(``executor.trainable``). Batch normalization is frozen, being part of the weights, and the ranges are, too. To learn
them first (LSQ: Esser et al., arXiv:1902.08153) and then to solve for tie-free scales took three times as long,
and ended 1 dB lower on MobileNetV1 0.25: new scales round all weights anew, and what they had learned is lost.

What is kept is a moving average of the weights. Integers jump from step to step, as weights near the middle between two
do with every update; their average comes to rest. (Of MobileNetV1 0.25, after 400 of 1,200 updates: 24.0 dB,
where the last weights gave 20.5.)

Part of the images is held out from training, and they decide, as they are and changed as in training: where the trained
model does not come closer to the float network on them, it is discarded, and the model is what it was. (Calibration has
seen these images, training has not. So the comparison favours, if anything, the model that is not trained.)
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgekit.errors import ConfigError, DataError
from edgekit.executor.float import FloatExecutor
from edgekit.executor.trainable import TrainableExecutor
from edgekit.progress import Progress, silent
from edgekit.tasks.registry import task_of_model
from edgekit.training.data.loader import Batch
from edgekit.training.loop import Loop, Precision
from edgekit.training.optimizer import SCALE
from edgekit.training.recipe import Recipe
from edgekit.verification.closeness import Closeness, compare, float_outputs, integer_outputs
from edgekit.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from edgekit.calibration.images import ImageSource
    from edgekit.config import Accelerator, FinetuneSettings
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel
    from edgekit.tasks.values import Measured

BATCH_SIZE = 16
LEARNING_RATE = 0.02  # of Adam: a weight moves by about as many steps of its integers in one of the first updates
LEAST_STEPS = 400  # unless epochs or minutes are given
HELD_OUT_EVERY = 5  # one image in five
LEAST_IMAGES = 2 * HELD_OUT_EVERY
VIEWS = 4  # of each held-out image
SHIFT = 1 / 28  # of the image's side: 8 pixels of 224
# Adam (arXiv:1412.6980) along a cosine from the full rate to none.
_RECIPE = Recipe(
    "qat", epochs=1, batch_size=BATCH_SIZE, opt="adamw", lr=LEARNING_RATE, momentum=0.9, weight_decay=0.0,
    model_ema_decay=0.98,  # over about 50 updates
)  # fmt: skip
_REHEARSALS = 3  # steps that tell how long one takes


@dataclass(frozen=True, slots=True)
class Finetuning:
    """What came of a fine-tuning.

    Attributes:
        improved: whether the trained model is kept, and not the one that was given.
        before: on the held-out images, as they are and changed as in training, the model that was given.
        after: on the same ones, the trained model.
        images: how many were trained on.
        held_out: how many others decided.
        epochs: how often training has seen its images.
        accelerator: what it was trained on, "cpu" or "cuda".
        resumed: whether this went on with an earlier, interrupted training.
        seconds: in all, of this run.
    """

    improved: bool
    before: Closeness
    after: Closeness
    images: int
    held_out: int
    epochs: int
    accelerator: Accelerator
    resumed: bool
    seconds: float


def finetune(  # noqa: PLR0913 - what is trained, on what, and how
    teacher: FloatModel,
    start: IntegerModel,
    images: ImageSource,
    how: FinetuneSettings,
    *,
    state: Path | None = None,
    progress: Progress = silent,
) -> tuple[IntegerModel, Finetuning]:
    """Train ``start`` to give the logits of ``teacher``.

    The same arguments on the same machine give the same model; with ``minutes``, the epochs that they suffice for do.

    Args:
        teacher: in ``passes.integer_form``; what ``start`` was made from.
        start: the result of post-training quantization.
        images: like those in use, 100 or more; no labels. All are held in memory, 150 kB each at 224 x 224.
        how: how long, on what, and with which seed. Without epochs and minutes each image is seen so often that there
            are 400 updates. Minutes train for about that long, at least one epoch. Without an accelerator, CUDA is
            taken where there is any.
        state: where to write, twice a minute, what an interrupted training needs to go on. A file that is there is gone
            on with if model, images and all settings are the same. It is left there for the caller to remove.
        progress: told after every step.

    Returns:
        The trained model, or ``start`` where it is not worse, and how that came about.

    Raises:
        ConfigError: there is no such accelerator.
        DataError: there are too few images.
        BadInput: the state cannot be written.
    """
    started = time.perf_counter()
    accelerator = _accelerator(how.accelerator)
    progress("reading images", 0, 1)
    pixels = np.concatenate([batch.pixels for batch in images.batches(BATCH_SIZE)])
    progress("reading images", 1, 1)
    if len(pixels) < LEAST_IMAGES:
        raise DataError(
            f"there are {len(pixels)} images, too few to train on some and to check with others: give {LEAST_IMAGES} "
            f"or more, better 100 to 500"
        )
    held = np.arange(len(pixels)) % HELD_OUT_EVERY == HELD_OUT_EVERY // 2
    with _exact():
        trainee = _Quantized(teacher, start, pixels[~held], accelerator, how.seed)
        epochs = how.epochs or _epochs(trainee, how.minutes)
        recipe = replace(_RECIPE, epochs=epochs, lr=LEARNING_RATE)
        loop = Loop(
            trainee,
            recipe,
            how.seed,
            state=state,
            identity=_identity(start, images, accelerator, [how.epochs, how.minutes, how.seed]),
            precision=Precision(accelerator),
            stage="fine-tuning",
        )
        resumed = loop.resume({})
        loop.run(lambda *_: None, progress=progress)
    deciding, task = views(pixels[held], how.seed), task_of_model(teacher)
    floats, trained = float_outputs(teacher, deciding), trainee.integer_model(loop.result)
    before, after = (compare(task, floats, integer_outputs(model, deciding)) for model in (start, trained))
    about = {"digest": images.digest, "images": len(pixels), "epochs": epochs, "seed": how.seed}
    trained = replace(trained, provenance={**start.provenance, "finetuning": about})
    finetuning = Finetuning(
        improved=after.beats(before, int(held.sum())),
        before=before,
        after=after,
        images=int((~held).sum()),
        held_out=int(held.sum()),
        epochs=epochs,
        accelerator=accelerator,
        resumed=resumed,
        seconds=time.perf_counter() - started,
    )
    return trained if finetuning.improved else start, finetuning


class _Quantized:
    """The weights and biases of an integer model, which learn to give what its float network gives; a ``Trainee``."""

    def __init__(
        self, teacher: FloatModel, start: IntegerModel, pixels: NDArray[np.uint8], device: str, seed: int
    ) -> None:
        self.executor = TrainableExecutor(start).to(device)
        self.module = self.executor.latent
        self._teacher = FloatExecutor(teacher.graph).to(device)
        self._normalization = teacher.preprocessing.normalization
        self._pixels, self._device, self._seed = pixels, device, seed

    @property
    def batches_per_epoch(self) -> int:
        """What makes no whole batch is left out, unless there is nothing else."""
        return max(len(self._pixels) // BATCH_SIZE, 1)

    def integer_model(self, learned: nn.Module) -> IntegerModel:
        """The model with what was learned: the state of ``module``, or an average of it."""
        self.module.load_state_dict(learned.state_dict())
        return self.executor.integer_model()

    def groups(self, recipe: Recipe) -> list[dict[str, Any]]:
        """All at one rate: what learns is counted in steps."""
        return [{"params": list(self.module.values()), "weight_decay": recipe.weight_decay, SCALE: 1.0}]

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """The images in an order of their own, each shifted a little, and one in two mirrored."""
        order = np.random.default_rng([self._seed, 0, epoch]).permutation(len(self._pixels))
        for place in range(start, self.batches_per_epoch):
            chosen = order[place * BATCH_SIZE : (place + 1) * BATCH_SIZE]
            random = np.random.default_rng([self._seed, 1, epoch * self.batches_per_epoch + place])
            yield Batch(augment(self._pixels[chosen], random), chosen, chosen)

    def loss(self, batch: Batch, step: int) -> torch.Tensor:  # noqa: ARG002 - nothing is drawn
        """The power of what differs from the float network over that of what it gives, of each output alike."""
        with torch.no_grad():
            wanted = self._teacher(self._tensor(self._normalization(batch.pixels)))
        found = self.executor(self._tensor(self.executor.model.encode(batch.pixels)))
        errors = [(found[name] - z).square().sum() / z.square().sum() for name, z in wanted.items()]
        return torch.stack(errors).mean()

    def settle(self, average: nn.Module) -> None:
        """Nothing: integers hold no statistics."""

    def validate(self, module: nn.Module, progress: Progress) -> tuple[Measured, ...]:  # noqa: ARG002 - likewise
        """Nothing: as the rate falls to 0, the last epoch is taken, and judged once."""
        return ()

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


def views(held: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Held-out images as they are, and several times changed: near a tie between classes, one view tells little."""
    random = np.random.default_rng([seed, 2])
    return np.concatenate([held, *(augment(held, random) for _ in range(VIEWS - 1))])


def augment(pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Each image [H, W, C] shifted by up to ``SHIFT`` of its side, its border reflected, and one in two mirrored."""
    _, height, width, _ = pixels.shape
    rows, columns = round(height * SHIFT), round(width * SHIFT)
    wide = np.pad(pixels, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode="reflect")
    changed = np.empty_like(pixels)
    for index, image in enumerate(wide):
        top, left = random.integers(0, 2 * rows + 1), random.integers(0, 2 * columns + 1)
        moved = image[top : top + height, left : left + width]
        changed[index] = moved[:, ::-1] if random.random() < 0.5 else moved
    return changed


def _accelerator(wanted: Accelerator | None) -> Accelerator:
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ConfigError("the accelerator is cuda, and torch finds none here: leave --accelerator out, or choose cpu")
    return wanted or ("cuda" if there else "cpu")


def _exact() -> AbstractContextManager[None]:
    """Convolutions on CUDA as exact and repeatable as on a CPU.

    TF32 would keep 11 of the 24 bits of each factor, and bfloat16 8: the accumulators would not be the deployed
    integers any more. (Products of matrices keep theirs by default: ``executor.integer``.)
    """
    exact: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return exact


def _epochs(trainee: _Quantized, minutes: float | None) -> int:
    """As many as fit into ``minutes``, at least one; by default enough for ``LEAST_STEPS``."""
    if minutes is None:
        return math.ceil(LEAST_STEPS / trainee.batches_per_epoch)
    times, batch = [], next(trainee.batches(0, 0))
    for _ in range(_REHEARSALS):
        started = time.perf_counter()
        trainee.loss(batch, 0).backward()  # type: ignore[no-untyped-call] # torch declares no types here
        times.append(time.perf_counter() - started)
    return max(int(60 * minutes / (min(times) * trainee.batches_per_epoch)), 1)


def _identity(start: IntegerModel, images: ImageSource, device: str, settings: list[Any]) -> str:
    """SHA-256, hexadecimal, of everything that training depends on."""
    params = {name: [p.scale.tolist(), p.zero_point] for name, p in start.params.items()}
    digest = hashlib.sha256(json.dumps([__version__, images.digest, device, settings, params], sort_keys=True).encode())
    for name, array in sorted(start.graph.constants.items()):
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()
