"""What a training begins with: a network with random or pre-trained weights, and how images reach it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from edgekit import extras
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD, NORMALIZATIONS, USUAL_ORDER
from edgekit.errors import ConfigError
from edgekit.models import folders, tables
from edgekit.models.ensemble_architecture import EnsembleArchitecture
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.pipeline.making.expectations import settle
from edgekit.pipeline.making.given import Given
from edgekit.pipeline.making.trained import FROM_FILE, HALF, options_of
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.registry import heads_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from edgekit.calibration.images import ImageSource
    from edgekit.config import PreprocessingSettings, Settings, TrainSettings
    from edgekit.facts import Fact
    from edgekit.models.architecture import Architecture, Options, Size
    from edgekit.progress import Progress

    Completing = Callable[[Architecture | TaskArchitecture], Architecture | TaskArchitecture]

_USUAL_CROP: Final = 0.875  # of the resized image's side: torchvision's and slim's evaluation
_SMALL: Final = 64  # pixels: smaller images are seen whole
# Of tasks whose networks usually see other images than classifiers: arXiv:1801.04381, section 6.2, for detection.
_RESOLUTIONS: Final[Mapping[str, int]] = {"detection": 320, "segmentation": 320, "several": 320}


@dataclass(frozen=True, slots=True, eq=False)  # modules have no equality
class Beginning:
    """A network that is about to be trained.

    Attributes:
        module: in training mode.
        architecture: what it looks like.
        preprocessing: how images reach it where it is validated, and in use.
        pretrained: SHA-256 of the checkpoint that it starts from; None where weights are random.
        facts: what is taken to be true of that checkpoint.
        notes: what was chosen and left aside, for people.
    """

    module: nn.Module = field(repr=False)
    architecture: Architecture | TaskArchitecture
    preprocessing: Preprocessing
    pretrained: str | None = None
    facts: tuple[Fact, ...] = ()
    notes: tuple[str, ...] = ()


def check_named(settings: Settings) -> None:
    """Refuse settings that name no network, before time goes into images.

    Raises:
        ConfigError: they name none, or one that edgekit does not know, or a table is none of a network.
        CheckpointError: the checkpoint to start from does not exist.
    """
    from edgekit.models.families import FAMILIES, family_of  # noqa: PLC0415 - needs torch

    wanted = settings.train
    if wanted.pretrained is not None:
        folders.file_of(wanted.pretrained)
    elif wanted.arch is None:
        raise ConfigError(
            f"no network is named: --pretrained CHECKPOINT starts from trained weights, --arch FAMILY from random "
            f"ones; families are {', '.join(FAMILIES)}"
        )
    if wanted.arch is None:
        return
    if _is_table(wanted.arch):
        if wanted.pretrained is not None or wanted.width is not None:
            other = "--pretrained" if wanted.pretrained is not None else "--width"
            raise ConfigError(f"{wanted.arch} says every channel of the network: leave {other} out, or --arch")
        tables.table_of(tables.read(Path(wanted.arch)))
    else:
        family_of(wanted.arch)


def _is_table(arch: str) -> bool:
    """Whether a network is named by a table of its stages, and not by its family."""
    return arch.endswith(".toml")


def begin(
    settings: Settings,
    complete: Completing,
    images: Callable[[Preprocessing], ImageSource],
    progress: Progress,
) -> Beginning:
    """Build the network of some settings, which ``check_named`` has passed.

    Args:
        settings: [train] says which network, [preprocessing] how images reach it.
        complete: what stands on its backbone, whose size and channels are settled then.
        images: some of the training images, which show what a pre-trained network expects.
        progress: told of what is tried.

    Raises:
        BadInput: the family, the checkpoint or a setting cannot be used.
    """
    if settings.train.pretrained is not None:
        return _pretrained(settings, complete, images, progress)
    return _random(settings, complete)


def _random(settings: Settings, complete: Completing) -> Beginning:
    from edgekit.models.families import family_of  # noqa: PLC0415 - needs torch

    wanted = settings.train
    assert wanted.arch is not None, "checked before"
    if _is_table(wanted.arch):
        return of_table(settings, tables.table_of(tables.read(Path(wanted.arch))), complete)
    width = 1.0 if wanted.width is None else wanted.width
    return _of_architecture(settings, family_of(wanted.arch).make(width, **_options(settings)), complete)


def of_table(settings: Settings, table: tables.Table, complete: Completing) -> Beginning:
    """Begin with the network of a table of stages, with random weights; see ``begin``.

    Raises:
        BadInput: a setting cannot be used.
    """
    return _of_architecture(settings, table.architecture().with_options(**_options(settings)), complete)


def _of_architecture(settings: Settings, architecture: Architecture, complete: Completing) -> Beginning:
    torch = extras.load("torch", "torch")

    from edgekit.models.building import built  # noqa: PLC0415 - needs torch

    wanted = settings.train
    mean, std = NORMALIZATIONS["cifar10"] if wanted.recipe == "cifar10" else (IMAGENET_MEAN, IMAGENET_STD)
    if architecture.in_channels != len(mean):
        mean = std = (HALF,) * architecture.in_channels
    usual = Preprocessing(architecture.size, _usual_resize(architecture.size), mean, std, USUAL_ORDER[len(mean)])
    preprocessing = _as_given(_whole(usual, wanted.task), settings.preprocessing)
    torch.manual_seed(wanted.seed)
    completed = complete(architecture)
    return Beginning(built(completed), completed, preprocessing)


def _pretrained(
    settings: Settings, complete: Completing, images: Callable[[Preprocessing], ImageSource], progress: Progress
) -> Beginning:
    """The checkpoint's network; layers that it has not, or with other shapes, are random."""
    torch = extras.load("torch", "torch")

    from edgekit.models import checkpoint  # noqa: PLC0415 - needs torch
    from edgekit.models.building import built  # noqa: PLC0415 - likewise

    wanted, path = settings.train, settings.train.pretrained
    assert path is not None, "the caller has looked"
    model = replace(settings.model, checkpoint=path, resolution=wanted.resolution, classes=None)
    trained = FROM_FILE.load(model)
    if not heads_of(trained.provenance) and model.resolution != (usual := _resolution(wanted)):
        model = replace(model, resolution=usual)  # a classifier, whose images are not those of the task
        trained = FROM_FILE.load(model)
    if "architecture" not in trained.provenance:
        raise ConfigError(
            f"{path} is no checkpoint of a MobileNet: what is trained has to be one of edgekit's families"
        )
    settled = settle(trained, replace(settings, model=model), None, Given(images=images), progress)
    height, width = trained.shape[1:]
    size = height if height == width else (height, width)
    options = {**options_of(model), "resolution": size, **settled.options}
    loaded = checkpoint.load(path, **cast("Options", options))
    if isinstance(loaded.structure, EnsembleArchitecture):
        raise ConfigError(f"{path} is an ensemble, and one network is trained: give the checkpoint of one of them")
    _check_named(loaded.structure, settings)
    completed = complete(loaded.structure)
    torch.manual_seed(wanted.seed)
    module, notes = built(completed), list(loaded.notes)
    weights, own = loaded.module.state_dict(), module.state_dict()
    taken = {key: weights[key] for key, tensor in own.items() if key in weights and weights[key].shape == tensor.shape}
    notes += _told_fresh([key for key in own if key not in taken], weights, loaded.structure.num_classes)
    module.load_state_dict({**own, **taken})
    preprocessing = _as_given(_whole(settled.preprocessing, wanted.task), settings.preprocessing)
    facts = tuple(fact for fact in settled.facts if fact.name != "resize" or preprocessing == settled.preprocessing)
    return Beginning(module, completed, preprocessing, loaded.sha256, facts, tuple(notes))


def _told_fresh(fresh: Sequence[str], weights: Mapping[str, Tensor], classes: int) -> list[str]:
    """What starts from random weights, for people.

    Args:
        fresh: names of these weights.
        weights: of the checkpoint.
        classes: that it tells apart.
    """
    had = {key.split(".")[0] for key in fresh if key in weights}
    lacked = {key.split(".")[0] for key in fresh} - had
    return [
        *(f"the last layers of the {part} start from random weights: it had {classes} classes" for part in sorted(had)),
        *(f"the head for {part} starts from random weights: the checkpoint has none" for part in sorted(lacked)),
    ]


def _check_named(structure: Architecture | TaskArchitecture, settings: Settings) -> None:
    """Refuse a checkpoint of another network than the one that is named."""
    wanted, path = settings.train, settings.train.pretrained
    found = structure.backbone if isinstance(structure, TaskArchitecture) else structure
    if wanted.arch not in {None, found.family} or (wanted.width is not None and wanted.width != found.width):
        named = " ".join(str(part) for part in (wanted.arch or found.family, wanted.width) if part is not None)
        raise ConfigError(
            f"{path} holds {found.family} {found.width}, and {named} is named: leave --arch and --width out"
        )


def _options(settings: Settings) -> Options:
    """What leaves no trace in the channels, where it is set."""
    found = options_of(settings.model)
    if (resolution := _resolution(settings.train)) is not None:
        found["resolution"] = resolution
    return found


def _resolution(wanted: TrainSettings) -> int | Size | None:
    """As it is set, or as is usual for the task; None leaves it to the family."""
    return _RESOLUTIONS.get(wanted.task) if wanted.resolution is None else wanted.resolution


def _whole(usual: Preprocessing, task: str) -> Preprocessing:
    """Images are seen whole where it matters at what places things are."""
    return replace(usual, resize="whole") if task in _RESOLUTIONS else usual


def _usual_resize(size: tuple[int, int]) -> int | tuple[int, int] | str:
    """Of images before the centre crop: small ones are seen whole."""
    if min(size) <= _SMALL:
        return "whole"
    covering = tuple(round(side / _USUAL_CROP) for side in size)
    return covering[0] if size[0] == size[1] else (covering[0], covering[1])


def _as_given(usual: Preprocessing, given: PreprocessingSettings) -> Preprocessing:
    """How images reach the network, as far as it is set."""
    changed: dict[str, Any] = {}
    if given.mean is not None and given.std is not None:
        channels = len(usual.mean)
        changed["mean"], changed["std"] = (
            tuple(values) * (channels if len(values) == 1 else 1) for values in (given.mean, given.std)
        )
    if given.resize is not None:
        changed["resize"] = None if given.resize == "none" else given.resize
    if given.crop is not None:
        changed["resize"] = round(usual.size[0] / given.crop)
    for name in ("order", "interpolation", "antialias"):
        if (value := getattr(given, name)) is not None:
            changed[name] = value
    return replace(usual, **changed)
