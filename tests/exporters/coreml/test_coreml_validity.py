"""Which specification a system reads, and what is wrong with a package."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgekit.errors import ConfigError
from edgekit.exporters.coreml import codec as coreml
from edgekit.exporters.coreml.schema import schema
from edgekit.exporters.coreml.validity import specification_of, violations
from edgekit.exporters.metadata import KEY, Head, IoDtype

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.integer_model import IntegerModel


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


def test_a_classifier_of_logits_is_told(integer_model: IntegerModel, tmp_path: Path) -> None:
    path = tmp_path / "m.mlpackage"
    labelled = replace(integer_model, labels=("a", "b", "c", "d"))
    coreml.write_integer_model(labelled, path, io_dtype=IoDtype.FLOAT32, head=Head.SOFTMAX)
    assert violations(path) == ()
    file = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    message = schema().model.Model.FromString(file.read_bytes())
    told = json.loads(message.description.metadata.userDefined[KEY])
    del told["head"]  # as it was written when classifiers gave logits
    message.description.metadata.userDefined[KEY] = json.dumps(told)
    file.write_bytes(message.SerializeToString())
    assert [violation.text for violation in violations(path)] == [
        "an earlier edgekit wrote a classifier whose probabilities are logits: export it again"
    ]
