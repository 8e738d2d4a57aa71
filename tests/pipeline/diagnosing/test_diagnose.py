"""The shipped network is healthy, and what is planted in it is named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

for needed in ("torch", "safetensors"):
    pytest.importorskip(needed)

from edgekit import config  # noqa: E402 - after what may be missing
from edgekit.config import PreprocessingSettings  # noqa: E402 - likewise
from edgekit.defaults import CHECKPOINT, CONFIG, FOLDER  # noqa: E402 - likewise
from edgekit.diagnosis.finding import Trouble  # noqa: E402 - likewise
from edgekit.pipeline.diagnosing.diagnose import diagnose  # noqa: E402 - likewise
from edgekit.pipeline.diagnosing.named import sorted_out  # noqa: E402 - likewise
from edgekit.reports.pages.diagnose import render  # noqa: E402 - likewise

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.config import Settings
    from edgekit.pipeline.diagnosing.diagnosis import DiagnoseResult

NAMED = sorted_out([CHECKPOINT])


@pytest.fixture
def settings() -> Settings:
    return config.load(CONFIG)


def looked(settings: Settings, data: Path | None = None, training: Path | None = None) -> DiagnoseResult:
    wanted = settings if data is None else replace(settings, verify=replace(settings.verify, data=data))
    return diagnose(wanted, NAMED, training=training, timing=False)


def test_the_shipped_network_is_healthy(settings: Settings) -> None:
    found = looked(settings, training=FOLDER / "calibration.npz")
    assert found.findings == ()
    (subject,) = found.subjects
    assert subject.quality is not None
    assert subject.quality.reliability is not None
    assert subject.quality.measured[0].value == pytest.approx(100 * subject.quality.reliability.accuracy)
    assert sum(one.number for one in subject.quality.classes) == found.images == 360
    assert "No trouble was found" in render(found)


def test_swapped_labels(settings: Settings, tmp_path: Path) -> None:
    with np.load(FOLDER / "test.npz") as test:
        labels = np.select([test["labels"] == 3, test["labels"] == 5], [5, 3], test["labels"])
        np.savez(tmp_path / "test.npz", images=test["images"], labels=labels)
    found = looked(settings, tmp_path / "test.npz")
    assert [one.trouble for one in found.findings] == [Trouble.SWAPPED_LABELS]
    assert found.findings[0].sentence in render(found)


def test_wrong_preprocessing_says_the_right_one(settings: Settings) -> None:
    wrong = PreprocessingSettings(
        resize="whole", interpolation="bilinear", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), order="RGB"
    )
    found = looked(replace(settings, preprocessing=wrong))
    assert found.findings[0].trouble is Trouble.PREPROCESSING
    assert "--preprocessing tf" in found.findings[0].remedy
