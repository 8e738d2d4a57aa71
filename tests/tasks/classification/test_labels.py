"""What the labels of images mean: the oracle is a network whose classes are known, and how often it is right."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.errors import DataError
from edgekit.facts import Basis
from edgekit.tasks.classification.labels import binomial_tail, check, matched, natural, understand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.facts import Fact


def network(right: Sequence[int], classes: int, share: float = 0.8, seed: int = 0) -> NDArray[Any]:
    """Logits of a network that is right on a share of the images, and elsewhere says anything."""
    random = np.random.default_rng(seed)
    answers = np.where(random.random(len(right)) < share, right, random.integers(0, classes, len(right)))
    return np.eye(classes)[answers]


def images(folders: Sequence[str], each: int) -> list[int]:
    """Labels of so many images in each folder, as ``open_images`` gives them."""
    return [place for place in range(len(folders)) for _ in range(each)]


def fact_of(found: Any) -> Fact:
    assert found.fact is not None
    fact: Fact = found.fact
    assert fact.name == "labels"
    return fact


NUMBERS = [str(number) for number in range(12)]
PADDED = [f"{number:03d}" for number in range(10)]
FROM_ONE = [str(number) for number in range(1, 16)]
NAMED = [f"class {number}" for number in range(12)]


# --- folders that are numbers


@pytest.mark.parametrize("folders", [NUMBERS, PADDED, FROM_ONE, NAMED])
def test_numbers_in_numeric_order(folders: list[str]) -> None:
    labels = images(sorted(folders, key=natural), 5)
    found = understand(labels, sorted(folders, key=natural), (), network(labels, len(folders)))
    assert found.classes == tuple(labels)
    assert fact_of(found).basis is Basis.FOUND


@pytest.mark.parametrize("folders", [NUMBERS, FROM_ONE, NAMED])
def test_a_network_that_was_trained_on_the_order_of_texts(folders: list[str]) -> None:
    """As torchvision's ImageFolder has it: "10" before "2"."""
    ordered = sorted(folders, key=natural)
    right = [sorted(folders).index(ordered[label]) for label in images(ordered, 5)]
    found = understand(images(ordered, 5), ordered, (), network(right, len(folders)))
    assert found.classes == tuple(right)
    assert "order as text" in fact_of(found).because


@pytest.mark.parametrize(
    ("folders", "shift"), [(["3", "7", "20"], 0), (["1", "500", "999", "12"], -1), (["5", "41", "8"], 1)]
)
def test_some_classes_of_a_thousand_by_number(folders: list[str], shift: int) -> None:
    ordered = sorted(folders, key=int)
    right = [int(ordered[label]) + shift for label in images(ordered, 6)]
    found = understand(images(ordered, 6), ordered, (), network(right, 1000))
    assert found.classes == tuple(right)


# --- folders that are names


LABELS = ("tench, Tinca tinca", "n01443537 goldfish", "Great White Shark", "sea_lion", "crane", "crane, machine", "hen")


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["great white shark", "hen", "tench"], (2, 6, 0)),
        (["Great_White-Shark", "SEA LION"], (2, 3)),
        (["n01443537", "hen"], (1, 6)),
        (["goldfish", "tench, tinca tinca"], (1, 0)),
        (["001.hen", "2 sea_lion"], (6, 3)),
    ],
)
def test_names_of_the_network(folders: list[str], expected: tuple[int, ...]) -> None:
    assert matched(folders, LABELS) == expected
    labels = images(folders, 3)
    found = understand(labels, folders, LABELS, network(labels, len(LABELS), share=0))  # whatever it answers
    assert found.classes == tuple(expected[label] for label in labels)
    assert fact_of(found).basis is Basis.STATED


@pytest.mark.parametrize(
    "folders", [["hen", "rooster"], ["hen", "Hen"], ["machine", "hen"], ["tench", "TENCH, Tinca tinca"]]
)
def test_names_that_are_not_all_the_networks_own(folders: list[str]) -> None:
    assert matched(folders, LABELS) == ()
    labels = images(folders, 20)
    found = understand(labels, folders, LABELS, network(labels, len(LABELS)))
    assert (found.classes, fact_of(found).basis) == ((), Basis.ASSUMED)


def test_all_classes_by_names_in_another_language() -> None:
    """The order of the folders is that of the classes if the answers say so."""
    folders = ["chat", "chien", "oiseau"]
    labels = images(folders, 10)
    found = understand(labels, folders, ("cat", "dog", "bird"), network(labels, 3))
    assert (found.classes, fact_of(found).basis) == (tuple(labels), Basis.FOUND)


# --- too few, too many, shifted


@pytest.mark.parametrize(("folders", "classes"), [(8, 1000), (3, 10), (12, 10), (1001, 1000)])
def test_folders_that_cannot_be_told(folders: int, classes: int) -> None:
    names = [f"kind {chr(97 + place % 26)}{place}" for place in range(folders)]
    labels = images(names, 3)
    found = understand(labels, names, (), network([label % classes for label in labels], classes))
    assert found.classes == ()
    assert fact_of(found).is_assumed
    assert f"images are of {folders} classes" in fact_of(found).because
    assert f"{classes} classes" in fact_of(found).because


@pytest.mark.parametrize("folders", [1000, 20, 9])
@pytest.mark.parametrize("share", [0.2, 0.8])
def test_a_background_class_before_all(folders: int, share: float) -> None:
    names = [f"n{place:08d}" for place in range(folders)]
    labels = images(names, 4 if folders > 100 else 20)
    right = [label + 1 for label in labels]
    found = understand(labels, names, (), network(right, folders + 1, share))
    assert found.classes == tuple(right)
    assert "plus one" in fact_of(found).because


@pytest.mark.parametrize(("classes", "shift"), [(1001, 1), (1000, -1), (10, -1)])
def test_indices_that_are_shifted(classes: int, shift: int) -> None:
    right = np.random.default_rng(1).integers(1, classes - 1, 200)
    found = understand((right - shift).tolist(), None, (), network(right.tolist(), classes, 0.5))
    assert found.classes == tuple(right)
    assert fact_of(found).basis is Basis.FOUND


def test_indices_behind_the_last_class_that_a_shift_explains() -> None:
    right = [*range(10)] * 5
    found = understand([label + 1 for label in right], None, (), network(right, 10))
    assert found.classes == tuple(right)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_indices_hold_as_they_are_given(share: float) -> None:
    labels = [*range(10)] * 8
    found = understand(labels, None, (), network(labels, 10, share))
    assert (found.classes, fact_of(found).basis) == (tuple(labels), Basis.GIVEN)


# --- answers that decide nothing


@pytest.mark.parametrize("seed", range(5))
def test_a_network_that_guesses_explains_no_order(seed: int) -> None:
    labels = images(NUMBERS, 10)
    found = understand(labels, NUMBERS, (), network(labels, 12, 0.0, seed))
    assert found.classes == ()
    assert "right on" in fact_of(found).because


def test_a_network_that_says_the_same_of_all() -> None:
    folders = ["a", "b"]
    found = understand([0] * 99 + [1], folders, (), np.eye(2)[[0] * 100])
    assert found.classes == ()


def test_too_few_images() -> None:
    assert understand([0, 1], ["a", "b"], (), np.eye(2)).classes == ()


def test_no_labels() -> None:
    found = understand([], None, (), np.eye(3))
    assert (found.classes, found.fact) == ((), None)


def test_indices_of_another_network_are_refused() -> None:
    check([0, 10], 10)  # maybe shifted by one
    check([], 10)
    with pytest.raises(DataError, match="an image has the label 11, and the network has 10 classes, 0 to 9"):
        check([3, 11], 10)
    with pytest.raises(DataError, match="an image has the label 10, and the network has 10 classes, 0 to 9"):
        understand([3, 10], None, (), np.eye(10)[:2])


@pytest.mark.parametrize(("trials", "least", "probability"), [(20, 3, 0.1), (200, 150, 0.7), (5, 0, 0.4), (7, 7, 0.5)])
def test_the_binomial_tail(trials: int, least: int, probability: float) -> None:
    exact = sum(
        math.comb(trials, k) * probability**k * (1 - probability) ** (trials - k) for k in range(least, trials + 1)
    )
    assert binomial_tail(trials, least, probability) == pytest.approx(exact, rel=1e-9, abs=1e-11)
