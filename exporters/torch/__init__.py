"""TorchScript files: int8 for torch's quantized engines, float32 and float16; they need torch alone.

Organization:
    script.py       a TorchScript module in the making, and the bytes of its file
    contents.py     the texts stored beside the program
    integer.py      the int8 operators, and which engine computes them exactly
    convolution.py  the form of int8 convolutions that FBGEMM computes exactly
    floating.py     the float operators
    reading.py      finished files, opened again
"""

from edgekit.exporters.torch.floating import write_float_model
from edgekit.exporters.torch.integer import write_integer_model
from edgekit.exporters.torch.reading import Loaded, load, read

__all__ = ["Loaded", "load", "read", "write_float_model", "write_integer_model"]
