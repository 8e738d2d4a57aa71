"""ONNX: QuantizeLinear and DequantizeLinear around float operators, which runtimes fuse into integer kernels.

Organization:
    codec.py      all that writes and reads files, in one place
    writer.py     a file from an integer or a float model
    operators.py  one function an operator
    builder.py    nodes and initializers by name
    versions.py   what a given ONNX Runtime reads
    reader.py     finished files, counted
    contents.py   everything that a finished file says
    validity.py   whether it is well-formed
    exposing.py   files that show every activation
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.exporters.format import Codec, Format
from edgekit.extras import Distribution, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.exporters.metadata import Precision


def _codec() -> Codec:
    load("onnx", "onnx")  # where it is missing, that is said with a remedy before the modules of the codec import it
    from edgekit.exporters.onnx import codec  # noqa: PLC0415 - see above

    return codec


def _options(chosen: Mapping[str, Any], precision: Precision, *, int16: bool) -> dict[str, Any]:
    """What the writers want to know besides the model.

    Raises:
        ConfigError: the ONNX Runtime that was named is no version, or too old.
    """
    del precision
    from edgekit.exporters.onnx.versions import for_runtime  # noqa: PLC0415 - it needs onnx

    for_runtime(chosen["onnxruntime"], int16=int16)
    return {"runtime": chosen["onnxruntime"]}


FORMAT = Format(
    name="onnx",
    suffix=".onnx",
    title="ONNX",
    distributions=(
        Distribution("onnx", "onnx", "1.23"),
        Distribution("onnxsim", "onnxsim", "0.8"),
        Distribution("protobuf"),
    ),
    install="edgekit[onnx]",
    codec=_codec,
    by_default=True,
    int16=True,
    suppresses=True,
    oldest_runtime="onnxruntime",
    options=_options,
)
