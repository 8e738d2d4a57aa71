"""How long work tells the outside where it stands, without printing."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with the name of a stage, the steps done and the steps in all.

    What follows a comma in the name may change while the stage goes on: "fine-tuning, loss 0.06".
    """

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take note; must return quickly."""


def silent(stage: str, done: int, total: int) -> None:
    """The Progress of callers that do not want to know."""
