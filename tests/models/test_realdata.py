"""Real checkpoints, where there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.models.checkpoint import load
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_small
from edgekit.models.network import build

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.models.architecture import Architecture


@pytest.mark.parametrize(
    ("file", "architecture"),
    [
        ("mobilenet_v1_0.25_224_imagenet.pth", mobilenet_v1(0.25)),
        ("mobilenet_v2_1.0_224_imagenet.pth", mobilenet_v2()),
        ("mobilenet_v3_small_1.0_224_imagenet.pth", mobilenet_v3_small()),
    ],
)
def test_names_and_shapes_are_equal(file: str, architecture: Architecture, realdata: Path) -> None:
    theirs = torch.load(realdata / file, weights_only=True)
    with torch.device("meta"):
        ours = build(architecture).state_dict()
    assert [(key, tensor.shape) for key, tensor in ours.items()] == [(key, t.shape) for key, t in theirs.items()]
    checkpoint = load(realdata / file)
    assert checkpoint.architecture == architecture
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in checkpoint.module.state_dict().items())


def test_keras_and_torch_files_of_one_network_agree(realdata: Path) -> None:
    pytest.importorskip("h5py", reason="the extra keras is not installed")
    keras = load(realdata / "mobilenet_v1_0.25_224_imagenet.h5")
    torch_ = load(realdata / "mobilenet_v1_0.25_224_imagenet.pth")
    assert keras.architecture == torch_.architecture
    x = torch.rand(2, 3, 224, 224) * 2 - 1
    torch.testing.assert_close(keras.module(x), torch_.module(x), rtol=0, atol=0)
