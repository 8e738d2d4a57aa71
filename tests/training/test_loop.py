from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edgekit.config import TrainSettings
from edgekit.errors import GateFailed
from edgekit.tasks.values import Better, Measured, Metric
from edgekit.training.data.loader import Batch
from edgekit.training.loop import Loop, Precision
from edgekit.training.optimizer import SCALE
from edgekit.training.recipe import Recipe, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.progress import Progress

METRIC = Metric("error", "error", "", Better.LOWER)
RECIPE = replace(
    resolve(TrainSettings(), 32), epochs=4, lr=0.05, warmup_epochs=1, model_ema_decay=0.5, grad_accum_steps=2, drop=0.5
)


class Regressor:
    """Learns a linear function through dropout; seven batches an epoch, of which two make an update."""

    batches_per_epoch = 7
    broken: tuple[int, ...] = ()  # steps whose loss is no number

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
        self.seen: list[tuple[int, int]] = []
        self.settled: list[torch.nn.Module] = []

    def groups(self, recipe: Recipe) -> list[dict[str, Any]]:
        return [{"params": list(self.module.parameters()), "weight_decay": recipe.weight_decay, SCALE: 1.0}]

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        for place in range(start, self.batches_per_epoch):
            self.seen.append((epoch, place))
            x: NDArray[Any] = np.random.default_rng([epoch, place]).normal(size=(4, 3)).astype(np.float32)
            yield Batch(x, x.sum(1, keepdims=True), np.arange(4))

    def loss(self, batch: Batch, step: int) -> torch.Tensor:
        found: torch.Tensor = self.module(torch.from_numpy(batch.pixels))
        scale = float("nan") if step in self.broken else 1.0
        return scale * (found - torch.from_numpy(batch.targets)).square().mean()

    def settle(self, average: torch.nn.Module) -> None:
        self.settled.append(average)

    def validate(self, module: torch.nn.Module, progress: Progress) -> tuple[Measured, ...]:
        module.eval()
        x = torch.eye(3)
        return (Measured(METRIC, (module(x) - 1).abs().mean().item()),)


def loop_of(trainee: Regressor, state: Path, recipe: Recipe = RECIPE, identity: str = "same") -> Loop:
    return Loop(trainee, recipe, 3, state=state, identity=identity, precision=Precision())


def weights(loop: Loop) -> torch.Tensor:
    return torch.cat([value.flatten() for value in loop.result.state_dict().values()])


@pytest.fixture
def undisturbed(tmp_path: Path) -> Loop:
    loop = loop_of(Regressor(), tmp_path / "whole.pt")
    loop.run(lambda *_: None)
    return loop


@pytest.mark.parametrize("killed_after", [1, 2, 3, 5, 11])
def test_a_run_that_was_killed_ends_with_the_same_weights(
    undisturbed: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_after: int
) -> None:
    monkeypatch.setattr("edgekit.training.loop.SAVE_EVERY_S", -1.0)  # after every update

    class Killed(BaseException):
        pass

    def kill(stage: str, done: int, total: int) -> None:
        if done == killed_after:
            raise Killed

    state = tmp_path / "state.pt"
    with pytest.raises(Killed):
        loop_of(Regressor(), state).run(lambda *_: None, progress=kill)
    again = loop_of(Regressor(), state)
    assert again.resume({"error": METRIC}) == (killed_after > 1)
    torch.rand(1)  # whatever else draws random numbers
    again.run(lambda *_: None)
    assert torch.equal(weights(again), weights(undisturbed))
    same = [(e.number, e.lr, e.loss, e.measured, e.is_best) for e in undisturbed.history]
    assert [(e.number, e.lr, e.loss, e.measured, e.is_best) for e in again.history] == same


@pytest.mark.parametrize("decay", [0.5, 0.0])
def test_an_average_is_settled_before_it_is_validated(tmp_path: Path, decay: float) -> None:
    trainee = Regressor()
    loop = loop_of(trainee, tmp_path / "state.pt", replace(RECIPE, model_ema_decay=decay))
    loop.run(lambda *_: None)
    assert trainee.settled == [loop.result] * (RECIPE.epochs if decay else 0)


def test_what_was_left_by_another_training_is_not_gone_on_with(tmp_path: Path) -> None:
    loop = loop_of(Regressor(), tmp_path / "state.pt")
    loop.save()
    assert not loop_of(Regressor(), tmp_path / "state.pt", identity="other").resume({})
    (tmp_path / "state.pt").write_bytes(b"PK")
    assert not loop_of(Regressor(), tmp_path / "state.pt").resume({})


def test_batches_that_make_no_whole_update_are_left_out(undisturbed: Loop) -> None:
    assert undisturbed.steps_per_epoch == 3
    assert isinstance(undisturbed.trainee, Regressor)
    assert undisturbed.trainee.seen == [(epoch, place) for epoch in range(4) for place in range(6)]


def test_accumulated_gradients_are_those_of_one_large_batch(tmp_path: Path) -> None:
    plain = replace(RECIPE, model_ema_decay=0.0, epochs=1, opt="sgd", clip_grad=None)
    accumulated = loop_of(Regressor(), tmp_path / "a.pt", plain)
    dropout(accumulated).p = 0.0
    accumulated.run(lambda *_: None)

    large = loop_of(InPairs(), tmp_path / "b.pt", replace(plain, grad_accum_steps=1))
    dropout(large).p = 0.0
    large.run(lambda *_: None)
    assert torch.allclose(weights(accumulated), weights(large), atol=1e-6)


def dropout(loop: Loop) -> torch.nn.Dropout:
    return next(part for part in loop.trainee.module.modules() if isinstance(part, torch.nn.Dropout))


class InPairs(Regressor):
    """Two batches as one."""

    batches_per_epoch = 3

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        small = list(Regressor().batches(epoch, 0))
        for place in range(start, 3):
            pair = small[2 * place : 2 * place + 2]
            yield Batch(*(np.concatenate([getattr(b, key) for b in pair]) for key in ("pixels", "targets", "indices")))


def test_the_best_epoch_is_the_one_whose_first_metric_is_best(undisturbed: Loop) -> None:
    errors = [epoch.measured[0].value for epoch in undisturbed.history]
    assert undisturbed.best is not None
    assert undisturbed.best.number == 1 + errors.index(min(errors))


def test_a_loss_that_is_no_number_stops_with_what_to_try(tmp_path: Path) -> None:
    trainee = Regressor()
    trainee.broken = (8,)
    with pytest.raises(GateFailed, match=r"step 5, in epoch 2.*of epoch 1 \(.*\), are kept.*--lr 0.013"):
        loop_of(trainee, tmp_path / "state.pt").run(lambda *_: None)


def test_it_is_told_how_long_the_rest_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.training.loop.TOLD_AFTER", 2)
    told: list[float] = []
    loop_of(Regressor(), tmp_path / "state.pt").run(lambda *_: None, foretold=told.append)
    assert len(told) == 1
    assert told[0] > 0


def test_the_callers_random_numbers_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    loop = loop_of(Regressor(), tmp_path / "state.pt")
    before = torch.get_rng_state()
    loop.run(lambda *_: None)
    assert torch.equal(torch.get_rng_state(), before)
