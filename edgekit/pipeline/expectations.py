"""What a network expects of its images and of its builder: given, stated by its file, found from images, or assumed.

The weights of a network do not tell how its images were normalized, or how its convolutions pad. Here this is settled
before anything else is done: what the user gives counts, then what the file says, then what batch normalization shows
(``calibration.finding``), and what is left is usual for such networks, and called assumed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import extras, facts
from edgekit.conventions import USUAL_ORDER, orders_of
from edgekit.errors import CheckpointError, ConfigError
from edgekit.facts import Basis, Fact
from edgekit.flags import INPUT_SETTINGS, flag, flags
from edgekit.preprocessing import Preprocessing
from edgekit.words import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from edgekit.calibration.images import ImageSource
    from edgekit.calibration.ranges import Ranges
    from edgekit.config import CalibrationSettings, PreprocessingSettings, Settings
    from edgekit.ir import Graph
    from edgekit.pipeline.source import Trained
    from edgekit.progress import Progress

FINDABLE = ("padding", "bn_eps", "activation")  # options that batch normalization can show
_OF_PICTURES = ("resize", "interpolation")
# What changes the pictures that a network sees, and not what it computes of them: assumed, it needs nobody's consent.
_WITHOUT_CONSENT = (*_OF_PICTURES, "resolution")
_OF_PIXELS = ("normalization", "order")  # a file that says it computes with it
_CHOICES: Mapping[str, tuple[Any, ...]] = {"padding": ("same", "symmetric"), "bn_eps": (1e-5, 1e-3)}
_ACTIVATIONS = {"relu6": ("relu6", "relu"), "relu": ("relu", "relu6"), "hard_swish": ("hard_swish", "relu", "relu6")}
USUAL_CROP = 224 / 256  # of an image's side: torchvision's and slim's evaluation
_SMALLER = 5 / 7  # of the usual size, rounded to a multiple of 32: 160 for ImageNet's 224
# Of the misfits of two sizes. Networks of 224 showed 1.4 to 2.2, those of 160, 0.8 to 1.3.
_SIZE_TOLERANCE = 1.35
_PICTURE_TOLERANCE = 1.1  # of the least misfit
_MOST_CHANNELS, _READ_AT_ONCE = 4, 32
_WITH_FOURTH = "images that have a fourth channel: RGBA in .png, or an array [N, H, W, 4]"
_WITHOUT_IMAGES = "no images were given (--calib DIR) that could show it"


class Contradicted(ConfigError):
    """What was given does not fit the network.

    Attributes:
        told: the evidence, in words.
        flags: what says the right values, ready to be pasted.
    """

    def __init__(self, contradictions: Sequence[Fact], order: str) -> None:
        self.told = "; ".join(dict.fromkeys(fact.because for fact in contradictions))
        self.flags = flags({fact.name: fact.value for fact in contradictions}, order)
        super().__init__(
            f"what was given does not fit the network: {self.told}. Correct it, {self.flags}; or go on all the same, "
            f"--insist"
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """What a network expects, and the options that it is built with.

    Attributes:
        preprocessing: how an image becomes its input.
        options: to load it with, in place of what is usual; empty where what it was loaded with holds.
        facts: all of it, with its evidence.
    """

    preprocessing: Preprocessing
    options: Mapping[str, Any]
    facts: tuple[Fact, ...]


def needing_consent(found: Sequence[Fact]) -> tuple[Fact, ...]:
    """Those of ``found`` that are assumed and decide what the network computes."""
    return tuple(fact for fact in found if fact.basis is Basis.ASSUMED and fact.name not in _WITHOUT_CONSENT)


def check_consent(found: Sequence[Fact], *, insists: bool) -> None:
    """Refuse to make integers from what is assumed, unless the user insists.

    Raises:
        ConfigError: something is assumed that decides what the network computes.
    """
    open_facts = needing_consent(found)
    if not open_facts or insists:
        return
    named = ", ".join(f"{fact.name} {plain(fact.value)}" for fact in open_facts)
    shown = "give images that show it, --calib DIR; " if any(f.because == _WITHOUT_IMAGES for f in open_facts) else ""
    raise ConfigError(
        f"int8 files would rest on what is only assumed: {named}. {shown.capitalize()}say what is right "
        f"({'; '.join(fact.setting for fact in open_facts)}), or go on with what is assumed: --insist"
    )


def settle(trained: Trained, settings: Settings, ranges: Ranges | None, progress: Progress) -> Settled:
    """Settle what a network expects.

    Args:
        trained: as it was loaded, with what is usual where its file says nothing.
        settings: what the user gives; the images that are looked at are those of calibration.
        ranges: of an earlier export, which are used again, and say what was settled then; None without them.
        progress: told of every candidate.

    Raises:
        CheckpointError: the network takes images of a number of channels that edgekit does not feed.
        Contradicted: evidence contradicts a setting, and ``model.insist`` is not set.
        ConfigError: a setting does not fit the network.
        DataError: the images cannot be used.
    """
    wanted = settings.calibration
    start = _start(trained, settings.preprocessing, None if ranges is None else _recorded(ranges))
    contradictions = _against_file(
        (*(f for f in trained.facts if f.name in _OF_PIXELS), *trained.overruled), start.facts
    )
    insisted = [
        _contradicted(fact, against, start.preprocessing.order)
        for fact in start.facts
        for against in contradictions
        if fact.name == against.name
    ]
    start = replace(start, facts=facts.replaced(start.facts, insisted))
    if ranges is None and wanted.data is not None and not wanted.data_free:
        start, by_images = _found(trained, start, wanted, progress)
        contradictions += by_images
    if contradictions and not settings.model.insist:
        raise Contradicted(contradictions, start.preprocessing.order)
    return start


# --- what is given, stated or usual -----------------------------------------------------------------------------------


def _start(trained: Trained, given: PreprocessingSettings, recorded: Sequence[Fact] | None) -> Settled:
    channels, *size = trained.shape
    if channels not in USUAL_ORDER:
        raise CheckpointError(
            f"{trained.path} takes images of {channels} channels, and edgekit feeds 1 (grey), 3 (colours) or 4 "
            f"(colours and one more): let the network take one of these"
        )
    known = {fact.name: fact for fact in (recorded or trained.facts)}
    usual = {"mean": list(trained.mean), "std": list(trained.std)}
    normalization = _fact("normalization", given.mean and {"mean": given.mean, "std": given.std}, known, usual)
    order = _fact("order", given.order, known, USUAL_ORDER[channels])
    if channels == 1 and order.basis is Basis.ASSUMED:
        order = replace(order, basis=Basis.STATED, because="the first layer reads one channel")
    interpolation = _fact("interpolation", given.interpolation, known, "bilinear")
    resize = _fact(
        "resize", given.resize or (given.crop and _cropped(size, given.crop)), known, _cropped(size, 224 / 256)
    )
    if order.value not in orders_of(channels):
        raise ConfigError(
            f"preprocessing.order is {order.value}, and {trained.path} takes images of {channels} channels: "
            f"{' or '.join(orders_of(channels))} is wanted"
        )
    mean, std = (_of_channels(name, normalization.value[name], channels) for name in ("mean", "std"))
    normalization = replace(normalization, value={"mean": list(mean), "std": list(std)})
    preprocessing = Preprocessing(
        size=(size[0], size[1]),
        resize=_resize(resize.value),
        mean=mean,
        std=std,
        order=order.value,
        interpolation=interpolation.value,
        antialias=given.antialias is not False,
    )
    inputs = (normalization, order, resize, interpolation)
    options = [fact for fact in known.values() if fact.name not in INPUT_SETTINGS]
    given_options = [fact for fact in trained.facts if fact.basis is Basis.GIVEN] if recorded is None else []
    return Settled(preprocessing, {}, facts.replaced((*options, *given_options), inputs))


def _against_file(stated: Sequence[Fact], settled: Sequence[Fact]) -> tuple[Fact, ...]:
    """What the file of the network says, where the user says something else."""
    given = {fact.name: plain(fact.value) for fact in settled if fact.basis is Basis.GIVEN}
    found = []
    for fact in stated:
        said = plain(fact.value)
        if fact.basis is Basis.STATED and given.get(fact.name, said) != said:
            because = f"the file says {fact.name} {said} ({fact.because}), not {given[fact.name]}"
            found.append(replace(fact, because=because))
    return tuple(found)


def _contradicted(fact: Fact, against: Fact, order: str) -> Fact:
    """What was given or stated, if the user insists on it although ``against`` is what evidence shows."""
    because = f"{fact.basis} ({fact.because}), but {against.because}"
    setting = flag(against.name, against.value, order)
    return replace(fact, basis=Basis.CONTRADICTED, because=because, setting=setting)


def _recorded(ranges: Ranges) -> tuple[Fact, ...]:
    """What was settled when ranges were made; files from before facts were written say how images were read."""
    if known := facts.of_provenance(ranges.provenance):
        return known
    return stated(ranges.preprocessing, Basis.ASSUMED, "the file of ranges, which does not say why")


def stated(preprocessing: Preprocessing, basis: Basis, because: str) -> tuple[Fact, ...]:
    """How images are read, as facts."""
    values = {
        "normalization": {"mean": list(preprocessing.mean), "std": list(preprocessing.std)},
        "order": preprocessing.order,
        "resize": "none" if preprocessing.resize is None else preprocessing.resize,
        "interpolation": preprocessing.interpolation,
    }
    return tuple(Fact(name, value, basis, because, INPUT_SETTINGS[name]) for name, value in values.items())


def _fact(name: str, given: object, stated: Mapping[str, Fact], usual: object) -> Fact:
    setting = INPUT_SETTINGS[name]
    if given:
        given = list(given) if isinstance(given, tuple) else given  # as JSON has it
        return Fact(name, given, Basis.GIVEN, facts.BY_SETTING, setting)
    if name in stated:
        return replace(stated[name], setting=setting)
    if name == "interpolation":  # a filter of another kind moves a pixel by a few levels
        return Fact(name, usual, Basis.ASSUMED, "usual for most networks", setting)
    return Fact(name, usual, Basis.ASSUMED, _WITHOUT_IMAGES, setting)


def _of_channels(name: str, values: Sequence[float], channels: int) -> tuple[float, ...]:
    """One value a channel; one alone stands for all."""
    if len(values) not in {1, channels}:
        raise ConfigError(
            f"preprocessing.{name} has {len(values)} values, and the network takes images of {channels} channels: one "
            f"a channel is wanted, or one for all"
        )
    return tuple(values) if len(values) == channels else tuple(values) * channels


def _cropped(size: Sequence[int], share: float) -> int | list[int]:
    """What an image is resized to cover, so that the network sees this share of it, on either side."""
    rows, columns = (round(side / share) for side in size)
    return rows if rows == columns else [rows, columns]


def _resize(value: Any) -> int | tuple[int, int] | str | None:  # noqa: ANN401 - JSON
    if value == "none":
        return None
    return (int(value[0]), int(value[1])) if isinstance(value, list | tuple) else value


# --- what images show -------------------------------------------------------------------------------------------------


def _found(
    trained: Trained, start: Settled, wanted: CalibrationSettings, progress: Progress
) -> tuple[Settled, tuple[Fact, ...]]:
    """What is settled with the images, and what was given or stated and they contradict."""
    extras.load("torch", "torch")
    from edgekit.calibration import finding, question  # noqa: PLC0415 - needs torch

    look = _Look(wanted)
    known = {fact.name: fact for fact in start.facts}
    options = {name: known[name].value for name in trained.options if name in known}
    choices = {name: _choices(name, value) for name, value in options.items()}
    expectations = question.Expectations(start.preprocessing, tuple(options.items()))
    asked = question.Question(expectations, {name: fact.basis for name, fact in known.items()}, choices)
    findings = finding.find(
        asked,
        lambda candidate: trained.variant(dict(candidate.options)),
        lambda candidate, images: _logits(trained.variant(dict(candidate.options)), images),
        lambda number: look.at(start.preprocessing, number),
        progress,
    )
    contradictions = []
    for told in findings:
        fact = known[told.name]
        if told.contradicted is not None:
            contradictions.append(replace(fact, value=told.contradicted, because=told.because))
            known[told.name] = _contradicted(fact, contradictions[-1], start.preprocessing.order)
        elif fact.basis is Basis.ASSUMED:
            known[told.name] = replace(fact, value=told.value, basis=told.basis, because=told.because)
    changed = {name: known[name].value for name, value in options.items() if known[name].value != value}
    values = known["normalization"].value
    preprocessing = replace(
        start.preprocessing, mean=tuple(values["mean"]), std=tuple(values["std"]), order=known["order"].value
    )
    for name in _OF_PICTURES:
        if known[name].basis is Basis.ASSUMED:
            known[name] = replace(known[name], because="usual, and the images do not show it")
    if known["normalization"].basis is not Basis.ASSUMED:
        network = trained.variant({**options, **changed})
        known |= {fact.name: fact for fact in _of_pictures(network, preprocessing, known, look)}
        if "resolution" in known and known["resolution"].is_assumed:
            build = partial(_of_size, trained, {**options, **changed})
            known["resolution"] = _of_resolution(build, preprocessing, known["resolution"], look)
    if filled := look.filled(preprocessing):
        known[filled.name] = filled
    return Settled(preprocessing, changed, tuple(known.values())), tuple(contradictions)


def filled_channel(images: ImageSource) -> Fact | None:
    """What stands in the fourth channel of images that have none, as far as they have been read; None where all do."""
    if not images.filled:
        return None
    seen = f"{len(images.filled)} of {len(images)}"
    because = f"images without the fourth channel that the network reads: {seen}"
    return Fact("fourth_channel", 255, Basis.ASSUMED, because, _WITH_FOURTH)


def _logits(network: nn.Module | Graph, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of a network that was built by some options."""
    import torch  # noqa: PLC0415 - a Raspberry Pi does without

    from edgekit.calibration.witness import BATCH  # noqa: PLC0415 - needs torch
    from edgekit.executor.float import FloatExecutor  # noqa: PLC0415 - likewise

    module = network if isinstance(network, torch.nn.Module) else FloatExecutor(network)
    with torch.inference_mode():  # a few at a time: memory for large tensors takes longer to get than to fill
        parts = [module(torch.from_numpy(images[i : i + BATCH])).numpy() for i in range(0, len(images), BATCH)]
    return np.concatenate(parts)


class _Look:
    """The images, read in any way."""

    def __init__(self, wanted: CalibrationSettings) -> None:
        self._wanted = wanted

    def at(self, preprocessing: Preprocessing, number: int) -> NDArray[np.uint8]:
        """Up to so many of the images, evenly spaced over all, [N, H, W, C]."""
        return self._opened(preprocessing).sample(number).pixels

    def filled(self, preprocessing: Preprocessing) -> Fact | None:
        """What stands in a fourth channel that images do not have; only then all of them are read."""
        if len(preprocessing.mean) != _MOST_CHANNELS:
            return None
        images = self._opened(preprocessing)
        for _ in images.batches(_READ_AT_ONCE):
            pass
        return filled_channel(images)

    def _opened(self, preprocessing: Preprocessing) -> ImageSource:
        from edgekit.calibration.images import open_images  # noqa: PLC0415 - float exports do without

        wanted = self._wanted
        assert wanted.data is not None, "checked before"
        return open_images(wanted.data, preprocessing, limit=wanted.images, strict=wanted.strict)


def _choices(name: str, value: Any) -> tuple[Any, ...]:  # noqa: ANN401 - JSON
    """What usually stands in the place of ``value``."""
    usual = _ACTIVATIONS[value] if name == "activation" else _CHOICES[name]
    return usual if value in usual else (value, *usual)


def _of_pictures(
    network: nn.Module | Graph, preprocessing: Preprocessing, known: Mapping[str, Fact], look: _Look
) -> Iterator[Fact]:
    """How images are resized: what is usual is found if nothing else brings them clearly nearer to training.

    Networks are trained on random crops, so none of these is the right one; but one that is far off shows.
    """
    from edgekit.calibration.finding import misfits  # noqa: PLC0415 - needs torch
    from edgekit.calibration.witness import BATCH  # noqa: PLC0415 - likewise

    others = {
        "resize": [
            replace(preprocessing, resize=_resize(_cropped(preprocessing.size, 1.0))),
            replace(preprocessing, resize="whole"),
        ],
        "interpolation": [replace(preprocessing, interpolation="bicubic")],
    }
    others = {name: ways for name, ways in others.items() if known[name].is_assumed}
    ways = [preprocessing, *itertools.chain(*others.values())]
    found = misfits(network, ways, [look.at(way, BATCH) for way in ways]) if others else None
    if found is None:
        return
    by_way = dict(zip(ways, found, strict=True))
    for name, tried in others.items():
        best = min(tried, key=lambda way: by_way[way])
        if by_way[preprocessing] <= _PICTURE_TOLERANCE * by_way[best]:
            because = "with no other usual one the images fit clearly better what batch normalization remembers"
            yield replace(known[name], basis=Basis.FOUND, because=because)
        else:
            value, times = getattr(best, name), by_way[preprocessing] / by_way[best]
            because = (
                f"usual, but with {plain(value)} the images fit what batch normalization remembers {times:.2g} times "
                f"as well"
            )
            yield replace(known[name], because=because, setting=flag(name, value))


def _of_size(trained: Trained, options: Mapping[str, Any], side: int) -> nn.Module | Graph:
    return trained.variant({**options, "resolution": side})


def _of_resolution(
    build: Callable[[int], nn.Module | Graph], preprocessing: Preprocessing, known: Fact, look: _Look
) -> Fact:
    """What speaks for the usual size of images, or against it; it stays assumed.

    Things have another size in an image of another one, which batch normalization remembers. But training shows them
    larger, on random crops (arXiv:1906.06423), so that larger images fit as well, and of sizes close to each other
    nothing can be told: networks made for 192 take 224 as well as those made for 224.
    """
    from edgekit.calibration.finding import misfits  # noqa: PLC0415 - needs torch
    from edgekit.calibration.witness import BATCH  # noqa: PLC0415 - likewise

    usual = int(known.value)
    smaller = round(usual * _SMALLER / 32) * 32
    found = []
    for side in (usual, smaller):
        way = _scaled(preprocessing, side)
        found += misfits(build(side), [way], [look.at(way, 2 * BATCH)]) or []
    if not found:
        return known
    times = found[1] / found[0]
    if times >= _SIZE_TOLERANCE:
        return replace(known, because=f"{known.because}, and images of {smaller} fit its training clearly worse")
    setting = f"--set model.resolution={usual}|{smaller}"
    if times >= 1:
        because = f"{known.because}, but images of {smaller} fit its training nearly as well"
        return replace(known, because=because, setting=setting)
    because = f"{known.because}, but images of {smaller} fit its training {1 / times:.2g} times as well"
    return replace(known, because=because, setting=flag("resolution", smaller))


def _scaled(preprocessing: Preprocessing, side: int) -> Preprocessing:
    """The same share of an image, of another size."""
    resize, scale = preprocessing.resize, side / preprocessing.size[0]
    if isinstance(resize, int):
        resize = round(scale * resize)
    elif isinstance(resize, tuple):
        resize = (round(scale * resize[0]), round(scale * resize[1]))
    return replace(preprocessing, size=(side, side), resize=resize)
