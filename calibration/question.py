"""What a network may expect: the question that is put to the images, the usual candidates, and what was found."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.calibration.evidence import ENOUGH_NATS
from edgekit.conventions import NORMALIZATIONS, ORDERS, orders_of
from edgekit.facts import Basis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.preprocessing import Preprocessing

Value = Any  # of an expectation: a JSON value
INPUTS = ("normalization", "order")  # expectations of the image; the others are of how the network is built
STAGE = "finding what the network expects"
_CIFAR_CLASSES = (10, 20, 100)
# An estimate: of the networks of this family that are published, hardly one in a hundred takes -0.5 to 0.5 or -127.5 to
# 127.5, and hardly one in a thousand tells other classes apart than CIFAR's and takes CIFAR's numbers. All of these
# are close to usual ones, and without this a cast in the colours of a few images would speak for them.
_RARITY = {"half": math.log(100), "centred": math.log(100), "cifar10": math.log(1000)}


@dataclass(frozen=True, slots=True)
class Expectations:
    """What a network may expect.

    Attributes:
        preprocessing: order of the channels, mean and std; its size and resize are those that the images were read by.
        options: what a network is built with: padding, bn_eps, activation; empty where the file has it all.
    """

    preprocessing: Preprocessing
    options: tuple[tuple[str, Value], ...] = ()

    def value(self, name: str) -> Value:
        """Of one expectation."""
        match name:
            case "order":
                return self.preprocessing.order
            case "normalization":
                return normalization_value(self.preprocessing)
            case _:
                return dict(self.options)[name]

    def with_option(self, name: str, value: Value) -> Expectations:
        """These with another option."""
        return replace(self, options=tuple((n, value if n == name else v) for n, v in self.options))


if TYPE_CHECKING:
    # The logits of the network for some expectations, for normalized images [N, C, H, W].
    Answer = Callable[[Expectations, NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one expectation.

    Attributes:
        name: of the fact it is about.
        value: that fits best; the usual, given or stated one where nothing decides.
        basis: FOUND or ASSUMED; as it was where it was given or stated.
        because: the evidence, for people.
        contradicted: what was given or stated is wrong, and this is what fits; None where nothing speaks against it.
    """

    name: str
    value: Value
    basis: Basis
    because: str
    contradicted: Value = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        start: what is usual, given or stated.
        bases: of each expectation, by name: one that is given or stated is only contradicted, never replaced.
        choices: of each option, by name, the values that are usual.
        classes: how many the network tells apart; None where that is not known.
        enough: nats against what was given or stated that contradict it.
    """

    start: Expectations
    bases: Mapping[str, Basis]
    choices: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    classes: int | None = None
    enough: float = ENOUGH_NATS

    def is_open(self, name: str) -> bool:
        """Whether the evidence decides."""
        return self.bases.get(name, Basis.ASSUMED) in {Basis.ASSUMED, Basis.FOUND}

    def rarity(self, meant: Preprocessing) -> float:
        """How rarely such a network is normalized so, in nats: the logarithm of one in how many; 0 of what is given."""
        usual = normalization_words(meant)
        is_own = usual == "cifar10" and self.classes in {None, *_CIFAR_CLASSES}
        is_given = not self.is_open("normalization") and not differs("normalization", meant, self.start.preprocessing)
        return 0.0 if is_own or is_given else _RARITY.get(usual, 0.0)


def normalization_value(preprocessing: Preprocessing) -> dict[str, list[float]]:
    """Mean and std as a JSON value."""
    return {"mean": list(preprocessing.mean), "std": list(preprocessing.std)}


def normalization_words(preprocessing: Preprocessing) -> str:
    """The usual name of mean and std, or the numbers."""
    for name, (mean, std) in NORMALIZATIONS.items():
        usual = in_order(mean, std, preprocessing.order)
        if np.allclose(usual, (preprocessing.mean, preprocessing.std), atol=1e-3):
            return name
    means, stds = (" ".join(f"{value:.3g}" for value in values) for values in (preprocessing.mean, preprocessing.std))
    return f"mean {means} std {stds}"


def words(name: str, expectations: Expectations) -> str:
    """An expectation and its value."""
    if name == "normalization":
        return f"normalization {normalization_words(expectations.preprocessing)}"
    return f"{name} {expectations.value(name)}"


def in_order(mean: Sequence[float], std: Sequence[float], order: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std, which are those of red, green and blue, for the channels of ``order``."""
    places = ORDERS[order][1]
    if len(places) == 1:
        return (float(np.mean(mean)),), (float(np.mean(std)),)
    padded = [(*values, float(np.mean(values)))[:4] for values in (mean, std)]  # of a fourth channel, the mean of them
    first, second = (tuple(values[place] for place in places) for values in padded)
    return first, second


def described(preprocessing: Preprocessing) -> str:
    """Normalization and order."""
    return f"{normalization_words(preprocessing)}, {preprocessing.order}"


def inputs(question: Question) -> list[Preprocessing]:
    """Every preprocessing that comes into question: the one to start from, and the usual ones, in every order."""
    start = question.start.preprocessing
    found = [start]
    for order in (start.order, *(other for other in orders_of(len(start.mean)) if other != start.order)):
        own = reordered(start, order)
        usual = [
            replace(start, order=order, mean=m, std=s)
            for m, s in (in_order(*u, order) for u in NORMALIZATIONS.values())
        ]
        for other in (own, *usual):
            if not any(is_same(other, known) for known in found):
                found.append(other)
    return found


def reordered(start: Preprocessing, order: str) -> Preprocessing:
    """The same mean and std of each colour, for another order of the channels."""
    places, others = ORDERS[start.order][1], ORDERS[order][1]
    moved = [places.index(place) for place in others]
    mean, std = (tuple(values[index] for index in moved) for values in (start.mean, start.std))
    return replace(start, order=order, mean=mean, std=std)


def is_same(a: Preprocessing, b: Preprocessing) -> bool:
    """Whether two have the same order, mean and std."""
    return a.order == b.order and np.allclose((a.mean, a.std), (b.mean, b.std), atol=1e-3)


def differs(name: str, a: Preprocessing, b: Preprocessing) -> bool:
    """Whether two have another order, or another normalization of each colour; ``name`` says which."""
    return a.order != b.order if name == "order" else not is_same(reordered(a, b.order), b)


def normalized(pixels: NDArray[np.uint8], given: str, meant: Preprocessing) -> NDArray[np.float32]:
    """Pixels that were read in the order ``given`` as the network's input, [N, C, H, W]."""
    places, others = ORDERS[given][1], ORDERS[meant.order][1]
    return meant.normalization(pixels[..., [places.index(place) for place in others]])


def undecided(question: Question, names: Sequence[str], because: str) -> tuple[Finding, ...]:
    """Everything as it was: what was assumed stays so."""
    return tuple(
        Finding(name, question.start.value(name), question.bases.get(name, Basis.ASSUMED), because) for name in names
    )
