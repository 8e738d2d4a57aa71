"""A trained network -> the same without some of its channels, trained again where there are images to learn from.

A run has the files of a training (``run.RunFolder``), which is that of the last step. Before that a hidden folder,
``.steps``, holds what was cut in each step (1.safetensors, 2.safetensors, …), the trainings of all steps but the last
(1/, 2/, …), and what all of it is made from (plan.json). Each is written as a whole, so a run that was killed goes on
with the first that is missing.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit import extras, files
from edgekit.errors import ConfigError
from edgekit.models.head_specs import ExitSpec
from edgekit.models.head_tasks import EXITS
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.pipeline.making.cut import Target, make, thin
from edgekit.pipeline.making.given import with_kept_images
from edgekit.pipeline.making.run import RunFolder, differences
from edgekit.pipeline.making.teaching import digest
from edgekit.pipeline.making.train import train
from edgekit.progress import Progress, silent
from edgekit.tasks.classification import Classification
from edgekit.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from edgekit.config import RankName, Settings
    from edgekit.facts import Fact
    from edgekit.models.architecture import Architecture
    from edgekit.models.checkpoint import Checkpoint
    from edgekit.models.complexity import Complexity
    from edgekit.pipeline.making.cut import Made
    from edgekit.pipeline.making.train import Opened, TrainResult
    from edgekit.training.data.opening import Data
    from edgekit.training.loop import Epoch

_FILE, _RUN = Path("pruned.safetensors"), Path("runs/prune")
_STEPS, _PLAN = ".steps", "plan.json"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of which channels went.

    Attributes:
        name: of the convolution or linear layer that makes them.
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
        rank: by what channels were chosen; None where dead ones alone went, or before an interruption.
        images: how many showed what they are worth, and the new statistics of batch normalization; 0 without any.
        facts: what is taken to be true of the network that it was made of.
        notes: what was chosen and left aside, for people.
        training: the last one; None where there was none.
        zipped: bytes of all weights after compression, before and after, where single weights became zero; else None.
        moved: how far outputs moved at most where dead channels alone went, in units of how they differ; else None.
    """

    checkpoint: Path
    network: str
    before: Complexity
    after: Complexity
    layers: tuple[Layer, ...]
    rank: RankName | None
    images: int
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    training: TrainResult | None = None
    moved: float | None = None
    zipped: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told what a run does, as ``train`` tells it.

    Attributes:
        cut: told of each network that was cut: its step, and what it costs.
        opened: told before the first step of each training.
        foretold: told how many seconds the rest of a training is going to take.
        passed: told after each epoch.
    """

    cut: Callable[[int, Complexity], None] = lambda _step, _cost: None
    opened: Callable[[Opened], None] = lambda _: None
    foretold: Callable[[float], None] = lambda _: None
    passed: Callable[[Epoch], None] = lambda _: None


_NOBODY: Final = Listeners()


def prune(settings: Settings, *, listeners: Listeners = _NOBODY, progress: Progress = silent) -> Pruned:
    """Cut the network of [model] as [prune] says, and write it; where [train] names images, train it on them.

    Args:
        settings: [model], [preprocessing] and [calibration] are as in an export, [train] as in a training.
        listeners: of what is done.
        progress: told of each stage.

    Raises:
        BadInput: the network, the images or a setting cannot be used, or a file cannot be written.
        GateFailed: the loss of a training is no number any more.
        MissingDependency: torch is not installed.
    """
    extras.load("torch", "torch")
    whole, wanted = settings.model.checkpoint, settings.prune
    if whole is None:
        raise ConfigError("no network is named: edgekit prune CHECKPOINT, or checkpoint = … under [model]")
    if wanted.unstructured is not None:
        return _thinned(settings, wanted.unstructured, progress)
    target = Target.read(wanted.to)
    is_exact = target.measure == "dead"
    if is_exact and (wanted.uniform or wanted.rank is not None):
        raise ConfigError("dead channels go, wherever they are, and no others: leave --uniform and --rank out")
    if settings.train.data is not None and is_exact:
        raise ConfigError("what dead channels leave computes the same, and has nothing to learn: leave DATA out")
    if settings.train.data is not None:
        return _trained(settings, whole, target, listeners, progress)
    out = _file(settings)
    if wanted.steps > 1:
        raise ConfigError("between --steps the network is trained, and there are no images to learn from: give DATA")
    made = make(with_kept_images(settings), target, progress)
    _save(out, made)
    if is_exact:
        return replace(_result(made.whole, out, made, (), None), moved=made.moved)
    note = (
        "batch normalization's statistics were measured anew on these images; nothing was trained"
        if made.images
        else "without images batch normalization keeps the statistics of the whole network, and nothing was trained: "
        "accuracy is lost. --calib DIR measures them anew, DATA regains it"
    )
    return _result(made.whole, out, made, (note,), None)


def _thinned(settings: Settings, share: float, progress: Progress) -> Pruned:
    """The network with single weights at zero.

    Raises:
        ConfigError: something is set that does not go with it.
    """
    wanted = settings.prune
    if wanted.to is not None or settings.train.data is not None:
        raise ConfigError(
            "--unstructured sets weights to zero and takes no channel out, and a training would move them: leave --to "
            "and DATA out"
        )
    out = _file(settings)
    made = thin(with_kept_images(settings), share, progress)
    _save(out, made)
    note = (
        "no file gets smaller or faster by zeros: only after compression it is smaller. XNNPACK has kernels that skip "
        "them, of float networks alone, whose 1x1 convolutions have more than two thirds of zeros and are stored as "
        "sparse tensors, which edgekit does not write"
    )
    return replace(
        _result(made.whole, out, made, (note,), None), zipped=(_zipped(made.whole.module), _zipped(made.module))
    )


def _zipped(module: nn.Module) -> int:
    """How many bytes all weights take after compression, as ZIP does it."""
    return len(zlib.compress(b"".join(tensor.numpy().tobytes() for tensor in module.state_dict().values()), 9))


def _file(settings: Settings) -> Path:
    """Where a checkpoint is written to.

    Raises:
        ConfigError: its name is none of one.
    """
    out = settings.prune.out or _FILE
    if out.suffix.lower() != _FILE.suffix:
        raise ConfigError(f"the network is to be written as {out}: a checkpoint of edgekit's ends with {_FILE.suffix}")
    return out


def _trained(settings: Settings, whole: Path, target: Target, listeners: Listeners, progress: Progress) -> Pruned:
    """A run of cuts and trainings, which is gone on with where it was interrupted."""
    from edgekit.models import checkpoint  # noqa: PLC0415 - needs torch
    from edgekit.models.complexity import complexity  # noqa: PLC0415 - likewise
    from edgekit.training.data.opening import open_data  # noqa: PLC0415 - likewise

    run = settings.prune.out or _RUN
    if run.suffix.lower() == _FILE.suffix:
        raise ConfigError(f"what is trained is a run, and {run} a file: name a folder, --out DIR")
    RunFolder(run).check()
    loaded = checkpoint.load(whole)
    settings = _for_task(settings, loaded)
    steps, wanted = run / _STEPS, settings.train
    _begin(steps / _PLAN, settings, whole)
    structure = loaded.structure
    has_exits = isinstance(structure, TaskArchitecture) and structure.task == EXITS
    is_classifier = wanted.task == Classification.name and (has_exits or not isinstance(structure, TaskArchitecture))
    own = (whole,) if is_classifier else ()
    data: Data | None = None
    start, made, result = whole, None, None
    for step in range(1, settings.prune.steps + 1):
        is_last = step == settings.prune.steps
        folder, cut = run if is_last else steps / str(step), steps / f"{step}{_FILE.suffix}"
        if not cut.exists():
            if data is None:
                assert wanted.data is not None, "the caller has looked"
                data = open_data(
                    wanted.data, wanted.task, validation=wanted.validation, seed=wanted.seed, progress=progress
                )
                _check_classes(loaded, data, whole)
            share = Target(target.measure, target.share ** (step / settings.prune.steps))
            cut_from = replace(settings, model=replace(settings.model, checkpoint=start))
            made = make(cut_from, share, progress, whole_cost=_cost(steps / _PLAN), data=data)
            if step == 1:
                _begin(steps / _PLAN, settings, whole, made.whole_cost)
            _save(cut, made)
            listeners.cut(step, complexity(made.structure))
        if is_last or RunFolder(folder).result is None:
            training = replace(wanted, pretrained=cut, teacher=wanted.teacher or own, out=folder)
            result = train(
                replace(settings, train=training),
                opened=listeners.opened,
                foretold=listeners.foretold,
                passed=listeners.passed,
                progress=progress,
            )
        start = folder
    assert result is not None, "there is a last step"
    notes = () if own or wanted.teacher else ("it learns from the labels alone, as it is no classifier",)
    return _result(loaded, result.checkpoint, made, notes, result)


def _for_task(settings: Settings, loaded: Checkpoint) -> Settings:
    """With the task of the network, where it has one."""
    structure, recorded = loaded.structure, loaded.recorded
    if isinstance(structure, TaskArchitecture):
        task = Classification.name if structure.task == EXITS else structure.task
    elif recorded is not None:
        task = recorded.task
    else:
        return settings
    return replace(settings, train=replace(settings.train, task=task))


def _unchosen(structure: Architecture | TaskArchitecture) -> Architecture | TaskArchitecture:
    """The network with exits that nobody has chosen a confidence for: that of the whole network says nothing of it."""
    if not isinstance(structure, TaskArchitecture):
        return structure
    heads = (
        replace(head, temperature=1.0, confidence=None) if isinstance(head, ExitSpec) else head
        for head in structure.heads
    )
    return replace(structure, heads=tuple(heads))


def _check_classes(loaded: Checkpoint, data: Data, path: Path) -> None:
    """Refuse a network that tells other things apart than the images have.

    Raises:
        ConfigError: it does.
    """
    has, wants = loaded.structure.num_classes, sum(one.outputs for one in data.each)
    if has != wants:
        raise ConfigError(
            f"{path} tells {has} classes apart, and the images are of {wants}: train it on them first, edgekit train "
            f"DATA --pretrained {path}, and prune what comes of it"
        )


def _begin(plan: Path, settings: Settings, whole: Path, cost: float | None = None) -> None:
    """Write down what a run is made from; a folder of the same run is gone on with.

    Raises:
        ConfigError: the folder holds another run.
        BadInput: it cannot be written.
    """
    wanted = {name: value for name, value in asdict(settings.prune).items() if name != "out"}
    made_from = {"edgekit": __version__, "checkpoint": digest(whole), **wanted}
    before = json.loads(plan.read_text(encoding="utf-8")) if plan.exists() else None
    if before is not None and (differing := differences(before["made_from"], made_from)):
        raise ConfigError(
            f"{plan.parent.parent} holds a run that was made otherwise ({'; '.join(differing)}): choose another "
            f"folder, --out DIR, or give what it was made with, to go on with it"
        )
    if before is None or cost is not None:
        files.write_bytes(plan, json.dumps({"made_from": made_from, "whole_cost": cost}, indent=1).encode())


def _cost(plan: Path) -> float | None:
    """What the whole network costs, as the first cut has found; None before that."""
    found: float | None = json.loads(plan.read_text(encoding="utf-8"))["whole_cost"]
    return found


def _save(path: Path, made: Made) -> None:
    from edgekit.models import checkpoint  # noqa: PLC0415 - needs torch

    recorded = made.whole.recorded
    unmeasured = None if recorded is None else replace(recorded, measured={})
    assumed = [fact.name for fact in made.facts if fact.is_assumed]
    checkpoint.save(path, made.module, _unchosen(made.structure), unmeasured, assumed)


def _result(
    whole: Checkpoint, path: Path, made: Made | None, notes: tuple[str, ...], training: TrainResult | None
) -> Pruned:
    from edgekit.models import checkpoint  # noqa: PLC0415 - needs torch
    from edgekit.models.complexity import complexity  # noqa: PLC0415 - likewise
    from edgekit.models.ensemble_architecture import EnsembleArchitecture  # noqa: PLC0415 - likewise

    small = checkpoint.load(path)
    assert not isinstance(whole.structure, EnsembleArchitecture), "it was cut"
    assert not isinstance(small.structure, EnsembleArchitecture), "likewise"
    recorded = () if whole.recorded is None else whole.recorded.notes
    return Pruned(
        checkpoint=path,
        network=whole.structure.name,
        before=complexity(whole.structure),
        after=complexity(small.structure),
        layers=_layers(_made(whole), _made(small)),
        rank=None if made is None else made.rank,
        images=0 if made is None else made.images,
        facts=() if made is None else made.facts,
        notes=(*(note for note in whole.notes if note not in recorded), *notes),
        training=training,
    )


def _layers(before: dict[str, int], after: dict[str, int]) -> tuple[Layer, ...]:
    return tuple(Layer(name, had, after[name]) for name, had in before.items() if after[name] < had)


def _made(loaded: Checkpoint) -> dict[str, int]:
    """How many channels each layer makes; depthwise ones, which make those that they read, are left out."""
    return {
        name.removesuffix(".weight"): tensor.shape[0]
        for name, tensor in loaded.module.state_dict().items()
        if tensor.ndim == 2 or (tensor.ndim == 4 and tensor.shape[1] > 1)
    }
