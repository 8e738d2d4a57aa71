"""What writes and reads these files, in one place: ``edgekit.exporters.format.Codec``."""

from edgekit.exporters.coreml.contents import read_contents
from edgekit.exporters.coreml.float_writer import write_float_model
from edgekit.exporters.coreml.inspection import read
from edgekit.exporters.coreml.integer_writer import write_integer_model
from edgekit.exporters.coreml.names import activation_names, names_in_file
from edgekit.exporters.coreml.package import weights_folder
from edgekit.exporters.coreml.reader import Operation, Program, Reference, ValueType, read_model, read_program
from edgekit.exporters.coreml.validity import violations

__all__ = [
    "Operation",
    "Program",
    "Reference",
    "ValueType",
    "activation_names",
    "names_in_file",
    "read",
    "read_contents",
    "read_model",
    "read_program",
    "violations",
    "weights_folder",
    "write_float_model",
    "write_integer_model",
]
