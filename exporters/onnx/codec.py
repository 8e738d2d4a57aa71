"""What writes and reads these files, in one place: ``edgekit.exporters.format.Codec``."""

from edgekit.exporters.onnx.contents import read_contents
from edgekit.exporters.onnx.exposing import activation_names
from edgekit.exporters.onnx.reader import read
from edgekit.exporters.onnx.validity import violations
from edgekit.exporters.onnx.writer import write_float_model, write_integer_model

__all__ = [
    "activation_names",
    "read",
    "read_contents",
    "violations",
    "write_float_model",
    "write_integer_model",
]
