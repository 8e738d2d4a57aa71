"""Networks under the names of torchvision and timm.

Keys and shapes were recorded from torchvision 0.29.1 and timm 1.0.31 themselves: their load_state_dict took such
weights, strictly, and their logits were the same to the bit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.errors import CheckpointError, ConfigError
from edgekit.models.checkpoint import load
from edgekit.models.families import FAMILIES
from edgekit.models.layouts.timm import as_there
from edgekit.models.network import build
from edgekit.models.writing import state_dict_as
from tests.models.families.timm_networks import digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from edgekit.models.architecture import Architecture, Options


@pytest.mark.parametrize(
    ("family", "width", "options", "made_by", "keys"),
    [
        (
            "mobilenet_v1",
            1.0,
            {},
            'timm.create_model("mobilenetv1_100", num_classes=5, pad_type="same", bn_eps=0.001)',
            "76f0237b560cf5fb",
        ),
        ("mobilenet_v2", 0.35, {}, 'timm.create_model("mobilenetv2_035", num_classes=5)', "7a1bc97d56fcee04"),
        (
            "mobilenet_v2",
            0.5,
            {"padding": "same", "bn_eps": 1e-3, "in_channels": 1},
            'timm.create_model("mobilenetv2_050", num_classes=5, in_chans=1, pad_type="same", bn_eps=0.001)',
            "9d570c612c48e812",
        ),
        (
            "mobilenet_v3_small",
            0.5,
            {"bn_eps": 1e-5},
            'timm.create_model("mobilenetv3_small_050", num_classes=5)',
            "ab932bc9580d43a7",
        ),
        (
            "mobilenet_v3_large",
            0.75,
            {},
            'timm.create_model("mobilenetv3_large_075", num_classes=5, bn_eps=0.001)',
            "7f32d8ace150dda7",
        ),
        (
            "mobilenet_v4_conv_small",
            0.35,
            {},
            'timm.create_model("mobilenetv4_conv_small_035", num_classes=5)',
            "90301372ec09c81e",
        ),
        ("mnasnet_a1", 0.5, {}, 'timm.create_model("semnasnet_050", num_classes=5)', "567cc170b389589b"),
        ("mnasnet_small", 1.0, {}, 'timm.create_model("mnasnet_small", num_classes=5)', "e4f0ea7f45ed9643"),
        ("efficientnet_lite1", 1.0, {}, 'timm.create_model("efficientnet_lite1", num_classes=5)', "0b198ba46e2eed7e"),
        (
            "mobilenet_v2",
            0.5,
            {},
            "torchvision.models.mobilenet_v2(width_mult=0.5, num_classes=5)",
            "a6d1830b677a1b35",
        ),
        (
            "mobilenet_v3_small",
            0.5,
            {},
            "torchvision.models.mobilenet_v3_small(width_mult=0.5, num_classes=5)",
            "c871b9bd091696e1",
        ),
        ("mnasnet", 0.5, {}, "torchvision.models.MNASNet(alpha=0.5, num_classes=5)", "4babbf96011710ea"),
    ],
)
def test_a_network_of_another_library(
    family: str,
    width: float,
    options: Options,
    made_by: str,
    keys: str,
    trained: Callable[[Architecture], nn.Module],
    tmp_path: Path,
) -> None:
    library = made_by.partition(".")[0]
    own = FAMILIES[family].make(width, 5, **options).with_options(resolution=64)
    architecture = as_there(own) if library == "timm" else own
    module = trained(architecture)
    written = state_dict_as(module, architecture, library)
    assert written.made_by == made_by
    assert digest({key: tuple(tensor.shape) for key, tensor in written.weights.items()}) == keys
    torch.save(written.weights, tmp_path / "m.pth")
    built: Options = {"padding": own.padding, "bn_eps": own.bn_eps, "resolution": 64}
    found = load(tmp_path / "m.pth", family=family, **built)
    assert found.architecture == architecture
    expected = module.state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in found.module.state_dict().items())


@pytest.mark.parametrize(
    ("family", "library", "said"),
    [
        (FAMILIES["mobilenet_v1"].make(0.25), "torchvision", "it has mobilenet_v2, mobilenet_v3_large"),
        (FAMILIES["mobilenet_v1"].make(0.25), "timm", "it has that family at width 1, 1.25"),
        (FAMILIES["mobilenet_v3_digits"].make(), "timm", "edgekit writes mobilenet_v1, mobilenet_v2"),
        (FAMILIES["mobilenet_v3_small"].make(0.75), "timm", r"hidden_channels \(768,\), where timm has \(1024,\)"),
        (FAMILIES["mobilenet_v2"].make(0.25, cifar_stem=True), "torchvision", "stem_stride 1, where torchvision has 2"),
        (
            FAMILIES["mobilenet_v2"].make(0.25, padding="same"),
            "torchvision",
            "padding same, where torchvision has symmetric",
        ),
        (replace(FAMILIES["mobilenet_v2"].make(0.25), width=None), "torchvision", "belong to no width multiplier"),
    ],
)
def test_what_a_library_does_not_have_is_refused(family: Architecture, library: str, said: str) -> None:
    with torch.device("meta"):
        module = build(family)
    with pytest.raises(CheckpointError, match=said):
        state_dict_as(module, family, library)


def test_channels_that_differ_are_named() -> None:
    own = FAMILIES["mobilenet_v2"].make(0.35)
    wide = replace(own, blocks=(*own.blocks[:3], replace(own.blocks[3], expanded=96), *own.blocks[4:]))
    with torch.device("meta"), pytest.raises(CheckpointError, match="block 3 has expanded 96, where timm has 48"):
        state_dict_as(build(wide), wide, "timm")
    with torch.device("meta"), pytest.raises(ConfigError, match="cannot be written for 'keras'"):
        state_dict_as(build(own), own, "keras")
