"""Images -> a trained network, in the folder of a run that can be interrupted and exported."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import extras
from edgekit.errors import CheckpointError, ConfigError
from edgekit.models.architecture import Architecture
from edgekit.models.folders import BEST, CALIBRATION, LAST
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.pipeline.making.beginning import Beginning, begin, check_named, of_table
from edgekit.pipeline.making.completing import check_exits, check_head, completed
from edgekit.pipeline.making.run import BOARD, RunFolder
from edgekit.pipeline.making.teaching import digest, teachers_of
from edgekit.progress import Progress, silent
from edgekit.tasks.values import Measured
from edgekit.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from edgekit.calibration.images import ImageSource
    from edgekit.compression.search.space import Space
    from edgekit.config import Accelerator, Settings
    from edgekit.facts import Fact
    from edgekit.preprocessing import Preprocessing
    from edgekit.tasks.leaving import Leavings
    from edgekit.tasks.values import Metric
    from edgekit.training.data.opening import Data
    from edgekit.training.distillation import Distillation
    from edgekit.training.from_images import FromImages
    from edgekit.training.loop import Epoch, Loop
    from edgekit.training.recipe import Recipe

KEPT_IMAGES = 256  # training images that a run keeps, for the calibration of int8 exports
_ASKED = 32  # training images that show what a pre-trained network expects


@dataclass(frozen=True, slots=True)
class Opened:
    """What is about to be trained, and on what.

    Attributes:
        network: its name, "mobilenet_v3_small_0.75_160".
        parameters: how many weights it has.
        recipe: how it is trained.
        training: how many images it learns from.
        validation: how many choose the best epoch.
        labels: names of what it tells apart.
        teachers: what it learns from besides.
        accelerator: what it is trained on.
        facts: what is taken to be true of the checkpoint that it starts from.
        notes: what was decided, for people.
        problems: what looks wrong with the images, for people.
        epochs_done: of an earlier run, which is gone on with.
    """

    network: str
    parameters: int
    recipe: Recipe
    training: int
    validation: int
    labels: tuple[str, ...]
    teachers: tuple[str, ...]
    accelerator: Accelerator
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    epochs_done: int


@dataclass(frozen=True, slots=True)
class ForLibrary:
    """The weights of the best epoch for another library.

    Attributes:
        path: a state dict, which that library's network loads strictly.
        made_by: what makes that network, as it is typed in Python.
    """

    path: Path
    made_by: str


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came of a training.

    Attributes:
        run: its folder.
        checkpoint: the weights of the best epoch.
        elsewhere: the same for torchvision and timm, where these have the network.
        opened: what was trained, and on what.
        epochs: all of them.
        best: the one whose weights ``checkpoint`` has.
        leavings: from where images leave a network with exits, as this call has chosen it.
    """

    run: Path
    checkpoint: Path
    elsewhere: tuple[ForLibrary, ...]
    opened: Opened
    epochs: tuple[Epoch, ...]
    best: Epoch
    leavings: Leavings | None = None


@dataclass(frozen=True, slots=True, eq=False)  # modules have no equality
class _Work:
    """What a training is made of; with a space, all of its networks are trained as parts of the largest one."""

    settings: Settings
    data: Data
    beginning: Beginning
    recipe: Recipe
    device: Accelerator
    space: Space | None = None

    @property
    def task(self) -> str:
        """Of the network, which may have more heads than the images have targets."""
        structure = self.beginning.architecture
        return structure.task if isinstance(structure, TaskArchitecture) else self.settings.train.task

    @property
    def made_from(self) -> dict[str, Any]:
        """All that the result depends on, JSON values."""
        wanted, beginning = self.settings.train, self.beginning
        return {
            "edgekit": __version__,
            "network": beginning.architecture.to_dict(),
            "preprocessing": beginning.preprocessing.to_dict(),
            "pretrained": beginning.pretrained,
            "data": self.data.digest,
            "task": wanted.task,
            "recipe": asdict(self.recipe),
            "teachers": [digest(path) for path in wanted.teacher],
            "distillation": {"kind": wanted.kd, "temperature": wanted.kd_temperature, "alpha": wanted.kd_alpha},
            "freeze_bn": wanted.freeze_bn,
            "seed": wanted.seed,
            **({} if self.space is None else {"space": self.space.to_dict()}),
        }


@dataclass(slots=True, eq=False)  # modules have no equality
class Training:
    """A training that is ready to begin, or to go on; ``prepared`` makes it.

    Attributes:
        trainee: what learns.
        loop: where it stands.
        opened: what is trained, and on what.
    """

    trainee: FromImages
    loop: Loop
    opened: Opened
    _work: _Work
    _run: RunFolder

    @property
    def architecture(self) -> Architecture | TaskArchitecture:
        """Of the network."""
        return self._work.beginning.architecture

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self._run.path

    @property
    def identity(self) -> str:
        """SHA-256 of all that the result depends on, hexadecimal."""
        return _identity(self._work.made_from)

    def run(
        self,
        *,
        opened: Callable[[Opened], None] = lambda _: None,
        foretold: Callable[[float], None] = lambda _: None,
        passed: Callable[[Epoch], None] = lambda _: None,
        progress: Progress = silent,
    ) -> TrainResult:
        """Train to the end; see ``train``."""
        from edgekit.training.board import Board  # noqa: PLC0415 - needs torch

        work, loop, run = self._work, self.loop, self._run
        opened(self.opened)
        if len(loop.history) < loop.recipe.epochs:
            _keep_images(work.data, run.path)

            def keep(epoch: Epoch, module: nn.Module) -> None:
                for name in (LAST, BEST) if epoch.is_best else (LAST,):
                    self.save(run.path / name, module, self.architecture, epoch.measured)
                run.log(loop.history)
                board.add(epoch)
                passed(epoch)

            with run.held(), Board(run.path / BOARD, len(loop.history)) as board:
                loop.run(keep, foretold=foretold, progress=progress)
            run.finish(work.made_from, loop.history)
        assert loop.best is not None, "the first epoch is the best so far"
        return TrainResult(
            run=run.path,
            checkpoint=run.path / BEST,
            elsewhere=_for_libraries(run.path),
            opened=self.opened,
            epochs=tuple(loop.history),
            best=loop.best,
            leavings=self._leave(loop.best, progress),
        )

    def save(
        self, path: Path, module: nn.Module, architecture: Architecture | TaskArchitecture, measured: Sequence[Measured]
    ) -> None:
        """Write weights, with all that is known of them.

        Args:
            path: of the checkpoint.
            module: whose weights they are.
            architecture: of it: the network's own, or one for images of another size.
            measured: what it reached on the validation images.
        """
        from edgekit.models import checkpoint  # noqa: PLC0415 - needs torch
        from edgekit.models.recorded import Recorded  # noqa: PLC0415 - likewise

        preprocessing, task = self._work.beginning.preprocessing, self._work.task
        told = {one.metric.title: one.text() for one in measured}
        recorded = Recorded(preprocessing.at(architecture.size), task, self._work.data.labels, told)
        checkpoint.save(path, module, architecture, recorded)

    def _leave(self, best: Epoch, progress: Progress) -> Leavings | None:
        """Choose from where images leave the best network, if it has exits and nobody has chosen yet, and write it."""
        from edgekit.models import checkpoint  # noqa: PLC0415 - needs torch
        from edgekit.pipeline.making.leaving import are_chosen, chosen, exits_of  # noqa: PLC0415 - likewise

        if exits_of(self.architecture) is None:
            return None
        path, work = self.folder / BEST, self._work
        loaded = checkpoint.load(path)
        architecture = exits_of(loaded.structure)
        assert architecture is not None, "it was saved so"
        if are_chosen(architecture):
            return None
        outputs, targets = self.trainee.answers(loaded.module.to(work.device), progress)
        decided, leavings = chosen(architecture, outputs, targets, work.settings.train.exit_drop)
        self.save(path, loaded.module, decided, best.measured)
        return leavings


def train(
    settings: Settings,
    *,
    opened: Callable[[Opened], None] = lambda _: None,
    foretold: Callable[[float], None] = lambda _: None,
    passed: Callable[[Epoch], None] = lambda _: None,
    progress: Progress = silent,
) -> TrainResult:
    """Train the network of [train]; a run that was interrupted is gone on with by the same call.

    Args:
        settings: [train], and [preprocessing] and [model] where they say what the network expects.
        opened: told before the first step.
        foretold: told after ten steps how many seconds the rest is going to take.
        passed: told after each epoch.
        progress: told after every step.

    Raises:
        BadInput: images, a checkpoint or a setting cannot be used, or a file cannot be written.
        GateFailed: the loss is no number any more.
        MissingDependency: torch is not installed.
    """
    training = prepared(settings, progress=progress)
    return training.run(opened=opened, foretold=foretold, passed=passed, progress=progress)


def prepared(settings: Settings, *, space: Space | None = None, progress: Progress = silent) -> Training:
    """What ``train`` trains, with its images and its network, before the first step.

    Args:
        settings: as ``train`` takes them.
        space: the networks that are trained as parts of the largest one, whose name ``settings`` leave open; None
            trains the one that they name.
        progress: told while images are looked at.

    Raises:
        BadInput: images, a checkpoint or a setting cannot be used, or a file cannot be written.
        MissingDependency: torch is not installed.
    """
    extras.load("torch", "torch")

    from edgekit.training.data import parts, problems  # noqa: PLC0415 - needs torch
    from edgekit.training.data.opening import open_data  # noqa: PLC0415 - likewise
    from edgekit.training.loop import Loop, Precision  # noqa: PLC0415 - likewise
    from edgekit.training.recipe import randaugment, resolve  # noqa: PLC0415 - likewise

    wanted = settings.train
    if wanted.data is None:
        raise ConfigError("no images are named: edgekit train DATA, or data = … under [train] of edgekit.toml")
    if space is None:
        check_named(settings)
    check_head(wanted)
    device = _device(wanted.accelerator)
    if wanted.aa is not None:
        randaugment(wanted.aa)
    run = RunFolder(wanted.out)
    run.check()
    if parts.reads(wanted.data, wanted.task, run.path, wanted.validation):
        raise ConfigError(
            f"{run.path} lies among the images that are read, and would be one: choose another, --out DIR"
        )
    data = open_data(wanted.data, wanted.task, validation=wanted.validation, seed=wanted.seed, progress=progress)

    def complete(structure: Architecture | TaskArchitecture) -> Architecture | TaskArchitecture:
        return completed(structure, wanted, data)

    if space is None:
        beginning = begin(settings, complete, shown(data, _ASKED), progress)
    else:
        beginning = of_table(settings, space.table(space.largest), complete)
    check_exits(beginning.architecture, settings)
    found = problems.find(data, beginning.preprocessing.size, progress=progress)
    side = min(beginning.preprocessing.size)
    recipe = resolve(wanted, side)
    if recipe.batch_size > len(data.train):  # the learning rate goes by what a step really sees
        recipe = resolve(replace(wanted, batch_size=len(data.train)), side)
    work = _Work(settings, data, beginning, recipe, device, space)
    made_from = work.made_from
    run.begin(made_from)
    trainee = _trainee(work, teachers_of(settings, data.labels, work.device))
    identity, precision = _identity(made_from), Precision.of(work.device)
    loop = Loop(trainee, recipe, wanted.seed, state=run.state, identity=identity, precision=precision)
    metrics = {metric.name: metric for metric in trainee.task.metrics}
    if (before := run.result) is not None:
        loop.history = [_epoch_of(values, metrics) for values in before]
    else:
        loop.resume(metrics)
    opened = Opened(
        network=beginning.architecture.name,
        parameters=sum(parameter.numel() for parameter in beginning.module.parameters()),
        recipe=recipe,
        training=len(data.train),
        validation=len(data.validation),
        labels=data.labels,
        teachers=tuple(str(path) for path in wanted.teacher),
        accelerator=work.device,
        facts=beginning.facts,
        notes=(*data.notes, *beginning.notes, *recipe.notes),
        problems=tuple(problem.sentence for problem in found),
        epochs_done=len(loop.history),
    )
    return Training(trainee, loop, opened, work, run)


def _device(wanted: Accelerator | None) -> Accelerator:
    torch = extras.load("torch", "torch")
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ConfigError("the accelerator is cuda, and torch finds none here: leave --accelerator out, or choose cpu")
    return wanted or ("cuda" if there else "cpu")


def shown(data: Data, count: int) -> Callable[[Preprocessing], ImageSource]:
    """So many training images, as pre-trained networks are asked what they expect."""
    from edgekit.calibration.images import held_images  # noqa: PLC0415 - see ``train``

    places = data.train.spread(count)

    def images(preprocessing: Preprocessing) -> ImageSource:
        pixels = [np.asarray(data.train.image(place).convert("RGB")) for place in places]
        return held_images(pixels, f"{len(places)} training images", preprocessing)

    return images


def _trainee(work: _Work, teachers: Distillation | None) -> FromImages:
    """What learns, and from what.

    Raises:
        ConfigError: there are fewer batches than an update takes, or the task mixes no images.
    """
    import torch  # noqa: PLC0415 - see ``train``

    from edgekit.compression.search.supernet import Supernet  # noqa: PLC0415 - likewise
    from edgekit.tasks.registry import from_setting, heads_of, task_of  # noqa: PLC0415 - likewise
    from edgekit.training.data.loader import Loader  # noqa: PLC0415 - likewise
    from edgekit.training.from_images import FromImages  # noqa: PLC0415 - likewise
    from edgekit.training.objectives import objective_of  # noqa: PLC0415 - likewise

    data, recipe, wanted, preprocessing = work.data, work.recipe, work.settings.train, work.beginning.preprocessing
    size = recipe.batch_size
    training = Loader(data.train, size, preprocessing, recipe.augmentation, seed=wanted.seed, drop_last=True)
    last = None
    if recipe.crop_size is not None and recipe.full_size_epochs:
        whole = replace(recipe, crop_size=None).augmentation
        last = recipe.epochs - recipe.full_size_epochs, replace(training, augmentation=whole)
    if recipe.grad_accum_steps > len(training):
        raise ConfigError(
            f"an update takes {recipe.grad_accum_steps} batches, and {len(data.train):,} images are "
            f"{len(training):,} of {size}: choose a smaller --grad-accum-steps or --batch-size"
        )
    validation = Loader(data.validation, size, preprocessing, shuffle=False)
    # As batches are laid out; torch's overloads leave this argument out.
    heads = heads_of({"architecture": work.beginning.architecture.to_dict()})
    task, _ = task_of(_shapes(work), data.labels, from_setting(work.task), heads)
    learned = objective_of(task)
    if (recipe.mixup or recipe.cutmix) and not learned.mixes:
        raise ConfigError(f"in {wanted.task} images are not mixed: leave --mixup and --cutmix out")
    module = work.beginning.module.to(work.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.recomputes = wanted.grad_checkpointing
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = recipe.drop
    stages = [feature_map.module for feature_map in module.maps]
    kind = FromImages if work.space is None else partial(Supernet, work.space, data.outputs)
    return kind(
        module,
        stages,
        training,
        validation,
        objective=learned,
        task=task,
        normalization=preprocessing.normalization,
        recipe=recipe,
        seed=wanted.seed,
        last=last,
        frozen=stages if wanted.freeze_bn else (),
        teacher=teachers,
        device=work.device,
    )


def _shapes(work: _Work) -> dict[str, tuple[int, ...]]:
    """Of the network's outputs for one image, by name."""
    import torch  # noqa: PLC0415 - see ``train``

    from edgekit.training.from_images import named  # noqa: PLC0415 - likewise

    module, architecture = work.beginning.module, work.beginning.architecture
    with torch.inference_mode():
        found = module.eval()(torch.zeros(1, architecture.in_channels, *architecture.size))
    return {name: tuple(output.shape[1:]) for name, output in named(found).items()}


def _identity(made_from: dict[str, Any]) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def _epoch_of(values: dict[str, Any], metrics: Mapping[str, Metric]) -> Epoch:
    """An epoch of a finished run, as ``RunFolder`` wrote it down."""
    from edgekit.training.loop import Epoch  # noqa: PLC0415 - see ``train``

    measured = tuple(Measured(metrics[name], value) for name, value in values["measured"].items())
    return Epoch(**{**values, "measured": measured})


def _keep_images(data: Data, run: Path) -> None:
    """Keep some training images in the run's folder, so that it can be exported when the data have moved."""
    from edgekit.training.data.keep import calibration_images  # noqa: PLC0415 - see ``train``

    if not (run / CALIBRATION).is_dir():
        calibration_images(data.train, run / CALIBRATION, KEPT_IMAGES)


def _for_libraries(run: Path) -> tuple[ForLibrary, ...]:
    """Write the best weights under the names of libraries that have the network."""
    from edgekit.models import checkpoint  # noqa: PLC0415 - likewise
    from edgekit.models.writing import LIBRARIES, state_dict_as  # noqa: PLC0415 - likewise
    from edgekit.training import saving  # noqa: PLC0415 - likewise

    best, found = checkpoint.load(run / BEST), []
    if not isinstance(best.structure, Architecture):  # no library has these heads on its networks under these names
        return ()
    for library in LIBRARIES:
        try:
            written = state_dict_as(best.module, best.architecture, library)
        except CheckpointError:  # it has no such network
            continue
        path = run / BEST.replace(".safetensors", f".{library}.pth")
        saving.save(written.weights, path)
        found.append(ForLibrary(path, written.made_by))
    return tuple(found)
