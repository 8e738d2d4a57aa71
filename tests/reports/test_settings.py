"""Every setting is explained, and a file that is written of them says the same."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgekit import config
from edgekit.config import Said, Settings
from edgekit.reports.settings import explained, starting_file

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"model": {"bn_eps": 1e-3, "resolution": (160, 192)}, "calibration": {"keep_float": ["features.0", "a.1"]}},
        {"preprocessing": {"mean": [0.5], "std": [0.5]}, "verify": {"limits": {"top1": 75.0, "drop": 1.0}}},
        {"export": {"device": "raspberrypi4", "verify": False}},
    ],
    ids=str,
)
def test_a_written_file_reads_as_the_same_settings(overrides: Mapping[str, Any], tmp_path: Path) -> None:
    settings = config.load(None, overrides)
    path = tmp_path / config.FILE_NAME
    path.write_text(starting_file(explained(settings, tmp_path)), encoding="utf-8")
    read = config.load(path)
    assert dataclasses.replace(read, source=None, origins={}) == dataclasses.replace(settings, origins={})
    assert set(tomllib.loads(path.read_text())) == set(config.to_values(settings, tmp_path))


def test_paths_are_written_as_they_read_from_the_file(tmp_path: Path) -> None:
    data = tmp_path / "images"
    known = explained(config.load(None, {"calibration": {"data": data}}), tmp_path)
    assert 'data = "images"\n' in starting_file(known)


def test_every_setting_has_a_meaning_and_an_origin(tmp_path: Path) -> None:
    path = tmp_path / config.FILE_NAME
    path.write_text('[export]\ndevice = "raspberrypi4"\n[verify.limits]\ntop1 = 75\n', encoding="utf-8")
    flags = {"export": {"probabilities": Said("softmax", "--probabilities")}}
    known = {one.name: one for one in explained(config.load(path, flags), tmp_path)}
    keys = sum(len(values) for values in config.to_values(Settings(), Path()).values())
    assert len(known) == keys
    assert all(one.meaning and one.takes for one in known.values())
    assert known["export.device"].origin == str(path)
    assert known["verify.limits"].origin == str(path)
    assert known["export.targets"].origin == "the profile of raspberrypi4"
    assert known["export.probabilities"].origin == "--probabilities"
    assert known["model.padding"].origin == "default"
    assert known["model.padding"].text == ""
