"""Networks for images of 32 x 32: strides taken out of any family, and kuangliu's V2 as it was published."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.errors import ConfigError
from edgekit.facts import Basis
from edgekit.models.architecture import Architecture
from edgekit.models.backbone import feature_maps
from edgekit.models.checkpoint import load, save
from edgekit.models.families import FAMILIES, Family
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v2_kuangliu import mobilenet_v2_kuangliu
from edgekit.models.network import build
from tests.models.families.timm_networks import digest, filled, image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_family_leaves_a_map_of_four_by_four(family: Family) -> None:
    usual, small = family.make(0.5), family.make(0.5, cifar_stem=True)
    assert (small.resolution, feature_maps(small)[-1].stride) == (32, 8)
    assert [one.channels for one in feature_maps(small)] == [one.channels for one in feature_maps(usual)]
    assert Architecture.from_dict(json.loads(json.dumps(small.to_dict()))) == small
    assert small.with_options(cifar_stem=True, bn_eps=1e-2).blocks == small.blocks
    assert family.make(cifar_stem=True, resolution=40).resolution == 40


def test_the_first_strides_are_those_that_go() -> None:
    found = mobilenet_v2(cifar_stem=True)
    firsts = [found.blocks[index] for index in (0, 1, 3, 6, 10, 13, 16)]  # of table 2
    assert (found.stem_stride, [block.stride for block in firsts]) == (1, [1, 1, 2, 2, 1, 2, 1])  # kuangliu's cfg
    with pytest.raises(ConfigError, match="cannot put them back"):
        found.with_options(cifar_stem=False)


def test_weights_do_not_tell_it(trained: Callable[[Architecture], nn.Module], tmp_path: Path) -> None:
    architecture = mobilenet_v2(0.35, 4, cifar_stem=True)
    module = trained(architecture)
    save(tmp_path / "own.safetensors", module, architecture)
    torch.save(module.state_dict(), tmp_path / "m.pth")
    own, given = load(tmp_path / "own.safetensors"), load(tmp_path / "m.pth", cifar_stem=True)
    assert own.architecture == given.architecture == architecture
    bases = [{fact.name: fact.basis for fact in one.facts}["cifar_stem"] for one in (own, given)]
    assert bases == [Basis.STATED, Basis.GIVEN]
    assert load(tmp_path / "m.pth").architecture == mobilenet_v2(0.35, 4)


def kuangliu(key: str) -> str:
    """His name for one of edgekit's."""
    key = re.sub(r"^features\.(0|18)\.([01])", lambda m: f"{('conv', 'bn')[int(m[2])]}{1 if m[1] == '0' else 2}", key)
    key = re.sub(r"^features\.(\d+)", lambda m: f"layers.{int(m[1]) - 1}", key)
    return key.replace("classifier.1", "linear")


def test_kuangliu_s_v2(tmp_path: Path) -> None:
    with torch.device("meta"):
        own = build(mobilenet_v2_kuangliu()).state_dict()
    shapes = {kuangliu(key): tuple(tensor.shape) for key, tensor in own.items()}
    # Keys and logits were recorded from models/mobilenetv2.py of github.com/kuangliu/pytorch-cifar itself.
    assert digest(shapes) == "2bf97c1193cf9862"
    torch.save(filled(shapes), tmp_path / "m.pth")
    found = load(tmp_path / "m.pth")
    assert found.architecture == mobilenet_v2_kuangliu()
    assert {fact.name: fact.value for fact in found.facts}["normalization"]["mean"] == [0.4914, 0.4822, 0.4465]
    with torch.no_grad():
        logits = found.module(image(32))[0, :3]
    torch.testing.assert_close(logits, torch.tensor([14.4103, -24.6952, -15.5351]), rtol=1e-4, atol=2e-4)
    save(tmp_path / "own.safetensors", found.module, found.architecture)
    assert load(tmp_path / "own.safetensors").architecture == found.architecture
