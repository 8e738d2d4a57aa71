"""Quantization-aware fine-tuning: weights and biases learn to make up for the noise of the integers.

The network learns from itself: its logits in float are what its logits in integers shall be, so that images suffice and
nobody has to label them (distillation: Hinton et al., arXiv:1503.02531). The loss is the power of the difference over
that of the float logits, which in decibels is the SQNR that edgekit reports. On MobileNetV3-Small and 205 images, it
brought other images closer than the divergence of the class probabilities did, even in terms of that divergence.

What is trained is the model that post-training quantization made, under the deployed arithmetic itself
(``executor.trainable``). Batch normalization is frozen, being part of the weights, and the ranges are, too. To learn
them first (LSQ: Esser et al., arXiv:1902.08153) and then to solve for tie-free scales took three times as long,
and ended 1 dB lower on MobileNetV1 0.25: new scales round all weights anew, and what they had learned is lost.

Part of the images is held out from training, and they decide: where the trained model does not come closer to the float
network on them, it is discarded, and the model is what it was. (Calibration has seen these images, training has not. So
the comparison favours, if anything, the model that is not trained.)
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgekit import files
from edgekit.errors import ConfigError, DataError
from edgekit.executor.float import FloatExecutor
from edgekit.executor.trainable import TrainableExecutor
from edgekit.progress import Progress, silent
from edgekit.tasks.registry import task_of_model
from edgekit.verification.closeness import Closeness, compare, float_outputs, integer_outputs
from edgekit.version import __version__

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.config import Accelerator, FinetuneSettings
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

BATCH_SIZE = 16
LEARNING_RATE = 0.02  # of Adam: a weight moves by about as many steps of its integers in one of the first updates
LEAST_STEPS = 400  # unless epochs or minutes are given
HELD_OUT_EVERY = 5  # one image in five
LEAST_IMAGES = 2 * HELD_OUT_EVERY
SHIFT = 1 / 28  # of the image's side: 8 pixels of 224
SAVE_EVERY = 50  # steps
_REHEARSALS = 3  # steps that tell how long one takes


@dataclass(frozen=True, slots=True)
class Finetuning:
    """What came of a fine-tuning.

    Attributes:
        improved: whether the trained model is kept, and not the one that was given.
        before: on the held-out images, the model that was given.
        after: on the same images, the trained model.
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
        state: where to write, every 50 steps, what an interrupted training needs to go on. A file that is there is gone
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
        training = _Training(teacher, start, pixels[~held], accelerator, how.seed)
        identity = _identity(start, images, accelerator, [how.epochs, how.minutes, how.seed])
        resumed = state is not None and training.load(state, identity)
        if not resumed:
            training.epochs = how.epochs or _epochs(training, how.minutes)
        while training.step < training.steps:
            loss = training.update()
            progress(f"fine-tuning, loss {loss:.4f}", training.step, training.steps)
            if state is not None and training.step % SAVE_EVERY == 0:
                training.save(state, identity)
    floats, task = float_outputs(teacher, pixels[held]), task_of_model(teacher)
    trained = training.executor.integer_model()
    before, after = (compare(task, floats, integer_outputs(model, pixels[held])) for model in (start, trained))
    about = {"digest": images.digest, "images": len(pixels), "epochs": training.epochs, "seed": how.seed}
    trained = replace(trained, provenance={**start.provenance, "finetuning": about})
    finetuning = Finetuning(
        improved=after.beats(before, int(held.sum())),
        before=before,
        after=after,
        images=int((~held).sum()),
        held_out=int(held.sum()),
        epochs=training.epochs,
        accelerator=accelerator,
        resumed=resumed,
        seconds=time.perf_counter() - started,
    )
    return trained if finetuning.improved else start, finetuning


class _Training:
    """Where training stands; what it does next depends on the number of the step alone, and on what was learned."""

    def __init__(
        self, teacher: FloatModel, start: IntegerModel, pixels: NDArray[np.uint8], device: str, seed: int
    ) -> None:
        self.executor = TrainableExecutor(start).to(device)
        self.step, self.epochs = 0, 0
        self.steps_per_epoch = max(len(pixels) // BATCH_SIZE, 1)
        self._teacher = FloatExecutor(teacher.graph).to(device)
        self._normalization = teacher.preprocessing.normalization
        self._pixels, self._device, self._seed = pixels, device, seed
        self._optimizer = torch.optim.Adam(self.executor.latent.values())
        self._shown = math.nan

    @property
    def steps(self) -> int:
        """In all."""
        return self.epochs * self.steps_per_epoch

    def update(self) -> float:
        """One step of training; the loss, averaged over the last few."""
        for group in self._optimizer.param_groups:  # a cosine from the full rate to none
            group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * self.step / self.steps)) / 2
        loss = self.gradients()
        self._optimizer.step()
        self.step += 1
        self._shown = loss if math.isnan(self._shown) else 0.9 * self._shown + 0.1 * loss
        return self._shown

    def gradients(self) -> float:
        """The loss of the step that comes next; its gradients are left in the parameters."""
        pixels = self._batch()
        with torch.no_grad():
            wanted = self._teacher(self._tensor(self._normalization(pixels)))
        found = self.executor(self._tensor(self.executor.model.encode(pixels)))
        errors = [(found[name] - z).square().sum() / z.square().sum() for name, z in wanted.items()]
        loss: torch.Tensor = torch.stack(errors).mean()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch declares no types here
        return loss.item()

    def save(self, path: Path, identity: str) -> None:
        """Write where training stands, all of it or nothing."""
        state = {
            "identity": identity,
            "step": self.step,
            "epochs": self.epochs,
            "latent": self.executor.latent.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        with files.replacing(path) as temporary:
            torch.save(state, temporary)

    def load(self, path: Path, identity: str) -> bool:
        """Go on from what was saved; False where it is not there, damaged, or of something else."""
        try:
            state: dict[str, Any] = torch.load(path, map_location=self._device, weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
            return False
        if state.get("identity") != identity:
            return False
        self.step, self.epochs = state["step"], state["epochs"]
        self.executor.latent.load_state_dict(state["latent"])
        self._optimizer.load_state_dict(state["optimizer"])
        return True

    def _batch(self) -> NDArray[np.uint8]:
        """The images of this step, [N, H, W, C], each shifted a little, and one in two mirrored."""
        epoch, place = divmod(self.step, self.steps_per_epoch)
        order = np.random.default_rng([self._seed, 0, epoch]).permutation(len(self._pixels))
        chosen = self._pixels[order[place * BATCH_SIZE : (place + 1) * BATCH_SIZE]]
        return augment(chosen, np.random.default_rng([self._seed, 1, self.step]))

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


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


def _epochs(training: _Training, minutes: float | None) -> int:
    """As many as fit into ``minutes``, at least one; by default enough for ``LEAST_STEPS``."""
    if minutes is None:
        return math.ceil(LEAST_STEPS / training.steps_per_epoch)
    times = []
    for _ in range(_REHEARSALS):
        started = time.perf_counter()
        training.gradients()
        times.append(time.perf_counter() - started)
    return max(int(60 * minutes / (min(times) * training.steps_per_epoch)), 1)


def _identity(start: IntegerModel, images: ImageSource, device: str, settings: list[Any]) -> str:
    """SHA-256, hexadecimal, of everything that training depends on."""
    params = {name: [p.scale.tolist(), p.zero_point] for name, p in start.params.items()}
    digest = hashlib.sha256(json.dumps([__version__, images.digest, device, settings, params], sort_keys=True).encode())
    for name, array in sorted(start.graph.constants.items()):
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()
