"""A checkpoint of which channels go, as a checkpoint again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgekit.compression.pruning.sparsity import zeros
from edgekit.config import CalibrationSettings, ModelSettings, PruneSettings, Settings, TrainSettings
from edgekit.errors import ConfigError
from edgekit.models import checkpoint
from edgekit.models.building import built
from edgekit.models.complexity import complexity
from edgekit.models.families import family_of
from edgekit.models.recorded import Recorded
from edgekit.pipeline.making import cut
from edgekit.pipeline.making.cut import Target
from edgekit.pipeline.making.prune import Listeners, prune
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph

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
        ({"to": "macs=0"}, "a share between 0 and 1 is wanted, such as macs=0.5"),
        ({"to": "macs=2"}, "a share, macs=0.5 for half of it .edgekit search has --budget in numbers"),
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


# --- with a training behind each cut


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures whose colour is their class."""
    random = np.random.default_rng(0)
    labels = np.arange(32) % 2
    pixels = random.integers(0, 60, (32, SIDE, SIDE, 3)) + 190 * labels[:, None, None, None]
    path = tmp_path_factory.mktemp("labelled") / "images.npz"
    np.savez(path, images=pixels.astype(np.uint8), labels=labels)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two blocks of a V1."""
    v1 = family_of("mobilenet_v1").make(0.5, 2, resolution=SIDE)
    structure = replace(v1, blocks=v1.blocks[:2])
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("whole") / "net.safetensors"
    shown = Preprocessing((SIDE, SIDE), "whole", (0.5,) * 3, (0.5,) * 3, "RGB")
    checkpoint.save(path, built(structure), structure, Recorded(shown, labels=("0", "1")))
    return path


def training(whole: Path, labelled: Path, out: Path, **wanted: object) -> Settings:
    pruning = PruneSettings(**{"to": "macs=0.5", "out": out, "multiple": 4, "steps": 2, **wanted})  # type: ignore[arg-type]
    return Settings(
        ModelSettings(whole),
        prune=pruning,
        train=TrainSettings(data=labelled, epochs=1, batch_size=8, accelerator="cpu"),
    )


class _Killed(Exception):
    pass


def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    whole: Path, labelled: Path, tmp_path: Path
) -> None:
    """Killed behind a cut, and in a training: the others are not done again."""
    cuts: list[int] = []
    result = prune(
        training(whole, labelled, tmp_path / "a"), listeners=Listeners(cut=lambda step, _: cuts.append(step))
    )
    assert cuts == [1, 2]
    assert result.after.macs <= 0.5 * result.before.macs
    assert result.training is not None
    assert result.checkpoint == tmp_path / "a" / "best.safetensors"
    assert checkpoint.load(tmp_path / "a").structure == checkpoint.load(tmp_path / "a/.steps/2.safetensors").structure

    def killed(*_: object) -> None:
        raise _Killed

    settings = training(whole, labelled, tmp_path / "b")
    for listeners in (Listeners(cut=killed), Listeners(passed=killed)):
        with pytest.raises(_Killed):
            prune(settings, listeners=listeners)
    again: list[int] = []
    prune(settings, listeners=Listeners(cut=lambda step, _: again.append(step)))
    assert again == [2]
    assert (tmp_path / "a/best.safetensors").read_bytes() == (tmp_path / "b/best.safetensors").read_bytes()
    with pytest.raises(ConfigError, match=r"holds a run that was made otherwise \(to was macs=0.5 and is macs=0.4\)"):
        prune(training(whole, labelled, tmp_path / "b", to="macs=0.4"))


def test_a_network_of_other_classes_is_trained_first(trained: Path, labelled: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tells 4 classes apart, and the images are of 2: train it on them first"):
        prune(training(trained, labelled, tmp_path / "run"))


def test_dead_channels_go_without_a_training(whole: Path, labelled: Path, tmp_path: Path) -> None:
    loaded = checkpoint.load(whole)
    module = loaded.module
    with torch.no_grad():
        for leaf, value in (("weight", 0.0), ("bias", -1.0)):
            module.get_parameter(f"features.0.bn2.{leaf}")[3] = value
    path = tmp_path / "some_dead.safetensors"
    checkpoint.save(path, module, loaded.structure, loaded.recorded)
    result = prune(settings(path, tmp_path / "small.safetensors", to="dead"))
    assert [(layer.name, layer.before - layer.after) for layer in result.layers] == [("features.0.pointwise", 1)]
    assert result.moved is not None
    assert result.moved < 1e-5
    with pytest.raises(ConfigError, match="has nothing to learn: leave DATA out"):
        prune(training(whole, labelled, tmp_path / "run", to="dead"))


def test_single_weights_become_zero_and_the_network_keeps_its_channels(
    whole: Path, labelled: Path, tmp_path: Path
) -> None:
    result = prune(settings(whole, tmp_path / "thin.safetensors", labelled, to=None, unstructured=0.5))
    thin = checkpoint.load(result.checkpoint)
    assert (result.layers, thin.structure) == ((), checkpoint.load(whole).structure)
    assert zeros(thin.module) == pytest.approx(0.5, abs=1e-3)
    assert result.zipped is not None
    assert result.zipped[1] < 0.8 * result.zipped[0]
    with pytest.raises(ConfigError, match="leave --to and DATA out"):
        prune(training(whole, labelled, tmp_path / "run", unstructured=0.5))


def test_a_predictor_says_how_small_the_network_becomes(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A millisecond a million of multiplications of what is quantized, and one for each run."""
    asked: list[str] = []

    def predictor(model: str) -> Callable[[Graph], float]:
        asked.append(model)
        return lambda graph: 1.0 + graph.macs / 1e6

    monkeypatch.setattr(cut, "_predictor", predictor)
    result = prune(settings(trained, tmp_path / "small.safetensors", to="latency=0.94@pi.json", rank="l1"))
    assert asked == ["pi.json"]
    before, after = (1.0 + cost.macs / 1e6 for cost in (result.before, result.after))
    assert after <= 0.94 * before


def test_targets_of_latency_name_a_model() -> None:
    assert Target.read("latency=0.6@models/pi.json") == Target("latency", 0.6, "models/pi.json")
    assert Target.read("latency=0.6@pi") == Target("latency", 0.6, "pi")
    for text in ("latency=0.6", "macs=0.6@pi.json", "latency=0.6@"):
        with pytest.raises(ConfigError, match="what edgekit bench --fit wrote"):
            Target.read(text)
