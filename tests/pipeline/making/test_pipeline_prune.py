"""A checkpoint of which channels go, as a checkpoint again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgekit.config import CalibrationSettings, ModelSettings, PruneSettings, Settings
from edgekit.errors import ConfigError
from edgekit.models import checkpoint
from edgekit.models.building import built
from edgekit.models.complexity import complexity
from edgekit.models.families import family_of
from edgekit.models.recorded import Recorded
from edgekit.pipeline.making.prune import Target, prune
from edgekit.preprocessing import Preprocessing

SIDE = 32


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three blocks of a V3-Small."""
    whole = family_of("mobilenet_v3_small").make(0.5, 4, resolution=SIDE)
    structure = replace(whole, blocks=whole.blocks[:3], head_channels=48, hidden_channels=(32,))
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("trained") / "net.safetensors"
    shown = Preprocessing((SIDE, SIDE), "whole", (0.5,) * 3, (0.5,) * 3, "RGB")
    checkpoint.save(
        path, built(structure), structure, Recorded(shown, labels=("a", "b", "c", "d"), measured={"x": "1"})
    )
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "images.npz"
    np.savez(path, images=np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE, 3), np.uint8))
    return path


def settings(trained: Path, out: Path, images: Path | None = None, **wanted: object) -> Settings:
    pruning = PruneSettings(**{"to": "macs=0.6", "out": out, "multiple": 4, **wanted})  # type: ignore[arg-type]
    return Settings(ModelSettings(trained), calibration=CalibrationSettings(images), prune=pruning)


def test_a_pruned_checkpoint_is_one_like_any_other(trained: Path, images: Path, tmp_path: Path) -> None:
    result = prune(settings(trained, tmp_path / "small.safetensors", images))
    whole, small = checkpoint.load(trained), checkpoint.load(result.checkpoint)
    assert small.architecture.width is None
    assert result.before == complexity(whole.architecture)
    assert result.after == complexity(small.architecture)
    assert 0.4 * result.before.macs < result.after.macs <= 0.6 * result.before.macs
    assert (result.rank, result.images) == ("output", 8)
    assert all(layer.after % 4 == 0 for layer in result.layers)
    assert small.recorded is not None
    assert whole.recorded is not None
    assert small.recorded == replace(whole.recorded, measured={}), "what was measured was so of the whole network"


def test_without_images_weights_rank_and_the_loss_is_told(trained: Path, tmp_path: Path) -> None:
    result = prune(settings(trained, tmp_path / "small.safetensors", to="size=0.5", uniform=True))
    assert (result.rank, result.images) == ("l1", 0)
    assert result.after.parameters <= 0.51 * result.before.parameters
    assert "accuracy is lost" in result.notes[-1]
    shares = [layer.after / layer.before for layer in result.layers if layer.before >= 32]
    assert max(shares) - min(shares) < 0.2


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"to": None}, "--to macs=0.5"),
        ({"to": "mac=0.5"}, "did you mean 'macs'"),
        ({"to": "macs=2"}, "a share between 0 and 1 is wanted, such as macs=0.5"),
        ({"to": "macs=0.01"}, "cannot be reached"),
        ({"rank": "output"}, "give some, --calib DIR"),
        ({"out": Path("small.pth")}, "ends with .safetensors"),
    ],
)
def test_what_cannot_be_done_is_refused(trained: Path, tmp_path: Path, wanted: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        prune(settings(trained, **{"out": tmp_path / "small.safetensors", **wanted}))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_targets_are_read() -> None:
    assert Target.read("channels=0.7") == Target("channels", 0.7)
