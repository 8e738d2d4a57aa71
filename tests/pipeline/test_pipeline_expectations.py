"""Files whose expectations images contradict are found out when they are verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgekit import config
from edgekit.defaults import CHECKPOINT, FOLDER
from edgekit.pipeline.export import export
from edgekit.pipeline.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.verification.gates import Gate

for needed in ("torch", "safetensors", "ai_edge_litert"):
    pytest.importorskip(needed)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, None),
        ({"mean": (0.0,) * 3, "std": (1.0,) * 3}, "remembers normalization tf, not normalization unit"),
        ({"mean": (0.0,) * 3, "std": (1 / 255,) * 3}, "remembers normalization tf, not normalization raw"),
    ],
)
def test_verify_asks_the_images_that_it_has(given: dict[str, Any], said: str | None, tmp_path: Path) -> None:
    # Without images, an export of float files cannot know better.
    flags: dict[str, Any] = {
        "model": {"checkpoint": CHECKPOINT},
        "export": {"targets": ["tflite"], "precisions": ["float32"], "out": tmp_path},
        "preprocessing": {"resize": "whole", "mean": (0.5,), "std": (0.5,), **given},
    }
    export(config.load(None, flags))
    wanted: dict[str, dict[str, Any]] = {
        "verify": {"data": FOLDER / "test.npz", "images": 48},
        "model": {"checkpoint": CHECKPOINT},
    }
    result = verify([tmp_path], config.load(None, wanted))
    asked: list[Gate] = [
        gate for file in result.references for gate in file.gates if gate.name == "what the network expects"
    ]
    assert len(asked) == 1
    assert asked[0].passed == (said is None)
    if said is not None:
        assert said in asked[0].problem
        assert not result.passed
