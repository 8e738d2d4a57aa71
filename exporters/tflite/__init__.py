"""TFLite: the flatbuffer written directly, in NHWC, without a single TRANSPOSE."""

from edgekit.exporters.tflite.reader import read
from edgekit.exporters.tflite.writer import write_float_model, write_integer_model

__all__ = ["read", "write_float_model", "write_integer_model"]
