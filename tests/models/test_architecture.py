"""Architectures as values: rounding, names, JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import ArtifactError, ConfigError
from edgekit.models.architecture import Architecture, make_divisible
from edgekit.models.families import FAMILIES
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits

if TYPE_CHECKING:
    from edgekit.models.families import Factory


@given(st.floats(0.01, 5000.0))
def test_rounded_channels_are_multiples_of_8_near_the_wanted_number(value: float) -> None:
    rounded = make_divisible(value)
    assert rounded % 8 == 0
    assert rounded >= 0.9 * value
    assert rounded <= max(8.0, value + 8)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(32 * 0.35, 16), (24 * 0.35, 8), (32 * 0.75, 24), (16 * 1.4, 24), (24 * 0.75, 24), (1280 * 1.4, 1792), (1, 8)],
)
def test_rounding_by_hand(value: float, rounded: int) -> None:
    # 32 * 0.35 = 11.2 would round to 8, which is below 90 %.
    assert make_divisible(value) == rounded


@pytest.mark.parametrize(
    ("width", "stem", "outputs", "head"),
    [
        (0.35, 16, [8, 8, 16, 24, 32, 56, 112], 1280),  # weights that Keras publishes for these widths
        (1.0, 32, [16, 24, 32, 64, 96, 160, 320], 1280),
        (1.4, 48, [24, 32, 48, 88, 136, 224, 448], 1792),
    ],
)
def test_mobilenet_v2_channels(width: float, stem: int, outputs: list[int], head: int) -> None:
    architecture = mobilenet_v2(width)
    last_of_stage = [0, 2, 5, 9, 12, 15, 16]
    assert architecture.stem_channels == stem
    assert [architecture.blocks[index].out for index in last_of_stage] == outputs
    assert architecture.head_channels == head


def test_mobilenet_v1_cuts_channels_off() -> None:
    assert mobilenet_v1(0.35).stem_channels == 11
    assert mobilenet_v1(0.1).stem_channels == 8


@pytest.mark.parametrize("width", [0.35, 0.5, 0.75, 1.0, 1.4])
@pytest.mark.parametrize("family", FAMILIES)
def test_json_round_trip(family: str, width: float) -> None:
    architecture = FAMILIES[family].make(width, 7, resolution=96, padding="same")
    assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict()))) == architecture


def test_names() -> None:
    names = [make().name for make in (mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small, mobilenet_v3_digits)]
    assert names == [
        "mobilenet_v2_1.0_224",
        "mobilenet_v3_large_1.0_224",
        "mobilenet_v3_small_1.0_224",
        "mobilenet_v3_digits_1.0_32",
    ]
    assert mobilenet_v1(0.25, resolution=128).name == "mobilenet_v1_0.25_128"
    assert mobilenet_v2(resolution=(192, 256)).name == "mobilenet_v2_1.0_192x256"


def test_total_strides() -> None:
    for family in FAMILIES.values():
        architecture, total = family.make(), 1
        for block in architecture.blocks:
            total *= block.stride
        assert total * architecture.stem_stride == (8 if architecture.resolution == 32 else 32)


@pytest.mark.parametrize("change", [{"extra": 1}, {"blocks": [{"kernel": 3}]}, {"blocks": 3}, {"padding": "valid"}])
def test_a_damaged_architecture_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="not a saved architecture"):
        Architecture.from_dict({**mobilenet_v2().to_dict(), **change})


@pytest.mark.parametrize(
    "arguments", [{"width": 0.0}, {"num_classes": 0}, {"resolution": -1}, {"bn_eps": 0.0}, {"padding": "valid"}]
)
def test_impossible_values_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        mobilenet_v3_small(**arguments)  # type: ignore[arg-type]  # what a user may write


def test_no_torch_is_needed() -> None:
    code = "import sys, edgekit.models.architecture; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("factory", [mobilenet_v1, mobilenet_v2])
def test_an_activation_replaces_the_trunks(factory: Factory) -> None:
    architecture = factory(activation="relu")
    assert architecture.activation == "relu"
    assert {block.activation for block in architecture.blocks} == {"relu"}


def test_the_first_blocks_of_a_v3_keep_their_relu() -> None:
    usual, other = mobilenet_v3_small(), mobilenet_v3_small(activation="relu6")
    for before, after in zip(usual.blocks, other.blocks, strict=True):
        assert after.activation == ("relu" if before.activation == "relu" else "relu6")


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'hardswish': .*hard_swish"):
        mobilenet_v2(activation="hardswish")  # type: ignore[arg-type] # the mistake
