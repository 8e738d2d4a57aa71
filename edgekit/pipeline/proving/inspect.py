"""What is in a file: one that was exported, an integer model, or a trained network."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit import facts
from edgekit.config import ModelSettings, Settings
from edgekit.errors import ArtifactError, CheckpointError, EdgekitError
from edgekit.exporters.formats import FORMATS, format_of
from edgekit.exporters.metadata import Precision
from edgekit.integer_model import SUFFIX, IntegerModel
from edgekit.models.folders import RUN
from edgekit.pipeline.making.artifacts import expand
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from edgekit.exporters.summary import Summary
    from edgekit.facts import Fact
    from edgekit.pipeline.making.source import Source
    from edgekit.pipeline.making.trained import Network

# Of trained networks. A .pt file may be one, or an exported one; an .onnx file is both.
CHECKPOINTS = (".pth", ".bin", ".ckpt", ".tar", ".safetensors", ".h5", ".hdf5", ".keras")


@dataclass(frozen=True, slots=True)
class Inspected:
    """What is in a file.

    Attributes:
        found: an exported file, counted; a saved integer model; or a trained network.
        facts: what is taken to be true of the network and its weights do not tell: as the file carries it, or, of a
            trained network, as it would be taken without images. Empty where nothing is known.
        notes: what was looked through, rewritten and left aside in the file of a trained network, or how an exported
            file computes with int8 weights, for people.
        irregular: what is not as edgekit writes it, in an exported file that says edgekit wrote it.
    """

    found: Summary | IntegerModel | Source
    facts: tuple[Fact, ...]
    notes: tuple[str, ...] = ()
    irregular: tuple[str, ...] = ()


def files_of(path: Path) -> list[Path]:
    """The exported files and the integer model in the folder of an export; all else is one file itself.

    Raises:
        ArtifactError: a folder holds none, or the integer models of two networks.
    """
    is_file = not path.is_dir() or (path / RUN).exists() or any(path.suffix == one.suffix for one in FORMATS.values())
    if is_file:
        return [path]
    files, saved = expand([path])
    return [*files, *([] if saved is None else [saved])]


def inspect(path: Path) -> Inspected:
    """What is in the file ``path``.

    Raises:
        ArtifactError: it is missing, damaged or of no known format.
        CheckpointError: it is a checkpoint, and of no MobileNet that edgekit knows.
        MissingDependency: its format needs an extra that is not installed.
    """
    if path.suffix == SUFFIX:
        model = IntegerModel.load(path)
        return Inspected(model, _carried(model.provenance))
    if path.suffix.lower() in CHECKPOINTS or any((path / name).exists() for name in ("config.json", RUN)):
        return _network(path)
    try:
        summary = format_of(path).read(path)
    except ArtifactError:
        if path.suffix == ".pt" and path.is_file() and _is_checkpoint(path):
            return _network(path)
        raise
    if summary.metadata is not None:
        carried, form = _carried(summary.metadata.provenance), format_of(path)
        notes = tuple(_int8_weights(path, summary.metadata.precision))
        return Inspected(summary, carried, notes, form.irregularities(path))
    if path.suffix == ".onnx":  # of another tool, and perhaps a network that edgekit could export
        with suppress(EdgekitError):
            return replace(_network(path), found=summary)
    return Inspected(summary, ())


def _int8_weights(path: Path, precision: Precision) -> Iterator[str]:
    """How the layers of a file compute that has int8 weights and activations in float."""
    if precision is Precision.WEIGHT_ONLY:
        yield "weights are int8, and layers compute in float32"
    elif precision is Precision.DYNAMIC:
        layers = count(len(format_of(path).contents(path).quantizing), "layer")
        yield f"{layers} with int8 weights quantize what they read; the others compute in float32, with int8 weights"


def _carried(provenance: Mapping[str, Any]) -> tuple[Fact, ...]:
    with suppress(KeyError, ValueError, TypeError):  # verify says that they are damaged
        return facts.of_provenance(provenance)
    return ()


def inspect_network(settings: Settings, network: Network) -> Inspected:
    """What is in a network that comes from no file.

    Raises:
        CheckpointError: it cannot be made.
    """
    from edgekit.pipeline.making.given import Given  # noqa: PLC0415 - needs torch, which finished files do not
    from edgekit.pipeline.making.source import open_source  # noqa: PLC0415 - likewise

    source = open_source(settings, given=Given(network))
    return Inspected(source, source.facts, source.notes)


def _network(path: Path) -> Inspected:
    from edgekit.pipeline.making.source import open_source  # noqa: PLC0415 - needs torch, which finished files do not

    source = open_source(Settings(model=ModelSettings(checkpoint=path)))
    return Inspected(source, source.facts, source.notes)


def _is_checkpoint(path: Path) -> bool:
    from edgekit.models.readers.kinds import format_of as kind_of  # noqa: PLC0415 - likewise

    with suppress(CheckpointError):
        return kind_of(path) is not None
    return False
