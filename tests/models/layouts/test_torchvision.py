"""Detectors and segmenters of torchvision: every name of their state dicts, and what these become.

Fingerprints are of the names and shapes that torchvision 0.28 gives: the lines "NAME [SHAPE]" of ``state_dict()``,
sorted. Millions of parameters and of multiplications are those of its documentation.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.models import checkpoint
from edgekit.models.building import built
from edgekit.models.complexity import complexity
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from edgekit.models.head_specs import DeepLabSpec, LrasppSpec, SsdSpec
from edgekit.models.heads.making import network_for
from edgekit.models.layouts import torchvision
from edgekit.models.readers import Group

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.models.architecture import Architecture
    from edgekit.models.heads.making import Kind

FINGERPRINTS = {
    "ssdlite, reduced": "e59125266ea0ab0428c647e03e0224dc596653d38a310afaf0123d62b7c56769",
    "ssdlite": "2eeed79d98fe90d58957341621a77a810d9d0034fb68f53a48daaab92ca7dbf8",
    "lraspp": "826ac6019f04739e0104946cfe977755c0ca10a939ed705e29052e05fadf007b",
    "deeplab": "37ada8adeca9e6acdfb97d5209062e9fb59e95b6279343a6558a4e5e33bcbe98",
}
AUXILIARY = {
    "aux_classifier.0.weight": (10, 40, 3, 3),
    **{f"aux_classifier.1.{leaf}": (10,) for leaf in ("weight", "bias", "running_mean", "running_var")},
    "aux_classifier.1.num_batches_tracked": (),
    "aux_classifier.4.weight": (21, 10, 1, 1),
    "aux_classifier.4.bias": (21,),
}


def reduced(backbone: Architecture) -> Architecture:
    """A V3-Large whose last three blocks have half the channels, but for the first expansion."""
    *blocks, first, second, third = backbone.blocks
    last = [replace(first, out=80)]
    last += [replace(one, out=80, expanded=480, squeeze=120) for one in (second, third)]
    return replace(backbone, width=None, blocks=(*blocks, *last), head_channels=480)


def theirs(key: str, kind: Kind, cut: int) -> str:
    """torchvision's name of a weight; ``cut`` is the block that ssdlite's halves of the backbone share."""
    if kind != "ssdlite":
        return key.replace("features.", "backbone.").replace("segmentation.", "classifier.")
    key = key.replace("detection.extra.", "backbone.extra.")
    key = key.replace("detection.scores.", "head.classification_head.module_list.")
    key = key.replace("detection.boxes.", "head.regression_head.module_list.")
    match = re.match(r"features\.(\d+)\.(.*)", key)
    if match is None:
        return key
    index, rest = int(match[1]), match[2]
    if index < cut:
        return f"backbone.features.0.{index}.{rest}"
    if index > cut:
        return f"backbone.features.1.{index - cut}.{rest}"
    inside = rest.removeprefix("block.")
    expands = inside.startswith("0.")
    return f"backbone.features.0.{cut}.{inside[2:]}" if expands else f"backbone.features.1.0.{inside}"


def as_torchvision_has_it(backbone: Architecture, kind: Kind, classes: int) -> dict[str, torch.Tensor]:
    """Names and shapes; DeepLab's head is made of what torchvision's source has, as edgekit's own has less."""
    with torch.device("meta"):
        weights = built(network_for(backbone, kind, classes)).state_dict()
        if kind == "deeplab":
            weights = {key: tensor for key, tensor in weights.items() if not key.startswith("segmentation.")}
            weights |= deeplab_head(classes)
    return {theirs(key, kind, 13): tensor for key, tensor in weights.items()}


def deeplab_head(classes: int) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = {}

    def layer(conv: str, norm: str, *shape: int) -> None:
        weights[f"segmentation.{conv}.weight"] = torch.empty(shape)
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            weights[f"segmentation.{norm}.{leaf}"] = torch.empty(shape[0])
        weights[f"segmentation.{norm}.num_batches_tracked"] = torch.empty(())

    layer("0.convs.0.0", "0.convs.0.1", 256, 960, 1, 1)
    for branch in (1, 2, 3):
        layer(f"0.convs.{branch}.0", f"0.convs.{branch}.1", 256, 960, 3, 3)
    layer("0.convs.4.1", "0.convs.4.2", 256, 960, 1, 1)
    layer("0.project.0", "0.project.1", 256, 5 * 256, 1, 1)
    layer("1", "2", 256, 256, 3, 3)
    weights["segmentation.4.weight"] = torch.empty(classes, 256, 1, 1)
    weights["segmentation.4.bias"] = torch.empty(classes)
    return weights


@pytest.mark.parametrize(
    ("name", "kind", "classes", "parameters", "billions"),
    [
        ("ssdlite, reduced", "ssdlite", 90, 3_440_060, 0.583),
        ("ssdlite", "ssdlite", 90, None, None),
        ("lraspp", "lraspp", 21, 3_221_538, 2.086),
        ("deeplab", "deeplab", 21, 11_029_328 - 3_851, None),  # without the auxiliary classifier
    ],
)
def test_every_name_has_its_place(
    name: str, kind: Kind, classes: int, parameters: int | None, billions: float | None
) -> None:
    backbone = mobilenet_v3_large(resolution=320)
    weights = as_torchvision_has_it(reduced(backbone) if "reduced" in name else backbone, kind, classes)
    if kind == "deeplab":
        weights |= {key: torch.empty(shape, device="meta") for key, shape in AUXILIARY.items()}
    lines = sorted(f"{key} {list(tensor.shape)}" for key, tensor in weights.items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == FINGERPRINTS[name]

    found = torchvision.find([Group((), {f"module.{key}": tensor for key, tensor in weights.items()})], None)
    assert found is not None
    with torch.device("meta"):
        expected = built(found.architecture).state_dict()
    assert {key: tensor.shape for key, tensor in found.weights.items()} == {
        key: tensor.shape for key, tensor in expected.items()
    }
    if kind == "deeplab":
        assert "left aside, as no part of the network: aux_classifier.0.weight" in found.notes[-1]
    if "reduced" in name:
        assert found.notes[-1].startswith("width 1, but for the last 3 blocks, which have half the channels")
    cost = complexity(found.architecture)
    assert parameters in {None, cost.parameters}
    assert billions in {None, round(cost.macs / 1e9, 3)}


def test_what_weights_do_not_tell_is_as_there() -> None:
    found = [
        torchvision.find([Group((), as_torchvision_has_it(mobilenet_v3_large(resolution=320), kind, 4))], None)
        for kind in ("ssdlite", "lraspp", "deeplab")
    ]
    (detector, segmenter, deeplab) = (one.architecture for one in found if one is not None)
    assert [block.dilation for block in detector.backbone.blocks] == [1] * 15
    assert [block.dilation for block in segmenter.backbone.blocks] == [1] * 12 + [2] * 3  # mobilenetv3.py, dilated=True
    assert deeplab.backbone == segmenter.backbone
    (ssd,), (lraspp,), (aspp,) = detector.heads, segmenter.heads, deeplab.heads
    assert isinstance(ssd, SsdSpec)
    assert isinstance(lraspp, LrasppSpec)
    assert isinstance(aspp, DeepLabSpec)
    assert (ssd.takes, ssd.extras) == (("features.13.block.0", "features.16"), (512, 256, 256, 128))
    assert (ssd.things, ssd.bn_eps, ssd.priors.count) == (4, 1e-3, 3234)
    assert (lraspp.takes, lraspp.channels, lraspp.stretches) == (("features.4", "features.16"), 128, True)
    assert (lraspp.bn_eps, aspp.bn_eps, aspp.rates, aspp.refines) == (1e-5, 1e-5, (12, 24, 36), True)
    assert found[0] is not None
    assert found[0].normalization == ((0.5,) * 3, (0.5,) * 3)
    for one in found:
        assert one is not None
        assert [(fact.name, fact.value) for fact in one.facts] == [("resize", "whole")]


@pytest.mark.parametrize("kind", ["ssdlite", "lraspp"])
def test_a_state_dict_is_loaded(kind: Kind, tmp_path: Path) -> None:
    network = built(network_for(mobilenet_v3_small(0.35, resolution=64), kind, 3)).eval()
    weights = {theirs(key, kind, 9): tensor for key, tensor in network.state_dict().items()}
    torch.save({"model": weights}, tmp_path / "net.pth")
    loaded = checkpoint.load(tmp_path / "net.pth", resolution=64)
    assert loaded.structure.num_classes == 3
    assert not loaded.is_own
    for key, tensor in loaded.module.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[key])
    assert {fact.name: fact.basis.value for fact in loaded.facts}["resolution"] == "given"
