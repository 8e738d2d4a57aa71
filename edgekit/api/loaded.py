"""``edgekit.load``: a finished file, ready to answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from edgekit.api.results import paths_of
from edgekit.api.shown import Page, Shown, printable
from edgekit.api.words import speaking_python
from edgekit.calibration.images import open_images
from edgekit.calibration.in_memory import take
from edgekit.errors import ArtifactError, DataError
from edgekit.exporters.metadata import IoDtype
from edgekit.facts import of_provenance
from edgekit.models.task_architecture import outputs_by_head
from edgekit.pipeline.making.given import as_files_take_it, as_input, as_read
from edgekit.pipeline.proving.predicting import Opened
from edgekit.reports import origin
from edgekit.tasks.classification.answers import Classes
from edgekit.tasks.detection.answers import Things
from edgekit.tasks.drawing import can_be_drawn, drawn
from edgekit.tasks.exits import Exited
from edgekit.tasks.segmentation.answers import Regions
from edgekit.tasks.several import Together
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from PIL import Image
    from torch import Tensor

    from edgekit.exporters.metadata import Metadata
    from edgekit.geometry import Geometry
    from edgekit.tasks.classification.answers import Candidate
    from edgekit.tasks.detection.answers import Thing
    from edgekit.tasks.values import Answer

    A = TypeVar("A", bound=Answer)

_BATCH = 8
_MOST_LISTED = 20  # images of a list
_MOST_SHOWN = 8  # lines of an answer: of a feature map there are thousands


@dataclass(frozen=True, slots=True, repr=False, eq=False)  # arrays have no single truth value
class Prediction(Shown):
    """What a file says of one image; of a network with several heads, ``prediction["signs"]`` is what one of them says.

    Attributes:
        answer: in the words of its task: ``best`` of a classifier, classes with ``index``, ``label`` and
            ``probability`` (0..1); ``seen`` of a detector, things with ``index``, ``label``, ``score`` (0..1) and
            ``box``; ``covered`` of a segmenter, classes with ``index``, ``label`` and ``share`` (0..1) of the pixels;
            ``answers`` of several heads, by name.
        outputs: what it gives, real numbers, by name.
        name: of the image; empty where it has none.
        picture: reads the image, and what the network sees of it, again; None where there is no image.
    """

    answer: Answer
    outputs: Mapping[str, NDArray[np.float32]]
    name: str = ""
    picture: Callable[[], tuple[Image.Image, Geometry]] | None = field(default=None, repr=False)

    def draw(self) -> Image.Image:
        """The image with the boxes or the mask of the answer, in RGB; small ones are enlarged.

        Raises:
            edgekit.errors.ArtifactError: there is nothing to draw, or the network's own input was given.
            edgekit.errors.DataError: the image cannot be read any more.
        """
        with speaking_python():
            if not can_be_drawn(self.answer):
                raise ArtifactError("the file answers neither boxes nor a mask: print the answer")
            if self.picture is None:
                raise ArtifactError("the network's own input was given, and no image to draw on: give the image")
            image, geometry = self.picture()
            return drawn(image, self.answer, geometry.seen)

    @property
    def label(self) -> str:
        """What it says, in a few words: of a classifier, the likeliest class."""
        return self.answer.text

    @property
    def top(self) -> tuple[Candidate, ...]:
        """Of a classifier: the likeliest classes, each with ``index``, ``label`` and ``probability``."""
        return self._as(Classes, "classifier").best

    @property
    def logits(self) -> NDArray[np.float32]:
        """Of a classifier, [classes]; of one with exits, those of the exit that the image took."""
        if isinstance(self.answer, Exited):
            return self.outputs[self.answer.exit]
        if len(self.outputs) != 1:
            self._as(Classes, "classifier")
        (logits,) = self.outputs.values()
        return logits

    @property
    def boxes(self) -> NDArray[np.float32]:
        """Of a detector: left, top, right and bottom of each box that is shown, [n, 4], the most certain first.

        In shares of what the network sees, which is the whole image unless preprocessing crops it: times (width,
        height, width, height) they are pixels.
        """
        return np.asarray([thing.box for thing in self._seen], np.float32).reshape(-1, 4)

    @property
    def scores(self) -> NDArray[np.float32]:
        """Of a detector: how certain each box is, [n], 0..1."""
        return np.asarray([thing.score for thing in self._seen], np.float32)

    @property
    def classes(self) -> NDArray[np.int64]:
        """Of a detector: the index of each box's class, [n], without the background."""
        return np.asarray([thing.index for thing in self._seen], np.int64)

    @property
    def labels(self) -> tuple[str, ...]:
        """Of a detector: the name of each box's class."""
        return tuple(thing.label for thing in self._seen)

    @property
    def mask(self) -> NDArray[np.uint8]:
        """Of a segmenter: the index of each pixel's class, [H, W], of what the network sees, at its size."""
        return self._as(Regions, "segmenter").mask

    def __getitem__(self, head: str) -> Prediction:
        """What one head says, of a network with several.

        Raises:
            KeyError: it has no such head.
        """
        answers = self._as(Together, "network with several heads").answers
        if head not in answers:
            raise KeyError(f"there is no head {head!r}: {', '.join(answers)}")
        own = {name: self.outputs[called] for name, called in outputs_by_head([*answers], self.outputs)[head].items()}
        return Prediction(answers[head], own, self.name, self.picture)

    @property
    def _seen(self) -> tuple[Thing, ...]:
        return self._as(Things, "detector").seen

    def _as(self, kind: type[A], of: str) -> A:
        """The answer, which is of this kind.

        Raises:
            edgekit.errors.ArtifactError: it is not.
        """
        if isinstance(self.answer, kind):
            return self.answer
        if isinstance(self.answer, Together):
            heads = ", ".join(self.answer.answers)
            raise ArtifactError(
                f"the file has several heads, {heads}: ask for one, prediction[{heads.split(', ')[0]!r}]"
            )
        raise ArtifactError(f"the file is no {of}: look at answer and outputs")

    def __repr__(self) -> str:
        return printable(f"{self.name}: {self.said}".removeprefix(": "))

    @property
    def said(self) -> str:
        """The answer in one line."""
        lines = self.answer.lines
        more = [f"… ({len(lines)} in all)"] if len(lines) > _MOST_SHOWN else []
        return ", ".join([*lines[:_MOST_SHOWN], *more])

    def page(self) -> Page:
        """What is shown."""
        lines = self.answer.lines
        more = (f"… ({len(lines)} in all)",) if len(lines) > _MOST_SHOWN else ()
        return Page(self.name or "prediction", (), (*lines[:_MOST_SHOWN], *more))


class Predictions(list[Prediction], Shown):
    """What a file says of several images."""

    __repr__ = Shown.__repr__

    def page(self) -> Page:
        """What is shown."""
        rows = [(str(place), one.name, one.said) for place, one in enumerate(self[:_MOST_LISTED])]
        more = (f"… ({len(self)} in all)",) if len(self) > _MOST_LISTED else ()
        return Page(f"{count(len(self), 'image')}", ((">", "image", "answer"), *rows), more)


class Loaded(Shown):
    """A finished file in the runtime that an application would take.

    Attributes:
        metadata: what it says about itself: ``preprocessing``, ``labels``, ``precision``, ``provenance``.
        runner: runtime, version and kernels.
    """

    def __init__(self, file: Any, *, threads: int = 1) -> None:  # noqa: ANN401 - what a user names
        with speaking_python():
            paths = paths_of(file)
            if len(paths) != 1:
                raise ArtifactError(f"{len(paths)} files are named: load one of them, edgekit.load(result['tflite'])")
            self._opened = Opened(paths[0], threads=threads)
        self.metadata: Metadata = self._opened.metadata
        self.runner: str = self._opened.runner

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names, in order; empty where the file names none."""
        return self.metadata.labels

    def predict(self, images: Any, *, top: int = 5, layout: str | None = None) -> Any:  # noqa: ANN401 - see there
        """What it says of an image, or of several.

        Args:
            images: a path, an open file, one of Pillow's images, a uint8 array [H, W, 3] (or [3, H, W]), which are read
                as the file's metadata says; or floating-point numbers, [3, H, W]: the network's input, or pixels from
                0 to 1, or to 255, where these are whole. Or several: a folder, a pattern, an array with one axis more,
                or anything that can be iterated over.
            top: how many classes of each, or other things that it may say.
            layout: of arrays, as in ``edgekit.export``.

        Returns:
            A ``Prediction`` of one image; a list of them of several.

        Raises:
            edgekit.errors.DataError: an image cannot be read, or floating-point numbers are none of these.
        """
        with speaking_python():
            found = Predictions(self._predicted(images, top, layout))
        return found[0] if _is_one(images, len(found)) else found

    def run(self, batch: NDArray[Any] | Tensor) -> NDArray[Any] | dict[str, NDArray[Any]]:
        """What the file gives for its own input [N, C, H, W], both of the types at its boundary.

        An array, such as logits [N, classes], of a network with one output; arrays by name where there are several.

        Raises:
            edgekit.errors.DataError: it is of another type or shape, or holds NaN or infinity.
        """
        with speaking_python():
            outputs = self._opened.run(as_taken(batch, self.metadata))
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def page(self) -> Page:
        """What is shown."""
        about = self.metadata
        feeds = origin.image(about.preprocessing)
        takes = origin.input_value(about.normalization, about.io_dtype)
        task, labels = self._opened.task, about.labels
        gives = f"{', '.join(task.outputs)} of {task.name}" + (f", {count(len(labels), 'label')}" if labels else "")
        lines = (f"takes {feeds}; {about.io_dtype}, {takes}", f"gives {gives}", f"runs in {self.runner}")
        doubts = (f"! {self._opened.differs}",) if self._opened.differs else ()
        return Page(f"{self._opened.path.name}: {about.network}, {about.precision}", (), (*lines, *doubts))

    def _predicted(self, images: Any, top: int, layout: str | None) -> Iterator[Prediction]:  # noqa: ANN401 - what a user gives
        taken = None
        preprocessing = as_read(self.metadata.preprocessing, of_provenance(self.metadata.provenance))
        if isinstance(images, str) or hasattr(images, "__fspath__"):
            source = open_images(images, preprocessing)
        else:
            taken = take([images] if _is_picture(images) else images, layout=layout)
            source = as_files_take_it(taken)(preprocessing)
        takes_that = self.metadata.normalization == preprocessing.normalization
        if taken is None or taken.inputs is None or not (self.metadata.io_dtype is IoDtype.FLOAT32 and takes_that):
            for batch in source.batches(_BATCH):
                for said in self._opened.of_pixels(batch.pixels, batch.names, most=top):
                    yield Prediction(said.answer, said.outputs, said.name, partial(source.original, said.name))
            return
        inputs = as_input(taken.inputs, preprocessing)
        for start in range(0, len(inputs), _BATCH):
            for said in self._opened.of_input(inputs[start : start + _BATCH], most=top):
                yield Prediction(said.answer, said.outputs, said.name)


def as_taken(batch: Any, about: Metadata) -> NDArray[Any]:  # noqa: ANN401 - what a user gives
    """An array or tensor as a file's runtime takes it.

    Raises:
        DataError: it is none, or of another type or shape, or holds NaN or infinity.
    """
    if not hasattr(batch, "dtype"):
        raise DataError(
            f"the input is a {type(batch).__name__}: run takes an array or tensor, predict images of any kind"
        )
    array = np.asarray(batch.detach().cpu() if hasattr(batch, "detach") else batch)
    wanted = np.dtype(str(about.io_dtype))
    height, width, channels = about.preprocessing.shape
    takes = f"run takes the file's own input, {wanted} of shape [N, {channels}, {height}, {width}]"
    if array.ndim != 4 or array.shape[1:] != (channels, height, width) or not len(array):
        raise DataError(f"the input is of shape {list(array.shape)}, and {takes}: predict reads images of any kind")
    if array.dtype != wanted and not (array.dtype.kind == "f" and wanted.kind == "f"):
        raise DataError(f"the input is {array.dtype}, and {takes}: predict reads images of any kind")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError("the input holds NaN or infinity: look at what normalizes it")
    return np.ascontiguousarray(array, wanted)


def _is_picture(value: Any) -> bool:  # noqa: ANN401 - what a user gives
    """Whether it is one of Pillow's images, or an open file of one."""
    return hasattr(value, "getbands") or hasattr(value, "read")


def _is_one(images: Any, found: int) -> bool:  # noqa: ANN401 - what a user gives
    """Whether it is one image, and no batch of one."""
    if isinstance(images, str) or hasattr(images, "__fspath__"):
        from pathlib import Path  # noqa: PLC0415 - needed here alone

        return found == 1 and Path(images).is_file() and Path(images).suffix.lower() not in {".npy", ".npz", ".csv"}
    return found == 1 and (_is_picture(images) or getattr(images, "ndim", 0) in {2, 3})
