"""The commands on a real network and real images, where there are any."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

for needed in ("torch", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)


def test_a_real_network(run: Callable[..., Result], realdata: Path) -> None:
    images = realdata / "images"
    result = run(
        *(
            "export",
            realdata / "models" / "mobilenet_v1_0.25_224_imagenet.pth",
            "--padding",
            "same",
            "--resize",
            "none",
        ),
        *("--target", "all", "--int8", "--float32", "--labels", images / "imagenet_classes.txt"),
        *("--calib", images / "calibration", "--set", "calibration.images=32"),
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("0 LSB") == 4  # one a target

    result = run("verify", "--data", images / "validation", "--images", "64", "--json")
    assert result.exit_code == 0, result.stdout
    found = json.loads(result.stdout)
    assert found["images"] == 64
    assert len(found["files"]) == 8  # two a target
    exact = [file for file in found["files"] if file["measured_in"] not in file["unclaimed"]]  # kernels that clamp lose
    values = {
        name: [one["value"] for file in exact for one in file["measured"] if one["metric"]["name"] == name]
        for name in ("top1", "agreement")
    }
    assert min(values["top1"]) > 50  # 66 % of 650
    assert min(values["agreement"]) > 80
