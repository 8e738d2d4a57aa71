"""TorchScript files: int8 for torch's quantized engines, float32 and float16; they need torch alone.

Organization:
    codec.py        all that writes and reads files, in one place
    script.py       a TorchScript module in the making, and the bytes of its file
    texts.py        what is stored beside the program
    integer.py      the int8 operators, and which engine computes them exactly
    convolution.py  the form of int8 convolutions that FBGEMM computes exactly
    floating.py     the float operators
    reading.py      finished files, opened again
    forward.py      what their program computes, walked once for all who read it
    contents.py     everything that a finished file says
    validity.py     whether it is well-formed
    exposing.py     files that show every activation
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.exporters.format import Codec, Format
from edgekit.extras import Distribution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.exporters.metadata import Precision


def _codec() -> Codec:
    from edgekit.exporters.torch import codec  # noqa: PLC0415 - it needs torch

    return codec


def _options(chosen: Mapping[str, Any], precision: Precision, *, int16: bool) -> dict[str, Any]:
    """What the writers want to know besides the model: the quantized engine that a file is laid out for."""
    del int16
    return {"engine": chosen["torch_engine"]} if precision in {"int8", "dynamic"} else {}


FORMAT = Format(
    name="torch",
    suffix=".pt",
    title="torch",
    distributions=(Distribution("torch", "torch", "2.13"),),
    install="edgekit[torch]",
    codec=_codec,
    options=_options,
)
