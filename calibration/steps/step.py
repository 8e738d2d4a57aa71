"""What a step of the recipe is, and the network that goes through them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from edgekit.calibration.assignment import quantize
from edgekit.calibration.observing import observe
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.calibration.observing import Observed
    from edgekit.calibration.options import Options
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

T = TypeVar("T")
SAMPLE = 32  # images for equalization and bias correction, which hold all of them at once
RANGES = "ranges"  # the name of the step that finds what quantizing needs


class Step(ABC, Generic[T]):
    """One step: it finds something, of the type ``T``, which is applied now and whenever it is read back.

    What is found is applied to the float network (``prepare``), to the integers that follow from it (``finish``), or to
    neither. All of it is a mapping, empty where a step does nothing.
    """

    name: ClassVar[str]  # of what it finds, in the file of ranges
    is_required: ClassVar[bool] = True  # False of a step that files of ranges may be older than

    @abstractmethod
    def find(self, work: Work) -> T:
        """What the images show of a network on which the steps before this one were applied."""

    def keep(self, found: T) -> T:
        """What is saved of it: as many digits as matter."""
        return found

    def prepare(self, model: FloatModel, found: T) -> FloatModel:  # noqa: ARG002 - for steps that do
        """The float network with what was found."""
        return model

    def finish(self, integers: IntegerModel, found: T) -> IntegerModel:  # noqa: ARG002 - likewise
        """The integers with what was found."""
        return integers

    def tell(self, model: FloatModel, found: T) -> tuple[str, ...]:  # noqa: ARG002 - likewise
        """What was done to ``model``, which no step was applied to, and why: in words, a line a thing."""
        return ()

    @abstractmethod
    def encode(self, found: T) -> Any:  # noqa: ANN401 - JSON
        """JSON values."""

    @abstractmethod
    def decode(self, values: Any) -> T:  # noqa: ANN401 - JSON
        """The inverse of ``encode``; raises KeyError, TypeError or ValueError where that makes no sense."""


class Work:
    """A network on its way to integers, with what was found so far.

    Attributes:
        model: in ``passes.integer_form``, with what was found.
        options: how it becomes integers.
        found: by the name of the step.
        progress: told of every stage.
    """

    def __init__(
        self, model: FloatModel, options: Options, images: ImageSource | None = None, progress: Progress = silent
    ) -> None:
        self.model, self.options, self.progress = model, options, progress
        self.found: dict[str, Any] = {}
        self._images = images
        self._taken: list[Step[Any]] = []
        self._integers: IntegerModel | None = None

    def take(self, step: Step[T], found: T) -> None:
        """Apply what a step found, now or earlier."""
        before, self.model = self.model, step.prepare(self.model, found)
        if self._integers is not None:
            self._integers = step.finish(self._integers, found) if self.model is before else None
        self.found[step.name] = found
        self._taken.append(step)

    @property
    def integers(self) -> IntegerModel:
        """The integer model that follows from what was found so far."""
        if self._integers is None:
            integers = quantize(self.model, self.found[RANGES], self.options)
            for step in self._taken:
                integers = step.finish(integers, self.found[step.name])
            self._integers = integers
        return self._integers

    # --- what is seen of the images

    @property
    def images(self) -> ImageSource:
        """The images; only there while something is to be found."""
        assert self._images is not None, "what was found is read back without images"
        return self._images

    @cached_property
    def sample(self) -> NDArray[np.uint8]:
        """Some of the images, [N, H, W, C]."""
        return self.images.sample(SAMPLE).pixels

    @cached_property
    def normalized(self) -> NDArray[np.float32]:
        """The same, [N, C, H, W]."""
        return self.model.preprocessing.normalization(self.sample)

    @cached_property
    def observed(self) -> Observed:
        """What the network computes on all of the images, as it was when this was first asked."""
        return observe(self.model, self.images, progress=self.progress)


def nine_digits(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, ...]:
    """As many as float32 holds: the file is a third smaller."""
    return tuple(float(f"{value:.9g}") for value in values)
