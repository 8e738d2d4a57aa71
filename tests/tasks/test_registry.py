"""Which task a network has, and how that is known."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.errors import ConfigError
from edgekit.facts import Basis, Fact
from edgekit.models.priors import Level, Priors
from edgekit.tasks.classification import Classification
from edgekit.tasks.detection import Detection
from edgekit.tasks.registry import TASKS, from_setting, heads_of, kind, labels_by_head, task_of
from edgekit.tasks.regression import Regression
from edgekit.tasks.scoring import metrics
from edgekit.tasks.segmentation import Segmentation

PRIORS = Priors((Level(2, 2, ((0.5, 0.5),)),))
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "detection": {"boxes": (4, 4), "scores": (4, 3)},
    "segmentation": {"mask": (3, 4, 4)},
}
HEADS: dict[str, dict[str, Any]] = {
    "detection": {"name": "things", "task": "detection", "things": 2, "priors": PRIORS.to_dict()},
    "exits": {"heads": [{"name": "out", "task": "exits", "temperature": 1.0, "confidence": None}]},
    "several": {"heads": [{"name": "out", "task": "tagging", "things": 3}]},
}


def test_what_is_given_or_stated_counts_before_what_is_usual() -> None:
    one = {"logits": (3,)}
    task, fact = task_of(one, (), ())
    assert (task, fact.basis) == (Classification("logits", 3), Basis.ASSUMED)
    task, fact = task_of(one, ("cat", "dog", "owl"), ())
    assert (task, fact.basis) == (Classification("logits", 3, ("cat", "dog", "owl")), Basis.STATED)
    task, fact = task_of(one, (), from_setting("regression"))
    assert (type(task), fact.basis) == (Regression, Basis.GIVEN)
    task, fact = task_of({"a": (3,), "b": (8, 4, 4)}, (), from_setting(None))
    assert (task.outputs, fact.value, fact.basis) == (("a", "b"), "regression", Basis.ASSUMED)


def test_other_outputs_and_unknown_tasks_are_refused() -> None:
    with pytest.raises(ConfigError, match="classification, which reads one output of"):
        task_of({"map": (8, 4, 4)}, (), from_setting("classification"))
    with pytest.raises(ConfigError, match=r"'captioning' is none that edgekit knows: choose from"):
        task_of({"map": (8, 4, 4)}, (), [Fact("task", "captioning", Basis.STATED, "", "")])
    with pytest.raises(ConfigError, match="nothing says what prior boxes"):
        task_of(SHAPES["detection"], (), from_setting("detection"))
    with pytest.raises(ConfigError, match=r"reads boxes \[4, 4\] and scores \[4, 1 \+ classes\], and there is map"):
        task_of({"map": (8, 4, 4)}, (), (), [HEADS["detection"]])


def test_a_head_states_its_task() -> None:
    task, fact = task_of(SHAPES["detection"], ("cat", "dog"), (), [HEADS["detection"]])
    assert (type(task), task.things, fact.basis) == (Detection, 2, Basis.STATED)
    provenance = {"architecture": {"resolution": [48, 64], "heads": [{"name": "mask", "task": "segmentation"}]}}
    task, _ = task_of({"mask": (3, 6, 8)}, (), (), heads_of(provenance))
    assert task == Segmentation("mask", 3, (48, 64))
    assert heads_of({"architecture": {"resolution": 224}}) == ()


def test_several_heads_are_several_tasks() -> None:
    shapes: dict[str, tuple[int, ...]] = {"things_boxes": (4, 4), "things_scores": (4, 3), "kind": (2,)}
    heads = [HEADS["detection"], {"name": "kind", "task": "classification", "things": 2}]
    task, fact = task_of(shapes, ("cat", "dog", "day", "night"), (), heads)
    assert (fact.value, fact.basis, fact.because) == (
        "several",
        Basis.STATED,
        "its architecture has heads for detection, classification",
    )
    assert (task.things, task.outputs) == (4, tuple(shapes))
    with pytest.raises(ConfigError, match="nothing says what heads the network has"):
        task_of(shapes, (), from_setting("several"))


def test_exits_share_their_labels() -> None:
    heads = [{"name": name, "task": "exits", "things": 2} for name in ("exit1", "classifier")]
    assert labels_by_head(["cat", "dog"], heads) == dict.fromkeys(("exit1", "classifier"), ("cat", "dog"))


@pytest.mark.parametrize("name", TASKS)
def test_metrics_of_every_task_have_names_of_their_own(name: str) -> None:
    assert kind(name).name == name
    found = metrics(kind(name).of(SHAPES.get(name, {"out": (3,)}), (), HEADS.get(name, {})))
    assert len({metric.name for metric in found}) == len(found)
    assert {"drop", "agreement", "sqnr_db"} <= {metric.name for metric in found}
