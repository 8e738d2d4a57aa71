"""The one training loop: steps, epochs, what is kept of them, and going on after an interruption.

What learns is a ``Trainee``: a network from images, with a task's loss or a teacher's; or the weights of an integer
model under its own arithmetic. The loop knows neither images nor tasks.

What a step does depends on its number, the seed, and what was learned before, never on the time or on threads that
load images. So a run that was killed and goes on from its last saved state ends with the same weights, to the bit, as
one that was never disturbed, on the same machine and with as many threads.
"""

from __future__ import annotations

import math
import pickle
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from edgekit.errors import GateFailed
from edgekit.progress import Progress, silent
from edgekit.tasks.values import Measured
from edgekit.training import saving
from edgekit.training.averaging import Average
from edgekit.training.optimizer import SCALE, optimizer
from edgekit.training.schedule import rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import Tensor, nn

    from edgekit.tasks.values import Metric
    from edgekit.training.data.loader import Batch
    from edgekit.training.recipe import Recipe

SAVE_EVERY_S = 30.0
_REMEMBERED = 0.95  # of the loss that progress shows, from step to step
_SEEDS = 2**32  # steps of one seed
TOLD_AFTER = 10  # steps, after which it is known how long the rest takes


class Trainee(Protocol):
    """What learns."""

    @property
    def module(self) -> nn.Module:
        """All that is learned; its state_dict is what is saved."""

    def groups(self, recipe: Recipe) -> list[dict[str, Any]]:
        """Parameter groups for the optimizer, each with a ``SCALE``."""

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """The batches of an epoch from batch ``start`` on; the same whenever it is asked for."""

    @property
    def batches_per_epoch(self) -> int:
        """How many these are from 0 on."""

    def loss(self, batch: Batch, step: int) -> Tensor:
        """The loss of a batch, a scalar with a gradient; ``step`` seeds what is random in it."""

    def settle(self, average: nn.Module) -> None:
        """Make of an average of the weights a network: statistics that it holds become those of its own layers.

        The same whenever it is asked for.
        """

    def validate(self, module: nn.Module, progress: Progress) -> tuple[Measured, ...]:
        """How good ``module``, this one or an average of it, is.

        The first value decides which epoch is best; where nothing is measured, it is the last one.
        """


@dataclass(frozen=True, slots=True)
class Epoch:
    """What came of an epoch.

    Attributes:
        number: from 1.
        lr: the learning rate of its last step.
        loss: the mean over its steps.
        measured: on the validation images, after it.
        is_best: whether the first of these is the best so far.
        seconds: that it took, with validation, without what was done before an interruption.
    """

    number: int
    lr: float
    loss: float
    measured: tuple[Measured, ...]
    is_best: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Precision:
    """In what a GPU computes; a CPU computes in float32.

    Attributes:
        device: "cpu" or "cuda".
        dtype: of what autocast lowers; None lowers nothing.
    """

    device: str = "cpu"
    dtype: torch.dtype | None = None

    @staticmethod
    def of(device: str) -> Precision:
        """bfloat16 where the GPU has it, else float16 with a scaled loss (arXiv:1710.03740)."""
        if device == "cpu":
            return Precision()
        return Precision(device, torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)

    def lowered(self) -> AbstractContextManager[Any]:
        """Within it, layers that bear it compute in ``dtype``."""
        return nullcontext() if self.dtype is None else torch.autocast(self.device, self.dtype)


class Loop:
    """A training: where it stands, and what comes next.

    Args:
        trainee: what learns.
        recipe: how.
        seed: of what a step draws.
        state: where to write what an interrupted training needs to go on; None keeps nothing.
        identity: of everything that the training depends on: a state of another is not gone on with.
        precision: in what it computes.
        stage: what it is called where progress is told.
    """

    def __init__(  # noqa: PLR0913 - what is trained, how, and where it is kept
        self,
        trainee: Trainee,
        recipe: Recipe,
        seed: int,
        *,
        state: Path | None,
        identity: str,
        precision: Precision,
        stage: str = "training",
    ) -> None:
        self.trainee, self.recipe, self.seed, self.precision = trainee, recipe, seed, precision
        self.stage = stage
        self.step = 0
        self.history: list[Epoch] = []
        self.average = Average(trainee.module, recipe.model_ema_decay) if recipe.model_ema_decay else None
        self._optimizer = optimizer(trainee.groups(recipe), recipe)
        self._scaler = torch.amp.GradScaler(precision.device, enabled=precision.dtype is torch.float16)
        self._state, self._identity = state, identity
        self._sum = 0.0  # of the losses of this epoch
        self._shown = math.nan
        self._saved_at = time.monotonic()

    @property
    def steps_per_epoch(self) -> int:
        """Updates; batches that make no whole update are left out."""
        return max(self.trainee.batches_per_epoch // self.recipe.grad_accum_steps, 1)

    @property
    def steps(self) -> int:
        """In all."""
        return self.recipe.epochs * self.steps_per_epoch

    @property
    def result(self) -> nn.Module:
        """What is validated and kept: the average of the weights, or the weights where none is wanted."""
        return self.trainee.module if self.average is None else self.average.module

    @property
    def best(self) -> Epoch | None:
        """The best epoch so far."""
        return next((epoch for epoch in reversed(self.history) if epoch.is_best), None)

    def run(
        self,
        keep: Callable[[Epoch, nn.Module], None],
        *,
        foretold: Callable[[float], None] = lambda _: None,
        progress: Progress = silent,
    ) -> tuple[Epoch, ...]:
        """Train to the end.

        Args:
            keep: called after each epoch with what came of it, and with what is to be kept if it is the best. An
                epoch may come again after an interruption, the same to the bit.
            foretold: called after ``TOLD_AFTER`` steps with the seconds that all the rest is going to take.
            progress: told after every step.

        Raises:
            GateFailed: the loss is no number any more.
            BadInput: the state cannot be written.
        """
        with torch.random.fork_rng():  # the caller's random numbers are left alone
            while len(self.history) < self.recipe.epochs:
                epoch = self._epoch(foretold, progress)
                self.history.append(epoch)
                keep(epoch, self.result)
                self._sum = 0.0
                self.save()
        return tuple(self.history)

    def save(self) -> None:
        """Write where the training stands, all of it or nothing."""
        if self._state is None:
            return
        state = {
            "identity": self._identity,
            "step": self.step,
            "sum": self._sum,
            "history": [_as_values(epoch) for epoch in self.history],
            "module": self.trainee.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "average": None if self.average is None else self.average.module.state_dict(),
        }
        saving.save(state, self._state)
        self._saved_at = time.monotonic()

    def resume(self, metrics: Mapping[str, Metric]) -> bool:
        """Go on from what was saved; False where it is not there, damaged, or of another training.

        Args:
            metrics: that are measured, by name.
        """
        if self._state is None:
            return False
        try:
            state: dict[str, Any] = torch.load(self._state, map_location=self.precision.device, weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
            return False
        if state.get("identity") != self._identity:
            return False
        self.step, self._sum = state["step"], state["sum"]
        self.history = [_as_epoch(values, metrics) for values in state["history"]]
        self.trainee.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
            self.average.updates = self.step
        return True

    def _epoch(self, foretold: Callable[[float], None], progress: Progress) -> Epoch:
        """The rest of the epoch that the training stands in, and its validation."""
        started, number = time.monotonic(), len(self.history)
        first, done = number * self.steps_per_epoch, 0
        accumulated = self.recipe.grad_accum_steps
        batches = self.trainee.batches(number, (self.step - first) * accumulated)
        lr = rate(self.recipe, max(self.step - 1, 0), self.steps_per_epoch)
        while self.step < first + self.steps_per_epoch:
            lr = rate(self.recipe, self.step, self.steps_per_epoch)
            loss = self._update([next(batches) for _ in range(accumulated)], lr)
            self._sum += loss
            self.step, done = self.step + 1, done + 1
            self._shown = loss if math.isnan(self._shown) else _REMEMBERED * self._shown + (1 - _REMEMBERED) * loss
            stage = f"{self.stage}, epoch {number + 1}/{self.recipe.epochs}, loss {self._shown:.3f}"
            progress(stage, self.step, self.steps)
            if done == TOLD_AFTER and number == 0:
                foretold((time.monotonic() - started) / done * (self.steps - self.step))
            if time.monotonic() - self._saved_at > SAVE_EVERY_S:
                self.save()
        if self.average is not None:
            self.trainee.settle(self.average.module)
        measured = self.trainee.validate(self.result, progress)
        # Of equal ones the later, at a lower learning rate.
        before = None if self.best is None else self.best.measured
        is_best = not before or not measured[0].metric.prefers(before[0].value, measured[0].value)
        mean = self._sum / self.steps_per_epoch
        return Epoch(number + 1, lr, mean, measured, is_best, time.monotonic() - started)

    def _update(self, batches: list[Batch], lr: float) -> float:
        """One update of the weights; the mean loss of its batches."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr * group[SCALE]
        self._optimizer.zero_grad(set_to_none=True)
        self.trainee.module.train()
        total = 0.0
        for place, batch in enumerate(batches):
            draw = self.step * len(batches) + place
            torch.manual_seed(self.seed * _SEEDS + draw)  # of dropout: nothing else has to be saved and restored
            with self.precision.lowered():
                loss = self.trainee.loss(batch, draw) / len(batches)
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call] # torch declares no types here
            total += loss.item()
        if not math.isfinite(total):
            raise self._diverged(total)
        if self.recipe.clip_grad is not None:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self.trainee.module.parameters(), self.recipe.clip_grad)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self.average is not None:
            self.average.update(self.trainee.module)
        return total

    def _diverged(self, loss: float) -> GateFailed:
        best = self.best
        kept = "nothing was learned before that"
        if best is not None and best.measured:
            kept = f"the best weights so far, of epoch {best.number} ({best.measured[0].text()}), are kept"
        ways = [f"a lower learning rate (--lr {self.recipe.lr / 4:.2g})"]
        if self.recipe.clip_grad is None:
            ways.append("--clip-grad 1")
        ways.append(f"more warm-up (--warmup-epochs {max(2 * self.recipe.warmup_epochs, 2):g})")
        epoch = self.step // self.steps_per_epoch + 1
        return GateFailed(
            f"the loss is {loss} at step {self.step + 1}, in epoch {epoch}, so training cannot go on; {kept}. Try "
            f"{', or '.join(ways)}, with another --out"
        )


def _as_values(epoch: Epoch) -> dict[str, Any]:
    return {**asdict(epoch), "measured": [[one.metric.name, one.value] for one in epoch.measured]}


def _as_epoch(values: dict[str, Any], metrics: Mapping[str, Metric]) -> Epoch:
    return Epoch(**{**values, "measured": tuple(Measured(metrics[name], value) for name, value in values["measured"])})
