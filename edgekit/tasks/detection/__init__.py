"""Detection: where things are in an image, and of what class."""

from edgekit.tasks.detection.task import Detection

__all__ = ["Detection"]
