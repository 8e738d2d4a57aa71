"""Families by name: what is unknown is refused, a name belongs to one, and a new one is known everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import pytest
import torch
from safetensors.torch import save_file

from edgekit.errors import CheckpointError, ConfigError
from edgekit.models.backbone import feature_maps
from edgekit.models.checkpoint import load, save
from edgekit.models.families import FAMILIES, Family, family_of, register
from edgekit.models.families.mobilenet_v2 import WIRING, mobilenet_v2
from edgekit.models.network import build
from edgekit.models.readers import ARCHITECTURE_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.models.architecture import Architecture, Options


def short_v2(width: float = 1.0, num_classes: int = 5, **options: Unpack[Options]) -> Architecture:
    """A V2 of three blocks."""
    whole = mobilenet_v2(width, num_classes)
    return replace(whole, family="short_v2", blocks=whole.blocks[:3]).with_options(**options)


@pytest.fixture
def short() -> Iterator[Family]:
    family = Family("short_v2", short_v2, WIRING)
    register(family)
    yield family
    del FAMILIES["short_v2"]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_family_is_whole(family: Family) -> None:
    architecture = family.make(0.5, 3)
    assert family_of(family.name) is family
    assert (architecture.family, architecture.width, architecture.num_classes) == (family.name, 0.5, 3)
    with torch.device("meta"):
        keys = build(architecture).state_dict().keys()
    own = set()
    for index, block in enumerate(architecture.blocks):
        names = family.wiring.block_names(index, expands=block.expands, squeezes=block.squeeze > 0)
        own |= {f"{name}.weight" for pair in names.values() for name in pair if name is not None}
    last = family.wiring.last_names(len(architecture.blocks)) or ()
    hidden = family.wiring.classifier_names(len(architecture.hidden_channels))
    own |= {f"{name}.weight" for name in (*family.wiring.stem_names(), *last, *hidden)}
    assert own == {key for key in keys if key.endswith(".weight")}


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ConfigError, match="'mobilenet_v2' is registered already"):
        register(FAMILIES["mobilenet_v2"])


def test_a_family_makes_what_it_is_called() -> None:
    with pytest.raises(ConfigError, match="'wrong' makes architectures of 'mobilenet_v2'"):
        register(replace(FAMILIES["mobilenet_v2"], name="wrong"))
    assert "wrong" not in FAMILIES


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


def test_a_new_family_is_known_everywhere(short: Family, tmp_path: Path) -> None:
    architecture = short.make(0.5)
    module = build(architecture).eval()
    save(tmp_path / "own.safetensors", module, architecture)
    torch.save(module.state_dict(), tmp_path / "state.pth")  # under the names of its wiring, without metadata
    assert load(tmp_path / "own.safetensors").architecture == architecture
    checkpoint = load(tmp_path / "state.pth")
    assert checkpoint.architecture == architecture
    assert any("short_v2: the names of the weights, and 3 blocks" in note for note in checkpoint.notes)
    assert feature_maps(architecture)[-1].module == "features.4"
