"""What a network is for that has several heads. Nothing is imported here, as the command line starts with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

EXITS: Final = "exits"  # classifiers of the same classes, from each of which an image may leave
SEVERAL: Final = "several"  # heads that tell different things


def task_of_heads(tasks: Sequence[str]) -> str:
    """The task of a network, from those of its heads.

    >>> task_of_heads(["exits", "exits"]), task_of_heads(["detection"]), task_of_heads(["tagging", "tagging"])
    ('exits', 'detection', 'several')
    """
    return tasks[0] if len(tasks) == 1 or tasks[0] == EXITS else SEVERAL
