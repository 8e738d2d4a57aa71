"""Core ML packages: interpreted, on any system, and run by Apple's framework, on a Mac."""

from __future__ import annotations

import platform
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from PIL import Image

from edgekit import extras
from edgekit.errors import ArtifactError
from edgekit.exporters.coreml import codec as coreml
from edgekit.extras import Distribution
from edgekit.runtimes.mil import Interpreter
from edgekit.runtimes.runner import in_batches
from edgekit.runtimes.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from edgekit.exporters.coreml.codec import Program
    from edgekit.exporters.summary import Summary
    from edgekit.preprocessing import Normalization

_FLOAT: Final = ("Conv2d", "Linear")  # means are of whole steps, which float32 adds up exactly
_ALONE: Final = "boxes suppressed by edgekit"  # the network is run, and not Core ML's model behind it
_IMAGE: Final = "image"  # how a summary calls the type of an input that is a picture


class CoreMlInterpreter:
    """Opens a package from disk and computes what its program says, image by image.

    It is no copy of Core ML: the program's own float32 arithmetic, and for float16 programs a rounding of every value
    to float16, which Apple's processors need not follow to the last bit.
    """

    def __init__(self, path: Path) -> None:
        """Load a package.

        Raises:
            ArtifactError: it is missing or damaged, or its program has an operator that edgekit does not run.
            MissingDependency: coremltools is not installed.
        """
        model = coreml.read_model(path)
        program = model.program
        self._boundary, self._interpreter = _Boundary.of(path, program), Interpreter(program)
        behind = f", {_ALONE}" if model.suppressions else ""
        self.name = f"Core ML program, interpreted, {_precision(program)}{behind}"
        self.differs_because, self.simulated = _rounding(program), _FLOAT

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for a batch [N, C, H, W]."""

        def answers(part: NDArray[Any]) -> dict[str, NDArray[Any]]:
            return self._boundary.decoded(self._interpreter.run(self._inputs(part), self._boundary.outputs))

        return in_batches(batch, self._boundary.batch, answers)

    def trace(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every value that follows from a batch [N, C, H, W], by its name in the file and as it is there."""
        values = self._interpreter.values
        return in_batches(batch, self._boundary.batch, lambda part: self._interpreter.run(self._inputs(part), values))

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that interprets the program for ``batch``, which is as large as the package's."""
        return partial(self._interpreter.run, self._inputs(batch), self._boundary.outputs)

    def _inputs(self, part: NDArray[Any]) -> dict[str, NDArray[Any]]:
        pixels = self._boundary.pixels(part)
        return {self._boundary.input: part if pixels is None else pixels.astype(np.float32)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


class CoreMlRunner:
    """Runs a package in Apple's framework, on the CPU, which computes programs in their own precision.

    Of a pipeline that suppresses boxes it runs the network: what Core ML's own model leaves of its boxes is not shown.
    """

    def __init__(self, path: Path) -> None:
        """Load a package.

        Raises:
            ArtifactError: it is missing or damaged, or the framework refuses it.
            MissingDependency: coremltools is not installed.
        """
        model = coreml.read_model(path)
        program = model.program
        self._boundary = _Boundary.of(path, program)
        tools = extras.load("coremltools", "coreml")
        behind = f", {_ALONE}" if model.suppressions else ""
        self.name = f"Core ML of macOS {platform.mac_ver()[0]}, CPU, {_precision(program)}{behind}"
        self.differs_because, self.simulated = _rounding(program), _FLOAT
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)  # that is how it says that it cannot run a model
                alone = {} if not model.suppressions else {"weights_dir": str(coreml.weights_folder(path))}
                source = model.message if model.suppressions else str(path)
                self._model = tools.models.MLModel(source, compute_units=tools.ComputeUnit.CPU_ONLY, **alone)
        except Exception as error:  # it raises nothing but Exception itself
            raise ArtifactError(f"{self.name} refuses {path}: {str(error).strip()}") from error

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for a batch [N, C, H, W]."""

        def answers(part: NDArray[Any]) -> dict[str, NDArray[Any]]:
            return self._boundary.decoded(self._model.predict(self._inputs(part)))

        return in_batches(batch, self._boundary.batch, answers)

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the model on ``batch``, which is as large as the package's."""
        return partial(self._model.predict, self._inputs(batch))

    def _inputs(self, part: NDArray[Any]) -> dict[str, Any]:
        batch = self._boundary.pixels(part)
        if batch is None:
            return {self._boundary.input: part}
        (pixels,) = batch  # a picture is one image
        if self._boundary.order == "BGR":
            pixels = pixels[::-1]  # Pillow's pictures are RGB; Core ML turns them into what the file says
        planes = pixels[0] if self._boundary.order == "GREY" else pixels.transpose(1, 2, 0)
        return {self._boundary.input: Image.fromarray(np.ascontiguousarray(planes))}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._model


@dataclass(frozen=True, slots=True)
class _Boundary:
    """What a package takes and gives, where runners take and give arrays.

    Attributes:
        path: of the package.
        input: the name of its input.
        normalization: what the pixels of an image became before they came here; None where the input is an array, or
            where the package does not say how it wants to be fed: then the batch is what the program takes.
        order: of an image's channels, "GREY", "RGB" or "BGR".
        outputs: names of what it gives but texts: arrays, or a dictionary of scores.
        batch: images that it takes at once.
        classes: the dictionary's keys, in order; none where there is no dictionary.
    """

    path: Path
    input: str
    normalization: Normalization | None
    order: str
    outputs: tuple[str, ...]
    batch: int
    classes: tuple[str, ...]

    @staticmethod
    def of(path: Path, program: Program) -> _Boundary:
        summary = coreml.read(path)
        inputs = [taken.name for taken in summary.inputs]
        answers = [output.name for output in summary.outputs if output.dtype != "string"]
        if inputs != list(program.inputs) or len(inputs) != 1 or not set(answers) & set(program.outputs):
            raise ArtifactError(f"{path} has not one input and an answer: edgekit does not know how to run it")
        about = summary.metadata
        is_image = summary.inputs[0].dtype == _IMAGE
        return _Boundary(
            path=path,
            input=inputs[0],
            normalization=about.normalization if about and is_image else None,
            order=about.preprocessing.order if about else "RGB",
            outputs=tuple(name for name in answers if name in program.outputs),
            batch=program.inputs[inputs[0]].shape[0],
            classes=_classes(program, summary),
        )

    def pixels(self, batch: NDArray[Any]) -> NDArray[np.uint8] | None:
        """The pictures behind a batch, [N, C, H, W]; None where the input is no picture.

        A batch is normalized, as every float32 file of edgekit takes it, and Core ML's pictures are 8-bit pixels. The
        way back is exact, because (pixel - mean) / std in float32 is off by far less than half a pixel.
        """
        if self.normalization is None:
            return None
        mean, std = (np.reshape(values, (-1, 1, 1)) for values in (self.normalization.mean, self.normalization.std))
        pixels: NDArray[np.uint8] = np.clip(np.rint(batch * std + mean), 0, 255).astype(np.uint8)
        return pixels

    def decoded(self, answers: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """The outputs as arrays.

        Raises:
            ArtifactError: a dictionary scores other classes than the metadata names.
        """
        return {name: self._array(answers[name]) for name in self.outputs}

    def _array(self, answer: NDArray[Any] | Mapping[str, float]) -> NDArray[Any]:
        """An output as it is, or the scores [1, classes] of a dictionary."""
        if isinstance(answer, np.ndarray):
            return answer[None] if answer.ndim == 2 and answer.dtype == np.int32 else answer  # the mask of an image
        if answer.keys() != set(self.classes):
            raise ArtifactError(f"{self.path} scores other classes than its metadata names: export it again")
        return np.array([[answer[name] for name in self.classes]], np.float32)


def _classes(program: Program, summary: Summary) -> tuple[str, ...]:
    """A classifier's classes, in the order that the package's metadata has them, as applications read them."""
    listed = [o.arguments.get("classes") for o in program.operations if o.operator == "classify"]
    if not listed or not isinstance(listed[0], tuple):
        return ()
    known = summary.metadata.labels if summary.metadata else ()
    return known or tuple(str(name) for name in listed[0])


def _precision(program: Program) -> str:
    return "float16" if any(value.dtype == "float16" for value in program.types().values()) else "float32"


def _rounding(program: Program) -> str | None:
    """Why the integers of a program need not be the reference's."""
    return "its program computes in float16" if _precision(program) == "float16" else None


def _framework(path: Path, *, kernels: str, threads: int) -> CoreMlRunner:
    del kernels, threads  # it has no choice of either
    return CoreMlRunner(path)


def _interpreter(path: Path, *, kernels: str, threads: int) -> CoreMlInterpreter:
    del kernels, threads  # likewise
    return CoreMlInterpreter(path)


_COREMLTOOLS = (Distribution("coremltools", "coremltools", "9.0"),)

DESCRIPTORS = (
    Runtime(
        "coreml",
        format="coreml",
        open=_framework,
        distributions=_COREMLTOOLS,
        install="edgekit[coreml]",
        systems=("darwin",),
        elsewhere="an Apple system to run: time it in Xcode, with Instruments, on a Mac or on the phone it is for",
    ),
    Runtime(
        "coreml-interpreted",
        format="coreml",
        open=_interpreter,
        distributions=_COREMLTOOLS,
        install="edgekit[coreml]",
        is_for_applications=False,
    ),
)
