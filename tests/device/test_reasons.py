"""Reasons in words."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from edgekit.device.machine import Conditions, Machine
from edgekit.device.reasons import dirty, slow_because
from edgekit.device.results import Ratio, Row
from edgekit.device.statistics import Interval

VNNI = Machine(
    None, "Xeon", "x86_64", 64, 4, ("int8 dot products (VNNI)",), None, None, None, "Linux", "glibc", "3.11", {}
)
QUIET = Conditions(20.0, 0.1, 0.0, None, None, ())
ROW = Row(
    "net.int8.tflite", "int8", "LiteRT", 1, 1, 1, Interval(5.0, 5.0, 5.0, 1.0), 5.0, 5.0, (5.0,), 100, 0, 10.0, 1.0,
    1.0, 1.0, None, 1, (), Ratio("net.float32.tflite", Interval(1.0, 0.9, 1.1, 1.0)), None,
)  # fmt: skip


def ratio(high: float) -> Ratio:
    return Ratio("net.float32.tflite", Interval(high, high, high, 1.0))


@pytest.mark.parametrize(
    ("row", "found", "said"),
    [
        (replace(ROW, ratio=ratio(0.89)), VNNI, None),
        (replace(ROW, ratio=None), VNNI, None),
        (replace(ROW, precision="float16"), VNNI, None),
        (replace(ROW, delegate_pieces=0, outside=("CONV_2D",)), VNNI, "no delegate takes it"),
        (replace(ROW, delegate_pieces=3, outside=("MUL", "HARD_SWISH", "MUL")), VNNI, "2 MUL, 1 HARD_SWISH outside"),
        (replace(ROW, delegate_pieces=2), VNNI, "in 2 pieces"),
        (ROW, replace(VNNI, instructions=()), "this processor has no int8 dot products"),
        (replace(ROW, p50_ms=Interval(0.2, 0.2, 0.2, 1.0)), VNNI, r"so short \(0.2 ms\)"),
        (ROW, VNNI, "neither the runtime nor the machine says why"),
    ],
)
def test_why_int8_is_not_faster(row: Row, found: Machine, said: str | None) -> None:
    why = slow_because(row, found)
    assert (why is None) == (said is None)
    assert re.search(said or "", why or "")


@pytest.mark.parametrize(
    ("conditions", "row", "said"),
    [
        (QUIET, ROW, ()),
        (replace(QUIET, others_cores=None, stolen=None), ROW, ()),
        (replace(QUIET, flags=("throttled",)), ROW, ("throttled",)),
        (replace(QUIET, others_cores=1.3), ROW, ("other processes used 1.3 of 4 cores",)),
        (replace(QUIET, stolen=0.05), ROW, ("the host of this virtual machine took away 5% of its time",)),
        (QUIET, replace(ROW, interrupted=50), ("50% of the runs were interrupted by other processes",)),
    ],
)
def test_what_makes_a_result_dirty(conditions: Conditions, row: Row, said: tuple[str, ...]) -> None:
    assert dirty(conditions, VNNI, (row, row)) == said
    assert dirty(conditions, VNNI, ()) == (said if row.interrupted == 0 else ())
