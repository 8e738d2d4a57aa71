"""Segmentation: of what class each pixel of an image is."""

from edgekit.tasks.segmentation.task import Segmentation

__all__ = ["Segmentation"]
