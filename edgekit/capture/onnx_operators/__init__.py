"""One function an operator of ONNX: what it becomes in the Graph; a module for each kind, which registers them.

Every tensor of the file is a view of one of ours, with a name for each of its axes, and whatever only moves axes about
leaves no node behind. Channels that are taken from a tensor and joined again, as colours are flipped, are a 1 x 1
convolution.
"""

from edgekit.capture.onnx_operators import activations, layers, movement, pooling, resizing
from edgekit.capture.onnx_operators.arithmetic import on_channels

__all__ = ["activations", "layers", "movement", "on_channels", "pooling", "resizing"]
