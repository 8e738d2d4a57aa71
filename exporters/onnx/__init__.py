"""ONNX: QuantizeLinear and DequantizeLinear around float operators, which runtimes fuse into integer kernels.

Organization:
    writer.py     a file from an integer or a float model
    operators.py  one function an operator
    builder.py    nodes and initializers by name
    versions.py   what a given ONNX Runtime reads
    reader.py     finished files, counted
    contents.py   everything that a finished file says
    validity.py   whether it is well-formed
"""

from edgekit import extras

extras.load("onnx", "onnx")  # where it is missing, that is said with a remedy before the modules below import it

from edgekit.exporters.onnx.contents import read_contents  # noqa: E402 - see above
from edgekit.exporters.onnx.reader import read  # noqa: E402 - see above
from edgekit.exporters.onnx.validity import violations  # noqa: E402 - see above
from edgekit.exporters.onnx.writer import write_float_model, write_integer_model  # noqa: E402 - see above

__all__ = ["read", "read_contents", "violations", "write_float_model", "write_integer_model"]
