"""config.json beside the weights, as Hugging Face and timm write it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

from edgekit.errors import CheckpointError
from edgekit.facts import Basis
from edgekit.models.checkpoint import load
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_small

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from edgekit.models.architecture import Architecture

    Maker = Callable[[Architecture], nn.Module]

PRETRAINED = {
    "tag": "lamb_in1k",
    "input_size": [3, 96, 96],
    "interpolation": "bicubic",
    "crop_pct": 0.875,
    "crop_mode": "center",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "num_classes": 4,
}
TIMM = {"architecture": "mobilenetv1_100", "num_classes": 4, "pretrained_cfg": PRETRAINED}
HUGGING_FACE: dict[str, Any] = {
    "architectures": ["MobileNetV1ForImageClassification"],
    "model_type": "mobilenet_v1",
    "hidden_act": "relu6",
    "image_size": 96,
    "layer_norm_eps": 0.001,
    "tf_padding": True,
    "id2label": {str(n): f"LABEL_{n}" for n in range(4)},
}
PROCESSOR = {
    "crop_size": {"height": 96, "width": 96},
    "do_center_crop": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 1 / 255,
    "size": {"shortest_edge": 110},
}


def folder(path: Path, module: nn.Module, config: dict[str, Any], processor: dict[str, Any] | None = None) -> Path:
    """A snapshot; the weights have names that both libraries' readers know."""
    torch.save(module.state_dict(), path / "pytorch_model.bin")
    (path / "config.json").write_text(json.dumps(config))
    if processor is not None:
        (path / "preprocessor_config.json").write_text(json.dumps(processor))
    return path


@pytest.fixture
def module(trained: Maker) -> nn.Module:
    return trained(mobilenet_v1(0.25, 4))


def test_timm_says_everything(module: nn.Module, tmp_path: Path) -> None:
    checkpoint = load(folder(tmp_path, module, TIMM))
    facts = {fact.name: fact.value for fact in checkpoint.facts}
    assert {fact.basis for fact in checkpoint.facts} == {Basis.STATED}
    assert facts == {
        "normalization": {"mean": PRETRAINED["mean"], "std": PRETRAINED["std"]},
        "order": "RGB",
        "resize": 109,
        "interpolation": "bicubic",
        "padding": "symmetric",
        "bn_eps": 1e-5,
        "activation": "relu6",
        "resolution": 96,
    }
    assert checkpoint.architecture.resolution == 96
    assert load(tmp_path / "pytorch_model.bin").facts == checkpoint.facts


@pytest.mark.parametrize(
    ("name", "padding", "bn_eps"),
    [("tf_mobilenetv3_small_100", "same", 1e-3), ("mobilenetv3_small_100", "symmetric", 1e-5)],
)
def test_timm_s_name_says_whose_constants(
    name: str, padding: str, bn_eps: float, trained: Maker, tmp_path: Path
) -> None:
    module = trained(mobilenet_v3_small(0.35, 4))
    architecture = load(folder(tmp_path, module, {**TIMM, "architecture": name})).architecture
    assert (architecture.padding, architecture.bn_eps, architecture.activation) == (padding, bn_eps, "hard_swish")


def test_transformers_says_everything(module: nn.Module, tmp_path: Path) -> None:
    checkpoint = load(folder(tmp_path, module, HUGGING_FACE, PROCESSOR))
    facts = {fact.name: fact.value for fact in checkpoint.facts}
    assert {fact.basis for fact in checkpoint.facts} == {Basis.STATED}
    assert facts == {
        "normalization": {"mean": [0.5] * 3, "std": [0.5] * 3},
        "order": "RGB",
        "resize": 110,
        "interpolation": "bilinear",
        "padding": "same",
        "bn_eps": 1e-3,
        "activation": "relu6",
        "resolution": 96,
    }
    assert checkpoint.architecture == mobilenet_v1(0.25, 4, resolution=96)


def test_what_transformers_does_not_do_is_not_said(module: nn.Module, tmp_path: Path) -> None:
    processor = {**PROCESSOR, "do_normalize": False, "do_resize": False, "resample": 1}
    facts = {fact.name for fact in load(folder(tmp_path, module, HUGGING_FACE, processor)).facts}
    assert facts == {"padding", "bn_eps", "activation", "resolution"}


def test_a_factor_of_its_own_is_part_of_the_normalization(module: nn.Module, tmp_path: Path) -> None:
    processor = {**PROCESSOR, "rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3}
    facts = {fact.name: fact.value for fact in load(folder(tmp_path, module, HUGGING_FACE, processor)).facts}
    assert facts["normalization"] == {"mean": [0.5] * 3, "std": [0.5] * 3}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**TIMM, "architecture": "mobilenetv4_hybrid_medium"}, "this is mobilenetv4_hybrid_medium"),
        ({**TIMM, "architecture": "resnet18"}, "this is resnet18"),
        ({**TIMM, "model_args": {"act_layer": "gelu"}}, "with act_layer = 'gelu'"),
        ({**TIMM, "model_args": {"output_stride": 16}}, "with output_stride = 16"),
        ({**TIMM, "global_pool": "max"}, "global_pool 'max'"),
        ({**TIMM, "num_classes": 1000}, "says 1000 classes, and the weights have 4"),
        ({**HUGGING_FACE, "model_type": "vit"}, "this is vit"),
        ({**HUGGING_FACE, "architectures": ["MobileNetV2ForSemanticSegmentation"]}, "ForSemanticSegmentation"),
        ({**HUGGING_FACE, "output_stride": 8}, "output_stride 8"),
        ({**HUGGING_FACE, "hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({**HUGGING_FACE, "id2label": {}}, "says 0 classes"),
    ],
)
def test_what_contradicts_the_network_is_refused(
    config: dict[str, Any], message: str, module: nn.Module, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(folder(tmp_path, module, config))


def test_hugging_face_s_cache(module: nn.Module, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "0a1b2c"
    snapshot.mkdir(parents=True)
    folder(snapshot, module, HUGGING_FACE)
    assert load(tmp_path).architecture == mobilenet_v1(0.25, 4, resolution=96)


def test_a_configuration_of_something_else_is_not_read(trained: Maker, tmp_path: Path) -> None:
    module = trained(mobilenet_v2(0.1, 4))
    torch.save(module.state_dict(), tmp_path / "best.pth")
    (tmp_path / "config.json").write_text(json.dumps(TIMM))
    assert load(tmp_path / "best.pth").architecture.family == "mobilenet_v2"
    folder(tmp_path, module, {"learning_rate": 0.1})
    assert load(tmp_path / "pytorch_model.bin").architecture.family == "mobilenet_v2"
