"""What export says of the images, and of what it takes to be true."""

from __future__ import annotations

import pytest

from edgekit.calibration.diagnosis import Finding, Mistake
from edgekit.facts import Basis, Fact
from edgekit.reports.exported import diagnosed

LEVELS = {"mean": [0.0] * 3, "std": [1.0] * 3}


@pytest.mark.parametrize("mistake", Mistake)
@pytest.mark.parametrize("basis", Basis)
def test_what_is_given_may_be_wrong_in_place_of_the_images(mistake: Mistake, basis: Basis) -> None:
    facts = [Fact("normalization", LEVELS, basis, "", ""), Fact("padding", "same", Basis.GIVEN, "", "")]
    said = "the calibration images look wrong: why"
    if mistake is Mistake.DISTRIBUTION and basis is Basis.GIVEN:
        said = "the calibration images look wrong, or what was given does, normalization unit (mean 0, std 1): why"
    assert diagnosed(Finding(mistake, "why"), facts) == said
