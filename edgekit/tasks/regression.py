"""Regression: outputs are numbers, such as an age, an angle, or the coordinates of points, and so are targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from edgekit.facts import Basis, Fact
from edgekit.tasks.statistics import paired
from edgekit.tasks.tables import numbers
from edgekit.tasks.task import Task
from edgekit.tasks.values import (
    TARGETS,
    Answer,
    Better,
    Differences,
    Disagreement,
    Measured,
    Metric,
    Nearness,
    Plausibility,
    Point,
    Understood,
)
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.calibration.images import ImageSource
    from edgekit.tasks.values import Outputs

MAE: Final = Metric("mae", "mean absolute error", "", Better.LOWER)
RMSE: Final = Metric("rmse", "root of the mean squared error", "", Better.LOWER)
R2: Final = Metric("r2", "R²", "", Better.HIGHER)
RISE: Final = Metric("drop", "rise of the mean absolute error", "", Better.LOWER)
AGREEMENT: Final = Metric("agreement", "variance of float explained", "%", Better.HIGHER)
# Percent of the variance. Below, noise has a quarter of the signal's power or more, 6 dB; on ImageNet networks what
# edgekit's recipes make has 11.7 dB or more of its logits, 93 % (docs/accuracy.md).
LEAST_AGREEMENT: Final = 75.0
TRUSTED: Final = 0.5  # R² of a network that was trained on such targets
SETTING: Final = "targets.csv beside the images, or an array 'targets' in the same .npz"
_ENOUGH = 10  # images from which the normal interval of a mean says something
_SHOWN, _POINTS = 3, 2000  # numbers of an answer in a few words; of a picture
_LISTED = 32  # numbers of an output without names of their own: of more, only what they reach is said
_AXES = ("channel", "row", "column")


@dataclass(frozen=True, slots=True)
class Reach:
    """An output of more numbers than anybody reads, such as a feature map.

    Attributes:
        name: of it.
        shape: for one image.
        least: of its numbers.
        mean: of them.
        most: of them.
        place: of the largest, an index an axis.
    """

    name: str
    shape: tuple[int, ...]
    least: float
    mean: float
    most: float
    place: tuple[int, ...]

    @classmethod
    def of(cls, name: str, values: NDArray[Any]) -> Self:
        """What is said of these values."""
        place = tuple(map(int, np.unravel_index(int(np.argmax(values)), values.shape)))
        return cls(name, values.shape, float(values.min()), float(values.mean()), float(values.max()), place)

    @property
    def line(self) -> str:
        """All of it in a line."""
        names = _AXES if len(self.shape) == len(_AXES) else ("place",) * len(self.shape)
        place = ", ".join(f"{name} {index}" for name, index in zip(names, self.place, strict=True))
        shape = " × ".join(map(str, self.shape))
        return f"{self.name} ({shape}) {self.least:.3g} to {self.most:.3g}, mean {self.mean:.3g}, largest at {place}"


@dataclass(frozen=True, slots=True)
class Numbers(Answer):
    """The numbers of an image.

    Attributes:
        names: of the numbers.
        values: one a name.
        maps: outputs of which not every number is listed.
    """

    names: tuple[str, ...]
    values: tuple[float, ...]
    maps: tuple[Reach, ...] = ()

    @property
    def text(self) -> str:
        """The first of them."""
        if len(self.values) == 1 and not self.maps:
            return f"{self.values[0]:.3g}"
        return ", ".join(self.lines[:_SHOWN]) + (", …" if len(self.lines) > _SHOWN else "")

    @property
    def lines(self) -> tuple[str, ...]:
        """Each number with its name, and each map."""
        numbers = tuple(f"{name} {value:.3g}" for name, value in zip(self.names, self.values, strict=True))
        return (*numbers, *(one.line for one in self.maps))

    def contradicts(self, right: Answer) -> bool:  # noqa: ARG002 - whatever is right
        """Never: a number is more or less near, and people see how much."""
        return False


@dataclass(frozen=True, slots=True)
class Regression(Task["NDArray[np.float64]"]):
    """What numbers an image has. Targets are numbers, too, [N, numbers], in the order of the outputs.

    Attributes:
        shapes: of the outputs for one image, by name.
        labels: names of all numbers; empty where none are known.
    """

    name: ClassVar[str] = "regression"

    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], labels: Sequence[str], details: Mapping[str, Any]) -> Self:  # noqa: ARG003 - it needs none
        """See ``Task``; any outputs are numbers."""
        return cls(tuple(shapes.items()), tuple(labels))

    @property
    def things(self) -> int:
        """All numbers of an image."""
        return sum(prod(shape) for _, shape in self.shapes)

    @property
    def outputs(self) -> tuple[str, ...]:
        """All outputs."""
        return tuple(name for name, _ in self.shapes)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Errors in the unit of the targets, over all numbers of all images."""
        return MAE, RMSE, R2

    @property
    def dropped(self) -> Metric:
        """The rise of the mean absolute error."""
        return RISE

    @property
    def nearness(self) -> Nearness:
        """Of the variance of what float says over the images, the share that is not noise."""
        return Nearness(AGREEMENT, LEAST_AGREEMENT, "it explains {} of the variance of what float says")

    def check(self, images: ImageSource) -> None:
        """Read the targets once, so that what is wrong with them is said first."""
        numbers(images, self.labels, self.things)

    def targets(self, images: ImageSource, outputs: Outputs) -> Understood[NDArray[np.float64]]:  # noqa: ARG002 - numbers are what they are
        """Numbers beside the images (``tables.numbers``)."""
        found = numbers(images, self.labels, self.things)
        if found is None:
            because = "no numbers lie beside the images, so no error is measured"
            return Understood(None, Fact(TARGETS, "unknown", Basis.ASSUMED, because, SETTING))
        return Understood(found, Fact(TARGETS, "numbers", Basis.GIVEN, "the images come with numbers", SETTING))

    def measure(self, outputs: Outputs, targets: NDArray[np.float64]) -> tuple[Measured, ...]:
        """The mean absolute error, the root of the mean squared one, and R² as the mean over the numbers."""
        values = self._values(outputs)
        error = values - targets
        return (
            Measured(MAE, float(np.abs(error).mean())),
            Measured(RMSE, float(np.sqrt(np.square(error).mean()))),
            Measured(R2, _explained(values, targets)),
        )

    def drop(self, found: Outputs, expected: Outputs, targets: NDArray[np.float64]) -> Measured:
        """By how much the mean absolute error is larger, paired by image."""
        errors, before = (np.abs(self._values(outputs) - targets).mean(1) for outputs in (found, expected))
        rise = paired(errors - before)
        return Measured(RISE, rise.value, rise.low, rise.high)

    def agreement(self, found: Outputs, expected: Outputs) -> Measured:
        """R² of one network's numbers against the other's, at least 0."""
        return Measured(AGREEMENT, 100 * max(_explained(self._values(found), self._values(expected)), 0.0))

    def trusts(self, outputs: Outputs, targets: NDArray[np.float64]) -> bool:
        """Whether the network explains half of the targets' variance."""
        return _explained(self._values(outputs), targets) >= TRUSTED

    def plausible(self, outputs: Outputs, targets: NDArray[np.float64]) -> Plausibility:
        """Whether the network errs less than the constant that errs least, the median of the targets."""
        errors, of_median = (
            np.abs(values - targets).mean(1) for values in (self._values(outputs), np.median(targets, 0)[None])
        )
        measured = f"{errors.mean():.3g}, where their median has {of_median.mean():.3g}"
        problem = (
            f"the float network itself is no better than a constant: its mean absolute error is {measured}. Its "
            f"preprocessing or padding is not what it was trained with, these are not its targets, or it has hardly "
            f"been trained: every file of it is as wrong. verify.limits.mae sets what is expected, if that is right"
        )
        is_poor = len(errors) >= _ENOUGH and paired(errors - of_median).low >= 0
        name, limit = "the float network's own error", f"less than {of_median.mean():.3g}"
        return Plausibility(name, measured, limit, problem if is_poor else "")

    def decode(self, outputs: Outputs, most: int = 5) -> tuple[Numbers, ...]:  # noqa: ARG002 - none is likelier than another
        """All numbers of each image; of outputs with many that have no names, what they reach."""
        if len(self.labels) == self.things:
            return self._answers(self._values(outputs))
        listed = [name for name, shape in self.shapes if prod(shape) <= _LISTED]
        maps = [name for name, _ in self.shapes if name not in listed]
        few = replace(self, shapes=tuple(one for one in self.shapes if one[0] in listed))
        images = len(outputs[self.outputs[0]])
        numbers = few._answers(few._values(outputs)) if listed else (Numbers((), ()),) * images  # noqa: SLF001 - its own class
        return tuple(
            replace(one, maps=tuple(Reach.of(name, outputs[name][image]) for name in maps))
            for image, one in enumerate(numbers)
        )

    def stated(self, targets: NDArray[np.float64]) -> tuple[Numbers, ...]:
        """The targets."""
        return self._answers(targets)

    def differences(self, found: Outputs, expected: Outputs, names: Sequence[str]) -> Differences:
        """The images on which the numbers differ most come first."""
        ours, theirs = self._values(found), self._values(expected)
        apart = np.abs(ours - theirs)
        said = zip(self._answers(theirs), self._answers(ours), names, strict=True)
        pairs = [Disagreement(right.text, given.text, (name,)) for right, given, name in said]
        order = np.argsort(-apart.mean(1), kind="stable")
        every, numbers = -(-apart.size // _POINTS), self._names
        points = [
            Point(float(theirs[image, number]), float(ours[image, number]), f"{names[image]} {numbers[number]}")
            for image, number in (divmod(place, apart.shape[1]) for place in range(0, apart.size, every))
        ]
        sentence = (
            f"int8 and float differ by {apart.mean():.3g} on average and by {apart.max():.3g} at most, on "
            f"{count(len(names), 'image')}."
        )
        differing = tuple(pairs[image] for image in order if pairs[image].expected != pairs[image].found)
        return Differences(sentence, differing, (), tuple(points))

    @property
    def _names(self) -> tuple[str, ...]:
        """Of all numbers."""
        if len(self.labels) == self.things:
            return self.labels
        return tuple(
            f"{name} {index}" if prod(shape) > 1 else name
            for name, shape in self.shapes
            for index in range(prod(shape))
        )

    def _values(self, outputs: Outputs) -> NDArray[np.float64]:
        """All numbers, [N, numbers]."""
        flat = [outputs[name].reshape(len(outputs[name]), -1) for name in self.outputs]
        return np.concatenate(flat, 1).astype(np.float64)

    def _answers(self, values: NDArray[np.float64]) -> tuple[Numbers, ...]:
        names = self._names
        return tuple(Numbers(names, tuple(map(float, row))) for row in values)


def _explained(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """R² of each number, 1 - sum (f - e)^2 / sum (e - mean e)^2, and the mean of it over those that vary.

    >>> import numpy as np
    >>> _explained(np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]]))
    -1.0
    """
    noise = np.square(found - expected).sum(0)
    signal = np.square(expected - expected.mean(0)).sum(0)
    varies = signal > 0
    if not varies.any():
        return 1.0 if not noise.any() else 0.0
    return float((1 - noise[varies] / signal[varies]).mean())
