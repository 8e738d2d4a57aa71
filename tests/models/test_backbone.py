"""Feature maps: what is published, against what the modules give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.errors import ConfigError
from edgekit.models.backbone import POOLED, Backbone, FeatureMap, feature_maps
from edgekit.models.families import FAMILIES
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_large
from edgekit.models.network import build

if TYPE_CHECKING:
    from edgekit.models.architecture import PaddingStyle, Size


def seen(module: torch.nn.Module, x: torch.Tensor) -> dict[str, torch.Size]:
    """The shape of what each module gives, by its name."""
    shapes: dict[str, torch.Size] = {}
    for name, child in module.named_modules():
        child.register_forward_hook(lambda _module, _inputs, y, name=name: shapes.update({name: y.shape}))
    module(x)
    return shapes


# One family of each wiring: what others differ in are rows of tables.
WIRED = {family.wiring: name for name, family in reversed(FAMILIES.items())}.values()


@pytest.mark.parametrize(
    ("width", "size", "padding"),
    [(0.5, (64, 64), "symmetric"), (0.35, (97, 97), "same"), (0.25, (64, 100), "same")],
)
@pytest.mark.parametrize("family", WIRED)
def test_maps_are_what_the_modules_give(family: str, width: float, size: Size, padding: PaddingStyle) -> None:
    architecture = FAMILIES[family].make(width, 3, resolution=size, padding=padding)
    with torch.no_grad():  # on the processor: torch's "meta" device takes a hundred times as long
        backbone, classifier = Backbone(architecture), build(architecture)
        x = torch.zeros(2, 3, *size)
        for shapes in (seen(backbone, x), seen(classifier, x)):
            for one in backbone.maps:
                assert one.stride is not None
                height, width_ = (-(-side // one.stride) for side in size)
                assert shapes[one.module] == (2, one.channels, height, width_), one
        assert backbone(x).shape == shapes[backbone.maps[-1].module]
    assert backbone.maps == feature_maps(architecture)
    assert len(backbone.maps) == len(architecture.blocks) + 1 + bool(architecture.head_channels)
    modules = [name for name, _ in backbone.named_modules()]
    assert sorted(modules.index(one.module) for one in backbone.maps) == [
        modules.index(one.module) for one in backbone.maps
    ]


# timm's feature_info of mobilenetv1_100, mobilenetv2_100 and mobilenetv3_large_100 at their stages' ends; at 32 ours
# have the last convolution behind that.
@pytest.mark.parametrize(
    ("backbone", "channels"),
    [
        (mobilenet_v1(), [64, 128, 256, 512, 1024]),
        (mobilenet_v2(), [16, 24, 32, 96, 1280]),
        (mobilenet_v3_large(), [16, 24, 40, 112, 960]),
    ],
)
def test_maps_by_their_stride(backbone: object, channels: list[int]) -> None:
    with torch.device("meta"):
        body = Backbone(backbone)  # type: ignore[arg-type]
    assert [body.at(stride).channels for stride in (2, 4, 8, 16, 32)] == channels
    assert body.pooled == FeatureMap(POOLED, channels[-1], None)
    with pytest.raises(ConfigError, match=r"no feature map of stride 64: choose from 2, 4, 8, 16, 32"):
        body.at(64)


def test_a_backbone_has_the_names_of_its_classifier() -> None:
    for name in WIRED:
        with torch.device("meta"):
            backbone, classifier = Backbone(FAMILIES[name].make()), build(FAMILIES[name].make())
        own = [name for name in classifier.state_dict() if not name.startswith("classifier.")]
        assert list(backbone.state_dict()) == own
