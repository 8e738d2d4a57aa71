"""A finished file on images: what it answers, in the words of its task."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edgekit import files
from edgekit.calibration.images import open_images
from edgekit.device.chain import FILE_NAME, AdaptiveRunner
from edgekit.errors import ArtifactError, ConfigError, MissingDependency
from edgekit.exporters.formats import FORMATS, format_of
from edgekit.exporters.metadata import IoDtype
from edgekit.facts import assumed, of_provenance
from edgekit.image_files import SUFFIXES
from edgekit.pipeline.making.given import as_read
from edgekit.progress import Progress, silent
from edgekit.quantization import QuantParams
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.runner import encode
from edgekit.suppression import ended, given_shapes
from edgekit.tasks.classification.answers import Candidate, class_names, ranked
from edgekit.tasks.drawing import can_be_drawn, drawn
from edgekit.tasks.exits import Exited
from edgekit.tasks.registry import heads_of, task_of
from edgekit.verification.compare import by_default
from edgekit.words import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.exporters.metadata import Metadata
    from edgekit.exporters.summary import Endpoint, Summary
    from edgekit.runtimes.runner import Runner
    from edgekit.tasks.task import Task
    from edgekit.tasks.values import Answer

_BATCH = 8


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Predicted:
    """What a file says of one image.

    Attributes:
        answer: in the words of its task.
        outputs: what it gives, real numbers, float32, without the batch, by name.
        name: of the image; empty where it has none.
    """

    answer: Answer
    outputs: Mapping[str, NDArray[np.float32]] = field(repr=False, metadata={"json": False})
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Prediction:
    """What a file says of some images.

    Attributes:
        network: its name.
        runner: runtime, version and kernels.
        images: what it says of each.
        skipped: images that could not be used, and why.
        assumed: what nothing shows to be true of the network, with its value.
        drawings: the pictures that were written, one an image, where they were wanted.
        differs: why the runner need not give the integers of the file, as a sentence; "" where that is not so.
    """

    network: str
    runner: str
    images: tuple[Predicted, ...]
    skipped: Mapping[str, str]
    assumed: tuple[str, ...]
    drawings: tuple[Path, ...] = ()
    differs: str = ""


def predict(  # noqa: PLR0913 - what is asked, and how it is shown
    path: Path,
    images: Sequence[Path],
    *,
    most: int = 5,
    draw: Path | None = None,
    threads: int = 1,
    progress: Progress = silent,
) -> Prediction:
    """What the file ``path`` says of images.

    Args:
        path: of the file, or of the folder of a chain.
        images: files, folders, patterns or arrays, as ``open_images`` takes them.
        most: how many things of each, such as classes.
        draw: a folder, for a .png of each image with what is said of it; None draws none.
        threads: to compute with.
        progress: told of every batch.

    Raises:
        BadInput: the file or the images cannot be used, or a picture cannot be written.
        ConfigError: pictures are wanted of what cannot be drawn, such as a class.
        MissingDependency: its runtime is not installed.
    """
    suffixes = {form.suffix for form in FORMATS.values()}
    if (other := next((one for one in images if one.suffix in suffixes), None)) is not None:
        raise ArtifactError(f"{path} and {other} are two files, and one answers at a time: name one, and then images")
    with open_answering(path, threads=threads) as opened:
        about = opened.metadata
        known = of_provenance(about.provenance)
        sources = [open_images(source, as_read(about.preprocessing, known)) for source in images]
        total, found, drawings, taken = sum(map(len, sources)), list[Predicted](), list[Path](), set[Path]()
        for source in sources:
            for batch in source.batches(_BATCH):
                of_batch = opened.of_pixels(batch.pixels, batch.names, most=most)
                drawings += [] if draw is None else [_drawn(one, source, draw, taken) for one in of_batch]
                found += of_batch
                progress("predicting", len(found), max(total, len(found)))
        doubtful = assumed(known)
        return Prediction(
            about.network,
            opened.runner,
            tuple(found),
            {name: why for source in sources for name, why in source.skipped.items()},
            tuple(f"{fact.name} {plain(fact.value)}" for fact in doubtful),
            tuple(drawings),
            opened.differs,
        )


class Opened:
    """A finished file in the runtime that an application would take. Used in a ``with`` block.

    Attributes:
        path: of the file.
        summary: what it holds.
        metadata: what it says about itself: preprocessing, labels, provenance.
        task: what its outputs mean.
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
        known = of_provenance(self.metadata.provenance)
        self.task: Task[Any] = task_of(
            given_shapes(self.summary.shapes, self.metadata.provenance),
            self.metadata.labels,
            known,
            heads_of(self.metadata.provenance),
        )[0]
        self._runner = _opened(path, threads)

    @property
    def runner(self) -> str:
        """Runtime, version and kernels."""
        return self._runner.name

    @property
    def differs(self) -> str:
        """Why the runner need not give the integers of the file, as a sentence; "" where that is not so."""
        because = self._runner.differs_because
        return f"{by_default(self.runner)}: {because}" if because and self.summary.int8_share else ""

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for what the file takes, [N, C, H, W], both of the types at its boundary."""
        given = self._runner.run(batch)
        return {name: given[name] for name in self.summary.names}

    def input_of(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """What ``run`` takes for images [N, H, W, C], as ``metadata.preprocessing`` makes them."""
        return encode(pixels, self.metadata, _params(self.summary.inputs[0]))

    def of_pixels(
        self, pixels: NDArray[np.uint8], names: Sequence[str] = (), *, most: int = 5
    ) -> tuple[Predicted, ...]:
        """What it says of images that are read already.

        Args:
            pixels: [N, H, W, C], as ``metadata.preprocessing`` makes them.
            names: of the images.
            most: how many things of each, such as classes.
        """
        return self.of_input(self.input_of(pixels), names, most=most)

    def of_input(self, batch: NDArray[Any], names: Sequence[str] = (), *, most: int = 5) -> tuple[Predicted, ...]:
        """The same of what the file takes, [N, C, H, W]."""
        found = self.run(batch)
        reals = {answer.name: self._reals(found[answer.name], answer) for answer in self.summary.answers}
        outputs = ended(reals, self.metadata.provenance)  # where the runtime runs the network alone
        return tuple(
            Predicted(answer, {output: values[index] for output, values in outputs.items()}, name)
            for index, (answer, name) in enumerate(
                zip(self.task.decode(outputs, most), names or [""] * len(batch), strict=True)
            )
        )

    def _reals(self, found: NDArray[Any], answer: Endpoint) -> NDArray[np.float32]:
        """What an output stands for."""
        params = _params(answer)
        stored = found.astype(np.int16) - 128 if self.metadata.io_dtype is IoDtype.UINT8 else found
        return (found if params is None else params.dequantize(stored)).astype(np.float32)

    def __enter__(self) -> Self:
        self._runner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.__exit__(kind, error, trace)


class OpenedChain:
    """The stages of a network with exits, in the runtime of the first format that they are written in.

    Used in a ``with`` block.

    Attributes:
        adaptive: runs them, an image at a time.
        metadata: what the first stage says about itself: preprocessing, labels, provenance.
        differs: as ``Opened.differs``.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        """Open the stages in ``folder``.

        Raises:
            ArtifactError: the chain or a file is damaged.
            MissingDependency: its runtime is not installed.
        """
        self.adaptive = AdaptiveRunner(folder, threads=threads)
        first = folder / self.adaptive.chain.stages[0].files[self.adaptive.engine]
        summary = format_of(first).read(first)
        if summary.metadata is None:
            raise ArtifactError(f"{first} was not written by edgekit: write the stages again, edgekit stages")
        self.metadata: Metadata = replace(summary.metadata, network=self.adaptive.chain.network)
        self._taken = _params(summary.inputs[0])
        with _opened(first, threads) as runner:
            because = runner.differs_because
        self.differs = f"{by_default(self.runner)}: {because}" if because else ""

    @property
    def runner(self) -> str:
        """Runtime, version and kernels."""
        return self.adaptive.name

    def of_pixels(
        self, pixels: NDArray[np.uint8], names: Sequence[str] = (), *, most: int = 5
    ) -> tuple[Predicted, ...]:
        """See ``Opened``."""
        batch = encode(pixels, self.metadata, self._taken)
        if self.adaptive.shape is not None and self.adaptive.shape[1] != batch.shape[1]:  # [N, H, W, C]
            batch = np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
        return tuple(
            self._predicted(batch[place : place + 1], name, most)
            for place, name in enumerate(names or [""] * len(batch))
        )

    def _predicted(self, image: NDArray[Any], name: str, most: int) -> Predicted:
        left = self.adaptive.run(image)
        labels = class_names(len(left.probabilities), self.metadata.labels)
        order = ranked(left.logits[None], most)[0]
        best = tuple(Candidate(int(i), labels[i], float(left.probabilities[i])) for i in order)
        exit_name = self.adaptive.chain.stages[left.exit].exit
        outputs = {exit_name: left.probabilities.astype(np.float32)}
        return Predicted(Exited(best, exit_name), outputs, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


def open_answering(path: Path, *, threads: int = 1) -> Opened | OpenedChain:
    """A file, or the stages in a folder, ready to answer.

    Raises:
        ArtifactError: it is missing or damaged, or another tool wrote it.
        MissingDependency: its runtime is not installed.
    """
    return (OpenedChain if (path / FILE_NAME).is_file() else Opened)(path, threads=threads)


def _drawn(said: Predicted, source: ImageSource, folder: Path, taken: set[Path]) -> Path:
    """Write the picture of an image; two images of one name get two pictures.

    Raises:
        ConfigError: there is nothing to draw of such an answer.
    """
    if not can_be_drawn(said.answer):
        raise ConfigError("--draw shows boxes and masks, and this file answers neither: leave it out")
    within = [part for part in Path(said.name).parts if part != ".." and not Path(part).is_absolute()]
    named = folder.joinpath(*within)
    stem = named.stem if named.suffix.lower() in SUFFIXES else named.name
    names = (f"{stem}{'' if number == 1 else f'.{number}'}.png" for number in count(1))
    path = next(path for name in names if (path := named.with_name(name)) not in taken)
    taken.add(path)
    image, geometry = source.original(said.name)
    content = io.BytesIO()
    drawn(image, said.answer, geometry.seen).save(content, "PNG")
    files.write_bytes(path, content.getvalue())
    return path


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
