"""What every engine can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from edgekit.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LOGITS = "logits"  # the output that is meant, where a file has several and calls one so


@dataclass(frozen=True)
class Placement:
    """What a delegate makes of a file.

    Attributes:
        pieces: partitions that it runs.
        outside: names of the operators that are left to the runtime's own kernels.
    """

    pieces: int
    outside: tuple[str, ...]


class Engine(Protocol):
    """A file in a runtime, ready to run."""

    @property
    def name(self) -> str:
        """Runtime, version and kernels: "LiteRT 2.3.0, XNNPACK"."""
        ...

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of its input, in its own layout and with its batch; None where the file does not say it."""
        ...

    @property
    def dtype(self) -> str | None:
        """Of its input, as numpy names it; None where the file does not say it."""
        ...

    @property
    def placement(self) -> Placement | None:
        """Where its operators went; None where the runtime has no delegates."""
        ...

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The logits for a batch of ``shape`` and ``dtype``; the first output where none is called so."""
        ...

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the runtime on ``batch`` and does nothing else: what latency is measured of."""
        ...


class FixedBatch(ArtifactError):
    """A file takes so many images at once, and no others."""

    @classmethod
    def of(cls, path: object, takes: int, wanted: int) -> FixedBatch:
        """The sentence.

        >>> str(FixedBatch.of("net.onnx", 1, 8))
        'net.onnx takes 1 image at once and not 8: its batch is fixed'
        """
        images = "image" if takes == 1 else "images"
        return cls(f"{path} takes {takes} {images} at once and not {wanted}: its batch is fixed")
