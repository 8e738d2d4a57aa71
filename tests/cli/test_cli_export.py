"""What export says of the images, and of what it takes to be true."""

from __future__ import annotations

import pytest

from edgekit.calibration.diagnosis import Finding, Mistake
from edgekit.cli.export import diagnosed
from edgekit.facts import Basis, Fact

LEVELS = Fact("normalization", {"mean": [0.0] * 3, "std": [1.0] * 3}, Basis.FOUND, "", "")


@pytest.mark.parametrize("mistake", [Mistake.NORMALIZATION, Mistake.ORDER, Mistake.DISTRIBUTION])
@pytest.mark.parametrize(
    ("basis", "said"),
    [
        (
            Basis.CONTRADICTED,
            "what was insisted on looks wrong, normalization mean 0, std 1, rather than the images: why",
        ),
        (Basis.GIVEN, "what was given looks wrong, normalization mean 0, std 1, rather than the images: why"),
        (Basis.ASSUMED, "what is only assumed looks wrong, normalization mean 0, std 1, rather than the images: why"),
        (Basis.STATED, "the calibration images look wrong: why"),
        (Basis.FOUND, "the calibration images look wrong: why"),
    ],
)
def test_what_may_be_wrong_is_blamed_before_the_images(mistake: Mistake, basis: Basis, said: str) -> None:
    fact = Fact(LEVELS.name, LEVELS.value, basis, "", "")
    padding = Fact("padding", "same", Basis.CONTRADICTED, "", "")  # no matter of pixels
    assert diagnosed(Finding(mistake, "why"), [fact, padding]) == said


@pytest.mark.parametrize("mistake", [Mistake.NOISE, Mistake.FEW, Mistake.COPIES, Mistake.DARK])
def test_what_pixels_show_is_a_fault_of_the_images(mistake: Mistake) -> None:
    fact = Fact(LEVELS.name, LEVELS.value, Basis.CONTRADICTED, "", "")
    assert diagnosed(Finding(mistake, "why"), [fact]) == "the calibration images look wrong: why"
