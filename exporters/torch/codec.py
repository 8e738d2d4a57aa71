"""What writes and reads these files, in one place: ``edgekit.exporters.format.Codec``."""

from edgekit.exporters.torch.contents import read_contents
from edgekit.exporters.torch.exposing import activation_names
from edgekit.exporters.torch.floating import write_float_model
from edgekit.exporters.torch.integer import write_integer_model
from edgekit.exporters.torch.reading import Loaded, load, read
from edgekit.exporters.torch.validity import violations

__all__ = [
    "Loaded",
    "activation_names",
    "load",
    "read",
    "read_contents",
    "violations",
    "write_float_model",
    "write_integer_model",
]
