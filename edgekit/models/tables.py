"""Networks of inverted residuals from a table of stages, as architecture search writes them down, in a TOML file.

::

    resolution = 224
    stem = 32
    head = 1280

    [[stages]]
    channels = 24
    kernel = 3
    stride = 2
    expansion = 3
    squeeze = 0.25
    repeats = 2

NOTES for developers: no torch in here.
"""

from __future__ import annotations

import tomllib
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

from edgekit.errors import ConfigError, did_you_mean
from edgekit.models.architecture import Activation, Architecture, Block, Gate, PaddingStyle, Size, make_divisible

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FAMILY: Final = "mobilenet_v3_nas"  # whose blocks these are, and whose names of weights
Value: TypeAlias = int | float | str | bool


@dataclass(frozen=True, slots=True)
class Stage:
    """Inverted residuals in a row: arXiv:1801.04381, table 2, with what arXiv:1905.02244 adds.

    Attributes:
        channels: that each block gives.
        kernel: side of the depthwise kernel, in pixels.
        stride: of the first block.
        expansion: channels of the depthwise convolution over those that the block gets; 1 has no expansion.
        squeeze: channels inside squeeze-and-excite over those of the depthwise convolution; 0 has none.
        activation: after the expansion and the depthwise convolution.
        repeats: how many blocks there are.

    Raises:
        ConfigError: a number is out of its range.
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    expansion: float = 6
    squeeze: float = 0
    activation: Activation = "hard_swish"
    repeats: int = 1

    def __post_init__(self) -> None:
        ranges = {"channels": (1, None), "kernel": (1, None), "stride": (1, 2), "expansion": (1, None)}
        for name, (least, most) in {**ranges, "squeeze": (0, 1), "repeats": (1, None)}.items():
            value = getattr(self, name)
            if value < least or (most is not None and value > most):
                limits = f"from {least} to {most}" if most is not None else f"at least {least}"
                raise ConfigError(f"{name} of a stage is {value}, and must be {limits}")
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel of a stage is {self.kernel}, and must be odd")
        if self.activation not in (known := get_args(Activation)):
            raise ConfigError(f"unknown activation {self.activation!r}: {did_you_mean(self.activation, known)}")

    def blocks(self, before: int) -> tuple[Block, ...]:
        """Its blocks, of which the first gets ``before`` channels."""
        found = []
        for index in range(self.repeats):
            expanded = before if self.expansion == 1 else make_divisible(before * self.expansion)
            squeeze = make_divisible(expanded * self.squeeze) if self.squeeze else 0
            stride = self.stride if index == 0 else 1
            expands = self.expansion != 1
            found.append(Block(self.kernel, expanded, self.channels, squeeze, self.activation, stride, expands))
            before = self.channels
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Table:
    """A whole network.

    Attributes:
        resolution: side of the image in pixels, or "192x256", height and width.
        stem: channels of the first convolution, 3 x 3.
        stages: what follows.
        stem_stride: of the first convolution.
        head: channels of the last 1x1 convolution.
        hidden: channels of a linear layer before the last; 0 without it.
        activation: after the first convolution and in the head.
        residuals: blocks of stride 1 that keep the channels add their input.
        gate: the function at the end of squeeze-and-excite.
        squeeze_first: squeeze-and-excite comes before the depthwise convolution's activation.
        in_channels: of the image.
        padding: as ``Architecture`` has it.
        bn_eps: added to each batch normalization's variance.
    """

    resolution: int | str
    stem: int
    stages: tuple[Stage, ...]
    stem_stride: int = 2
    head: int = 1280
    hidden: int = 0
    activation: Activation = "hard_swish"
    residuals: bool = True
    gate: Gate = "hard_sigmoid"
    squeeze_first: bool = False
    in_channels: int = 3
    padding: PaddingStyle = "symmetric"
    bn_eps: float = 1e-3

    def architecture(self, num_classes: int = 1000) -> Architecture:
        """The network with so many classes.

        Raises:
            ConfigError: a value is invalid.
        """
        blocks, before = list[Block](), self.stem
        for stage in self.stages:
            blocks += stage.blocks(before)
            before = stage.channels
        return Architecture(
            family=FAMILY,
            width=None,
            num_classes=num_classes,
            resolution=_size(self.resolution),
            in_channels=self.in_channels,
            padding=self.padding,
            bn_eps=self.bn_eps,
            stem_channels=self.stem,
            stem_stride=self.stem_stride,
            activation=self.activation,
            blocks=tuple(blocks),
            head_channels=self.head,
            hidden_channels=(self.hidden,) if self.hidden else (),
            squeeze_first=self.squeeze_first,
            residuals=self.residuals,
            gate=self.gate,
        )


def table_of(values: Mapping[str, Any]) -> Table:
    """What a TOML file says of a network.

    Raises:
        ConfigError: a key is missing or unknown, or a value is none that it can have.
    """
    stages = values.get("stages")
    if not isinstance(stages, list) or not stages or not all(isinstance(stage, dict) for stage in stages):
        raise ConfigError("the network has no stages: write [[stages]] with channels, kernel, stride and expansion")
    found = tuple(Stage(**_checked(Stage, stage, f"stages[{place}]")) for place, stage in enumerate(stages))
    return Table(**{**_checked(Table, values, ""), "stages": found})


def _size(resolution: int | str) -> int | Size:
    if isinstance(resolution, int):
        return resolution
    height, _, width = resolution.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise ConfigError(f"resolution is {resolution!r}, and must be a number of pixels, or HEIGHTxWIDTH")
    return int(height), int(width)


def read(path: Path) -> Mapping[str, Any]:
    """The values of a TOML file.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error


# What a value of each key is, and may be besides.
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(("channels", "kernel", "stride", "repeats", "stem", "stem_stride", "head", "hidden"), (int,)),
    **dict.fromkeys(("expansion", "squeeze", "bn_eps"), (int, float)),
    **dict.fromkeys(("activation", "gate", "padding"), (str,)),
    **dict.fromkeys(("residuals", "squeeze_first"), (bool,)),
    "in_channels": (int,),
    "resolution": (int, str),
    "stages": (list,),
}


def _checked(kind: type[Any], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values of a table, each known, of its type, and none missing."""
    known, prefix = {one.name: one for one in fields(kind)}, f"{where}." if where else ""
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{prefix}{key} is no key of a network: {did_you_mean(key, known)}")
        if isinstance(value, list) and key != "stages":
            raise ConfigError(f"{prefix}{key} is a choice of {value}: edgekit search --space FILE picks one network")
        if not isinstance(value, _KINDS[key]) or (isinstance(value, bool) and bool not in _KINDS[key]):
            wanted = " or ".join(one.__name__ for one in _KINDS[key])
            raise ConfigError(f"{prefix}{key} is {value!r}, and must be {wanted}")
    missing = [name for name, one in known.items() if one.default is MISSING and name not in values]
    if missing:
        raise ConfigError(f"{prefix}{missing[0]} is missing: a network needs it")
    return dict(values)
