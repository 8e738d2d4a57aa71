"""Classification: labels, accuracy, and answers in words."""

from edgekit.tasks.classification.task import Classification

__all__ = ["Classification"]
