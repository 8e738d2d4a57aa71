"""edgekit: quantize a MobileNet once, ship the same integers in every format, and prove it."""

from edgekit.version import __version__

__all__ = ["__version__"]
