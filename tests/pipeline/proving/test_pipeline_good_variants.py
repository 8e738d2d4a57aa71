"""Networks and settings of many kinds: what export writes passes verify, without a false alarm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from edgekit import config
from edgekit.pipeline.making.export import export
from edgekit.pipeline.proving.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

for needed in ("torch", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

IMAGES = 3
EVERY = {"targets": ["onnx", "tflite", "coreml", "torch"], "precisions": ["int8"]}
# family, width, classes, resolution, settings
VARIANTS: dict[str, tuple[str, float, int, int, dict[str, Any]]] = {
    "V1, odd": ("v1", 0.25, 2, 33, {"export": EVERY}),
    "V2 for Apple's engine": ("v2", 0.35, 10, 32, {"export": {"device": "apple-neural-engine"}}),
    "V2, one class, seven bits": (
        "v2", 0.1, 1, 32,
        {"export": {**EVERY, "targets": ["onnx", "tflite"]}, "calibration": {"weight_bits": 7}},
    ),
    "V3, partly in float": (
        "v3", 1.0, 10, 48, {"export": EVERY, "calibration": {"keep_float": ("features.0", "classifier.3")}}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_exported_passes(name: str, tmp_path: Path) -> None:
    import torch

    from edgekit.models.families.mobilenet_v1 import mobilenet_v1
    from edgekit.models.families.mobilenet_v2 import mobilenet_v2
    from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits
    from edgekit.models.network import build

    family, width, classes, resolution, sections = VARIANTS[name]
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for index in range(IMAGES):
        blobs = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8))
        blobs.resize((resolution, resolution), Image.Resampling.BICUBIC).save(tmp_path / "images" / f"{index}.png")
    torch.manual_seed(0)
    make = {"v1": mobilenet_v1, "v2": mobilenet_v2, "v3": mobilenet_v3_digits}[family]
    module = build(make(width, classes))
    with torch.no_grad():  # statistics that fit the weights
        module.train()(torch.randn(4, 3, resolution, resolution))
    torch.save(module.state_dict(), tmp_path / "m.pth")
    flags: dict[str, dict[str, Any]] = {
        # Its batch normalization has seen noise: nothing shows what such a network expects.
        "model": {"checkpoint": tmp_path / "m.pth", "resolution": resolution, "insist": True},
        "calibration": {"data": tmp_path / "images", "images": IMAGES},
        "export": {"out": tmp_path / "out"},
    }
    for section, values in sections.items():
        flags[section] |= values
    written = export(config.load(None, flags))
    checked = verify([tmp_path / "out"], config.load(None, {"model": flags["model"]}))
    problems = [(file.path.name, gate.problem) for file in checked.files for gate in file.gates if not gate.passed]
    assert problems == []
    assert len(checked.files) == len(written.files)
