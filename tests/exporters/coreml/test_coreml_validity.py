"""Which specification a system reads."""

from __future__ import annotations

import pytest

from edgekit.errors import ConfigError
from edgekit.exporters.coreml.validity import specification_of


@pytest.mark.parametrize(
    ("target", "specification"),
    [("iOS15", 6), ("iOS 16", 7), ("ios17.2", 8), ("iOS18", 9), ("iOS26", 10), ("macOS12", 6), ("macOS 14.1", 8)],
)
def test_a_system_reads_a_specification(target: str, specification: int) -> None:
    assert specification_of(target) == specification


@pytest.mark.parametrize("target", ["", "17", "iOS", "iOS14", "macOS11", "watchOS10"])
def test_what_runs_no_programs_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match="is no system that runs ML programs: name iOS15, macOS12 or a later one"):
        specification_of(target)


def test_coremltools_pairs_specifications_and_systems_likewise(coremltools: object) -> None:
    for name, specification in (("iOS15", 6), ("iOS16", 7), ("iOS17", 8), ("macOS13", 7), ("macOS14", 8)):
        assert int(getattr(coremltools.target, name)) == specification == specification_of(name)  # type: ignore[attr-defined]
