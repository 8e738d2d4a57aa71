"""TFLite: the flatbuffer written directly, in NHWC, without a single TRANSPOSE.

Organization:
    writer.py     a file from an integer or a float model
    operators.py  one function an operator
    builder.py    tensors, buffers and operators by index
    metadata.py   what Android, MediaPipe and Netron read, and the labels
    schema.py     the generated classes, and what they lack
    versions.py   which operators a named runtime has
    reader.py     finished files, counted
    contents.py   everything that a finished file says
    validity.py   whether it is well-formed
"""

from edgekit.exporters.tflite.contents import read_contents
from edgekit.exporters.tflite.reader import read
from edgekit.exporters.tflite.validity import violations
from edgekit.exporters.tflite.writer import write_float_model, write_integer_model

__all__ = ["read", "read_contents", "violations", "write_float_model", "write_integer_model"]
