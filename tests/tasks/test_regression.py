"""Regression as a task, against scikit-learn's metrics and cases that can be counted."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as oracle

from edgekit.tasks.regression import Regression
from edgekit.tasks.values import measured_as

RANDOM = np.random.default_rng(0)
TARGETS = RANDOM.normal(5, 3, (40, 2))
FLOAT = {"numbers": (TARGETS + RANDOM.normal(0, 0.5, TARGETS.shape)).astype(np.float32)}
TASK = Regression.of({"numbers": (2,)}, ("x", "y"), {})


def test_metrics_are_those_of_scikit_learn() -> None:
    found = {one.metric.name: one.value for one in TASK.measure(FLOAT, TARGETS)}
    values = FLOAT["numbers"]
    assert found["mae"] == pytest.approx(oracle.mean_absolute_error(TARGETS, values))
    assert found["rmse"] == pytest.approx(oracle.mean_squared_error(TARGETS, values) ** 0.5)
    assert found["r2"] == pytest.approx(oracle.r2_score(TARGETS, values))
    assert tuple(found) == tuple(metric.name for metric in TASK.metrics)


def test_a_rise_of_the_error_is_paired_by_image() -> None:
    worse = {"numbers": TARGETS + 2 * (FLOAT["numbers"] - TARGETS)}  # each error is twice as large
    rise = TASK.drop(worse, FLOAT, TARGETS)
    before = measured_as("mae", TASK.measure(FLOAT, TARGETS))
    assert before is not None
    assert rise.value == pytest.approx(before.value)
    assert rise.low is not None
    assert rise.low > 0
    assert TASK.drop(FLOAT, worse, TARGETS).value == pytest.approx(-rise.value)


def test_agreement_is_the_variance_that_is_not_noise() -> None:
    assert TASK.agreement(FLOAT, FLOAT).value == 100
    noise = RANDOM.normal(0, 1, FLOAT["numbers"].shape)
    wanted = np.square(FLOAT["numbers"] - FLOAT["numbers"].mean(0)).sum(0) / np.square(noise).sum(0)
    near = {"numbers": FLOAT["numbers"] + noise * np.sqrt(0.1 * wanted)}  # 10 dB in each number
    assert TASK.agreement(near, FLOAT).value == pytest.approx(90, abs=1e-3)
    assert TASK.agreement({"numbers": -FLOAT["numbers"]}, FLOAT).value == 0
    constant = {"numbers": np.ones((40, 2))}
    assert TASK.agreement(constant, constant).value == 100
    assert TASK.agreement(FLOAT, constant).value == 0


def test_a_network_that_knows_nothing_is_poor() -> None:
    assert TASK.trusts(FLOAT, TARGETS)
    assert not TASK.plausible(FLOAT, TARGETS).problem
    shuffled = {"numbers": FLOAT["numbers"][::-1]}
    assert not TASK.trusts(shuffled, TARGETS)
    assert "no better than a constant" in TASK.plausible(shuffled, TARGETS).problem
    few = {"numbers": np.median(TARGETS[:3], 0)[None].repeat(3, 0) + np.array([[0.1], [-0.1], [0.2]])}
    assert not TASK.plausible(few, TARGETS[:3]).problem, "three images show nothing"


def test_answers_and_differences_name_the_numbers() -> None:
    ours, theirs = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [3.5, 4.0]])
    assert [answer.text for answer in TASK.decode({"numbers": ours})] == ["x 1, y 2", "x 3, y 4"]
    assert not TASK.decode({"numbers": ours})[0].contradicts(TASK.stated(theirs)[1])
    found = TASK.differences({"numbers": ours}, {"numbers": theirs}, ["a.png", "b.png"])
    assert found.sentence == "int8 and float differ by 0.125 on average and by 0.5 at most, on 2 images."
    assert [(pair.expected, pair.found, pair.images) for pair in found.disagreements] == [
        ("x 3.5, y 4", "x 3, y 4", ("b.png",))
    ]
    assert [point.name for point in found.points] == ["a.png x", "a.png y", "b.png x", "b.png y"]
    assert [point.expected for point in found.points] == [1.0, 2.0, 3.5, 4.0]


def test_outputs_of_any_shape_are_numbers() -> None:
    task = Regression.of({"age": (1,), "map": (3, 40, 40)}, (), {})
    outputs = {"age": np.ones((2, 1)), "map": np.zeros((2, 3, 40, 40))}
    assert task.outputs == ("age", "map")
    outputs["map"][1, 2, 30, 4], outputs["map"][1, 0, 0, 0] = 9.6, -4.8
    assert task.decode(outputs)[1].lines == (
        "age 1",
        "map (3 × 40 × 40) -4.8 to 9.6, mean 0.001, largest at channel 2, row 30, column 4",
    )
    named = Regression.of({"map": (3, 40, 40)}, tuple(map(str, range(4800))), {})
    assert len(named.decode(outputs)[0].lines) == 4800, "names were given to be read"
    assert len(task.differences(outputs, outputs, ["a", "b"]).points) <= 2000


def test_a_map_has_many_numbers() -> None:
    """Of each of which something is said; the picture has as many points as it can show."""
    task = Regression.of({"mask": (5, 80, 80)}, (), {})
    maps = {"mask": RANDOM.normal(size=(4, 5, 80, 80))}
    shown = task.differences({"mask": maps["mask"] + 0.1}, maps, list("abcd"))
    assert len(shown.points) <= 2000
    assert shown.points[0].name == "a mask 0"
    assert shown.points[-1].name.startswith("d mask")
