"""A family of its own, from a checkpoint to files, without anything of the shipped network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import edgekit
from edgekit.benchmarks.random_weights import drawn, pictures
from edgekit.integer_model import IntegerModel
from edgekit.models import checkpoint
from edgekit.models.families import FAMILIES
from edgekit.models.network import build
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from pathlib import Path

for needed in ("safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert"):
    pytest.importorskip(needed)


def test_an_fd_mobilenet_has_the_same_integers_everywhere(tmp_path: Path) -> None:
    """With weights of 7 bits, which every x86 can take."""
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    architecture = FAMILIES["fd_mobilenet"].make(0.25, 5, resolution=32)
    images = pictures(random, 6, (32, 32))
    network = drawn(build(architecture), random, images / 127.5 - 1)
    checkpoint.save(tmp_path / "fd.safetensors", network, architecture)
    result = edgekit.export(
        tmp_path / "fd.safetensors",
        images,
        targets="tflite,onnx",
        preprocessing="tf",
        order="RGB",
        resize="none",
        insist=True,  # nothing says that weights by lot see images so
        out=tmp_path / "out",
        settings={"calibration.weight_bits": 7},
    )
    assert [file.path.name for file in result.files] == [
        f"fd_mobilenet_0.25_32.int8.{kind}" for kind in ("tflite", "onnx")
    ]
    parities = [parity for file in result.files for parity in file.parities]
    assert all(isinstance(parity, IntegerParity) and parity.passed and parity.max_lsb == 0 for parity in parities)
    assert result.integer_model is not None
    assert IntegerModel.load(result.integer_model).exact
