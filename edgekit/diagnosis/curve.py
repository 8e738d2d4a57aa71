"""What the log of a training shows: whether it diverged, learned too fast or too slowly, too long or too short.

A log has the mean training loss of each epoch and a metric of the validation images. How much a metric scatters from
epoch to epoch is measured in the log itself, as the spread of its second differences: a trend leaves these small.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.diagnosis.finding import Finding, Trouble
from edgekit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_FIXED: Final = ("epoch", "lr", "loss", "best", "seconds")
FEWEST: Final = 4  # epochs that a curve can be seen in
BLOWN_UP: Final = 1.5  # times its least value, what a loss that diverges ends at, or above
LEARNED: Final = 0.1  # of the first loss: one that falls by less has hardly learned
ROSE: Final = 1.03  # times the first loss; a loss that scatters about chance stays below
SWING: Final = 0.15  # of the loss: its mean change from epoch to epoch where it goes up and down
LATE: Final = 0.1  # the last tenth of the epochs, at least one
STILL_FALLING: Final = 0.05  # of the loss, in the last tenth of the epochs
STILL_HIGH: Final = 0.1  # of the peak learning rate, that the last epoch still has
LOST: Final = 2.0  # points of the metric below its best, beyond scatter, where training goes on after it


@dataclass(frozen=True, slots=True)
class LoggedEpoch:
    """A row of a log.

    Attributes:
        number: from 1.
        lr: the learning rate of its last step.
        loss: mean over its steps.
        value: of the metric, in its unit; None where nothing is measured.
    """

    number: int
    lr: float
    loss: float
    value: float | None


@dataclass(frozen=True, slots=True)
class Log:
    """The log of a training.

    Attributes:
        metric: the name of what chooses the best epoch ("top1"); "" where nothing is measured.
        epochs: in order.
    """

    metric: str
    epochs: tuple[LoggedEpoch, ...]


def read(path: Path) -> Log:
    """The log that ``edgekit train`` wrote.

    Raises:
        DataError: the file cannot be read, or is no such log.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = [name for name in (rows[0] if rows else {}) if name not in _FIXED]
        metric = names[0] if names else ""
        epochs = tuple(
            LoggedEpoch(int(r["epoch"]), float(r["lr"]), float(r["loss"]), float(r[metric]) if metric else None)
            for r in rows
        )
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is no log of edgekit train: epoch, lr and loss are wanted in each row") from error
    return Log(metric, epochs)


def of_log(log: Log, remedy: Remedies) -> Iterator[Finding]:
    """What is wrong with a training.

    Args:
        log: with fewer than ``FEWEST`` epochs it is only said whether it diverged.
        remedy: the commands.
    """
    epochs = log.epochs
    if len(epochs) < 2:
        return
    loss = np.array([epoch.loss for epoch in epochs])
    peak = max(epoch.lr for epoch in epochs)
    if not np.isfinite(loss).all() or loss[-1] > BLOWN_UP * loss.min():
        yield _diverged(loss, epochs, remedy)
        return
    if len(epochs) < FEWEST:
        return
    fell = (loss[0] - loss.min()) / abs(loss[0]) if loss[0] else 0.0
    swings = _swings(loss)
    if swings > SWING:
        yield Finding(
            Trouble.RATE_TOO_HIGH,
            "The loss goes up and down: the learning rate is too high.",
            f"from epoch to epoch the loss rises and falls by {100 * swings:.0f} %, at a rate of {peak:.3g}",
            remedy.train(lr=peak / 5),
        )
        return
    if fell < LEARNED and loss.max() > ROSE * loss[0]:
        yield Finding(
            Trouble.RATE_TOO_HIGH,
            "The loss rose above where it began, and nothing was learned: the learning rate is too high.",
            f"from {loss[0]:.3g} to {loss.max():.3g} and back to {loss[-1]:.3g}, at a rate of {peak:.3g}",
            remedy.train(lr=peak / 10),
        )
        return
    if fell < LEARNED:
        yield Finding(
            Trouble.RATE_TOO_LOW,
            "The loss has hardly fallen: the learning rate is too low, or there is nothing to be learned.",
            f"from {loss[0]:.3g} to {loss.min():.3g} in {len(epochs)} epochs, at a rate of {peak:.3g}",
            remedy.train(lr=10 * peak),
        )
        return
    yield from _by_metric(log, loss, peak, remedy)


@dataclass(frozen=True, slots=True)
class Remedies:
    """The commands that train again.

    Attributes:
        start: ``edgekit train`` with what stays.
    """

    start: str

    def train(self, **changed: float | str) -> str:
        """With some keys changed; ``lr=0.1`` is ``--lr 0.1``."""
        said = (
            f"--{name.replace('_', '-')} {value:.3g}"
            if isinstance(value, float)
            else f"--{name.replace('_', '-')} {value}"
            for name, value in changed.items()
        )
        return " ".join([self.start, *said])


def _diverged(loss: NDArray[np.float64], epochs: Sequence[LoggedEpoch], remedy: Remedies) -> Finding:
    broken = ~np.isfinite(loss)
    at = int(broken.argmax()) if broken.any() else int(np.argmin(loss)) + 1
    what = "is not finite" if broken.any() else f"rises from {loss.min():.3g} to {loss[-1]:.3g}"
    rate = max(epoch.lr for epoch in epochs)
    return Finding(
        Trouble.DIVERGED,
        "The training diverged: the learning rate is too high, or gradients explode.",
        f"the loss {what} from epoch {epochs[min(at, len(epochs) - 1)].number} on, at a rate of {rate:.3g}",
        remedy.train(lr=rate / 10, clip_grad=1, warmup_epochs=5),
    )


def _swings(loss: NDArray[np.float64]) -> float:
    """How far the loss goes up and down: of the median of |second differences| where the direction changes, relative.

    0 where it falls, or falls with a little scatter.
    """
    steps = np.diff(loss) / np.maximum(np.abs(loss[:-1]), 1e-12)
    turns = np.sign(steps[1:]) != np.sign(steps[:-1])
    if turns.mean() < 0.5:
        return 0.0
    return float(np.mean(np.minimum(np.abs(steps[1:]), np.abs(steps[:-1]))[turns]))


def _by_metric(log: Log, loss: NDArray[np.float64], peak: float, remedy: Remedies) -> Iterator[Finding]:
    """What the metric of the validation images shows beside a loss that falls."""
    epochs = log.epochs
    late = max(round(LATE * len(epochs)), 1)
    falling = 1 - loss[-1] / loss[-1 - late] if loss[-1 - late] else 0.0
    values = np.array([math.nan if epoch.value is None else epoch.value for epoch in epochs])
    if np.isfinite(values).all():
        scatter = _scatter(values)
        best = int(values.argmax())
        tail = float(values[-late:].mean())
        fell = values[best] - tail
        if fell > LOST + 2 * scatter and best < 0.7 * len(epochs) and loss[-1] < loss[best]:
            yield Finding(
                Trouble.OVERFIT,
                "The network overfits: validation gets worse while the training loss goes on falling.",
                f"{log.metric} was {values[best]:.1f} in epoch {epochs[best].number} and is {tail:.1f} at the end; the "
                f"loss fell from {loss[best]:.3g} to {loss[-1]:.3g} meanwhile",
                remedy.train(aa="rand-m9-n2", mixup=0.2, weight_decay=0.05, epochs=len(epochs)),
            )
            return
        rising = values[-1] - values[-1 - late]
        if values.argmax() >= len(epochs) - late and rising > LOST + 2 * scatter:
            falling = max(falling, STILL_FALLING)
    if falling >= STILL_FALLING and (epochs[-1].lr > STILL_HIGH * peak or falling > 2 * STILL_FALLING):
        yield Finding(
            Trouble.STILL_LEARNING,
            "The training ended while the network was still learning.",
            f"the loss fell by {100 * falling:.0f} % in the last {late} of {len(epochs)} epochs, and the learning rate "
            f"ended at {100 * epochs[-1].lr / peak:.0f} % of its peak",
            remedy.train(epochs=3 * len(epochs), sched="cosine"),
        )


def _scatter(values: NDArray[np.float64]) -> float:
    """How much values scatter about a smooth curve: the spread of second differences over the root of 6.

    Of independent values with spread s, x0 - 2 x1 + x2 has s times the root of 1 + 4 + 1.
    """
    return float(np.median(np.abs(np.diff(values, 2)))) / 0.6745 / math.sqrt(6) if len(values) > 2 else 0.0
