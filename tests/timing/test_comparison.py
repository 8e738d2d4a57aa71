"""The latency gate: its statistics on simulated times whose truth is known, and two real files."""

from __future__ import annotations

import os
import sys
from itertools import count, repeat
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.config import VerifySettings
from edgekit.device.plan import PlannedFile
from edgekit.runtimes.planned import planned_file
from edgekit.timing import comparison
from edgekit.timing.comparison import LOOKS, compare_latency, estimate_ratio

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    Noise = Callable[[np.random.Generator], float]

LIMIT = VerifySettings().max_latency_ratio
NEW, OLD = (PlannedFile(name, "litert") for name in ("new", "old"))

# --- the interval


def test_all_looks_together_err_in_five_percent_at_most() -> None:
    """The probability that the interval between two ranks misses the median, counted."""
    errors = [2 * sum(comb(pairs, k) for k in range(rank)) / 2**pairs for pairs, rank in LOOKS]
    assert sum(errors) <= 0.05
    for pairs, rank in LOOKS:  # no narrower interval would do
        wider = [2 * sum(comb(pairs, k) for k in range(rank + 1)) / 2**pairs]
        assert sum(wider) > 0.05 / len(LOOKS)


NOISES: dict[str, Noise] = {
    "normal": lambda random: random.normal(0, 0.01),
    "two processes in a hundred are way off": lambda random: random.normal(0, 0.3 if random.random() < 0.02 else 0.005),
    "heavy tails": lambda random: 0.01 * random.standard_t(1.5),
    "two kinds of processes": lambda random: random.choice([-0.03, 0.03]) + random.normal(0, 0.002),
}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
@pytest.mark.parametrize("truth", [1.0, LIMIT, 1.1])
def test_the_interval_holds_wherever_it_ends(noise: Noise, truth: float) -> None:
    random = np.random.default_rng(0)
    estimates = [estimate_ratio((truth * np.exp(noise(random)) for _ in count()), LIMIT) for _ in range(1000)]
    assert np.mean([e.low <= truth <= e.high for e in estimates]) >= 0.95


def test_as_many_pairs_as_it_takes() -> None:
    assert estimate_ratio(repeat(1.0), LIMIT).pairs == LOOKS[0][0]
    assert estimate_ratio(repeat(1.15), LIMIT).pairs == LOOKS[0][0]
    one_off = [1.2, *[1.0] * 16]
    assert estimate_ratio(one_off, LIMIT) == comparison.Estimate(1.0, 1.0, 1.0, LOOKS[1][0])
    three_off = [1.2, 0.9, 1.2, 0.9, 1.2, *[1.01] * 12]
    assert estimate_ratio(three_off, LIMIT) == comparison.Estimate(1.01, 1.01, 1.01, LOOKS[2][0])
    assert estimate_ratio([LIMIT] * 17, LIMIT).pairs == LOOKS[2][0]


def probability_of_the_wrong_answer(probability: float) -> float:
    """Counted, where every pair lies on the wrong side of the limit with a probability of its own."""
    wrong_pairs, seen, answered = {0: 1.0}, 0, 0.0
    for pairs, rank in LOOKS:
        more, after = pairs - seen, dict[int, float]()
        for wrong, p in wrong_pairs.items():
            for k in range(more + 1):
                chance = comb(more, k) * probability**k * (1 - probability) ** (more - k)
                after[wrong + k] = after.get(wrong + k, 0.0) + p * chance
        answered += sum(p for wrong, p in after.items() if wrong > pairs - rank)
        wrong_pairs, seen = {wrong: p for wrong, p in after.items() if rank <= wrong <= pairs - rank}, pairs
    return answered + sum(p for wrong, p in wrong_pairs.items() if wrong > seen / 2)


@pytest.mark.parametrize(("probability", "at_most"), [(0.05, 1e-7), (0.1, 1e-4), (0.2, 3e-3)])
def test_single_pairs_may_be_wrong(probability: float, at_most: float) -> None:
    assert probability_of_the_wrong_answer(probability) < at_most
    random = np.random.default_rng(0)
    ratios = ([1.5 if random.random() < probability else 1.0 for _ in range(17)] for _ in range(2000))
    wrong = np.mean([estimate_ratio(seen, LIMIT).ratio > LIMIT for seen in ratios])
    assert wrong == pytest.approx(probability_of_the_wrong_answer(probability), abs=3e-3)


# --- simulated processes


class Machine:
    """Times of processes on a busy machine.

    Each process has luck of its own; the machine slows down and recovers over seconds, now and then for a moment, and
    single runs are disturbed with heavy tails. All of it makes a run longer.
    """

    def __init__(self, seed: int, milliseconds: dict[str, float]) -> None:
        self.random = np.random.default_rng(seed)
        self.milliseconds = milliseconds
        self.slow = 0.0  # what the machine is slowed down by, as a logarithm
        self.asked: list[str] = []

    def times_ms(self, name: str, luck: float, runs: int) -> list[float]:
        self.slow = 0.97 * self.slow + abs(self.random.normal(0, 0.03))  # autocorrelated: a mean of 0.8, so 2.2 times
        burst = self.random.random() < 0.05
        disturbed = 0.02 * self.random.pareto(1.5, runs) + (self.random.exponential(0.5) if burst else 0.0)
        times: list[float] = (self.milliseconds[name] * np.exp(luck + self.slow + disturbed)).tolist()
        return times


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], None]:
    """Puts a simulated machine in the place of this one."""

    def install(machine: Machine) -> None:
        class Worker:
            runner = "simulated"

            def __init__(self, file: PlannedFile, _folder: Path) -> None:
                self.name, self.luck = file.path, machine.random.normal(0, 0.01)

            def __enter__(self) -> Self:
                return self

            def __exit__(self, *_: object) -> None:
                machine.asked.append(f"{self.name} ends")

            def begin(self) -> None:
                machine.asked.append(f"{self.name} begins")

            def wait(self) -> None:
                machine.asked.append(f"{self.name} is ready")

            def pin(self, core: int) -> None:
                machine.asked.append(f"{self.name} on {core}")

            def work(self, runs: int) -> list[float]:
                machine.asked.append(f"{self.name} works")
                return machine.times_ms(self.name, self.luck, runs)

        monkeypatch.setattr(comparison, "Worker", Worker)
        monkeypatch.setattr(comparison, "_PAIR_SECONDS", 0.0)

    return install


@pytest.mark.parametrize(("ratio", "passed"), [(1.0, True), (1.15, False), (0.8, True)])
def test_no_false_alarm_and_no_miss_on_a_busy_machine(
    on: Callable[[Machine], None],
    ratio: float,
    passed: bool,  # noqa: FBT001 - a column
) -> None:
    machine = Machine(0, {"old": 2.0, "new": 2.0 * ratio})
    on(machine)
    found = [compare_latency(NEW, OLD, limit=LIMIT) for _ in range(150)]
    assert {result.passed for result in found} == {passed}
    assert np.mean([result.settled for result in found]) > 0.95
    estimates = [result.estimate for result in found]
    assert np.mean([e.low <= ratio <= e.high for e in estimates]) >= 0.95
    assert abs(np.median([e.ratio for e in estimates]) - ratio) < 0.005


def test_everything_takes_turns(on: Callable[[Machine], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "LOOKS", ((3, 1),))
    monkeypatch.setattr(comparison, "_LEAST_TURNS", 3)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 6}, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    machine = Machine(0, {"old": 1.0, "new": 1.0})
    on(machine)
    seen: list[tuple[str, int, int]] = []
    compare_latency(NEW, OLD, limit=LIMIT, progress=lambda *step: seen.append(step))
    works = {"old": "old works", "new": "new works"}
    ends = ["new ends", "old ends"]

    def pair(first: str, second: str, core: int) -> list[str]:
        begins = [f"{name} {what}" for what in ("begins", "is ready", f"on {core}") for name in (first, second)]
        turns = [works[name] for name in (first, second, second, first, first, second)]
        return [*begins, *turns]

    without_ends = [line for line in machine.asked if line not in ends]
    assert without_ends == [*pair("old", "new", 4), *pair("old", "new", 6), *pair("new", "old", 4)]
    assert machine.asked[12:14] == ends  # before the next pair is started
    assert seen == [("timing against the baseline, new", i, 3) for i in range(4)]


def test_what_is_said_of_a_comparison(on: Callable[[Machine], None]) -> None:
    on(Machine(0, {"old": 2.0, "new": 3.0}))
    found = compare_latency(NEW, OLD, limit=1.2)
    assert (found.runner, found.limit, found.passed, found.settled) == ("simulated", 1.2, False, True)
    assert 2.0 < found.baseline_ms < found.candidate_ms
    assert found.candidate_ms / found.baseline_ms == pytest.approx(1.5, rel=0.3)


# --- real files


def test_real_files(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "LOOKS", ((2, 1),))
    monkeypatch.setattr(comparison, "_PAIR_SECONDS", 0.05)
    tflite, onnx = (next(exported.glob(f"*.{name}")) for name in ("int8.tflite", "int8.onnx"))
    copy = tmp_path / tflite.name
    copy.write_bytes(tflite.read_bytes())
    planned = {path: planned_file(path) or NEW for path in (copy, tflite, onnx)}
    same = compare_latency(planned[copy], planned[tflite], limit=LIMIT)
    assert 0.7 < same.estimate.ratio < 1.4  # whatever else this machine does
    assert same.runner.startswith("LiteRT")
    other = compare_latency(planned[onnx], planned[tflite], limit=LIMIT)
    assert not other.passed  # on so small a network, ONNX Runtime takes twice as long
    assert other.seconds > 0
