"""What a Runner is, and how pixels reach a file and its answer comes back as integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edgekit.exporters.metadata import IoDtype

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from numpy.typing import NDArray

    from edgekit.exporters.metadata import Metadata
    from edgekit.quantization import QuantParams


class Runner(Protocol):
    """A file in a runtime. Used in a ``with`` block, because a runtime may hold threads or global settings."""

    @property
    def name(self) -> str:
        """Runtime, version and kernels: what a claim about integers holds for ("LiteRT 2.3.0, XNNPACK")."""
        ...

    @property
    def differs_because(self) -> str | None:
        """Why no identity is claimed for these kernels, to stand behind their name; None where it is claimed."""
        ...

    @property
    def simulated(self) -> tuple[str, ...]:
        """Names of operators that it computes in float32 on what integers stand for, rounding every partial sum.

        Of means and of windows with like weights identity is claimed there as far as ``edgekit.float_sums`` proves it.
        """
        ...

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for a batch [N, C, H, W] of any size, both of the types at the file's boundary.

        Feature maps are [N, C, H, W], whatever the file's layout.
        """
        ...

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the runtime on ``batch`` and does nothing else: what latency is measured of."""
        ...

    def __enter__(self) -> Runner: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def in_batches(
    batch: NDArray[Any], size: int, run: Callable[[NDArray[Any]], Mapping[str, NDArray[Any]]]
) -> dict[str, NDArray[Any]]:
    """What a file gives that takes ``size`` images at once, for any number of them: copies of the last fill them up."""
    answers = []
    for start in range(0, len(batch), size):
        part = batch[start : start + size]
        missing = size - len(part)
        answer = run(np.concatenate([part, np.repeat(part[-1:], missing, 0)]) if missing else part)
        answers.append({name: array[: len(part)] for name, array in answer.items()})
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def encode(pixels: NDArray[np.uint8], metadata: Metadata, input_params: QuantParams | None) -> NDArray[Any]:
    """What a file takes for an image: [N, C, H, W] of the type at its boundary.

    Args:
        pixels: [N, H, W, C].
        metadata: what the file says about itself.
        input_params: of its input tensor, int8; needed by an integer boundary whose input is not the pixel itself.
    """
    if metadata.io_dtype is IoDtype.FLOAT32:
        return metadata.normalization(pixels)
    if metadata.pixel_input:
        stored = (pixels.astype(np.int16) - 128).astype(np.int8)
    else:
        assert input_params is not None, "an integer boundary has parameters"
        stored = input_params.quantize(metadata.normalization(pixels)).transpose(0, 2, 3, 1)
    stored = np.ascontiguousarray(stored.transpose(0, 3, 1, 2))
    return stored if metadata.io_dtype is IoDtype.INT8 else _to_uint8(stored)


def noise(metadata: Metadata) -> NDArray[Any]:
    """One image of reproducible noise at the file's boundary: [1, C, H, W]. No kernel's time depends on the values."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (1, *metadata.preprocessing.shape), np.uint8)
    if metadata.io_dtype is IoDtype.FLOAT32 or metadata.pixel_input:
        return encode(pixels, metadata, None)
    dtype = np.dtype(metadata.io_dtype)
    return pixels.transpose(0, 3, 1, 2).astype(dtype)


def decode(output: NDArray[Any], io_dtype: IoDtype, params: QuantParams) -> NDArray[np.int8]:
    """The int8 values behind an output, exactly: a float32 output is scale times a small integer."""
    match io_dtype:
        case IoDtype.INT8:
            return output.astype(np.int8, copy=False)
        case IoDtype.UINT8:
            return (output.astype(np.int16) - 128).astype(np.int8)
        case IoDtype.FLOAT32:
            return params.quantize(output)


def _to_uint8(stored: NDArray[np.int8]) -> NDArray[np.uint8]:
    return (stored.astype(np.int16) + 128).astype(np.uint8)
