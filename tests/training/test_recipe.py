from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgekit.config import TrainSettings
from edgekit.errors import ConfigError
from edgekit.training.data.crops import PadCrop, ResizedCrop
from edgekit.training.recipe import resolve

if TYPE_CHECKING:
    from pathlib import Path


def test_a_network_from_random_weights_and_one_from_a_checkpoint_have_recipes_of_their_own(tmp_path: Path) -> None:
    assert resolve(TrainSettings(), 224).name == "scratch"
    assert resolve(TrainSettings(pretrained=tmp_path / "a.pth"), 224).name == "finetune"


def test_what_is_set_takes_the_place_of_the_recipe() -> None:
    recipe = resolve(TrainSettings(recipe="cifar10", epochs=5, smoothing=0.0, decay_epochs=(2, 3)), 32)
    assert (recipe.epochs, recipe.decay_epochs, recipe.lr, recipe.weight_decay) == (5, (2, 3), 0.1, 1e-4)


def test_small_images_are_padded_and_of_large_ones_parts_are_taken() -> None:
    assert resolve(TrainSettings(), 32).augmentation.crop == PadCrop(4)
    assert resolve(TrainSettings(), 224).augmentation.crop == ResizedCrop((0.35, 1.0))
    assert resolve(TrainSettings(crop="none"), 224).augmentation.crop is None


def test_the_rate_grows_with_the_images_of_an_update() -> None:
    usual = resolve(TrainSettings(), 224)
    assert resolve(TrainSettings(batch_size=32, grad_accum_steps=2), 224).lr == pytest.approx(usual.lr / 2)
    assert resolve(TrainSettings(batch_size=32, lr=0.3), 224).lr == 0.3


def test_magnitudes_of_randaugment_are_those_of_timm() -> None:
    drawn = resolve(TrainSettings(aa="rand-m9-n3"), 224).augmentation.randaugment
    assert drawn is not None
    assert (drawn.number, drawn.magnitude) == (3, 27)  # of the 30 that torchvision's ranges have
    assert resolve(TrainSettings(aa="none"), 224).augmentation.randaugment is None


def test_no_randaugment_is_refused() -> None:
    with pytest.raises(ConfigError, match="rand-mMAGNITUDE"):
        resolve(TrainSettings(aa="strong"), 224)


@pytest.mark.parametrize(
    ("given", "side", "said"),
    [
        ({"decay_epochs": (2,)}, 32, "--decay-epochs has no effect, since sched is cosine: add --sched step"),
        ({"pad": 2}, 224, "--pad has no effect, since crop is resized: add --crop pad"),
        ({"scale": (0.5, 1.0)}, 32, "--scale has no effect, since crop is pad: add --crop resized"),
    ],
)
def test_what_would_have_no_effect_is_refused(given: dict[str, Any], side: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolve(TrainSettings(**given), side)


def test_a_rate_that_never_falls_is_told() -> None:
    assert resolve(TrainSettings(recipe="cifar10"), 32).notes == ()
    (told,) = resolve(TrainSettings(recipe="cifar10", epochs=100), 32).notes
    assert told.startswith("The learning rate never falls: it does so after epochs 100, 150, and there are 100;")
