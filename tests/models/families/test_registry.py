"""Families by name: what is unknown is refused, a name belongs to one, and a new one is known everywhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgekit.errors import CheckpointError, ConfigError
from edgekit.models.architecture import Options
from edgekit.models.backbone import feature_maps
from edgekit.models.blocks import Shape, conv_bn, depthwise
from edgekit.models.checkpoint import load, save
from edgekit.models.families import FAMILIES, Family, family_of, register
from edgekit.models.families.mobilenet_v1 import of_rows
from edgekit.models.families.mobilenet_v2 import WIRING, mobilenet_v2
from edgekit.models.naming import Naming, plain
from edgekit.models.network import build
from edgekit.models.readers import ARCHITECTURE_KEY
from edgekit.models.wiring import SEPARABLE, Names, Wiring

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from edgekit.models.architecture import Architecture, Block, Part, Size


class Separable(nn.Module):
    """A block of its own: a depthwise convolution, and a 1x1 convolution with an activation."""

    def __init__(self, architecture: Architecture, before: int, block: Block, size: Size) -> None:
        super().__init__()
        self.wide = conv_bn(architecture, depthwise(replace(block, expanded=before)), size)
        self.narrow = conv_bn(architecture, Shape(before, block.out), size, block.activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.narrow(self.wide(x))
        return y


def separable_parts(block: str, has: Collection[Part]) -> dict[Part, Names]:
    return {
        "depthwise": (f"{block}.wide.0", f"{block}.wide.1"),
        "project": (f"{block}.narrow.0", f"{block}.narrow.1"),
    }


WIDE = Wiring("separable", Separable, separable_parts, "wide", SEPARABLE, has_last=False)
OTHERS = Naming(  # whoever published it calls the parts so
    "somebody's separable network",
    WIDE,
    ("begin.conv", "begin.norm"),
    (plain(("body.{i}.a", "body.{i}.a_norm"), ("body.{i}.b", "body.{i}.b_norm")),),
    usual=Options(padding="same", bn_eps=1e-3),
)


def separable(width: float = 1.0, num_classes: int = 5, **options: Unpack[Options]) -> Architecture:
    """Four blocks with a wiring of their own."""
    rows = ((32, 2), (48, 1), (64, 2), (64, 1))
    return replace(of_rows("separable", rows, width, num_classes), stem_stride=1).with_options(**options)


def short_v2(width: float = 1.0, num_classes: int = 5, **options: Unpack[Options]) -> Architecture:
    """A V2 of three blocks."""
    whole = mobilenet_v2(width, num_classes)
    return replace(whole, family="short_v2", blocks=whole.blocks[:3]).with_options(**options)


@pytest.fixture(params=[Family("short_v2", short_v2, WIRING), Family("separable", separable, WIDE, (OTHERS,))])
def new(request: pytest.FixtureRequest) -> Iterator[Family]:
    """Families that share a wiring with others, and that have one of their own."""
    family: Family = request.param
    register(family)
    yield family
    del FAMILIES[family.name]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_family_is_whole(family: Family) -> None:
    architecture = family.make(0.5, 3)
    assert family_of(family.name) is family
    assert (architecture.family, architecture.width, architecture.num_classes) == (family.name, 0.5, 3)
    with torch.device("meta"):
        keys = build(architecture).state_dict().keys()
    own = set()
    for index, block in enumerate(architecture.blocks):
        names = family.wiring.block_names(index, block.parts)
        own |= {f"{name}.weight" for pair in names.values() for name in pair if name is not None}
    last = family.wiring.last_names(len(architecture.blocks)) or ()
    hidden = family.wiring.classifier_names(len(architecture.hidden_channels))
    own |= {f"{name}.weight" for name in (*family.wiring.stem_names(), *last, *hidden) if name}
    assert own == {key for key in keys if key.endswith(".weight")}


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ConfigError, match="'mobilenet_v2' is registered already"):
        register(FAMILIES["mobilenet_v2"])


def test_a_family_makes_what_it_is_called() -> None:
    with pytest.raises(ConfigError, match="'wrong' makes architectures of 'mobilenet_v2'"):
        register(replace(FAMILIES["mobilenet_v2"], name="wrong"))
    assert "wrong" not in FAMILIES


def test_weights_tell_one_wiring_from_another() -> None:
    like_v2 = replace(WIDE, mark=WIRING.mark)
    with pytest.raises(ConfigError, match=r"'separable' are told by 'conv', and so are those of 'mobilenet_v2'"):
        register(Family("separable", separable, like_v2))


def test_no_unknown_family_is_built() -> None:
    unknown = replace(mobilenet_v2(), family="mobilenet_v5")
    for use in (build, feature_maps):
        with pytest.raises(ConfigError, match=r"unknown family 'mobilenet_v5': did you mean"):
            use(unknown)


def test_no_checkpoint_of_an_unknown_family_is_loaded(tmp_path: Path) -> None:
    architecture = {**mobilenet_v2().to_dict(), "family": "mobilenet_v5"}
    save_file({"x": torch.zeros(1)}, tmp_path / "m.safetensors", {ARCHITECTURE_KEY: json.dumps(architecture)})
    with pytest.raises(CheckpointError, match=r"m\.safetensors: the network is of the family 'mobilenet_v5'"):
        load(tmp_path / "m.safetensors")


def as_others(key: str) -> str:
    """The name that ``OTHERS`` has for a weight."""
    for ours, theirs in (
        (r"^features\.0\.0\.", "begin.conv."),
        (r"^features\.0\.1\.", "begin.norm."),
        (r"\.wide\.0\.", ".a."),
        (r"\.wide\.1\.", ".a_norm."),
        (r"\.narrow\.0\.", ".b."),
        (r"\.narrow\.1\.", ".b_norm."),
    ):
        key = re.sub(ours, theirs, key)
    return re.sub(r"^features\.(\d+)", lambda match: f"body.{int(match[1]) - 1}", key)


def test_a_new_family_is_known_everywhere(new: Family, tmp_path: Path) -> None:
    architecture = new.make(0.5)
    module = build(architecture).eval()
    save(tmp_path / "own.safetensors", module, architecture)
    rename = as_others if new.namings else str  # else those of its wiring, without metadata
    torch.save({rename(key): value for key, value in module.state_dict().items()}, tmp_path / "state.pth")
    assert load(tmp_path / "own.safetensors").architecture == architecture
    checkpoint = load(tmp_path / "state.pth")
    assert checkpoint.architecture == architecture
    x = torch.rand(1, 3, *architecture.size)
    torch.testing.assert_close(checkpoint.module(x), module(x), rtol=0, atol=0)
    blocks = len(architecture.blocks)
    assert any(f"{new.name}: the names of the weights, and {blocks} blocks" in note for note in checkpoint.notes)
    assert feature_maps(architecture)[blocks].module == f"features.{blocks}"
