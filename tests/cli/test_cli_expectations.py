"""Flags that say what a network expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit.cli.groups import NetworkFlags
from edgekit.cli.options import load_settings
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.defaults import CHECKPOINT
from edgekit.errors import ConfigError


def settings(**flags: Any) -> Any:
    return load_settings(None, NetworkFlags(**flags).overrides(Path("net.pth")), None)


@pytest.mark.parametrize(
    ("flags", "mean", "std", "order"),
    [
        ({"preprocessing": "imagenet"}, IMAGENET_MEAN, IMAGENET_STD, None),
        ({"preprocessing": "imagenet", "order": "BGR"}, IMAGENET_MEAN[::-1], IMAGENET_STD[::-1], "BGR"),
        ({"preprocessing": "tf"}, (0.5,), (0.5,), None),
        ({"preprocessing": "raw"}, (0.0,), (1 / 255,), None),
        ({"mean": "0.5", "std": "0.25"}, (0.5,), (0.25,), None),
        ({"mean": "0.1, 0.2,0.3", "std": "[1,1,1]", "order": "BGR"}, (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), "BGR"),
        ({"preprocessing": "ImageNet", "order": "bgr"}, IMAGENET_MEAN[::-1], IMAGENET_STD[::-1], "BGR"),
        ({}, None, None, None),
    ],
)
def test_a_normalization_by_name_or_in_numbers(flags: dict[str, str], mean: Any, std: Any, order: str | None) -> None:
    found = settings(**flags).preprocessing
    assert (found.mean, found.std, found.order) == (mean, std, order)


def test_caffe_reads_blue_first() -> None:
    found = settings(preprocessing="caffe").preprocessing
    assert found.order == "BGR"
    assert found.mean == pytest.approx((103.939 / 255, 116.779 / 255, 123.68 / 255))
    assert found.std == (1 / 255,) * 3 or found.std == (1 / 255,)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"preprocessing": "imagnet"}, "did you mean 'imagenet'"),
        ({"preprocessing": "tf", "mean": "0.5"}, "leave one out"),
        ({"mean": "0.5"}, "belong together"),
        ({"mean": "a,b", "std": "1,1"}, "--mean is"),
    ],
)
def test_mistakes_are_explained(flags: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settings(**flags)


@pytest.mark.parametrize(
    ("flags", "section", "key", "value"),
    [
        ({"order": "rgb"}, "preprocessing", "order", "RGB"),
        ({"padding": "SAME"}, "model", "padding", "same"),
        ({"resize": "Whole"}, "preprocessing", "resize", "whole"),
        ({"preprocessing": "TF"}, "preprocessing", "mean", (0.5,)),
    ],
)
def test_words_are_read_in_capitals_or_not(flags: dict[str, str], section: str, key: str, value: object) -> None:
    assert getattr(getattr(settings(**flags), section), key) == value


def test_settings_know_the_flag_that_they_come_from() -> None:
    found = settings(preprocessing="caffe", padding="same").origins
    assert found["preprocessing.mean"] == found["preprocessing.order"] == "--preprocessing caffe"
    assert found["model.padding"] == "--padding"
    assert load_settings(None, {}, ["model.bn_eps=1e-3"]).origins == {"model.bn_eps": "--set model.bn_eps"}


def test_insisting_is_a_setting() -> None:
    assert settings(insist=True).model.insist
    assert not settings().model.insist


def test_what_was_looked_through_is_told_before_an_export_stops(run: Any, tmp_path: Path) -> None:
    torch, safetensors = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch")
    for needed in ("onnx", "onnxruntime", "onnxsim"):
        pytest.importorskip(needed)
    weights = {f"module.{name}": tensor.half() for name, tensor in safetensors.load_file(CHECKPOINT).items()}
    torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "net.pth")
    kinds = {"--int8": 2, "--float32": 0}  # integers would rest on what is assumed
    for kind, code in kinds.items():
        done = run("export", tmp_path / "net.pth", kind, "--target", "onnx", *(["--data-free"] if code else []))
        assert done.exit_code == code
        for note in (
            "weights taken from ['state_dict'], without 'module.' before their names, as float32, where they",
            "left aside beside the weights: epoch",
        ):
            assert done.stderr.count(note) == 1
