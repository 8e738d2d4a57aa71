"""Gates: what closes each, and what is said then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.exporters.metadata import Precision
from edgekit.tasks.classification import Classification
from edgekit.tasks.scoring import metrics
from edgekit.tasks.statistics import share
from edgekit.tasks.values import Measured
from edgekit.verification import gates
from edgekit.verification.detection_parity import DetectionParity
from edgekit.verification.float_parity import compare_floats
from edgekit.verification.gates import Level
from edgekit.verification.integer_parity import compare_integers

SAME = np.array([[1, -7, 3]], np.int8)


def test_well_formed() -> None:
    gate = gates.well_formed("readable", [], "ONNX, opset 19")
    assert (gate.passed, gate.measured, gate.problem) == (True, "ONNX, opset 19", "")
    gate = gates.well_formed("contents", ["the scale is wrong", "so is the bias", "and that"], "")
    assert (gate.passed, gate.measured) == (False, "3 problems")
    assert gate.problem == "the scale is wrong; and 2 more"


def test_identical_integers() -> None:
    gate = gates.parity(compare_integers("LiteRT", SAME, SAME))
    assert (gate.level, gate.passed, gate.runner) == (Level.INTEGER, True, "LiteRT")
    assert gate.measured == "3 of 3 logits identical, 0 LSB at most"
    gate = gates.parity(compare_integers("LiteRT", SAME + np.int8(2), SAME), "features.3 parts first")
    assert not gate.passed
    assert gate.problem == "3 of 3 logits differ, by up to 2 LSB: features.3 parts first"


@pytest.mark.parametrize(("allowed", "passed"), [(0, False), (1, False), (2, True)])
def test_integers_may_differ_by_what_the_user_allows(allowed: int, passed: bool) -> None:  # noqa: FBT001 - a column
    assert gates.parity(compare_integers("x", SAME + np.int8(2), SAME, max_lsb_allowed=allowed)).passed is passed


def test_near_integers_where_identity_is_not_claimed() -> None:
    expected = np.arange(-100, 100, dtype=np.int8)[None]
    assert gates.parity(compare_integers("x", expected + np.int8(2), expected, near="it rounds reals")).passed
    gate = gates.parity(compare_integers("x", expected[:, ::-1], expected, near="it rounds reals"))
    assert gate.name == "near integers"
    assert not gate.passed


def test_float_parity_in_units_of_the_last_place() -> None:
    expected = np.array([[1.0, -8.0]], np.float32)
    found = expected + np.float32(2**-6)
    gate = gates.parity(compare_floats("x", found, expected, 0.05, Precision.FLOAT16))
    # float16 has ten bits after the leading one, so that the last place of 8 is 2**-7.
    assert gate.measured == "0.016 at most, 0.002 of the largest, 2 ULP"
    assert gate.passed
    gate = gates.parity(compare_floats("x", found, expected, 1e-4))
    assert not gate.passed
    assert gate.problem == "logits are off by 0.002 of the largest one: edgekit diff finds where"


TASK = Classification("logits", 10)
TOP1, TOP5, DROP, AGREEMENT, SQNR = metrics(TASK)
FOUND = (Measured(TOP1, 75.0), Measured(TOP5, 90.0), Measured(DROP, 1.0, -0.5, 2.5), Measured(SQNR, 20.0))


def alike(agreement: float, images: int) -> Measured:
    found = share(agreement, images)
    return Measured(AGREEMENT, 100 * found.value, 100 * found.low, 100 * found.high)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, ""),
        ({"again": 8}, "1 of 10 boxes missing"),
        (
            {"surplus": 2, "disordered": 1},
            "2 boxes too many, 1 of 10 boxes exchanged for others, another order in 1 image",
        ),
        ({"again": 6, "exchanged": 3}, "3 of 10 boxes exchanged for others"),
        ({"images": 0}, "no images were compared"),
    ],
)
def test_boxes_have_to_be_there_again(changes: dict[str, int], problem: str) -> None:
    good = DetectionParity("LiteRT", 4, 10, 9, 0, 1, 0, 0, 2.4e-7, 1e-5, 1.0, "signs_detection_boxes")
    gate = gates.parity(replace(good, **changes))  # type: ignore[arg-type] # numbers are
    assert (gate.level, gate.runner, gate.passed) == (Level.INTEGER, "LiteRT: signs_detection_boxes", not problem)
    assert problem in gate.problem
    if not problem:
        assert gate.measured == "9 of 10 boxes, 1 decided by last bits, in the same order, 2.4e-07 off at most"


def test_the_task_has_only_the_gates_that_are_asked_for() -> None:
    assert gates.task(TASK, FOUND, {}) == ()
    limits = {"top1": 75, "top5": 91, "drop": 1.0, "agreement": 95, "sqnr_db": 20.5}
    found = {gate.name: gate for gate in gates.task(TASK, (*FOUND, alike(0.96, 100)), limits)}
    assert {name for name, gate in found.items() if gate.passed} == {"top-1", "drop of top-1", "same class as float"}
    assert found["top-5"].problem == "top-5 is 90 %, 91 % or more is wanted"
    assert found["drop of top-1"].measured == "1.00 points (95 % interval -0.50 to 2.50)"


def test_what_has_a_limit_and_was_not_measured_fails() -> None:
    found = gates.task(TASK, (), {"top1": 1, "drop": 99})
    assert [gate.passed for gate in found] == [False, False]
    assert all("was not measured: give labelled images" in gate.problem for gate in found)


@pytest.mark.parametrize(
    ("agreement", "images", "passed"),
    [
        (0.873, 650, True),  # the least that a recipe of edgekit's has, docs/accuracy.md
        (0.6415, 650, False),  # the most that a file has which loses 18 points of top-1
        (0.6, 8, True),  # too few images to show anything
        (0.125, 8, False),
        (0.75, 10_000, True),
    ],
)
def test_agreement_has_a_floor_that_images_have_to_show(agreement: float, images: int, passed: bool) -> None:  # noqa: FBT001 - a column
    (gate,) = gates.task(TASK, [alike(agreement, images)], {})
    assert gate.passed is passed
    assert passed or "quantization that works reaches 75 % or more" in gate.problem
    assert gates.task(TASK, [alike(agreement, images)], {}, noise=True) == ()


def test_kernels_that_clamp_are_blamed_before_the_network() -> None:
    kernels = "Measured in a runtime, and it clamps: export --device x86"
    found = gates.task(TASK, (*FOUND, alike(0.1, 1000)), {"top1": 99, "drop": 0.1}, kernels=kernels)
    assert [gate.passed for gate in found] == [False] * 3
    for gate in found:
        assert gate.problem.endswith(f". {kernels}")
        assert "--checkpoint" not in gate.problem
    assert all(not gate.problem for gate in gates.task(TASK, FOUND, {"top1": 1}, kernels=kernels))


def test_the_user_may_set_another_floor_or_none() -> None:
    (gate,) = gates.task(TASK, [alike(0.1, 100)], {"agreement": 0})
    assert gate.passed
