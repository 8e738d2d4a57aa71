"""All kinds of task, and which one a network has: given, stated by its file, or assumed."""

from __future__ import annotations

from importlib import import_module
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from edgekit.errors import ConfigError, did_you_mean
from edgekit.facts import BY_SETTING, Basis, Fact, of_provenance
from edgekit.models.head_tasks import EXITS, SEVERAL, task_of_heads

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgekit.float_model import FloatModel
    from edgekit.tasks.task import Task

# Where each is, by its name; it is imported where it is used, for the command line starts without numpy.
TASKS: Final[Mapping[str, str]] = {
    "classification": "edgekit.tasks.classification:Classification",
    "detection": "edgekit.tasks.detection:Detection",
    "exits": "edgekit.tasks.exits:Exits",
    "regression": "edgekit.tasks.regression:Regression",
    "segmentation": "edgekit.tasks.segmentation:Segmentation",
    "several": "edgekit.tasks.several:Several",
    "tagging": "edgekit.tasks.tagging:Tagging",
}
FACT: Final = "task"
RULE: Final = "rule"  # of what is known of a head: when images leave there
HEADS: Final = "heads"  # of an architecture, and of the details of a task that has several
SETTING: Final = f"--task {'|'.join(TASKS)}"


def from_setting(name: str | None) -> tuple[Fact, ...]:
    """The fact that a setting names, where one does."""
    return () if name is None else (Fact(FACT, name, Basis.GIVEN, BY_SETTING, SETTING),)


def kind(name: str) -> type[Task[Any]]:
    """The class of a task by its name."""
    module, _, attribute = TASKS[name].partition(":")
    found: type[Task[Any]] = getattr(import_module(module), attribute)
    return found


def task_of(
    shapes: Mapping[str, tuple[int, ...]],
    labels: Sequence[str],
    facts: Iterable[Fact],
    heads: Sequence[Mapping[str, Any]] = (),
) -> tuple[Task[Any], Fact]:
    """The task of a network, and how that is known.

    Args:
        shapes: of its outputs for one image, by name.
        labels: names of what it tells apart; empty where none are known.
        facts: what is known of it; one of them may be its task.
        heads: that it has (``heads_of``); none of a network that has only one kind of output.

    Raises:
        ConfigError: there is no such task, or it reads other outputs.
    """
    known = next((fact for fact in facts if fact.name == FACT), None)
    fact = known or _of_heads(heads) or _usual(shapes, labels)
    if fact.value not in TASKS:
        raise ConfigError(f"the task {fact.value!r} is none that edgekit knows: {did_you_mean(fact.value, TASKS)}")
    details = {HEADS: heads} if fact.value in {SEVERAL, EXITS} or len(heads) != 1 else heads[0]
    return kind(fact.value).of(shapes, labels, details), fact


def task_of_model(model: FloatModel) -> Task[Any]:
    """The task of a network that was loaded, by what it says of itself.

    Raises:
        ConfigError: there is no such task, or it reads other outputs.
    """
    from edgekit.suppression import given_shapes  # noqa: PLC0415 - as tasks are imported where they are used

    shapes = {name: tensor.shape for name, tensor in model.graph.named(model.graph.tensors).items()}
    return task_of(
        given_shapes(shapes, model.provenance),
        model.labels,
        of_provenance(model.provenance),
        heads_of(model.provenance),
    )[0]


def heads_of(provenance: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """What is known of each head of a network: ``HeadSpec.to_dict``, and the ``size`` of the image, [height, width].

    Of an exit of integers it is also known when images leave there (``edgekit.device.exits.ExitRule``).

    There are none in a network that gives what its family gives.
    """
    architecture = provenance.get("architecture")
    if not isinstance(architecture, dict) or HEADS not in architecture:
        return ()
    resolution = architecture["resolution"]
    size = [resolution, resolution] if isinstance(resolution, int) else list(resolution)
    rules = {rule["output"]: {RULE: rule} for rule in provenance.get(EXITS, ())}
    return tuple({**head, "size": size, **rules.get(head["name"], {})} for head in architecture[HEADS])


def labels_by_head(labels: Sequence[str], heads: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """The labels of each head by its name: ``labels`` are those of all heads (``heads_of``), in their order.

    Exits share them.
    """
    if task_of_heads([head["task"] for head in heads]) == EXITS:
        return {head["name"]: tuple(labels) for head in heads}
    ends = accumulate(head["things"] for head in heads)
    return {head["name"]: tuple(labels[end - head["things"] : end]) for head, end in zip(heads, ends, strict=True)}


def _of_heads(heads: Sequence[Mapping[str, Any]]) -> Fact | None:
    """What the heads say, where there are any."""
    if not heads:
        return None
    names = [str(head["task"]) for head in heads]
    name = task_of_heads(names)
    because = f"its architecture has {'a head' if len(heads) == 1 else 'heads'} for {', '.join(dict.fromkeys(names))}"
    return Fact(FACT, name, Basis.STATED, because, SETTING)


def _usual(shapes: Mapping[str, tuple[int, ...]], labels: Sequence[str]) -> Fact:
    if [len(shape) for shape in shapes.values()] != [1]:
        because = "nothing says what several outputs, or a map, mean, so they are compared as numbers"
        return Fact(FACT, "regression", Basis.ASSUMED, because, SETTING)
    name = "classification"
    if labels:
        return Fact(FACT, name, Basis.STATED, f"its metadata name {len(labels)} classes", SETTING)
    return Fact(FACT, name, Basis.ASSUMED, "usual for networks with one output of [N, classes]", SETTING)
