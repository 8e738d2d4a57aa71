"""``edgekit ensemble``."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from edgekit.models.checkpoint import load, save
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.network import build
from edgekit.models.recorded import Recorded
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result


def test_several_checkpoints_become_one(run: Callable[..., Result], tmp_path: Path) -> None:
    whole = mobilenet_v2(0.1, 3, resolution=16)
    network = replace(whole, blocks=whole.blocks[:1])
    members = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path in members:
        save(path, build(network), network, Recorded(Preprocessing((16, 16), None)))
    out = tmp_path / "both.safetensors"
    result = run("ensemble", *members, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert "both.safetensors: ensemble_of_2_16, the mean of their logits" in " ".join(result.stdout.split())
    assert "next: edgekit export" in result.stderr
    assert load(out).structure.name == "ensemble_of_2_16"
    found = json.loads(run("ensemble", *members, "--out", out, "--json").stdout)
    assert [member["name"] for member in found["members"]] == [network.name] * 2
    refused = run("ensemble", members[0], out, "--out", tmp_path / "more.safetensors")
    assert refused.exit_code != 0
    assert "is an ensemble, and one network is wanted" in " ".join(refused.stderr.split())
