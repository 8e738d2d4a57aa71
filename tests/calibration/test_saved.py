"""The file that keeps what a calibration found."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.calibration.found import Ranges
from edgekit.calibration.options import Options
from edgekit.calibration.ranges import Range, RangeMethod
from edgekit.calibration.recipe import RECIPE
from edgekit.calibration.saved import load, save
from edgekit.errors import ArtifactError
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from pathlib import Path

EMPTY: dict[str, Any] = {step.name: {} for step in RECIPE}
RANGES = Ranges(
    found=EMPTY
    | {
        "ranges": {"features.0": Range(0.0, 6.0), "x": Range(-0.1, 1 / 3)},
        "gains": {"features.0": (1.0, 2.0)},
        "corrections": {"a.bias": (0.1, -0.25)},
        "stability": {"x": 0.125},
    },
    images=100,
    digest="00ff",
    preprocessing=Preprocessing((224, 224), 256),
    options=Options(percentile=99.99, keep_float=("head",), int16=()),
    provenance={"checkpoint": "abc", "kept_float": ["head"]},
)


def test_ranges_survive_saving_exactly(tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    save(RANGES, path)
    assert load(path) == RANGES


@pytest.mark.parametrize("written", [7, 8, "delete"])
def test_the_bits_of_weights(written: int | str, tmp_path: Path) -> None:
    """Files from before weights could have other numbers of bits do not say it."""
    path = saved(tmp_path / "ranges.json", weight_bits=written)
    bits = written if isinstance(written, int) else 8
    assert load(path) == replace(RANGES, options=replace(RANGES.options, weight_bits=bits))


def test_equal_ranges_are_equal_bytes(tmp_path: Path) -> None:
    save(RANGES, tmp_path / "a")
    other_order = replace(RANGES, found=dict(reversed(list(RANGES.found.items()))))
    save(other_order, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@settings(max_examples=50, deadline=None)
@given(low=st.floats(-1e30, 0.0), high=st.floats(1e-30, 1e30))
def test_every_float_survives(tmp_path_factory: pytest.TempPathFactory, low: float, high: float) -> None:
    path = tmp_path_factory.mktemp("ranges") / "ranges.json"
    options = Options(method=RangeMethod.MSE)
    one = Ranges(EMPTY | {"ranges": {"x": Range(low, high)}}, 1, "", RANGES.preprocessing, options)
    save(one, path)
    assert load(path) == one


def saved(path: Path, **changes: object) -> Path:
    save(RANGES, path)
    values = {name: value for name, value in (json.loads(path.read_text()) | changes).items() if value != "delete"}
    path.write_text(json.dumps(values))
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": "other"}, "holds no calibration ranges"),
        ({"schema_version": 99}, "schema version 99, this edgekit reads 2"),
        ({"ranges": {"x": [1.0, 2.0]}}, "is no range"),
        ({"ranges": {"x": [0.0, 0.0]}}, "is no range"),
        ({"ranges": {"x": [-1.0, float("inf")]}}, "is no range"),
        ({"ranges": {"x": [float("nan"), 1.0]}}, "is no range"),
        ({"ranges": {"x": [1.0]}}, "damaged"),
        ({"ranges": [1]}, "damaged"),
        ({"method": "guess"}, "damaged"),
        ({"images": "delete"}, "damaged"),
        ({"preprocessing": {}}, "damaged"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(ArtifactError, match=said):
        load(saved(tmp_path / "ranges.json", **changes))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"PK\x03\x04", b"[1]", b"{}"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ranges.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"ranges\.json"):
        load(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        load(tmp_path / "none")
    with pytest.raises(ArtifactError, match="cannot read"):
        load(tmp_path)


def test_roundings_survive_saving(tmp_path: Path) -> None:
    offsets = np.random.default_rng(0).integers(-1, 2, (4, 3, 3, 3)).astype(np.int8)
    ranges = replace(RANGES, found=EMPTY | {"roundings": {"w": offsets}})
    save(ranges, tmp_path / "ranges.json")
    np.testing.assert_array_equal(load(tmp_path / "ranges.json").found["roundings"]["w"], offsets)
