"""One cut of a trained network: from a checkpoint to the network without some of its channels, in memory."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import numpy as np

from edgekit.errors import ConfigError, did_you_mean
from edgekit.models.ensemble_architecture import EnsembleArchitecture
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.pipeline.making.expectations import settle
from edgekit.pipeline.making.given import Given, from_files
from edgekit.pipeline.making.train import shown
from edgekit.pipeline.making.trained import FROM_FILE, options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgekit.compression.pruning.budget import Costs, Loses, Width
    from edgekit.compression.pruning.groups import Group
    from edgekit.compression.pruning.latency import Latency
    from edgekit.compression.pruning.mending import Moments
    from edgekit.config import RankName, Settings
    from edgekit.facts import Fact
    from edgekit.ir import Graph
    from edgekit.models.architecture import Architecture, Options
    from edgekit.models.checkpoint import Checkpoint
    from edgekit.preprocessing import Preprocessing
    from edgekit.progress import Progress
    from edgekit.training.data.opening import Data

    Counts = NDArray[np.float64]  # of each group, how many channels
    Worth = tuple[NDArray[np.float64], ...]  # of each group, what each of its channels is worth, [K]
    Loss = Callable[[Any, int], Tensor]

Measure = Literal["macs", "size", "channels", "latency", "dead"]
_MEASURES: Final = ("macs", "size", "channels", "latency", "dead")
_IMAGES: Final = 256  # that channels are ranked by, if it is not said how many
_BATCH: Final = 32  # of them at once
_SETTLED_BY: Final = (
    64  # images whose variance is taken at once for batch normalization: fewer make one that is no good
)
_SHOWN: Final = 32  # training images that show what a network expects
_MEASURED: Final = 64  # images on which it is measured what layers can spare
_NOISE: Final = 8  # images of it
_MOST: Final = 255


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be left of a network.

    Attributes:
        measure: of what; "dead" leaves all that says anything.
        share: from 0 to 1, of the others.
        model: of "latency", what predicts it: what ``edgekit bench --fit`` wrote, by its name or its file's path.
    """

    measure: Measure
    share: float
    model: str | None = None

    @staticmethod
    def read(text: str | None) -> Target:
        """As it is typed: "macs=0.5", "latency=0.6@NAME", or "dead".

        Raises:
            ConfigError: it is nothing of that kind.
        """
        if text is None:
            raise ConfigError("it is not said how small the network is to become: --to macs=0.5, for example")
        measure, equals, share = text.partition("=")
        if measure not in _MEASURES:
            raise ConfigError(f"--to is {text!r}: {did_you_mean(measure, _MEASURES)}")
        if measure == "dead" and not equals:
            return Target("dead", 1.0)
        share, at, model = share.partition("@")
        if (measure == "latency") != bool(at and model):
            raise ConfigError(
                f"--to is {text!r}: latency needs what edgekit bench --fit wrote on the device, latency=0.6@NAME or "
                f"@FILE.json, and no other target takes that"
            )
        try:
            value = float(share)
        except ValueError:
            value = math.nan
        if value > 1:
            raise ConfigError(
                f"--to is {text!r}: what is left is a share, {measure}=0.5 for half of it (edgekit search has --budget "
                f"in numbers: macs=12 is 12 million)"
            )
        if not 0 < value < 1:
            raise ConfigError(f"--to is {text!r}: a share between 0 and 1 is wanted, such as {measure}=0.5")
        return Target(cast("Measure", measure), value, model or None)


@dataclass(frozen=True, slots=True, eq=False)  # modules have no equality
class Made:
    """What a cut made.

    Attributes:
        module: the network without the channels, in evaluation mode.
        structure: what it looks like.
        whole: the checkpoint that it was made of.
        whole_cost: what that costs, in units of the target's measure.
        rank: by what channels were chosen; None where dead ones alone went, or none.
        images: how many were looked at.
        facts: what is taken to be true of the whole network.
        moved: how far outputs moved at most where dead channels went, by what they differ by themselves; else None.
    """

    module: nn.Module
    structure: Architecture | TaskArchitecture
    whole: Checkpoint
    whole_cost: float
    rank: RankName | None
    images: int
    facts: tuple[Fact, ...]
    moved: float | None = None


@dataclass(frozen=True, slots=True, eq=False)  # likewise
class _Subject:
    """A network that is cut, what can go of it, and images of it.

    Attributes:
        checkpoint: it.
        structure: of it.
        preprocessing: how images reach it.
        facts: what is taken to be true of it.
        graph: of it.
        groups: of its channels.
        widths: of these.
        batches: normalized images [N, C, H, W]; none where there are none.
        targets: of each batch; none where images have none.
    """

    checkpoint: Checkpoint
    structure: Architecture | TaskArchitecture
    preprocessing: Preprocessing
    facts: tuple[Fact, ...]
    graph: Graph
    groups: tuple[Group, ...]
    widths: tuple[Width, ...]
    batches: tuple[Tensor, ...]
    targets: tuple[Any, ...]


def make(
    settings: Settings,
    target: Target,
    progress: Progress,
    *,
    whole_cost: float | None = None,
    data: Data | None = None,
) -> Made:
    """Cut a network.

    Args:
        settings: [prune] says how; [model], [preprocessing] and [calibration] are as in an export.
        target: what is to be left.
        progress: told of each stage.
        whole_cost: of what; that of the checkpoint itself where it is None.
        data: images that it learns from afterwards, which are looked at in place of those of [calibration].

    Raises:
        BadInput: the network, the images or a setting cannot be used, or the target cannot be reached.
    """
    from edgekit.compression.pruning.budget import kept  # noqa: PLC0415 - needs torch
    from edgekit.compression.pruning.cutting import cut  # noqa: PLC0415 - likewise
    from edgekit.compression.pruning.mending import mended, moments_of  # noqa: PLC0415 - likewise

    subject = _subject(settings, data, progress)
    if target.measure == "dead":
        return _without_dead(subject)
    module, groups = subject.checkpoint.module, subject.groups
    rank = settings.prune.rank or ("output" if subject.batches else "l1")
    worth = _worth(rank, subject, settings, data)
    progress("reading moments", 0, 1)
    moments = moments_of(module, groups, subject.batches)
    costs = _costs(subject, target)
    loses = _damage(subject, worth, settings, moments, progress)
    counts, cost = _reached(subject, loses, costs, target=target, settings=settings, whole_cost=whole_cost)
    stays = kept(worth, counts)
    weights = module.state_dict()
    whole = copy.deepcopy(module)
    whole.load_state_dict({**weights, **mended(weights, groups, stays, moments)})
    found = cut(whole, subject.structure, groups, stays)
    _measure_anew(found.module, subject)
    images = sum(map(len, subject.batches))
    return Made(found.module, found.structure, subject.checkpoint, cost, rank, images, subject.facts)


def thin(settings: Settings, share: float, progress: Progress) -> Made:
    """Set weights to zero, whatever channel they are of.

    Args:
        settings: [model], [preprocessing] and [calibration] are as in an export.
        share: of the weights.
        progress: told of each stage.

    Raises:
        BadInput: the network, the images or a setting cannot be used.
    """
    from edgekit.compression.pruning.sparsity import thinned  # noqa: PLC0415 - needs torch

    subject = _subject(settings, None, progress)
    module = thinned(subject.checkpoint.module, share)
    _measure_anew(module, subject)
    images = sum(map(len, subject.batches))
    return Made(module, subject.structure, subject.checkpoint, 0.0, None, images, subject.facts)


def _measure_anew(module: nn.Module, subject: _Subject) -> None:
    """Statistics of batch normalization, where there are images."""
    import torch  # noqa: PLC0415 - imported where it is used

    from edgekit.compression.pruning.settling import settle as settled_by  # noqa: PLC0415 - needs torch

    if subject.batches:
        settled_by(module, torch.split(torch.cat(subject.batches), _SETTLED_BY))


def _without_dead(subject: _Subject) -> Made:
    """The network without what says nothing, compared with the whole one on noise, or on images where there are any."""
    import torch  # noqa: PLC0415 - imported where it is used

    from edgekit.compression.pruning import dead  # noqa: PLC0415 - needs torch
    from edgekit.compression.pruning.cutting import cut  # noqa: PLC0415 - likewise
    from edgekit.training.from_images import named  # noqa: PLC0415 - likewise

    levels = np.array([0, _MOST], dtype=np.uint8)[:, None, None, None].repeat(len(subject.preprocessing.mean), 3)
    low, high = subject.preprocessing.normalization(levels)[:, :, 0, 0].astype(np.float64)
    found = dead.find(subject.graph, subject.groups, subject.widths, (low, high))
    whole = subject.checkpoint.module
    small = cut(dead.folded(whole, found), subject.structure, subject.groups, found.kept)
    pixels = np.random.default_rng(0).integers(0, _MOST + 1, (_NOISE, *subject.structure.size, len(low)), np.uint8)
    images = subject.batches[0] if subject.batches else torch.from_numpy(subject.preprocessing.normalization(pixels))
    with torch.inference_mode():
        before, after = named(whole(images)), named(small.module(images))
    moved = [float((after[name] - value).abs().max() / value.std()) for name, value in before.items()]
    facts, seen = subject.facts, sum(map(len, subject.batches))
    return Made(small.module, small.structure, subject.checkpoint, 0.0, None, seen, facts, max(moved))


def _subject(settings: Settings, data: Data | None, progress: Progress) -> _Subject:
    """The network, with what it expects of its images settled by those that there are.

    Raises:
        ConfigError: it is no network of edgekit's families, or several.
    """
    from edgekit.capture.torch_export import capture  # noqa: PLC0415 - torch.export takes 3 s to import
    from edgekit.compression.pruning.budget import widths_of  # noqa: PLC0415 - needs torch
    from edgekit.compression.pruning.groups import groups_of  # noqa: PLC0415 - likewise
    from edgekit.models import checkpoint  # noqa: PLC0415 - likewise

    wanted = settings.calibration
    settings = replace(settings, calibration=replace(wanted, images=wanted.images or _IMAGES))
    trained = FROM_FILE.load(settings.model)
    path = trained.path
    if "architecture" not in trained.provenance:
        raise ConfigError(f"{path} is no checkpoint of a MobileNet: what is pruned has to be one of edgekit's families")
    given = from_files(settings) if data is None else Given(images=shown(data, _SHOWN))
    settled = settle(trained, settings, None, given, progress)
    options = {**options_of(settings.model), **settled.options}
    loaded = checkpoint.load(path, family=settings.model.family, **cast("Options", options))
    structure = loaded.structure
    if isinstance(structure, EnsembleArchitecture):
        raise ConfigError(f"{path} is an ensemble: prune its networks one by one, and combine them afterwards")
    batches, targets = _seen(data, given, settled.preprocessing, progress)
    progress("following channels", 0, 1)
    graph = capture(loaded.module, structure.name, (structure.in_channels, *structure.size))
    groups = groups_of(graph)
    widths = widths_of(structure, groups)
    return _Subject(
        loaded, structure, settled.preprocessing, settled.facts, graph, groups, widths, tuple(batches), tuple(targets)
    )


def _seen(
    data: Data | None, given: Given, preprocessing: Preprocessing, progress: Progress
) -> tuple[list[Tensor], list[Any]]:
    """Batches of normalized images [N, C, H, W], and what lies beside them, where they are learned from."""
    import torch  # noqa: PLC0415 - imported where it is used

    from edgekit.training.data.loader import Loader  # noqa: PLC0415 - needs torch

    if data is not None:
        some = list(itertools.islice(Loader(data.train, _BATCH, preprocessing).epoch(0), _IMAGES // _BATCH))
        pixels, targets = [batch.pixels for batch in some], [batch.targets for batch in some]
    elif given.images is not None:
        images = given.images(preprocessing)
        pixels, targets = [], []
        for batch in images.batches(_BATCH):
            pixels.append(batch.pixels)
            progress("reading images", min(len(pixels) * _BATCH, len(images)), len(images))
    else:
        return [], []
    return [torch.from_numpy(preprocessing.normalization(one)) for one in pixels], targets


def _worth(rank: RankName, subject: _Subject, settings: Settings, data: Data | None) -> Worth:
    from edgekit.compression.pruning import ranking  # noqa: PLC0415 - needs torch

    module, groups = subject.checkpoint.module, subject.groups
    match rank:
        case "l1":
            return ranking.by_weights(module, groups)
        case "bn":
            found = ranking.by_scales(module, groups)
            if found is None:
                raise ConfigError("the network has no batch normalization that could rank channels: --rank output")
            return found
        case "output":
            if not subject.batches:
                raise ConfigError("--rank output looks at what images move: give some, --calib DIR, or --rank l1")
            return ranking.by_outputs(module, groups, subject.batches)
        case "taylor":
            if data is None:
                raise ConfigError("--rank taylor needs labels: give DATA, as edgekit train takes it, or --rank output")
            return ranking.by_loss(module, groups, subject.batches, _labelled(subject, settings, data))


def _labelled(subject: _Subject, settings: Settings, data: Data) -> Loss:
    """The loss of what lies beside images, of a batch's outputs by name, and its number."""
    from edgekit.tasks.registry import from_setting, heads_of, task_of  # noqa: PLC0415 - needs torch
    from edgekit.training.from_images import named  # noqa: PLC0415 - likewise
    from edgekit.training.objectives import objective_of  # noqa: PLC0415 - likewise
    from edgekit.training.recipe import resolve  # noqa: PLC0415 - likewise

    shapes = {output.name: subject.graph.tensors[output.tensor].shape for output in subject.graph.outputs}
    heads = heads_of({"architecture": subject.structure.to_dict()})
    structure = subject.structure
    told = structure.task if isinstance(structure, TaskArchitecture) else settings.train.task
    task, _ = task_of(shapes, data.labels, from_setting(told), heads)
    objective, recipe = objective_of(task), resolve(settings.train, min(subject.structure.size))

    def loss(outputs: Any, place: int) -> Tensor:  # noqa: ANN401 - a tensor, or some by name
        return objective.loss(named(outputs), objective.prepared(subject.targets[place], "cpu"), recipe)

    return loss


def _costs(subject: _Subject, target: Target) -> Costs | Latency:
    """What channels cost, in the target's measure."""
    from edgekit.compression.pruning.budget import costs_of  # noqa: PLC0415 - needs torch
    from edgekit.compression.pruning.latency import Latency  # noqa: PLC0415 - likewise

    assert target.measure != "dead", "that is no number"
    if target.measure != "latency":
        return costs_of(subject.graph, subject.groups, target.measure)
    assert target.model is not None, "what was typed has it"
    return Latency(subject.graph, subject.groups, subject.widths, _predictor(target.model))


def _damage(
    subject: _Subject, worth: Worth, settings: Settings, moments: Mapping[str, Moments], progress: Progress
) -> Loses | None:
    """What is lost where a number of channels falls; None where all of them fall alike."""
    import torch  # noqa: PLC0415 - imported where it is used

    from edgekit.compression.pruning.budget import shares_of  # noqa: PLC0415 - needs torch
    from edgekit.compression.pruning.damage import measure  # noqa: PLC0415 - likewise

    if settings.prune.uniform:
        return None
    if not subject.batches:
        return shares_of(worth)
    return measure(
        subject.checkpoint.module, subject.groups, subject.widths, worth=worth, moments=moments,
        images=torch.cat(subject.batches)[:_MEASURED], multiple=settings.prune.multiple, progress=progress,
    )  # fmt: skip


def _reached(  # noqa: PLR0913 - a network, and how small it becomes
    subject: _Subject,
    loses: Loses | None,
    costs: Costs | Latency,
    *,
    target: Target,
    settings: Settings,
    whole_cost: float | None,
) -> tuple[Counts, float]:
    """How many channels of each group stay, and what the whole network costs.

    Raises:
        ConfigError: the target cannot be reached.
    """
    from edgekit.compression.pruning.budget import alike, cheapest, filled, first  # noqa: PLC0415 - needs torch

    widths, multiple = subject.widths, settings.prune.multiple
    before = np.array([float(group.channels) for group in subject.groups])
    whole = costs.of(before) if whole_cost is None else whole_cost

    def fits(counts: Counts) -> bool:
        return costs.of(counts) <= target.share * whole

    ladder = (
        alike(widths, before, multiple) if loses is None else cheapest(widths, before, loses, costs.slopes, multiple)
    )
    found = first(ladder, fits)
    if found is None:
        least = costs.of(ladder[-1]) / whole
        raise ConfigError(
            f"--to {target.measure}={target.share:g} cannot be reached: {least:.3f} is left where every layer has as "
            f"few channels as it can have. Choose more, or a --multiple below {multiple}"
        )
    return found if loses is None else filled(widths, before, found, loses, fits, multiple), whole


def _predictor(model: str) -> Callable[[Graph], float]:
    """What predicts milliseconds of .tflite files, or where those were not measured, of the first format that was.

    Raises:
        ArtifactError: there is none, or it is damaged.
    """
    from edgekit.timing.prediction import saved  # noqa: PLC0415 - imported where it is used

    models = {one.format: one for one in saved.load(model).models}
    return models.get("tflite", next(iter(models.values()))).latency_ms
