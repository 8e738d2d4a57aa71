"""``edgekit.load``: a finished file, ready to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.api.results import paths_of
from edgekit.api.shown import Page, Shown
from edgekit.api.words import speaking_python
from edgekit.calibration.images import ImageSource, open_images
from edgekit.calibration.in_memory import take
from edgekit.errors import ArtifactError
from edgekit.pipeline.making.given import as_files_take_it, check_size
from edgekit.pipeline.proving.predicting import Opened
from edgekit.reports import origin
from edgekit.tasks.classification.answers import Classes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from edgekit.exporters.metadata import Metadata
    from edgekit.pipeline.proving.predicting import Predicted
    from edgekit.tasks.classification.answers import Candidate
    from edgekit.tasks.values import Answer

_BATCH = 8
_MOST_SHOWN = 8  # lines of an answer: of a feature map there are thousands


@dataclass(frozen=True, slots=True, repr=False, eq=False)  # arrays have no single truth value
class Prediction(Shown):
    """What a file says of one image.

    Attributes:
        answer: in the words of its task; of a classifier it has ``best``, classes with ``index``, ``label`` and
            ``probability`` (0..1).
        outputs: what it gives, real numbers, by name.
        name: of the image; empty where it has none.
    """

    answer: Answer
    outputs: Mapping[str, NDArray[np.float32]]
    name: str = ""

    @property
    def label(self) -> str:
        """What it says, in a few words: of a classifier, the likeliest class."""
        return self.answer.text

    @property
    def top(self) -> tuple[Candidate, ...]:
        """Of a classifier: the likeliest classes, each with ``index``, ``label`` and ``probability``."""
        return self._classes.best

    @property
    def logits(self) -> NDArray[np.float32]:
        """Of a classifier, [classes]."""
        (logits,) = self.outputs.values()
        return logits

    @property
    def _classes(self) -> Classes:
        if not isinstance(self.answer, Classes):
            raise ArtifactError("the file is no classifier: look at answer and outputs")
        return self.answer

    def __repr__(self) -> str:
        lines = self.answer.lines
        more = [f"… ({len(lines)} in all)"] if len(lines) > _MOST_SHOWN else []
        return f"{self.name}: {', '.join([*lines[:_MOST_SHOWN], *more])}".removeprefix(": ")

    def page(self) -> Page:
        """What is shown."""
        lines = self.answer.lines
        more = (f"… ({len(lines)} in all)",) if len(lines) > _MOST_SHOWN else ()
        return Page(self.name or "prediction", (), (*lines[:_MOST_SHOWN], *more))


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
            images: a path, one of Pillow's images, a uint8 array [H, W, 3] (or [3, H, W]), which are read as the file's
                metadata says; or floating-point numbers, [3, H, W], which are the network's input already. Or several:
                a folder, a pattern, an array with one axis more, or anything that can be iterated over.
            top: how many classes of each, or other things that it may say.
            layout: of arrays, as in ``edgekit.export``.

        Returns:
            A ``Prediction`` of one image; a list of them of several.
        """
        with speaking_python():
            if self._is_input(images):
                return self._of_input(images, top, layout)
            source = self._source(images, layout)
            found = [
                _shown(predicted)
                for batch in source.batches(_BATCH)
                for predicted in self._opened.of_pixels(batch.pixels, batch.names, most=top)
            ]
        return found[0] if _is_one(images, len(found)) else found

    def run(self, batch: NDArray[Any]) -> NDArray[Any] | dict[str, NDArray[Any]]:
        """What the file gives for its own input [N, C, H, W], both of the types at its boundary.

        An array, such as logits [N, classes], of a network with one output; arrays by name where there are several.
        """
        outputs = self._opened.run(batch)
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def page(self) -> Page:
        """What is shown."""
        about = self.metadata
        feeds = origin.image(about.preprocessing)
        takes = origin.input_value(about.normalization, about.io_dtype)
        classes = f"{len(about.labels)} labelled classes" if about.labels else "logits"
        return Page(
            f"{self._opened.path.name}: {about.network}, {about.precision}",
            (),
            (f"takes {feeds}; {about.io_dtype}, {takes}", f"gives {classes}", f"runs in {self.runner}"),
        )

    def _source(self, images: Any, layout: str | None) -> ImageSource:  # noqa: ANN401 - what a user gives
        if isinstance(images, str) or hasattr(images, "__fspath__"):
            return open_images(images, self.metadata.preprocessing)
        several = [images] if _is_picture(images) else images
        return as_files_take_it(take(several, layout=layout))(self.metadata.preprocessing)

    def _is_input(self, images: Any) -> bool:  # noqa: ANN401 - what a user gives
        """Whether it is a floating-point array, and the file takes such."""
        kind = str(getattr(images, "dtype", "")).removeprefix("torch.")
        return "float" in kind and str(self.metadata.io_dtype) == "float32"

    def _of_input(self, images: Any, top: int, layout: str | None) -> Any:  # noqa: ANN401 - one prediction or several
        taken = take(images, layout=layout)
        assert taken.inputs is not None, "they are floating-point numbers"
        check_size(taken.inputs, self.metadata.preprocessing)
        batches = range(0, len(taken), _BATCH)
        answers = [one for at in batches for one in self._opened.of_input(taken.inputs[at : at + _BATCH], most=top)]
        found = [_shown(predicted) for predicted in answers]
        return found[0] if images.ndim < 4 and len(found) == 1 else found


def _shown(predicted: Predicted) -> Prediction:
    return Prediction(predicted.answer, predicted.outputs, predicted.name)


def _is_picture(value: Any) -> bool:  # noqa: ANN401 - what a user gives
    """Whether it is one of Pillow's images."""
    return hasattr(value, "getbands")


def _is_one(images: Any, found: int) -> bool:  # noqa: ANN401 - what a user gives
    """Whether it is one image, and no batch of one."""
    if isinstance(images, str) or hasattr(images, "__fspath__"):
        from pathlib import Path  # noqa: PLC0415 - needed here alone

        return found == 1 and Path(images).is_file() and Path(images).suffix.lower() not in {".npy", ".npz", ".csv"}
    return found == 1 and (_is_picture(images) or getattr(images, "ndim", 0) in {2, 3})
