"""ONNX: QuantizeLinear/DequantizeLinear around float operators, which runtimes fuse into integer kernels."""

from edgekit.exporters.onnx.reader import read
from edgekit.exporters.onnx.writer import write_float_model, write_integer_model

__all__ = ["read", "write_float_model", "write_integer_model"]
