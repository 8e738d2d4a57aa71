"""Core ML: packages with ML programs, written and read back on any system, without a Mac.

Writing, from the top:
    integer_writer  the integer model as a program, and why it looks as it does
    float_writer    the float network as a program
    operators       one function an operator
    document        endpoints and descriptions
    builder         operations, constants and types as protobuf messages
    reals           scales, weights and biases in the program's type
    names           what tensors are called
    blobs           the weights file
    package         the folder
    schema          the protobuf classes
Reading:
    reader          a package as a program that can be walked
    inspection      a package, counted
    contents        everything that a package says
    validity        whether a package is well-formed
"""

from edgekit.exporters.coreml.contents import read_contents
from edgekit.exporters.coreml.float_writer import write_float_model
from edgekit.exporters.coreml.inspection import read
from edgekit.exporters.coreml.integer_writer import write_integer_model
from edgekit.exporters.coreml.names import names_in_file
from edgekit.exporters.coreml.package import SUFFIX
from edgekit.exporters.coreml.reader import Operation, Program, Reference, ValueType, read_program
from edgekit.exporters.coreml.validity import violations

__all__ = [
    "SUFFIX",
    "Operation",
    "Program",
    "Reference",
    "ValueType",
    "names_in_file",
    "read",
    "read_contents",
    "read_program",
    "violations",
    "write_float_model",
    "write_integer_model",
]
