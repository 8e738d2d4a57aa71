"""Core ML: packages with ML programs, written and read back on any system, without a Mac.

    codec           all that writes and reads packages, in one place
Writing, from the top:
    integer_writer  the integer model as a program, and why it looks as it does
    float_writer    the float network as a program
    operators       one function an operator
    document        endpoints and descriptions
    endings         suppression of boxes behind a program
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

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.exporters.format import Codec, Format
from edgekit.extras import Distribution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.exporters.metadata import Precision

SUFFIX = ".mlpackage"
NORMALIZED = "image_scaled"  # the input of a float network behind the preprocessing that its program brings along


def _codec() -> Codec:
    from edgekit.exporters.coreml import codec  # noqa: PLC0415 - only where packages are written or read

    return codec


def _options(chosen: Mapping[str, Any], precision: Precision, *, int16: bool) -> dict[str, Any]:
    """What the writers want to know besides the model: what the program of an int8 package computes in."""
    del int16
    from edgekit.exporters.metadata import Precision  # noqa: PLC0415 - formats are listed without numpy

    return {"precision": Precision(chosen["coreml_program"])} if precision is Precision.INT8 else {}


FORMAT = Format(
    name="coreml",
    suffix=SUFFIX,
    title="Core ML",
    distributions=(Distribution("coremltools", "coremltools", "9.0"), Distribution("protobuf")),
    install="edgekit[coreml]",
    codec=_codec,
    is_folder=True,
    io_dtypes=("float32",),
    suppresses=True,
    oldest_runtime="coreml",
    lacks={"dynamic": "Core ML quantizes nothing while it runs"},
    options=_options,
    network_input=(NORMALIZED,),
)
