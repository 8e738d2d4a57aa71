"""What every engine can do, and what is known of it before it does anything.

NOTES for developers: engines are asked what they need on machines that do not even have numpy, so none imports it, or a
runtime, before a file is opened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from edgekit.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray


NUMPY_1 = "'numpy<2'"  # as pip takes it


@dataclass(frozen=True)
class Wheels:
    """Wheels of one package that are alike.

    Attributes:
        package: its name.
        processors: as ``Python.processor`` names them.
        oldest: Python that has them.
        newest: likewise.
        glibc: the oldest that they take.
        also: what has to be told to pip besides.
    """

    package: str
    processors: tuple[str, ...]
    oldest: tuple[int, int]
    newest: tuple[int, int]
    glibc: tuple[int, int]
    also: str = ""


@dataclass(frozen=True)
class Kind:
    """What there is to know of an engine before a file is opened: ``KIND`` of its module.

    Attributes:
        name: as plans have it.
        packages: that it can do with, the best first; none where another engine's do, or it says itself what it needs.
        wheels: of these packages.
        on_gpu_for: the engine of the processor whose files it runs on a GPU; "" where it runs on the processor itself.
        kernels: of a GPU, each of which is measured.
        exact: kernels of a GPU that have to give the reference's integers.
        excuses: why some kernels cannot give these integers, by what ``Engine.kernels`` says.
        clamps_without_vnni: on x86 without VNNI, its int8 kernels clamp sums to 16 bits.
    """

    name: str
    packages: tuple[str, ...] = ()
    wheels: tuple[Wheels, ...] = ()
    on_gpu_for: str = ""
    kernels: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    excuses: Mapping[str, str] = field(default_factory=dict)
    clamps_without_vnni: bool = False

    @property
    def modules(self) -> tuple[str, ...]:
        """By which its packages are imported."""
        return tuple(package.replace("-", "_") for package in self.packages)


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

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name, in the file's own order and layout, for a batch of ``shape`` and ``dtype``."""
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
