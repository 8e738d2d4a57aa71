"""A finished file on images: what it answers, in the words of its labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edgekit.errors import ArtifactError, MissingDependency
from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import IoDtype
from edgekit.quantization import QuantParams
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.runner import encode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from edgekit.exporters.metadata import Metadata
    from edgekit.exporters.summary import Endpoint, Summary
    from edgekit.runtimes.runner import Runner


@dataclass(frozen=True, slots=True)
class Ranked:
    """A class and how likely it is.

    Attributes:
        index: of the class.
        label: its name; the index as text where the file names no classes.
        probability: by soft-max over all classes, 0..1.
    """

    index: int
    label: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Answer:
    """What a file says of one image.

    Attributes:
        top: the likeliest classes, the likeliest first.
        logits: of all classes, float32, [classes].
        name: of the image; empty where it has none.
    """

    top: tuple[Ranked, ...]
    logits: NDArray[np.float32] = field(repr=False)
    name: str = ""


class Opened:
    """A finished file in the runtime that an application would take. Used in a ``with`` block.

    Attributes:
        path: of the file.
        summary: what it holds.
        metadata: what it says about itself: preprocessing, labels, provenance.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        """Open ``path``.

        Raises:
            ArtifactError: it is missing or damaged, or another tool wrote it.
            MissingDependency: its runtime is not installed.
        """
        form = format_of(path)
        if not path.exists():
            raise ArtifactError(f"{path} does not exist")
        self.path = path
        self.summary: Summary = form.read(path)
        if self.summary.metadata is None:
            raise ArtifactError(f"{path} was not written by edgekit: it does not say how images are read")
        self.metadata: Metadata = self.summary.metadata
        self._runner = _opened(path, threads)

    @property
    def runner(self) -> str:
        """Runtime, version and kernels."""
        return self._runner.name

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The logits [N, classes] for what the file takes, [N, C, H, W], both of the types at its boundary."""
        return self._runner.run(batch)

    def answer(self, pixels: NDArray[np.uint8], names: Sequence[str] = (), *, top: int = 5) -> tuple[Answer, ...]:
        """What it says of images that are read already.

        Args:
            pixels: [N, H, W, C], as ``metadata.preprocessing`` makes them.
            names: of the images.
            top: how many classes of each.
        """
        taken = _params(self.summary.inputs[0])
        return self.answer_input(encode(pixels, self.metadata, taken), names, top=top)

    def answer_input(self, batch: NDArray[Any], names: Sequence[str] = (), *, top: int = 5) -> tuple[Answer, ...]:
        """The same of what the file takes, [N, C, H, W]."""
        found, params = self.run(batch), _params(self.summary.answer)
        stored = found.astype(np.int16) - 128 if self.metadata.io_dtype is IoDtype.UINT8 else found
        logits = found.astype(np.float32) if params is None else params.dequantize(stored).astype(np.float32)
        named = names or [""] * len(logits)
        return tuple(
            Answer(ranked(one, self.metadata.labels, top), one, name) for one, name in zip(logits, named, strict=True)
        )

    def __enter__(self) -> Self:
        self._runner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.__exit__(kind, error, trace)


def ranked(logits: NDArray[np.float32], labels: Sequence[str], top: int) -> tuple[Ranked, ...]:
    """The likeliest classes of logits [classes], the likeliest first."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    shares = powers / powers.sum()
    order = np.argsort(-shares, kind="stable")[:top]
    return tuple(Ranked(int(i), labels[i] if labels else str(i), float(shares[i])) for i in order)


def _opened(path: Path, threads: int) -> Runner:
    """The default runner of this machine; an interpreter where no application would run the file."""
    runners = all_runners(path, threads=threads)
    if not runners:
        raise MissingDependency(f"nothing on this machine runs {path}")
    return runners[0]()


def _params(end: Endpoint) -> QuantParams | None:
    """Of an endpoint of integers, as int8; None of one of reals."""
    if end.scale is None or end.zero_point is None or end.dtype not in {"int8", "uint8"}:
        return None
    offset = 128 if end.dtype == "uint8" else 0
    return QuantParams(np.array([end.scale], np.float32), end.zero_point - offset)
