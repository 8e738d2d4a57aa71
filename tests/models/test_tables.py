"""Networks from tables of stages."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from edgekit.errors import ConfigError
from edgekit.models.building import built
from edgekit.models.families.mobilenet_v3_nas import mobilenet_v3_nas
from edgekit.models.tables import read, table_of

if TYPE_CHECKING:
    from pathlib import Path

# The eleven rows as textbooks have them: channels, kernel, stride, expansion, squeeze.
ROWS = """
(24, 3, 1, 3, 0.25) (24, 3, 2, 3, 0) (40, 5, 2, 3, 0.25) (40, 5, 1, 3, 0.25) (80, 3, 2, 6, 0) (80, 3, 1, 2.5, 0)
(112, 3, 1, 6, 0.25) (112, 3, 1, 6, 0.25) (160, 5, 2, 6, 0.25) (160, 5, 1, 6, 0.25) (160, 5, 1, 6, 0.25)
"""
KEYS = ("channels", "kernel", "stride", "expansion", "squeeze")


def toml() -> str:
    rows = (row.split(",") for row in ROWS.replace("\n", " ").strip("() ").split(") ("))
    stages = ["[[stages]]\n" + "\n".join(f"{k} = {v}" for k, v in zip(KEYS, row, strict=True)) for row in rows]
    return "resolution = 224\nstem = 32\nresiduals = false\nsqueeze_first = true\nbn_eps = 1e-5\n" + "\n".join(stages)


def test_the_rows_of_textbooks_are_the_family_of_that_name() -> None:
    found, known = table_of(tomllib.loads(toml())).architecture(), mobilenet_v3_nas()
    assert [(b.kernel, b.out, b.stride, bool(b.squeeze)) for b in found.blocks] == [
        (b.kernel, b.out, b.stride, bool(b.squeeze)) for b in known.blocks
    ]
    assert found.blocks[4] == known.blocks[4]
    assert (found.head_channels, found.stem_channels) == (known.head_channels, known.stem_channels)


def test_a_stage_repeats_its_block_and_its_stride_comes_first() -> None:
    values = {"resolution": "32x48", "stem": 8, "stages": [{"channels": 16, "stride": 2, "repeats": 2, "expansion": 1}]}
    network = table_of(values).architecture(10)
    assert network.size == (32, 48)
    first, second = network.blocks
    assert (first.stride, first.expanded, first.expands) == (2, 8, False)
    assert (second.stride, second.expanded) == (1, 16)
    assert built(network).state_dict()["classifier.1.weight"].shape == (10, 1280)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"resolution": 32, "stem": 8}, "has no stages"),
        ({"resolution": 32, "stages": [{"channels": 8}]}, "stem is missing"),
        ({"resolution": 32, "stem": 8, "stages": [{"channels": 8, "kernal": 3}]}, "kernal is no key.*kernel"),
        ({"resolution": 32, "stem": 8, "stages": [{"channels": 8, "kernel": 4}]}, "kernel of a stage is 4.*odd"),
        ({"resolution": 32, "stem": 8, "stages": [{"channels": True}]}, "channels is True"),
        ({"resolution": 32, "stem": 8, "stages": [{"channels": 8, "squeeze": 2}]}, "squeeze of a stage is 2"),
        ({"resolution": "wide", "stem": 8, "stages": [{"channels": 8}]}, "resolution is 'wide'"),
        ({"resolution": 32, "stem": 8, "stages": [{"channels": 8, "activation": "gelu"}]}, "unknown activation 'gelu'"),
    ],
)
def test_what_is_wrong_is_said(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        table_of(values).architecture()


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.toml").write_text("stem = [")
    with pytest.raises(ConfigError, match="is no TOML"):
        read(tmp_path / "net.toml")
