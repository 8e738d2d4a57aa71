"""Heads on a backbone: shapes, names, what is shared, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.errors import ConfigError
from edgekit.models.backbone import Backbone
from edgekit.models.families import FAMILIES
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.heads.convolution import ConvolutionHead
from edgekit.models.heads.linear import LinearHead
from edgekit.models.network import Network, build
from tests.networks import three_heads


def backbone(width: float = 0.25) -> Backbone:
    with torch.device("meta"):
        return Backbone(mobilenet_v2(width, resolution=64))


@pytest.mark.parametrize("family", {family.wiring: name for name, family in FAMILIES.items()}.values())
def test_three_heads_of_different_shapes(family: str) -> None:
    network = three_heads(FAMILIES[family].make(0.25, resolution=64))
    outputs = network(torch.zeros(2, 3, 64, 64))
    assert {name: tuple(y.shape) for name, y in outputs.items()} == {
        "classes": (2, 10),
        "pose": (2, 4),
        "mask": (2, 3, 8, 8),
    }
    assert list(outputs) == ["classes", "pose", "mask"]


def test_each_output_is_what_its_head_makes_of_its_map() -> None:
    network = three_heads()
    x = torch.rand(1, 3, 64, 64)
    eighth = network.get_submodule("features")[:7](x)  # type: ignore[index]
    last = network.get_submodule("features")(x)
    outputs = network(x)
    weight, bias = network.get_parameter("mask.weight"), network.get_parameter("mask.bias")
    torch.testing.assert_close(outputs["mask"], nn.functional.conv2d(eighth, weight, bias))
    torch.testing.assert_close(outputs["pose"], network.get_submodule("pose")(last.mean((2, 3))))
    torch.testing.assert_close(outputs["classes"], network.get_submodule("classes")(last.mean((2, 3))))


def test_weights_of_a_backbone_are_the_same_keys_under_any_heads() -> None:
    network = three_heads()
    classifier = build(mobilenet_v2(0.25, resolution=64))
    found = network.load_state_dict(classifier.state_dict(), strict=False)
    assert {key.partition(".")[0] for key in found.missing_keys} == {"classes", "pose", "mask"}
    assert {key.partition(".")[0] for key in found.unexpected_keys} == {"classifier"}


def test_torch_exports_it() -> None:
    network = three_heads()
    x = torch.rand(1, 3, 64, 64)
    exported = torch.export.export(network, (x,)).module()(x)
    for name, y in network(x).items():
        torch.testing.assert_close(exported[name], y)


@pytest.mark.parametrize("name", ["features", "avgpool", "train", "a.b", ""])
def test_a_heads_name_is_free_and_a_word(name: str) -> None:
    body = backbone()
    with pytest.raises(ConfigError, match=f"no head can be called '{name}'"):
        Network(body, {name: LinearHead(body.pooled, 3)})


def test_a_head_takes_what_its_backbone_gives() -> None:
    body, other = backbone(), backbone(1.0)
    with pytest.raises(ConfigError, match=r"head 'mask' takes FeatureMap\(module='features.6', channels=32"):
        Network(body, {"mask": ConvolutionHead(other.at(8), 3)})
    with pytest.raises(ConfigError, match="needs a head"):
        Network(body, {})
    with pytest.raises(ConfigError, match="a convolution needs a feature map"):
        ConvolutionHead(body.pooled, 3)
