"""Logs of trainings, as curves that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.diagnosis.curve import Log, LoggedEpoch, Remedies, of_log, read
from edgekit.diagnosis.finding import Trouble
from edgekit.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

EPOCHS = 30
TIME = np.arange(EPOCHS) / EPOCHS
COSINE = 0.2 * (1 + np.cos(np.pi * TIME)) / 2


def log(loss: NDArray[np.float64], value: NDArray[np.float64], lr: NDArray[np.float64] = COSINE) -> Log:
    random = np.random.default_rng(0)
    noisy = value + random.normal(0, 0.5, len(value))
    rows = zip(lr.tolist(), loss.tolist(), noisy.tolist(), strict=True)
    return Log("top1", tuple(LoggedEpoch(i + 1, *row) for i, row in enumerate(rows)))


LEARNS = 0.4 + 2 * np.exp(-6 * TIME)
RISES = 90 * (1 - np.exp(-6 * TIME))


def test_a_training_that_learns_raises_no_alarm() -> None:
    assert list(of_log(log(LEARNS, RISES), Remedies("edgekit train"))) == []


@pytest.mark.parametrize(
    ("made", "trouble"),
    [
        (log(np.where(TIME < 0.5, LEARNS, 9.0), RISES), Trouble.DIVERGED),
        (log(np.where(TIME < 0.5, LEARNS, np.nan), RISES), Trouble.DIVERGED),
        (log(LEARNS * (1 + 0.4 * (-1.0) ** np.arange(EPOCHS)), RISES), Trouble.RATE_TOO_HIGH),
        (log(2.3 - 0.05 * TIME, 10 + 2 * TIME), Trouble.RATE_TOO_LOW),
        (log(2 * np.exp(-3 * TIME), RISES - 30 * np.maximum(TIME - 0.3, 0)), Trouble.OVERFIT),
        (log(2 * np.exp(-2 * TIME), 80 * TIME, np.full(EPOCHS, 0.1)), Trouble.STILL_LEARNING),
    ],
)
def test_troubles_are_named(made: Log, trouble: Trouble) -> None:
    (found,) = of_log(made, Remedies("edgekit train DATA"))
    assert found.trouble is trouble
    assert found.remedy.startswith("edgekit train DATA --")


def test_a_log_is_read_as_training_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,lr,loss,top1,top5,best,seconds\n1,0.1,2.3,10,50,1,3.0\n2,0.2,2.0,20.5,60,1,3.0\n")
    assert read(path) == Log("top1", (LoggedEpoch(1, 0.1, 2.3, 10.0), LoggedEpoch(2, 0.2, 2.0, 20.5)))
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no log of edgekit train"):
        read(path)
