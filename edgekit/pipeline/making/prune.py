"""A trained network -> the same without some of its channels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, cast

import numpy as np

from edgekit import extras
from edgekit.errors import ConfigError, did_you_mean
from edgekit.models.ensemble_architecture import EnsembleArchitecture
from edgekit.pipeline.making.expectations import settle
from edgekit.pipeline.making.given import from_files, with_kept_images
from edgekit.pipeline.making.trained import FROM_FILE, options_of
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgekit.calibration.images import ImageSource
    from edgekit.compression.pruning.budget import Costs, Width, Worth
    from edgekit.compression.pruning.groups import Group
    from edgekit.config import RankName, Settings
    from edgekit.facts import Fact
    from edgekit.ir import Graph
    from edgekit.models.architecture import Architecture, Options
    from edgekit.models.checkpoint import Checkpoint
    from edgekit.models.complexity import Complexity
    from edgekit.models.task_architecture import TaskArchitecture
    from edgekit.preprocessing import Preprocessing

    Counts = NDArray[np.float64]

Measure = Literal["macs", "size", "channels"]
_MEASURES: Final = ("macs", "size", "channels")
_SUFFIX: Final = ".safetensors"
_IMAGES: Final = 256  # that channels are ranked by, if it is not said how many
_BATCH: Final = 32  # images at once
# Of each step of batch normalization's statistics: fewer make a variance that is no good.
_SETTLED_BY: Final = 64


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be left of a network.

    Attributes:
        measure: of what.
        share: from 0 to 1.
    """

    measure: Measure
    share: float

    @staticmethod
    def read(text: str | None) -> Target:
        """As it is typed: "macs=0.5".

        Raises:
            ConfigError: it is nothing of that kind.
        """
        if text is None:
            raise ConfigError("it is not said how small the network is to become: --to macs=0.5, for example")
        measure, _, share = text.partition("=")
        if measure not in _MEASURES:
            raise ConfigError(f"--to is {text!r}: {did_you_mean(measure, _MEASURES)}")
        try:
            value = float(share)
        except ValueError:
            value = math.nan
        if not 0 < value < 1:
            raise ConfigError(f"--to is {text!r}: a share between 0 and 1 is wanted, such as {measure}=0.5")
        return Target(cast("Measure", measure), value)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of which channels went.

    Attributes:
        name: of the layer that makes them.
        before: how many it had.
        after: how many it has.
    """

    name: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """A smaller network that was written.

    Attributes:
        checkpoint: the file.
        network: what it was made of ("mobilenet_v2_1.0_224").
        before: what that costs.
        after: what it costs itself.
        layers: those with fewer channels than before.
        rank: by what channels were chosen.
        images: how many showed what they are worth, and the new statistics of batch normalization; 0 without any.
        facts: what is taken to be true of the network that it was made of.
        notes: what was chosen and left aside, for people.
    """

    checkpoint: Path
    network: str
    before: Complexity
    after: Complexity
    layers: tuple[Layer, ...]
    rank: RankName
    images: int
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)  # modules have no equality
class _Opened:
    """A network that is to be pruned.

    Attributes:
        loaded: its checkpoint.
        structure: of it.
        preprocessing: how images reach it.
        images: some, as they are read from files; None where there are none.
        facts: what is taken to be true of it.
    """

    loaded: Checkpoint
    structure: Architecture | TaskArchitecture
    preprocessing: Preprocessing
    images: ImageSource | None
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, eq=False)  # likewise
class _Anatomy:
    """A network's graph, and what can go of it."""

    graph: Graph
    groups: tuple[Group, ...]
    widths: tuple[Width, ...]


def prune(settings: Settings, *, progress: Progress = silent) -> Pruned:
    """Cut the network of [model] as [prune] says, and write it.

    Args:
        settings: [model], [preprocessing] and [calibration] are as in an export.
        progress: told of each stage.

    Raises:
        BadInput: the network, the images or a setting cannot be used, or the file cannot be written.
        MissingDependency: torch is not installed.
    """
    extras.load("torch", "torch")
    from edgekit.compression.pruning.budget import kept  # noqa: PLC0415 - needs torch
    from edgekit.compression.pruning.cutting import cut  # noqa: PLC0415 - likewise
    from edgekit.compression.pruning.settling import settle as settled_by  # noqa: PLC0415 - likewise
    from edgekit.models import checkpoint  # noqa: PLC0415 - likewise
    from edgekit.models.complexity import complexity  # noqa: PLC0415 - likewise

    wanted, target = settings.prune, Target.read(settings.prune.to)
    if wanted.out.suffix.lower() != _SUFFIX:
        raise ConfigError(
            f"the network is to be written as {wanted.out}: a checkpoint of edgekit's ends with {_SUFFIX}"
        )
    opened = _open(with_kept_images(settings), progress)
    module, structure = opened.loaded.module, opened.structure
    progress("following channels", 0, 1)
    anatomy = _anatomy(module, structure)
    batches = _batches(opened, progress)
    rank = wanted.rank or ("output" if batches else "l1")
    worth = _worth(rank, module, anatomy, batches)
    counts = _counts(anatomy, worth, target, settings)
    found = cut(module, structure, anatomy.groups, kept(worth, counts))
    recorded = opened.loaded.recorded
    of_whole = () if recorded is None else recorded.notes
    notes = [note for note in opened.loaded.notes if note not in of_whole]
    if batches:
        import torch  # noqa: PLC0415 - likewise

        settled_by(found.module, torch.split(torch.cat(batches), _SETTLED_BY))
        notes.append("batch normalization's statistics were measured anew on these images; nothing was trained")
    else:
        notes.append(
            "without images batch normalization keeps the statistics of the whole network, and nothing was trained: "
            "accuracy is lost. --calib DIR measures them anew"
        )
    unmeasured = None if recorded is None else replace(recorded, measured={})
    checkpoint.save(wanted.out, found.module, found.structure, unmeasured)
    layers = (
        Layer(group.name, group.channels, int(count)) for group, count in zip(anatomy.groups, counts, strict=True)
    )
    return Pruned(
        checkpoint=wanted.out,
        network=structure.name,
        before=complexity(structure),
        after=complexity(found.structure),
        layers=tuple(layer for layer in layers if layer.after < layer.before),
        rank=rank,
        images=sum(map(len, batches)),
        facts=opened.facts,
        notes=tuple(notes),
    )


def _open(settings: Settings, progress: Progress) -> _Opened:
    """The network, with what it expects of its images settled by those that there are.

    Raises:
        ConfigError: it is no network of edgekit's families, or several.
    """
    from edgekit.models import checkpoint  # noqa: PLC0415 - see ``prune``

    calibration = settings.calibration
    settings = replace(settings, calibration=replace(calibration, images=calibration.images or _IMAGES))
    trained, given = FROM_FILE.load(settings.model), from_files(settings)
    path = trained.path
    if "architecture" not in trained.provenance:
        raise ConfigError(f"{path} is no checkpoint of a MobileNet: what is pruned has to be one of edgekit's families")
    settled = settle(trained, settings, None, given, progress)
    options = {**options_of(settings.model), **settled.options}
    loaded = checkpoint.load(path, family=settings.model.family, **cast("Options", options))
    if isinstance(loaded.structure, EnsembleArchitecture):
        raise ConfigError(f"{path} is an ensemble: prune its networks one by one, and combine them afterwards")
    images = None if given.images is None else given.images(settled.preprocessing)
    return _Opened(loaded, loaded.structure, settled.preprocessing, images, settled.facts)


def _anatomy(module: nn.Module, structure: Architecture | TaskArchitecture) -> _Anatomy:
    from edgekit.capture.torch_export import capture  # noqa: PLC0415 - torch.export takes 3 s to import
    from edgekit.compression.pruning.budget import widths_of  # noqa: PLC0415 - see ``prune``
    from edgekit.compression.pruning.groups import groups_of  # noqa: PLC0415 - likewise

    graph = capture(module, structure.name, (structure.in_channels, *structure.size))
    groups = groups_of(graph)
    return _Anatomy(graph, groups, widths_of(structure, groups))


def _batches(opened: _Opened, progress: Progress) -> list[Tensor]:
    """Normalized images [N, C, H, W]; none where there are none."""
    import torch  # noqa: PLC0415 - see ``prune``

    found: list[Tensor] = []
    if opened.images is None:
        return found
    total = len(opened.images)
    for batch in opened.images.batches(_BATCH):
        found.append(torch.from_numpy(opened.preprocessing.normalization(batch.pixels)))
        progress("reading images", min(len(found) * _BATCH, total), total)
    return found


def _worth(rank: RankName, module: nn.Module, anatomy: _Anatomy, batches: list[Tensor]) -> Worth:
    from edgekit.compression.pruning import ranking  # noqa: PLC0415 - see ``prune``

    groups = anatomy.groups
    match rank:
        case "l1":
            return ranking.by_weights(module, groups)
        case "bn":
            found = ranking.by_scales(module, groups)
            if found is None:
                raise ConfigError("the network has no batch normalization that could rank channels: --rank output")
            return found
        case "output":
            if not batches:
                raise ConfigError("--rank output looks at what images move: give some, --calib DIR, or --rank l1")
            return ranking.by_outputs(module, groups, batches)
        case "taylor":
            raise ConfigError("--rank taylor needs labelled images")


def _counts(anatomy: _Anatomy, worth: Worth, target: Target, settings: Settings) -> Counts:
    """How many channels of each group stay.

    Raises:
        ConfigError: the target cannot be reached.
    """
    from edgekit.compression.pruning.budget import alike, cheapest, costs_of, first  # noqa: PLC0415 - see ``prune``

    wanted = settings.prune
    costs: Costs = costs_of(anatomy.graph, anatomy.groups, target.measure)
    before = np.array([float(group.channels) for group in anatomy.groups])
    ladder = (
        alike(anatomy.widths, before, wanted.multiple)
        if wanted.uniform
        else cheapest(anatomy.widths, worth, costs, wanted.multiple)
    )
    most = target.share * costs.of(before)
    found = first(ladder, lambda counts: costs.of(counts) <= most)
    if found is None:
        least = costs.of(ladder[-1]) / costs.of(before)
        raise ConfigError(
            f"--to {target.measure}={target.share:g} cannot be reached: {least:.3f} is left where every layer has as "
            f"few channels as it can have. Choose more, or a --multiple below {wanted.multiple}"
        )
    return found
