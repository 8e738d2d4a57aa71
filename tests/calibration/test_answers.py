"""What is found by how sure answers are: the oracle is which candidate was made the surest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.calibration.answers import by_answers
from edgekit.calibration.question import Expectations, Question, normalization_words
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.facts import Basis
from edgekit.preprocessing import Preprocessing
from edgekit.progress import silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.calibration.question import Finding

CLASSES = 12
START = Preprocessing((2, 2), None, IMAGENET_MEAN, IMAGENET_STD)
TF = {"mean": [0.5] * 3, "std": [0.5] * 3}


def ask(
    margins: dict[tuple[str, str], float], *, classes: int = CLASSES, images: int = 64, **bases: Basis
) -> dict[str, Finding]:
    """Ask a network that is as sure as ``margins`` says, by normalization and order, and 0.5 elsewhere."""
    number = iter(range(10**6))

    def answer(candidate: Expectations, shown: NDArray[np.float32]) -> NDArray[np.float32]:
        meant = candidate.preprocessing
        logits = np.zeros((len(shown), CLASSES), np.float32)
        noise = np.random.default_rng(next(number)).normal(0, 0.3, len(shown))
        sure = margins.get((normalization_words(meant), meant.order), 0.5)
        logits[np.arange(len(shown)), np.arange(len(shown)) % classes] = sure + noise
        return logits

    question = Question(Expectations(START), bases, {"padding": ("same", "symmetric")}, CLASSES)
    question = replace(question, start=replace(question.start, options=(("padding", "same"),)))
    pixels = np.zeros((images, 2, 2, 3), np.uint8)
    return {finding.name: finding for finding in by_answers(question, answer, pixels, silent)}


def test_the_surest_is_found() -> None:
    found = ask({("tf", "BGR"): 6.0, ("tf", "RGB"): 4.0})
    assert (found["normalization"].value, found["order"].value) == (TF, "BGR")
    assert {found["normalization"].basis, found["order"].basis} == {Basis.FOUND}
    assert found["padding"].basis is Basis.ASSUMED


def test_what_is_left_open_between_two_is_assumed_and_the_rest_found() -> None:
    found = ask({("tf", "RGB"): 6.0, ("tf", "BGR"): 6.0})
    assert (found["normalization"].value, found["normalization"].basis) == (TF, Basis.FOUND)
    assert found["order"].basis is Basis.ASSUMED


def test_what_is_surer_than_training_makes_it_is_left_aside() -> None:
    found = ask({("tf", "RGB"): 6.0, ("raw", "RGB"): 300.0, ("raw", "BGR"): 300.0})
    assert (found["normalization"].value, found["normalization"].basis) == (TF, Basis.FOUND)


@pytest.mark.parametrize("margins", [{("tf", "RGB"): 6.0}, {}])
def test_images_of_one_class_tell_nothing(margins: dict[tuple[str, str], float]) -> None:
    found = ask(margins, classes=1)
    assert {finding.basis for finding in found.values()} == {Basis.ASSUMED}


@pytest.mark.parametrize(("margin", "basis"), [(6.0, Basis.FOUND), (6.5, Basis.ASSUMED)])
def test_a_rare_normalization_needs_more_than_a_usual_one(margin: float, basis: Basis) -> None:
    found = ask({("half", "RGB"): margin, ("tf", "RGB"): 6.0})["normalization"]
    assert found.basis is basis
    assert basis is Basis.ASSUMED or found.value == TF


@pytest.mark.parametrize(
    ("name", "surest", "value"), [("normalization", ("tf", "RGB"), TF), ("order", ("imagenet", "BGR"), "BGR")]
)
def test_what_is_given_and_wrong_is_contradicted(name: str, surest: tuple[str, str], value: object) -> None:
    found = ask({surest: 6.0}, normalization=Basis.GIVEN, order=Basis.GIVEN)
    contradicted = {finding.name: finding.contradicted for finding in found.values() if finding.contradicted}
    assert contradicted == {name: value}


def test_what_is_given_and_right_is_not() -> None:
    found = ask({("imagenet", "RGB"): 6.0}, normalization=Basis.GIVEN)
    assert found["normalization"].contradicted is None
    assert (found["order"].value, found["order"].basis) == ("RGB", Basis.FOUND)
