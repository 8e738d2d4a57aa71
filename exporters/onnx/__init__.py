"""ONNX: QuantizeLinear and DequantizeLinear around float operators, which runtimes fuse into integer kernels.

Organization:
    writer.py     a file from an integer or a float model
    operators.py  one function an operator
    builder.py    nodes and initializers by name
    versions.py   what a given ONNX Runtime reads
    reader.py     finished files, counted
"""

from edgekit import extras

extras.load("onnx", "onnx")  # where it is missing, that is said with a remedy before the modules below import it

from edgekit.exporters.onnx.reader import read  # noqa: E402 - see above
from edgekit.exporters.onnx.writer import write_float_model, write_integer_model  # noqa: E402 - see above

__all__ = ["read", "write_float_model", "write_integer_model"]
