"""What writes and reads these files, in one place: ``edgekit.exporters.format.Codec``."""

from edgekit.exporters.tflite.contents import read_contents
from edgekit.exporters.tflite.exposing import activation_names
from edgekit.exporters.tflite.reader import read
from edgekit.exporters.tflite.validity import violations
from edgekit.exporters.tflite.writer import write_float_model, write_integer_model

__all__ = [
    "activation_names",
    "read",
    "read_contents",
    "violations",
    "write_float_model",
    "write_integer_model",
]
