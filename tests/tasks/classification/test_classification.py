"""Classification as a task: which outputs it reads, and what it says of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekit.errors import ConfigError
from edgekit.tasks.classification import Classification

LABELS = ("cat", "dog", "owl")


def test_answers_are_torchs_softmax_and_its_top_k() -> None:
    logits = np.random.default_rng(0).normal(scale=5, size=(6, 9)).astype(np.float32)
    task = Classification.of({"logits": (9,)}, (), {})
    likely, order = torch.from_numpy(logits).double().softmax(1).topk(5)
    for answer, values, indices in zip(task.decode({"logits": logits}), likely, order, strict=True):
        assert [found.index for found in answer.best] == indices.tolist()
        assert [found.probability for found in answer.best] == pytest.approx(values.tolist(), abs=1e-12)
        assert answer.text == f"class {indices[0]}"


def test_an_answer_names_its_classes_and_is_wrong_where_the_first_is_another() -> None:
    task = Classification.of({"scores": (3,)}, LABELS, {})
    ours, theirs = task.decode({"scores": np.array([[0.0, np.log(3), -99.0], [0.0, 0.0, 10.0]])}, most=2)
    assert (ours.text, ours.lines) == ("dog", ("dog 75 %", "cat 25 %"))
    assert ours.contradicts(theirs)
    assert not ours.contradicts(ours)


@pytest.mark.parametrize("shapes", [{"map": (8, 4, 4)}, {"a": (3,), "b": (2,)}, {}])
def test_other_outputs_are_refused(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ConfigError, match="reads one output of"):
        Classification.of(shapes, (), {})
