"""timm's state dicts are read as the networks that they are: keys and logits were recorded from timm 1.0.31 itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.errors import CheckpointError
from edgekit.models.checkpoint import load
from edgekit.models.families.mobilenet_v4 import (
    mobilenet_v4_conv_large,
    mobilenet_v4_conv_medium,
    mobilenet_v4_conv_small,
)
from tests.models.families.timm_networks import Timm, digest, filled, image

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.models.architecture import Architecture

SIZE = 64
V4_SMALL = (
    "cn_r1_k3_s2_c32 cn_r1_k1_s1_c32",
    "cn_r1_k3_s2_c96 cn_r1_k1_s1_c64",
    "uir_r1_a5_k5_s2_e3_c96 uir_r4_a0_k3_s1_e2_c96 uir_r1_a3_k0_s1_e4_c96",
    (
        "uir_r1_a3_k3_s2_e6_c128 uir_r1_a5_k5_s1_e4_c128 uir_r1_a0_k5_s1_e4_c128 uir_r1_a0_k5_s1_e3_c128"
        " uir_r2_a0_k3_s1_e4_c128"
    ),
    "cn_r1_k1_s1_c960",
)
V4_MEDIUM = (
    "er_r1_k3_s2_e4_c48",
    "uir_r1_a3_k5_s2_e4_c80 uir_r1_a3_k3_s1_e2_c80",
    (
        "uir_r1_a3_k5_s2_e6_c160 uir_r2_a3_k3_s1_e4_c160 uir_r1_a3_k5_s1_e4_c160 uir_r1_a3_k3_s1_e4_c160"
        " uir_r1_a3_k0_s1_e4_c160 uir_r1_a0_k0_s1_e2_c160 uir_r1_a3_k0_s1_e4_c160"
    ),
    (
        "uir_r1_a5_k5_s2_e6_c256 uir_r1_a5_k5_s1_e4_c256 uir_r2_a3_k5_s1_e4_c256 uir_r1_a0_k0_s1_e4_c256"
        " uir_r1_a3_k0_s1_e4_c256 uir_r1_a3_k5_s1_e2_c256 uir_r1_a5_k5_s1_e4_c256 uir_r2_a0_k0_s1_e4_c256"
        " uir_r1_a5_k0_s1_e2_c256"
    ),
    "cn_r1_k1_s1_c960",
)
V4_LARGE = (
    "er_r1_k3_s2_e4_c48",
    "uir_r1_a3_k5_s2_e4_c96 uir_r1_a3_k3_s1_e4_c96",
    (
        "uir_r1_a3_k5_s2_e4_c192 uir_r3_a3_k3_s1_e4_c192 uir_r1_a3_k5_s1_e4_c192 uir_r5_a5_k3_s1_e4_c192"
        " uir_r1_a3_k0_s1_e4_c192"
    ),
    (
        "uir_r4_a5_k5_s2_e4_c512 uir_r1_a5_k0_s1_e4_c512 uir_r1_a5_k3_s1_e4_c512 uir_r2_a5_k0_s1_e4_c512"
        " uir_r1_a5_k3_s1_e4_c512 uir_r1_a5_k5_s1_e4_c512 uir_r3_a5_k0_s1_e4_c512"
    ),
    "cn_r1_k1_s1_c960",
)

# The network; what edgekit calls it; the digest of its keys and shapes, and the first logits of weights and image as
# ``filled`` and ``image`` make them.
PUBLISHED: dict[str, tuple[Timm, Architecture, str, list[float]]] = {
    "mobilenetv4_conv_small": (
        Timm(V4_SMALL, head_norm="norm_head"),
        mobilenet_v4_conv_small(),
        "a12502b6dc115678",
        [-1.0234, -2.0459, 0.6332],
    ),
    "mobilenetv4_conv_small_050": (
        Timm(V4_SMALL, head_norm="norm_head", width=0.5, keeps_stem=True),
        mobilenet_v4_conv_small(0.5),
        "1926a830f83bfa10",
        [-0.4365, 0.8146, 2.2702],
    ),
    "mobilenetv4_conv_small_035": (
        Timm(V4_SMALL, head_norm="norm_head", width=0.35, keeps_stem=True),
        mobilenet_v4_conv_small(0.35),
        "2c92cd4e050f4dc1",
        [1.4023, 0.549, 0.306],
    ),
    "mobilenetv4_conv_medium": (
        Timm(V4_MEDIUM, head_norm="norm_head"),
        mobilenet_v4_conv_medium(),
        "fff1109f23e252c0",
        [-50.0392, -38.4035, -27.8785],
    ),
    "mobilenetv4_conv_large": (
        Timm(V4_LARGE, stem=24, head_norm="norm_head"),
        mobilenet_v4_conv_large(),
        "d43031062eedddb9",
        [32.6821, -62.1523, 21.3377],
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_network(name: str, tmp_path: Path) -> None:
    network, architecture, keys, logits = PUBLISHED[name]
    shapes = network.shapes()
    assert digest(shapes) == keys
    torch.save(filled(shapes), tmp_path / f"{name}.pth")
    checkpoint = load(tmp_path / f"{name}.pth", resolution=SIZE)
    assert checkpoint.architecture == architecture.with_options(resolution=SIZE)
    with torch.no_grad():
        found = checkpoint.module(image(SIZE))[0, :3]
    torch.testing.assert_close(found, torch.tensor(logits), rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("kind", ["aa", "blur"])
def test_a_v4_that_pools_where_others_stride_is_told_by_its_name_alone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"mobilenetv4_conv_{kind}_medium.e500_r256_in1k.pth"
    torch.save(filled(Timm(V4_SMALL, head_norm="norm_head").shapes()), path)
    with pytest.raises(CheckpointError, match=rf"names a MobileNetV4 that pools where others stride \({kind}\)"):
        load(path)
