"""Everything that is measured of a network whose task is known, and the limits that a user may set."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from edgekit.errors import ConfigError, did_you_mean
from edgekit.tasks.statistics import sqnr_db
from edgekit.tasks.values import Better, Measured, Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.tasks.task import Task
    from edgekit.tasks.values import Outputs

T = TypeVar("T")


def metrics(task: Task[T]) -> tuple[Metric, ...]:
    """All metrics of a network with this task, in the order in which they are shown: each may have a limit."""
    return (*task.metrics, task.dropped, task.nearness.metric, _sqnr(task))


def score(task: Task[T], outputs: Outputs, floats: Outputs | None, targets: T | None) -> tuple[Measured, ...]:
    """What can be measured of ``outputs``, in that order.

    Args:
        task: what they mean.
        outputs: of a network, for N images.
        floats: of the float network for the same; None where there is none.
        targets: of these images; None where they are not known.
    """
    found: list[Measured] = []
    if targets is not None:
        found += task.measure(outputs, targets)
    if targets is not None and floats is not None:
        found.append(task.drop(outputs, floats, targets))
    if floats is not None:
        found += [task.agreement(outputs, floats), Measured(_sqnr(task), worst_sqnr_db(task, outputs, floats))]
    return tuple(found)


def worst_sqnr_db(task: Task[T], outputs: Outputs, floats: Outputs) -> float:
    """The signal-to-quantization-noise ratio of the output that has the lowest, decibels."""
    return min(sqnr_db(outputs[name], floats[name]) for name in task.outputs)


def check_limits(task: Task[T], limits: Mapping[str, float]) -> None:
    """Refuse limits of what is not measured, and percentages that are none.

    Raises:
        ConfigError: there is one.
    """
    known = {metric.name: metric for metric in metrics(task)}
    for name, limit in limits.items():
        if name not in known:
            raise ConfigError(f"verify.limits.{name}: {task.name} has no such metric: {did_you_mean(name, known)}")
        if known[name].unit == "%" and not 0 <= limit <= 100:
            raise ConfigError(f"verify.limits.{name} is {limit:g}: percent, 0 to 100, are wanted")


def _sqnr(task: Task[T]) -> Metric:
    """The signal-to-quantization-noise ratio; of several outputs, that of the worst one."""
    of = task.outputs[0] if len(task.outputs) == 1 else "worst output"
    return Metric("sqnr_db", f"SQNR of the {of}", "dB", Better.HIGHER)
