"""Which operators a named runtime has."""

from __future__ import annotations

import pytest

from edgekit.errors import ConfigError
from edgekit.exporters.tflite.operators import RELEASES
from edgekit.exporters.tflite.versions import release_of


@pytest.mark.parametrize(
    ("requirement", "release"),
    [
        ("1.2", (2, 17, 0)),
        (" ai-edge-litert == 2.3.0 ", (2, 17, 0)),
        ("litert==1.2", (2, 17, 0)),
        ("tflite-runtime==2.14", (2, 14, 0)),
        ("TensorFlow==2.7.1", (2, 7, 1)),
    ],
)
def test_a_runtime_has_the_operators_of_a_release(requirement: str, release: tuple[int, int, int]) -> None:
    assert release_of(requirement) == release


@pytest.mark.parametrize("requirement", ["", "latest", "2", ">=2.7", "tflite==2.7", "1.2.3.4"])
def test_what_is_no_version_is_refused(requirement: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a version of LiteRT: write it as 1\.2, or .* tflite-runtime==2\.14"):
        release_of(requirement)


def test_litert_has_everything_that_edgekit_writes() -> None:
    assert max(RELEASES.values()) <= release_of("1.0")
