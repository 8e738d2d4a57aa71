"""What networks cost before anything is exported or run: by layer, by block, in memory, and as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.errors import ConfigError
from edgekit.exporters.metadata import Precision
from edgekit.models.architecture import Architecture
from edgekit.models.ensemble_architecture import EnsembleArchitecture
from edgekit.models.published import published_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.models.anatomy import Anatomy, Layer, Saving
    from edgekit.models.published import Published
    from edgekit.models.task_architecture import TaskArchitecture

EVERY: Final = "all"  # stands for all families
_CLASSES: Final = 1000  # of networks that are no checkpoint: ImageNet's
# Bytes of a .tflite file by precision: of a weight, of a channel's bias with what quantizes it, of a layer's operator
# and tensors, and of the file itself with its metadata. Scales are float32 and zero points int64 in TensorFlow Lite's
# schema, schema.fbs; docs/analyze.md has what files of three networks really take, which is within 2 %.
_BYTES: Final = {
    Precision.FLOAT32: (4, 4),
    Precision.FLOAT16: (2, 2),
    Precision.DYNAMIC: (1, 16),
    Precision.WEIGHT_ONLY: (1, 16),
    Precision.INT8: (1, 28),
}
_NO_CHECKPOINTS: Final = {".onnx", ".tflite", ".mlpackage", ".edgekit"}
_LAYER_BYTES: Final = 500
_FILE_BYTES: Final = 8_000


@dataclass(frozen=True, slots=True)
class Block:
    """Layers of a network that belong together.

    Attributes:
        name: "features.3".
        makes: the shape of what the last of them makes, [C, H, W] or [C].
        layers: how many there are.
        parameters: in all of them.
        macs: multiplications, each with its addition, for one image.
    """

    name: str
    makes: tuple[int, ...]
    layers: int
    parameters: int
    macs: int


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a network costs.

    Attributes:
        network: its name.
        family: of it.
        width: multiplier of its channels; None where its channels follow none.
        resolution: rows and columns of its image, in pixels.
        parameters: numbers that training changes.
        macs: multiplications, each with its addition, for one image.
        peak_int8_bytes: the most that activations hold at one time with one byte a number; four times that in float32.
        peak_at: the layer that runs then.
        size_bytes: of a .tflite file, as foretold, by precision.
        layers: convolutions and linear layers, in the order in which they run.
        blocks: these, by what they belong to.
        savings: depthwise separable convolutions beside ordinary ones.
        published: figures of this network on ImageNet, with their source; None where edgekit knows of none.
    """

    network: str
    family: str
    width: float | None
    resolution: tuple[int, int]
    parameters: int
    macs: int
    peak_int8_bytes: int
    peak_at: str
    size_bytes: dict[str, int]
    layers: tuple[Layer, ...]
    blocks: tuple[Block, ...]
    savings: tuple[Saving, ...]
    published: Published | None = None

    @property
    def ordinary_macs(self) -> int:
        """The multiplications with an ordinary convolution in place of each depthwise separable one."""
        return self.macs + sum(one.ordinary - one.separable for one in self.savings)


@dataclass(frozen=True, slots=True)
class AnalyzeResult:
    """What was analysed, in the order in which it was named."""

    networks: tuple[Analysis, ...]


def analyze(
    checkpoints: Sequence[Path],
    *,
    archs: Sequence[str] = (),
    widths: Sequence[float] = (),
    resolutions: Sequence[int] = (),
) -> AnalyzeResult:
    """Analyse checkpoints, or networks of families at every width and resolution.

    Args:
        checkpoints: trained networks, at the resolutions where some are given.
        archs: families, or "all"; all of them where nothing is named.
        widths: multipliers of channels of families; 1 where none is given.
        resolutions: sides of the image in pixels; as usual for the network where none is given.

    Raises:
        ConfigError: a family is unknown, has no network of a width, or widths are given for checkpoints.
        CheckpointError: a checkpoint cannot be read, or is of no MobileNet.
    """
    from edgekit.models.families import FAMILIES, family_of  # noqa: PLC0415 - needs torch

    if checkpoints and (archs or widths):
        raise ConfigError("a checkpoint has its family and its width: leave --arch and --width out, or the checkpoint")
    if checkpoints:
        found = [one for path in checkpoints for one in _at(_of_checkpoint(path), resolutions)]
        return AnalyzeResult(tuple(_analysed(one) for one in found))
    named = [*FAMILIES] if not archs or EVERY in archs else [family_of(name).name for name in archs]
    made = [FAMILIES[name].make(width, _CLASSES) for name in named for width in widths or [1.0]]
    return AnalyzeResult(tuple(_analysed(one) for whole in made for one in _at(whole, resolutions)))


def _of_checkpoint(path: Path) -> Architecture | TaskArchitecture:
    from edgekit.models import checkpoint  # noqa: PLC0415 - needs torch

    if path.suffix in _NO_CHECKPOINTS:
        raise ConfigError(
            f"{path} is no checkpoint of a MobileNet, which is what analyze counts: edgekit inspect {path} shows it"
        )
    structure = checkpoint.load(path).structure
    if isinstance(structure, EnsembleArchitecture):
        raise ConfigError(f"{path} is an ensemble: analyse its networks one by one")
    return structure


def _at(
    structure: Architecture | TaskArchitecture, resolutions: Sequence[int]
) -> list[Architecture | TaskArchitecture]:
    """A network at each of some resolutions; as it is where there are none."""
    return [structure.with_options(resolution=size) for size in resolutions] or [structure]


def _analysed(structure: Architecture | TaskArchitecture) -> Analysis:
    from edgekit.models.anatomy import anatomy, savings  # noqa: PLC0415 - needs torch

    body = structure if isinstance(structure, Architecture) else structure.backbone
    found = anatomy(structure)
    return Analysis(
        structure.name,
        body.family,
        body.width,
        structure.size,
        found.parameters,
        found.macs,
        found.peak,
        found.peak_at,
        {str(precision): _size(found, *each) for precision, each in _BYTES.items()},
        found.layers,
        _blocks(found.layers),
        savings(found.layers),
        published_of(body.family, body.width, structure.size[0]),
    )


def _size(found: Anatomy, weight: int, channel: int) -> int:
    return weight * found.weights + channel * found.channels + _LAYER_BYTES * len(found.layers) + _FILE_BYTES


def _blocks(layers: Sequence[Layer]) -> tuple[Block, ...]:
    of: dict[str, list[Layer]] = {}
    for layer in layers:
        of.setdefault(layer.block, []).append(layer)
    return tuple(
        Block(name, own[-1].makes, len(own), sum(one.parameters for one in own), sum(one.macs for one in own))
        for name, own in of.items()
    )
