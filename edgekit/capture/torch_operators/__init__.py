"""One function an ATen operator: what it becomes in the Graph; a module for each kind, which registers them."""

from edgekit.capture.torch_operators import activations, arithmetic, layers, movement, pooling, resizing

__all__ = ["activations", "arithmetic", "layers", "movement", "pooling", "resizing"]
