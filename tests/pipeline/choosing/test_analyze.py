"""What networks cost, against a real file and what users may name."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import edgekit
from edgekit.cli.app import app
from edgekit.errors import ConfigError
from edgekit.reports.pages import analyze as page

SHIPPED = Path(edgekit.__file__).parent / "defaults" / "digits_v3.safetensors"


def test_a_checkpoint_is_told_by_layer_and_block(tmp_path: Path) -> None:
    (found,) = edgekit.analyze(SHIPPED, report=tmp_path / "page.html").networks
    assert sum(block.macs for block in found.blocks) == found.macs == sum(layer.macs for layer in found.layers)
    assert sum(block.parameters for block in found.blocks) == found.parameters
    assert found.macs < found.ordinary_macs
    assert found.network in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_size_of_a_real_file_is_foretold(tmp_path: Path) -> None:
    exported = edgekit.export(
        SHIPPED, targets="tflite", float32=True, weight_only=True, dynamic=True, out=tmp_path, verify=False
    )
    (found,) = edgekit.analyze(SHIPPED).networks
    for file in exported.files:
        precision = file.path.name.split(".")[-2]
        assert found.size_bytes[precision] == pytest.approx(file.size_bytes, rel=0.05), precision


def test_families_are_compared_at_every_width_and_resolution() -> None:
    found = edgekit.analyze(arch=["mobilenet_v1", "mobilenet_v2"], width=[0.5, 1], resolution=96)
    assert [(one.family, one.width, one.resolution) for one in found.networks] == [
        (family, width, (96, 96)) for family in ("mobilenet_v1", "mobilenet_v2") for width in (0.5, 1)
    ]
    assert "Networks" in page.render(found)


def test_published_figures_stand_beside_computed_ones() -> None:
    (found,) = edgekit.analyze(arch="mobilenet_v2").networks
    assert found.published is not None
    assert found.macs == pytest.approx(found.published.macs, rel=0.01)
    assert found.parameters == pytest.approx(found.published.parameters, rel=0.02)


def test_a_checkpoint_has_its_own_family_and_an_unknown_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave arch and width out"):
        edgekit.analyze(SHIPPED, width=0.5)
    with pytest.raises(ConfigError, match="8 at most"):
        edgekit.analyze(arch="mobilenet_v2", width=99)
    with pytest.raises(ConfigError, match=r"edgekit inspect net\.onnx"):
        edgekit.analyze("net.onnx")
    with pytest.raises(ConfigError, match="mobilenet_v9"):
        edgekit.analyze(arch="mobilenet_v9")


def test_a_comparison_has_room_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = CliRunner().invoke(app, ["analyze", "--arch", "mobilenet_v1", "--arch", "mobilenet_v2"])
    assert said.exit_code == 0, said.output
    assert "mobilenet_v2_1.0_224" in said.output
    shown = CliRunner().invoke(app, ["analyze", str(SHIPPED), "--all"])
    assert shown.exit_code == 0, shown.output
