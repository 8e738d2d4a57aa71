"""Budgets: what is allowed, and what is said where a file costs more."""

from __future__ import annotations

import pytest

from edgekit.verification import budgets
from edgekit.verification.gates import Level

KEEP = "if that is wanted, keep it as the new baseline: edgekit baseline"


@pytest.mark.parametrize(
    ("size_bytes", "passed"), [(0, True), (1_000_000, True), (1_020_000, True), (1_020_001, False)]
)
def test_size(size_bytes: int, passed: bool) -> None:  # noqa: FBT001 - a column
    gate = budgets.size(size_bytes, 1_000_000, 1.02)
    assert (gate.level, gate.name, gate.passed, gate.limit) == (
        Level.BUDGET, "size", passed, "1.02 of the baseline's at most",
    )  # fmt: skip
    assert bool(gate.problem) is not passed


def test_what_is_said_of_a_file_that_has_grown() -> None:
    gate = budgets.size(3_900_000, 3_000_000, 1.02)
    assert gate.measured == "3.9 MB, 1.300 of the baseline's 3 MB"
    assert gate.problem == f"size is 3.9 MB, 1.300 of the baseline's 3 MB: {KEEP}"


def test_memory() -> None:
    gate = budgets.memory(24.0, 23.5, 1.05, "LiteRT 2.3.0, XNNPACK")
    assert (gate.name, gate.passed, gate.runner) == ("memory", True, "LiteRT 2.3.0, XNNPACK")
    assert gate.measured == "24.0 MiB, 1.021 of the baseline's 23.5 MiB"
    assert not budgets.memory(47.0, 23.5, 1.05, "LiteRT").passed


def test_share_of_int8_operators() -> None:
    assert budgets.int8_share(1.0, 1.0).passed
    assert budgets.int8_share(0.5, 0.4).passed
    gate = budgets.int8_share(0.995, 1.0)
    assert (gate.name, gate.passed, gate.measured, gate.limit) == ("int8 operators", False, "99.5 %", "100 % or more")
    assert "edgekit inspect names the others" in gate.problem


def test_latency() -> None:
    gate = budgets.latency(1.004, (0.991, 1.015), (1.757, 1.75), 1.07, "LiteRT")
    assert (gate.name, gate.passed, gate.runner) == ("latency", True, "LiteRT")
    assert gate.measured == "1.004 of the baseline's (95 % interval 0.991 to 1.015), 1.76 ms against 1.75 ms"
    gate = budgets.latency(1.15, (1.13, 1.16), (2.01, 1.75), 1.07, "LiteRT")
    assert not gate.passed
    assert gate.problem == f"latency is {gate.measured}: {KEEP}"


@pytest.mark.parametrize(("ratio", "passed"), [(1.06, True), (1.08, False)])
def test_a_latency_that_is_not_settled(ratio: float, passed: bool) -> None:  # noqa: FBT001 - a column
    gate = budgets.latency(ratio, (1.0, 1.2), (1.9, 1.75), 1.07, "LiteRT")
    assert gate.passed is passed
    assert gate.measured.endswith("1.90 ms against 1.75 ms; this machine is too noisy to be sure")


def test_files_without_and_with_the_same_baseline() -> None:
    gates = budgets.unchanged()
    assert [gate.name for gate in gates] == ["size", "int8 operators", "memory", "latency"]
    assert all(gate.passed and gate.measured == "the same bytes as the baseline" for gate in gates)
    gate = budgets.unknown("baseline")
    assert not gate.passed
    assert gate.problem.startswith("baseline holds no file of this name")
