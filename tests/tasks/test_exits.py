"""The answer of the exit that each image takes."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.device.exits import ExitRule
from edgekit.errors import ConfigError
from edgekit.tasks.exits import Exits
from edgekit.tasks.scoring import metrics, score

SHAPES = {"exit1": (2,), "classifier": (2,)}
HEADS = [
    {"name": "exit1", "task": "exits", "temperature": 2.0, "confidence": 0.9},
    {"name": "classifier", "task": "exits", "temperature": 1.0, "confidence": None},
]
TASK = Exits.of(SHAPES, ("cat", "dog"), {"heads": HEADS})
# Sure of a cat; sure only without its temperature; unsure.
OUTPUTS = {
    "exit1": np.array([[6, 0], [3, 0], [0, 1]], np.float32),
    "classifier": np.array([[0, 9], [0, 9], [9, 0]], np.float32),
}
RIGHT = (0, 1, 1)


def test_an_image_has_the_answer_of_the_first_exit_that_is_sure() -> None:
    assert TASK.taken(OUTPUTS).tolist() == [0, 1, 1]
    first, second, third = TASK.decode(OUTPUTS)
    assert (first.exit, first.lines) == ("exit1", ("cat 95.26 % (left at exit1)", "dog 4.743 %"))
    assert (second.exit, second.text, third.text) == ("classifier", "dog", "cat")
    assert [one.contradicts(right) for one, right in zip(TASK.decode(OUTPUTS), TASK.stated(RIGHT), strict=True)] == [
        False,
        False,
        True,
    ]


def test_answers_are_measured_and_each_exit_alone() -> None:
    found = {one.metric.name: round(one.value, 2) for one in TASK.measure(OUTPUTS, RIGHT)}
    assert found == {"top1": 66.67, "top5": 100, "exit1_top1": 66.67, "classifier_top1": 33.33}
    worse = {**OUTPUTS, "classifier": OUTPUTS["exit1"]}
    assert TASK.drop(worse, OUTPUTS, RIGHT).value == pytest.approx(0)
    assert TASK.agreement(worse, OUTPUTS).value == pytest.approx(100 / 3)
    assert [one.metric.name for one in score(TASK, worse, OUTPUTS, RIGHT)] == [one.name for one in metrics(TASK)]


def test_integers_decide_where_there_is_a_rule() -> None:
    rule = ExitRule.of("exit1", 1.0, 2.0, 0.8)  # another confidence, to tell them apart
    ruled = Exits.of(SHAPES, (), {"heads": [{**HEADS[0], "rule": rule.to_dict()}, HEADS[1]]})
    assert ruled.taken(OUTPUTS).tolist() == [0, 0, 1]


def test_nobody_leaves_before_confidences_are_chosen() -> None:
    undecided = Exits.of(SHAPES, (), {"heads": [{**HEADS[0], "confidence": None}, HEADS[1]]})
    assert undecided.taken(OUTPUTS).tolist() == [1, 1, 1]


def test_exits_of_other_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"logits of the same classes .* exit1 \[2\], classifier \[3\]"):
        Exits.of({"exit1": (2,), "classifier": (3,)}, (), {"heads": HEADS})
