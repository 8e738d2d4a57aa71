"""Training with exits: from images to files that say which exit each image takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.config import Settings, TrainSettings
from edgekit.device.exits import ExitRule
from edgekit.errors import ConfigError
from edgekit.exporters.formats import FORMATS
from edgekit.models import checkpoint
from edgekit.models.head_specs import ExitSpec
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.given import with_kept_images
from edgekit.pipeline.making.train import train
from edgekit.pipeline.proving.predicting import predict
from edgekit.pipeline.proving.verify import verify
from edgekit.tasks.exits import Exited

if TYPE_CHECKING:
    from pathlib import Path


def settings(folder: Path, **values: Any) -> Settings:
    quick = {"arch": "mobilenet_v1_cifar", "width": 0.25, "resolution": 16, "batch_size": 8, "epochs": 1}
    return Settings(train=TrainSettings(**{"data": folder / "i.npz", "out": folder / "run", **quick, **values}))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, random = tmp_path_factory.mktemp("exits"), np.random.default_rng(0)
    pixels = random.integers(0, 256, (24, 16, 16, 3), np.uint8)
    np.savez(folder / "i.npz", images=pixels, labels=np.arange(24) % 2, classes=["cat", "dog"])
    return folder


def test_exits_are_trained_chosen_exported_and_proven(images: Path) -> None:
    result = train(settings(images, exits=("features.1",), exit_drop=100.0))

    assert result.leavings is not None
    assert sum(one.share for one in result.leavings.exits) == 1
    structure = checkpoint.load(result.checkpoint).structure
    assert isinstance(structure, TaskArchitecture)
    first, last = structure.heads
    assert isinstance(first, ExitSpec)
    assert (first.confidence, first.temperature) == (
        result.leavings.exits[0].confidence,
        result.leavings.exits[0].temperature,
    )
    assert last.to_dict()["confidence"] is None
    again = train(settings(images, exits=("features.1",), exit_drop=100.0))
    assert again.leavings is None  # it is chosen already

    made = with_kept_images(replace(Settings(), model=replace(Settings().model, checkpoint=images / "run")))
    out = images / "files"
    made = replace(made, export=replace(made.export, precisions=("int8",), targets=("tflite",), out=out))
    (file,) = export(made).files
    about = FORMATS["tflite"].read(file.path).metadata
    assert about is not None
    (rule,) = map(ExitRule.from_dict, about.provenance["exits"])
    assert rule == ExitRule.of("exit1", rule.scale, first.temperature, first.confidence or 1.0)
    (verdict,) = verify([out], replace(made, verify=replace(made.verify, data=images / "i.npz"))).files
    assert not verdict.failed
    taken = {one.answer.exit for one in predict(file.path, [images / "i.npz"]).images if isinstance(one.answer, Exited)}
    assert taken <= {"exit1", "classifier"}


def test_what_has_no_exits_is_refused(images: Path) -> None:
    with pytest.raises(ConfigError, match="a classifier has exits, and the task is tagging"):
        train(settings(images, task="tagging", exits=("2",)))
    with pytest.raises(ConfigError, match="say how many or where, as in --exits 2"):
        train(settings(images, task="exits"))
