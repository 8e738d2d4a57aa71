"""What the heads of a network look like, as values: what each takes, gives and consists of. No torch in here.

An output is [N, ...]: ``boxes`` [N, A, 4] are raw codings (x, y, width, height) relative to A prior boxes and
``scores`` [N, A, 1 + classes] raw logits, the background first; ``mask`` [N, classes, h, w] are logits at the head's
own stride; ``logits`` and ``values`` are [N, things].
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, get_args

from edgekit.errors import ArtifactError, ConfigError, did_you_mean
from edgekit.models.head_tasks import EXITS
from edgekit.models.priors import Level, Priors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.models.architecture import HeadActivation, Size

VectorTask = Literal["classification", "tagging", "regression"]


@dataclass(frozen=True, slots=True)
class HeadSpec(ABC):
    """A head on a backbone.

    Attributes:
        kind: which of these it is.
        name: of its module, and of its outputs where there are several heads.
        task: what it is for, as ``--task`` takes it.
        things: how many classes or numbers it tells; of a detector without the background.
        takes: modules of the backbone whose feature maps it takes, in this order.
        outputs: names of what it gives, in this order.

    Raises:
        ConfigError: it has no things, or is for another task than heads of its kind are.
    """

    kind: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]

    name: str
    task: str
    things: int
    takes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.things < 1:
            raise ConfigError(f"head {self.name!r} tells {self.things} things apart, and must at least one")
        if self.task not in self.tasks:
            raise ConfigError(f"head {self.name!r} cannot be for {self.task!r}: {did_you_mean(self.task, self.tasks)}")

    @property
    @abstractmethod
    def outputs(self) -> tuple[str, ...]:
        """See the class."""

    def at(self, size: Size) -> Self:  # noqa: ARG002 - a detector's priors depend on it
        """The same head for images of a size, height and width in pixels."""
        return self

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"kind": self.kind, **{name: _plain(value) for name, value in values.items()}}


@dataclass(frozen=True, slots=True)
class VectorSpec(HeadSpec):
    """Linear layers on the mean over all places.

    Attributes:
        hidden: channels of each linear layer before the last.
        activation: behind each of these.
    """

    kind: ClassVar[str] = "vector"
    tasks: ClassVar[tuple[str, ...]] = get_args(VectorTask)

    hidden: tuple[int, ...] = ()
    activation: HeadActivation = "relu"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Numbers of a regression, else logits."""
        return ("values",) if self.task == "regression" else ("logits",)


@dataclass(frozen=True, slots=True)
class ExitSpec(VectorSpec):
    """One of several classifiers of the same classes, from where images may leave the network (arXiv:1709.01686).

    The last one stands at the network's end, and takes what no other does.

    Attributes:
        convolved: channels of a depthwise separable convolution of stride 2 before the mean; 0 leaves it out.
        temperature: what logits are divided by, so that the soft-max says how often the exit is right on the images
            that reach it (arXiv:1706.04599).
        confidence: of the most probable class, from which on an image leaves; None where nobody has chosen it yet, and
            of the last exit.
    """

    kind: ClassVar[str] = "exit"
    tasks: ClassVar[tuple[str, ...]] = (EXITS,)

    convolved: int = 0
    temperature: float = 1.0
    confidence: float | None = None

    def __post_init__(self) -> None:
        HeadSpec.__post_init__(self)
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ConfigError(f"the temperature of exit {self.name!r} is {self.temperature:g}, and must be above 0")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ConfigError(f"the confidence of exit {self.name!r} is {self.confidence:g}: 0 to 1 is wanted")


@dataclass(frozen=True, slots=True)
class SsdSpec(HeadSpec):
    """Boxes and scores from feature maps of falling size: arXiv:1512.02325; separable ones arXiv:1801.04381, 6.2.

    Attributes:
        strides: pixels of the image from one place to the next of each map that it takes.
        extras: channels of each further map, half as many places as the one before it.
        priors: what boxes are relative to, a level for each map.
        separable: predictors and further maps are of depthwise separable convolutions.
        bn_eps: added to each batch normalization's variance.
    """

    kind: ClassVar[str] = "ssd"
    tasks: ClassVar[tuple[str, ...]] = ("detection",)

    strides: tuple[int, ...]
    extras: tuple[int, ...]
    priors: Priors
    separable: bool
    bn_eps: float

    def __post_init__(self) -> None:
        HeadSpec.__post_init__(self)
        maps = len(self.takes) + len(self.extras)
        if len(self.strides) != len(self.takes) or len(self.priors.levels) != maps:
            raise ConfigError(
                f"head {self.name!r} has {len(self.takes)} maps of the backbone and {len(self.extras)} of its own, and"
                f" priors for {len(self.priors.levels)}: each map needs its own"
            )

    @property
    def outputs(self) -> tuple[str, ...]:
        """Codings and logits."""
        return "boxes", "scores"

    def at(self, size: Size) -> SsdSpec:
        """The same with priors of the same shapes for images of a size, height and width in pixels."""
        sizes = grids(size, self.strides, len(self.extras))
        levels = [Level(*grid, level.shapes) for grid, level in zip(sizes, self.priors.levels, strict=True)]
        return replace(self, priors=Priors(tuple(levels)))


@dataclass(frozen=True, slots=True)
class LrasppSpec(HeadSpec):
    """Lite R-ASPP: arXiv:1905.02244, figure 10, as torchvision has it.

    It takes a fine map and the last one.

    Attributes:
        channels: between the last map and the classes.
        stretches: the coarse map is resized to the size of the fine one. Else it is enlarged by the ratio of their
            strides, and what is beyond the fine map's end is cut off, which is the same where sizes divide: its
            interpolation weighs with multiples of a power of two, so that integers are the same everywhere.
        bn_eps: added to the batch normalization's variance.
    """

    kind: ClassVar[str] = "lraspp"
    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)

    channels: int
    stretches: bool
    bn_eps: float

    @property
    def outputs(self) -> tuple[str, ...]:
        """Logits at the fine map's stride."""
        return ("mask",)


@dataclass(frozen=True, slots=True)
class DeepLabSpec(HeadSpec):
    """DeepLabV3: arXiv:1706.05587, figure 5. It takes the last map.

    Attributes:
        channels: of each branch of the atrous spatial pyramid pooling, and behind it.
        rates: dilation of each branch of 3 x 3 convolutions. Beside these are a 1 x 1 convolution and the mean over all
            places.
        separable: those branches are depthwise separable (arXiv:1802.02611, section 3.2).
        refines: a 3 x 3 convolution comes before the classifier, as torchvision has it and the paper has not.
        bn_eps: added to each batch normalization's variance.
    """

    kind: ClassVar[str] = "deeplab"
    tasks: ClassVar[tuple[str, ...]] = ("segmentation",)

    channels: int
    rates: tuple[int, ...]
    separable: bool
    refines: bool
    bn_eps: float

    @property
    def outputs(self) -> tuple[str, ...]:
        """Logits at the last map's stride."""
        return ("mask",)


_KINDS: Final[dict[str, type[HeadSpec]]] = {
    spec.kind: spec for spec in (VectorSpec, ExitSpec, SsdSpec, LrasppSpec, DeepLabSpec)
}


def spec_from(values: Mapping[str, Any]) -> HeadSpec:
    """The inverse of ``HeadSpec.to_dict``.

    Raises:
        ArtifactError: a value is missing, unknown or invalid.
    """
    try:
        spec = _KINDS[values["kind"]]
        read: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name != "kind"
        }
        if "priors" in read:
            read["priors"] = Priors.from_dict(values["priors"])
        return spec(**read)
    except (KeyError, TypeError, ConfigError) as error:
        raise ArtifactError(
            f"not a saved head ({type(error).__name__}: {error}): save the network again with this version"
        ) from error


def _plain(value: object) -> object:
    if isinstance(value, Priors):
        return value.to_dict()
    return list(value) if isinstance(value, tuple) else value


def grids(size: Size, strides: tuple[int, ...], extras: int) -> list[Size]:
    """Rows and columns of a detector's maps.

    Args:
        size: height and width of the image, in pixels.
        strides: of the maps that the backbone gives.
        extras: how many further ones there are, each half as large as the one before it.
    """
    found = [(math.ceil(size[0] / stride), math.ceil(size[1] / stride)) for stride in strides]
    for _ in range(extras):
        rows, columns = found[-1]
        found.append((math.ceil(rows / 2), math.ceil(columns / 2)))
    return found
