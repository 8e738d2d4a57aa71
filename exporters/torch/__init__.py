"""TorchScript files: int8 for torch's quantized engines, float32 and float16; they need torch alone.

Organization:
    script.py       a TorchScript module in the making, and the bytes of its file
    texts.py        what is stored beside the program
    integer.py      the int8 operators, and which engine computes them exactly
    convolution.py  the form of int8 convolutions that FBGEMM computes exactly
    floating.py     the float operators
    reading.py      finished files, opened again
    forward.py      what their program computes, walked once for all who read it
    contents.py     everything that a finished file says
    validity.py     whether it is well-formed
"""

from edgekit.exporters.torch.contents import read_contents
from edgekit.exporters.torch.floating import write_float_model
from edgekit.exporters.torch.integer import write_integer_model
from edgekit.exporters.torch.reading import Loaded, load, read
from edgekit.exporters.torch.validity import violations

__all__ = ["Loaded", "load", "read", "read_contents", "violations", "write_float_model", "write_integer_model"]
