"""timm's state dicts are read as the networks that they are: keys and logits were recorded from timm 1.0.31 itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.errors import CheckpointError
from edgekit.models.checkpoint import load
from edgekit.models.families.efficientnet_lite import efficientnet_lite
from edgekit.models.families.mnasnet import mnasnet, mnasnet_a1, mnasnet_small
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from edgekit.models.families.mobilenet_v3_rw import mobilenet_v3_rw
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

LITE = (
    "ds_r1_k3_s1_c16",
    "ir_r2_k3_s2_e6_c24",
    "ir_r2_k5_s2_e6_c40",
    "ir_r3_k3_s2_e6_c80",
    "ir_r3_k5_s1_e6_c112",
    "ir_r4_k5_s2_e6_c192",
    "ir_r1_k3_s1_e6_c320",
)
B1 = (
    "ds_r1_k3_s1_c16",
    "ir_r3_k3_s2_e3_c24",
    "ir_r3_k5_s2_e3_c40",
    "ir_r3_k5_s2_e6_c80",
    "ir_r2_k3_s1_e6_c96",
    "ir_r4_k5_s2_e6_c192",
    "ir_r1_k3_s1_e6_c320",
)
A1 = (
    "ds_r1_k3_s1_c16",
    "ir_r2_k3_s2_e6_c24",
    "ir_r3_k5_s2_e3_c40_se",
    "ir_r4_k3_s2_e6_c80",
    "ir_r2_k3_s1_e6_c112_se",
    "ir_r3_k5_s2_e6_c160_se",
    "ir_r1_k3_s1_e6_c320",
)
SMALL = (
    "ds_r1_k3_s1_c8",
    "ir_r1_k3_s2_e3_c16",
    "ir_r2_k3_s2_e6_c16",
    "ir_r4_k5_s2_e6_c32_se",
    "ir_r3_k3_s1_e6_c32_se",
    "ir_r3_k5_s2_e6_c88_se",
    "ir_r1_k3_s1_e6_c144",
)
V3_LARGE = (
    "ds_r1_k3_s1_c16",
    "ir_r1_k3_s2_e4_c24 ir_r1_k3_s1_e3_c24",
    "ir_r3_k5_s2_e3_c40_se",
    "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
    "ir_r2_k3_s1_e6_c112_se",
    "ir_r3_k5_s2_e6_c160_se",
    "cn_r1_k1_s1_c960",
)
V3_SMALL = (
    "ds_r1_k3_s2_e1_c16_se",
    "ir_r1_k3_s2_e4.5_c24 ir_r1_k3_s1_e3.67_c24",
    "ir_r1_k5_s2_e4_c40_se ir_r2_k5_s1_e6_c40_se",
    "ir_r2_k5_s1_e3_c48_se",
    "ir_r3_k5_s2_e6_c96_se",
    "cn_r1_k1_s1_c576",
)
LARGE_MINIMAL, SMALL_MINIMAL = (
    tuple(row.replace("_se", "").replace("k5", "k3") for row in rows) for rows in (V3_LARGE, V3_SMALL)
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
    "mnasnet_100": (Timm(B1), mnasnet(), "513cef61c3851694", [-0.5756, -0.5467, -0.3182]),
    "mnasnet_050": (Timm(B1, width=0.5), mnasnet(0.5), "c52a22e405e80a00", [-0.5765, -0.1839, 0.2126]),
    "semnasnet_100": (Timm(A1), mnasnet_a1(), "880adb1eb7ea4755", [0.0751, -0.322, 0.0217]),
    "semnasnet_075": (Timm(A1, width=0.75), mnasnet_a1(0.75), "3ed04d6137edb7cc", [0.2927, -0.3295, 0.1666]),
    "mnasnet_small": (Timm(SMALL, stem=8), mnasnet_small(), "8c58e0e98cea4681", [-0.1205, 0.0466, 0.1981]),
    "mobilenetv3_large_100": (
        Timm(V3_LARGE, stem=16, head_norm="bias", gates="eights"),
        mobilenet_v3_large(bn_eps=1e-5),
        "05df56b15cd350a1",
        [0.214, -0.0397, -0.0187],
    ),
    "mobilenetv3_small_050": (
        Timm(V3_SMALL, stem=16, head=1024, head_norm="bias", width=0.5, keeps_stem=True, gates="eights"),
        replace(mobilenet_v3_small(0.5, bn_eps=1e-5), stem_channels=16, hidden_channels=(1024,)),
        "3f4b94d4dac61533",
        [-0.1069, 0.098, 0.0024],
    ),
    "tf_mobilenetv3_large_minimal_100": (
        Timm(LARGE_MINIMAL, stem=16, head_norm="bias"),
        mobilenet_v3_large(padding="same", activation="relu"),
        "f42b5c4ab343aaf7",
        [0.0507, -0.7873, -0.8958],
    ),
    "tf_mobilenetv3_small_minimal_100": (
        Timm(SMALL_MINIMAL, stem=16, head=1024, head_norm="bias"),
        mobilenet_v3_small(padding="same", activation="relu"),
        "ccbaa6679a16b42e",
        [-0.2986, -0.6711, -0.459],
    ),
    "mobilenetv3_rw": (
        Timm(V3_LARGE, stem=16, head_norm="none", gates="wide"),
        mobilenet_v3_rw(),
        "13d29095ef772c60",
        [-0.0272, 0.1658, 0.0607],
    ),
    "tf_efficientnet_lite0": (
        Timm(LITE, keeps_stem=True),
        efficientnet_lite(0, padding="same", bn_eps=1e-3),
        "432586b3b1ddcaba",
        [-0.1832, -0.2956, 0.1069],
    ),
    "efficientnet_lite0": (
        Timm(LITE, keeps_stem=True),
        efficientnet_lite(0),
        "432586b3b1ddcaba",
        [-0.2469, -0.2618, -0.0657],
    ),
}

# Those that are larger, by keys alone.
LARGE: dict[str, tuple[Timm, Architecture, str]] = {
    "mobilenetv4_conv_large": (
        Timm(V4_LARGE, stem=24, head_norm="norm_head"),
        mobilenet_v4_conv_large(),
        "d43031062eedddb9",
    ),
    **{
        f"efficientnet_lite{level}": (
            Timm(LITE, keeps_stem=True, width=width, depth=depth),
            efficientnet_lite(level),
            keys,
        )
        for level, width, depth, keys in (
            (1, 1.0, 1.1, "617a9f98a23133da"),
            (2, 1.1, 1.2, "7c81e9a2ed713743"),
            (3, 1.2, 1.4, "ec568c862296a7a9"),
            (4, 1.4, 1.8, "ec838fef088fdca7"),
        )
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_network(name: str, tmp_path: Path) -> None:
    network, architecture, keys, logits = PUBLISHED[name]
    shapes = network.shapes()
    assert digest(shapes) == keys
    torch.save(filled(shapes), tmp_path / f"{name}.pth")
    checkpoint = load(tmp_path / f"{name}.pth", resolution=SIZE)
    expected = architecture.with_options(resolution=SIZE)
    assert replace(checkpoint.architecture, blocks=()) == replace(expected, blocks=())
    # Kernels and channels are the weights' own; the logits hang on all of them.
    own, rows = (
        [replace(block, kernel=0, expanded=0, squeeze=0) for block in one.blocks]
        for one in (checkpoint.architecture, expected)
    )
    assert own == rows
    with torch.no_grad():
        found = checkpoint.module(image(SIZE))[0, :3]
    torch.testing.assert_close(found, torch.tensor(logits), rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("name", LARGE)
def test_keys_tell_a_larger_network(name: str, tmp_path: Path) -> None:
    network, architecture, keys = LARGE[name]
    shapes = network.shapes()
    assert digest(shapes) == keys
    torch.save({key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}, tmp_path / f"{name}.pth")
    assert load(tmp_path / f"{name}.pth").architecture == architecture


@pytest.mark.parametrize("kind", ["aa", "blur"])
def test_a_v4_that_pools_where_others_stride_is_told_by_its_name_alone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"mobilenetv4_conv_{kind}_medium.e500_r256_in1k.pth"
    torch.save(filled(Timm(V4_SMALL, head_norm="norm_head").shapes()), path)
    with pytest.raises(CheckpointError, match=rf"names a MobileNetV4 that pools where others stride \({kind}\)"):
        load(path)
