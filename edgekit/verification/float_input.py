"""Whether a float32 boundary makes the right integers of every pixel, by what a file itself says.

The arithmetic in front of the first integers is computed for all 256 values that a pixel can have, with the file's own
constants, on what the metadata says that a caller gives. What an operator does that is not known here is no guess: the
file is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.boundary import REACH
from edgekit.exporters.contents import CLAMP
from edgekit.exporters.vocabulary import Does
from edgekit.quantization import INT8_MIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from edgekit.exporters.contents import Contents, Value
    from edgekit.exporters.format import Format
    from edgekit.exporters.metadata import Metadata

_ROUNDING: Final = 1e-3  # of a level, from float32: edgekit.boundary
_QUINT8: Final = 13  # c10/core/ScalarType.h


def broken_float_input(contents: Contents, form: Format, about: Metadata) -> Iterator[str]:
    """What is wrong with the arithmetic of an int8 file with a float32 boundary, in words; nothing if all is well.

    Args:
        contents: of the file, whose input is an array.
        form: its format.
        about: what it says about itself.
    """
    pixels = np.arange(256).repeat(len(about.normalization.mean)).reshape(256, 1, 1, -1)
    value: NDArray[np.floating[Any]] = about.normalization(pixels.astype(np.uint8)).astype(np.float64)
    value = value.transpose(0, 2, 3, 1) if form.channels_last else value
    read: str | None = None
    for operator in contents.operators:
        fields = operator.fields
        if read is not None and not any(isinstance(field, str) and field == read for field in fields.values()):
            continue
        if operator.does is Does.QUANTIZE:
            yield from _not_the_pixel(value, fields, pixels if form.channels_last else pixels.transpose(0, 3, 1, 2))
            return
        compute = ARITHMETIC.get(operator.does)
        if compute is None or fields.get(CLAMP) is not None:
            yield f"the input goes through {operator.kind} before it is quantized: what comes of it, nobody knows"
            return
        try:
            value = compute(value, fields)
        except (KeyError, TypeError, ValueError):
            yield f"the input goes through {operator.kind} before it is quantized, whose constants make no sense"
            return
        read = operator.name
    yield "nothing quantizes the input"


def _not_the_pixel(value: NDArray[Any], fields: Mapping[str, Value], pixels: NDArray[Any]) -> Iterator[str]:
    scale, zero_point = np.asarray(fields.get("scale", 1.0)), np.asarray(fields.get("zero point", 0))
    unsigned = zero_point.dtype == np.uint8 or fields.get("dtype") in {"uint8", _QUINT8}
    stored = value / scale.astype(np.float64) + zero_point.astype(np.float64)
    off = np.abs(stored - (pixels if unsigned else pixels + INT8_MIN)).max()
    if not off < REACH + _ROUNDING:
        yield (
            f"a pixel that is normalized as the metadata says comes to the integers {off:.3g} levels from where it "
            f"belongs: the arithmetic before them, or the metadata, is of another file"
        )


def _product(value: NDArray[Any], fields: Mapping[str, Value]) -> NDArray[Any]:
    result: NDArray[Any] = value * _constant(fields)
    return result


def _sum(value: NDArray[Any], fields: Mapping[str, Value]) -> NDArray[Any]:
    return value + _constant(fields) * float(_number(fields.get("alpha", 1)))


def _batch_normalization(value: NDArray[Any], fields: Mapping[str, Value]) -> NDArray[Any]:
    scale, bias, mean, variance = (
        np.asarray(fields[role]).reshape(-1, 1, 1) for role in ("scale", "bias", "mean", "variance")
    )
    gain = scale / np.sqrt(variance + _number(fields["epsilon"]))
    result: NDArray[Any] = (value - mean) * gain + bias
    return result


def _sum_with_product(value: NDArray[Any], fields: Mapping[str, Value]) -> NDArray[Any]:
    first, second = (np.asarray(fields[role]) for role in ("input", "tensor2"))
    result: NDArray[Any] = first + _number(fields["value"]) * value * second
    return result


def _as_it_is(value: NDArray[Any], _: Mapping[str, Value]) -> NDArray[Any]:
    return value


# By what the operator does; the names of what it reads are those of ``Contents``.
ARITHMETIC: Final[Mapping[Does, Callable[[NDArray[Any], Mapping[str, Value]], NDArray[Any]]]] = {
    Does.MULTIPLY: _product,
    Does.ADD: _sum,
    Does.NORMALIZE: _batch_normalization,
    Does.MULTIPLY_AND_ADD: _sum_with_product,
    Does.KEEP: _as_it_is,
}


def _constant(fields: Mapping[str, Value]) -> NDArray[Any]:
    """The one operand that is no other operator's result."""
    operands = [fields[role] for role in ("first", "second", "input", "other", "x", "y") if role in fields]
    (constant,) = (operand for operand in operands if not isinstance(operand, str))
    return np.asarray(constant, np.float64)


def _number(value: Value) -> float:
    if not isinstance(value, int | float):
        raise TypeError("no number")
    return float(value)
