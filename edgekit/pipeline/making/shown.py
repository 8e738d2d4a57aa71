"""What images show of what a network expects: the finder is asked, and how the images are read is looked at."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import extras, facts
from edgekit.facts import Basis, Fact
from edgekit.flags import flag
from edgekit.words import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from edgekit.calibration.images import ImageSource
    from edgekit.calibration.question import Expectations, Finding
    from edgekit.ir import Graph
    from edgekit.pipeline.making.given import Given
    from edgekit.pipeline.making.trained import Trained
    from edgekit.preprocessing import Preprocessing
    from edgekit.progress import Progress

USUAL_CROP = 224 / 256  # of an image's side: torchvision's and slim's evaluation
_MOST_CHANNELS, _READ_AT_ONCE = 4, 32
_WITH_FOURTH = "images that have a fourth channel: RGBA in .png, or an array [N, H, W, 4]"
_CHOICES: Mapping[str, tuple[Any, ...]] = {"padding": ("same", "symmetric"), "bn_eps": (1e-5, 1e-3)}
_ACTIVATIONS = {"relu6": ("relu6", "relu"), "relu": ("relu", "relu6"), "hard_swish": ("hard_swish", "relu", "relu6")}
_SMALLER = 5 / 7  # of the usual size, rounded to a multiple of 32: 160 for ImageNet's 224
# Of the misfits of two sizes. Networks of 224 showed 1.4 to 2.2, those of 160, 0.8 to 1.3.
_SIZE_TOLERANCE = 1.35
_PICTURE_TOLERANCE = 1.1  # of the least misfit
OF_PICTURES = ("resize", "interpolation")


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


def found(  # noqa: PLR0913 - a question, and whom to ask
    trained: Trained,
    start: Settled,
    disputed: Mapping[str, Fact],
    given: Given,
    progress: Progress,
    *,
    enough: float,
) -> tuple[Settled, tuple[Fact, ...]]:
    """What is settled with the images, and what was given or stated and they contradict.

    Args:
        trained: the network.
        start: what is known without the images.
        disputed: what the file says, by name, where something else was given: the images decide.
        given: the images.
        progress: told of every candidate.
        enough: nats of evidence that contradict what was given or stated.
    """
    extras.load("torch", "torch")
    from edgekit.calibration import finding, question  # noqa: PLC0415 - needs torch

    assert given.images is not None, "checked before"
    look = _Look(given.images)
    known = {fact.name: fact for fact in start.facts}
    options = {name: known[name].value for name in trained.options if name in known}
    choices = {name: _choices(name, value) for name, value in options.items()}
    expectations = question.Expectations(start.preprocessing, tuple(options.items()))
    bases = {name: Basis.ASSUMED if name in disputed else fact.basis for name, fact in known.items()}
    asked = question.Question(expectations, bases, choices, enough=enough)
    built: dict[tuple[tuple[str, Any], ...], nn.Module | Graph] = {}  # that answer: those that are asked are changed

    def answer(candidate: Expectations, images: NDArray[np.float32]) -> NDArray[np.float32]:
        if candidate.options not in built:
            built[candidate.options] = trained.variant(dict(candidate.options))
        return _answers(built[candidate.options], images)

    findings = finding.find(
        asked,
        lambda candidate: trained.variant(dict(candidate.options)),
        answer,
        lambda number: look.at(start.preprocessing, number),
        progress,
    )
    contradictions = []
    for told in findings:
        fact = known[told.name]
        known[told.name] = _decided(fact, told, disputed.get(told.name), start.preprocessing.order)
        if told.contradicted is not None:
            contradictions.append(replace(fact, value=told.contradicted, because=told.because))
        elif told.name in disputed and told.basis is Basis.FOUND and known[told.name].basis is not Basis.GIVEN:
            contradictions.append(replace(fact, value=told.value, basis=Basis.GIVEN, because=told.because))
    changed = {name: known[name].value for name, value in options.items() if known[name].value != value}
    values = known["normalization"].value
    preprocessing = replace(
        start.preprocessing, mean=tuple(values["mean"]), std=tuple(values["std"]), order=known["order"].value
    )
    are_cropped = given.shape == trained.shape
    because = "the images have the network's size already" if are_cropped else "the images do not show it"
    for name in OF_PICTURES:
        if known[name].basis is Basis.ASSUMED:
            known[name] = replace(known[name], because=f"usual, and {because}")
    if known["normalization"].basis is not Basis.ASSUMED and not are_cropped:
        build = partial(_built, trained, {**options, **changed})
        known |= {fact.name: fact for fact in _of_pictures(build, preprocessing, known, look)}
    if filled := look.filled(preprocessing):
        known[filled.name] = filled
    return Settled(preprocessing, changed, tuple(known.values())), tuple(contradictions)


def _decided(fact: Fact, told: Finding, said: Fact | None, order: str) -> Fact:
    """A fact after the images were asked; ``said`` is what the file says instead of what was given."""
    if said is not None:
        if told.basis is Basis.FOUND and plain(told.value) == plain(fact.value):
            because = f"{facts.BY_SETTING}, and {told.because}, although {said.because}"
            return replace(fact, basis=Basis.GIVEN, because=because)
        return fact
    if told.contradicted is not None:
        return contradicted(fact, replace(fact, value=told.contradicted, because=told.because), order)
    if fact.basis is Basis.ASSUMED:
        return replace(fact, value=told.value, basis=told.basis, because=told.because)
    return fact


def filled_channel(images: ImageSource) -> Fact | None:
    """What stands in the fourth channel of images that have none, as far as they have been read; None where all do."""
    if not images.filled:
        return None
    seen = f"{len(images.filled)} of {len(images)}"
    because = f"images without the fourth channel that the network reads: {seen}"
    return Fact("fourth_channel", 255, Basis.ASSUMED, because, _WITH_FOURTH)


def _answers(network: nn.Module | Graph, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logits [N, classes] of a network that was built by some options; without any, all it gives, [N, 1, values].

    Args:
        network: a module of a checkpoint's, or a graph.
        images: normalized, [N, C, H, W].
    """
    import torch  # noqa: PLC0415 - a Raspberry Pi does without

    from edgekit.calibration.witness import BATCH  # noqa: PLC0415 - needs torch
    from edgekit.executor.float import FloatExecutor  # noqa: PLC0415 - likewise

    module = network if isinstance(network, torch.nn.Module) else FloatExecutor(network)

    def answers(part: torch.Tensor) -> torch.Tensor:
        given: dict[str, torch.Tensor] | torch.Tensor = module(part)
        if isinstance(given, torch.Tensor):
            return given
        if not isinstance(network, torch.nn.Module) and network.logits is not None:
            return given[network.logits.name]
        return torch.cat([values.flatten(1) for values in given.values()], 1)[:, None]

    with torch.inference_mode():  # a few at a time: memory for large tensors takes longer to get than to fill
        parts = [answers(torch.from_numpy(images[i : i + BATCH])).numpy() for i in range(0, len(images), BATCH)]
    return np.concatenate(parts)


class _Look:
    """The images, read in any way."""

    def __init__(self, images: Callable[[Preprocessing], ImageSource]) -> None:
        self._images = images

    def at(self, preprocessing: Preprocessing, number: int) -> NDArray[np.uint8]:
        """Up to so many of the images, evenly spaced over all, [N, H, W, C]."""
        return self._images(preprocessing).sample(number).pixels

    def filled(self, preprocessing: Preprocessing) -> Fact | None:
        """What stands in a fourth channel that images do not have; only then all of them are read."""
        if len(preprocessing.mean) != _MOST_CHANNELS:
            return None
        images = self._images(preprocessing)
        for _ in images.batches(_READ_AT_ONCE):
            pass
        return filled_channel(images)


def _choices(name: str, value: Any) -> tuple[Any, ...]:  # noqa: ANN401 - JSON
    """What usually stands in the place of ``value``."""
    usual = _ACTIVATIONS[value] if name == "activation" else _CHOICES[name]
    return usual if value in usual else (value, *usual)


def _built(trained: Trained, options: Mapping[str, Any], **size: int) -> nn.Module | Graph:
    return trained.variant({**options, **size})


def _of_pictures(
    build: Callable[..., nn.Module | Graph], preprocessing: Preprocessing, known: Mapping[str, Fact], look: _Look
) -> Iterator[Fact]:
    """What speaks for how images are usually resized, or against it; it stays assumed.

    Networks are trained on random crops, so none of these is the right one, and they fit about alike; but one that is
    far off shows. ``build`` gives the network, for images of another size than its own with ``resolution``.
    """
    from edgekit.calibration.finding import misfits  # noqa: PLC0415 - needs torch
    from edgekit.calibration.witness import BATCH  # noqa: PLC0415 - likewise

    def of(ways: Sequence[Preprocessing], **size: int) -> list[float] | None:
        return misfits(build(**size), ways, [look.at(way, BATCH) for way in ways])

    others = {
        "resize": [
            replace(preprocessing, resize=resized(cropped(preprocessing.size, 1.0))),
            replace(preprocessing, resize="whole"),
        ],
        "interpolation": [replace(preprocessing, interpolation="bicubic")],
    }
    others = {name: ways for name, ways in others.items() if known[name].is_assumed}
    ways = [preprocessing, *itertools.chain(*others.values())]
    resolution = known.get("resolution")
    is_open = resolution is not None and resolution.is_assumed
    found = of(ways) if others or is_open else None
    if found is None:
        return
    if resolution is not None and is_open:
        smaller = round(preprocessing.size[0] * _SMALLER / 32) * 32
        if smaller < preprocessing.size[0] and (
            shrunk := of([preprocessing.at((smaller, smaller))], resolution=smaller)
        ):
            yield _of_resolution(resolution, smaller, shrunk[0] / found[0])
    by_way = dict(zip(ways, found, strict=True))
    for name, tried in others.items():
        best = min(tried, key=lambda way: by_way[way])
        value, times = getattr(best, name), by_way[preprocessing] / by_way[best]
        if times <= _PICTURE_TOLERANCE:
            because = "usual, and the other usual ones fit its batch normalization about as well"
            yield replace(known[name], because=because, setting=flag(name, known[name].value))
        else:
            because = f"usual, but with {plain(value)} the images fit its batch normalization {times:.2g} times as well"
            yield replace(known[name], because=because, setting=flag(name, value))


def _of_resolution(known: Fact, smaller: int, times: float) -> Fact:
    """What speaks for the usual size of images, or against it; it stays assumed.

    Things have another size in an image of another one, which batch normalization remembers. But training shows them
    larger, on random crops (arXiv:1906.06423), so that larger images fit as well, and of sizes close to each other
    nothing can be told: networks made for 192 take 224 as well as those made for 224.

    Args:
        known: the usual size.
        smaller: size that was tried.
        times: its misfit over that of the usual one.
    """
    if times >= _SIZE_TOLERANCE:
        because = f"{known.because}, and images of {smaller} fit its batch normalization clearly worse"
        return replace(known, because=because, setting=flag("resolution", known.value))
    if times >= 1:
        because = f"{known.because}, but images of {smaller} fit its batch normalization nearly as well"
        return replace(known, because=because, setting=f"--set model.resolution={known.value}|{smaller}")
    because = f"{known.because}, but images of {smaller} fit its batch normalization {1 / times:.2g} times as well"
    return replace(known, because=because, setting=flag("resolution", smaller))


def contradicted(fact: Fact, against: Fact, order: str) -> Fact:
    """What was given or stated, if the user insists on it although ``against`` is what evidence shows."""
    because = f"{fact.basis} ({fact.because}), but {against.because}"
    setting = flag(against.name, against.value, order)
    return replace(fact, basis=Basis.CONTRADICTED, because=because, setting=setting)


def cropped(size: Sequence[int], share: float) -> int | list[int]:
    """What an image is resized to cover, so that the network sees this share of it, on either side."""
    rows, columns = (round(side / share) for side in size)
    return rows if rows == columns else [rows, columns]


def resized(value: Any) -> int | tuple[int, int] | str | None:  # noqa: ANN401 - JSON
    """What a fact says of ``Preprocessing.resize``."""
    if value == "none":
        return None
    return (int(value[0]), int(value[1])) if isinstance(value, list | tuple) else value
