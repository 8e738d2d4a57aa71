"""Fine-tuning from settings to files: what export writes, of another model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgekit.errors import DataError
from edgekit.integer_model import IntegerModel
from edgekit.pipeline.making.finetune import finetune
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.config import Settings

    MakeSettings = Callable[..., Settings]

for needed in ("torch", "safetensors", "ai_edge_litert"):
    pytest.importorskip(needed)

from edgekit.training import loop  # noqa: E402 - needs torch

NAME = "mobilenet_v3_digits_1.0_32"
FEW = {"images": 24}


def test_what_is_written(settings: MakeSettings, tmp_path: Path) -> None:
    wanted = settings(calibration=FEW, finetune={"epochs": 4, "seed": 3}, export={"precisions": ["float32", "int8"]})
    result = finetune(wanted)
    written = {f"{NAME}.int8.tflite", f"{NAME}.int8.edgekit", f"{NAME}.manifest.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == written
    (file,) = result.export.files
    assert isinstance(file.parity, IntegerParity)
    assert file.parity.passed
    assert result.export.ranges is None
    assert result.export.integer_model is not None
    model = IntegerModel.load(result.export.integer_model)
    assert result.finetuning.improved == ("finetuning" in model.provenance)
    assert (result.finetuning.images, result.finetuning.held_out, result.finetuning.epochs) == (19, 5, 4)


def test_an_interruption_leaves_nothing_but_the_way_on(
    settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", -1.0)
    wanted = settings(calibration=FEW, finetune={"epochs": 3})

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage.startswith("fine-tuning") and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(wanted, progress=interrupt)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{NAME}.finetune"]
    assert finetune(wanted).finetuning.resumed
    assert not (tmp_path / "out" / f"{NAME}.finetune").exists()


def test_images_are_needed(settings: MakeSettings) -> None:
    wanted = settings()
    with pytest.raises(DataError, match="--calib DIR"):
        finetune(replace(wanted, calibration=replace(wanted.calibration, data=None)))
