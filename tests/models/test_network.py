"""Networks: sizes against published numbers, names against torchvision's, borders against TensorFlow's formula."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from edgekit.models.blocks import PaddedConv2d, Shape, conv
from edgekit.models.families import FAMILIES
from edgekit.models.families.efficientnet_lite import efficientnet_lite
from edgekit.models.families.fd_mobilenet import fd_mobilenet
from edgekit.models.families.mnasnet import mnasnet, mnasnet_a1, mnasnet_small
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits
from edgekit.models.families.mobilenet_v3_rw import mobilenet_v3_rw
from edgekit.models.families.mobilenet_v4 import (
    mobilenet_v4_conv_large,
    mobilenet_v4_conv_medium,
    mobilenet_v4_conv_small,
)
from edgekit.models.families.mobileone import mobileone
from edgekit.models.network import build

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.models.architecture import Architecture, PaddingStyle

LAYERS = (
    *(nn.Conv2d, nn.BatchNorm2d, nn.Linear, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Dropout),
    *(nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid),
)


def parameters(architecture: Architecture) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(architecture).parameters())


@pytest.mark.parametrize(
    ("architecture", "count"),
    [
        (mobilenet_v2(), 3_504_872),  # torchvision's documentation of its weights
        (mobilenet_v3_large(), 5_483_032),
        (mobilenet_v3_small(), 2_542_856),
        (mobilenet_v1(), 4_231_976),  # 4.23 M: timm's mobilenetv1_100
        (mnasnet(0.5), 2_218_512),  # torchvision's documentation again
        (mnasnet(0.75), 3_170_208),
        (mnasnet(), 4_383_312),
        (mnasnet(1.3), 6_282_256),
        (fd_mobilenet(), 2_901_288),  # pytorchcv's own tests
        (fd_mobilenet(0.75), 1_833_304),
        (fd_mobilenet(0.5), 993_928),
        (fd_mobilenet(0.25), 383_160),
    ],
)
def test_published_parameter_counts(architecture: Architecture, count: int) -> None:
    assert parameters(architecture) == count


@pytest.mark.parametrize(
    ("architecture", "millions"),
    [
        (mobilenet_v1(0.25), 0.47),  # slim/nets/mobilenet_v1.md
        (mobilenet_v1(0.5), 1.34),
        (mobilenet_v1(0.75), 2.59),
        (mobilenet_v2(0.35), 1.68),  # timm's table of results
        (mobilenet_v2(0.5), 1.97),
        (mobilenet_v2(0.75), 2.64),
        (mobilenet_v2(1.4), 6.11),
        (mobilenet_v4_conv_small(), 3.77),  # timm's table of results, as the next ones
        (mobilenet_v4_conv_small(0.5), 2.24),
        (mobilenet_v4_conv_medium(), 9.72),
        (mobilenet_v4_conv_large(), 32.59),
        (mobilenet_v3_rw(), 5.48),
        (mnasnet_a1(), 3.89),
        (mnasnet_small(), 2.03),
        (efficientnet_lite(0), 4.65),
        (efficientnet_lite(1), 5.42),
        (efficientnet_lite(2), 6.09),
        (efficientnet_lite(3), 8.20),
        (efficientnet_lite(4), 13.01),
    ],
)
def test_published_parameter_counts_of_others(architecture: Architecture, millions: float) -> None:
    assert parameters(architecture) / 1e6 == pytest.approx(millions, abs=0.0101)


# Table 3 of arXiv:2206.04040.
@pytest.mark.parametrize(("scale", "millions"), [("s0", 2.1), ("s1", 4.8), ("s2", 7.8), ("s3", 10.1), ("s4", 14.8)])
def test_published_parameter_counts_of_mobileone(scale: str, millions: float) -> None:
    assert parameters(mobileone(scale)) / 1e6 == pytest.approx(millions, abs=0.051)


def multiplications(architecture: Architecture) -> int:
    """Of convolutions and linear layers, for one image: they tell kernels and strides apart."""
    count = 0

    def add(layer: nn.Module, _: object, y: torch.Tensor) -> None:
        nonlocal count
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        count += y.numel() * layer.weight[0].numel()

    network = build(architecture).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(add)
    with torch.no_grad():
        network(torch.zeros(1, 3, *architecture.size))
    return count


@pytest.mark.parametrize(
    ("architecture", "millions", "within"),
    [
        (fd_mobilenet(), 144, 1),  # arXiv:1802.03750
        (mnasnet_a1(), 312, 1),  # arXiv:1807.11626
        (mnasnet(), 314, 1),  # torchvision's documentation of its weights
        (mobileone("s0"), 275, 1),  # arXiv:2206.04040
        (mobilenet_v4_conv_small(), 190, 5),  # timm's table of results: 0.19 G
        (mobilenet_v3_rw(), 219, 4),  # as V3-Large in arXiv:1905.02244
    ],
)
def test_published_multiplications(architecture: Architecture, millions: float, within: float) -> None:
    assert multiplications(architecture) / 1e6 == pytest.approx(millions, abs=within)


def test_features_do_not_vanish_without_batch_normalization() -> None:
    torch.manual_seed(0)
    network = build(mobileone("s0", resolution=64))
    with torch.no_grad():
        spread = float(network.get_submodule("features")(torch.randn(2, 3, 64, 64)).std())
    assert 0.01 < spread < 10


def test_the_network_that_is_shipped_is_small() -> None:
    assert 150_000 < parameters(mobilenet_v3_digits()) < 200_000


def test_torchvisions_names() -> None:
    with torch.device("meta"):
        v2, v3 = build(mobilenet_v2()).state_dict(), build(mobilenet_v3_small()).state_dict()
    assert (len(v2), len(v3)) == (314, 244)
    assert v2["features.1.conv.1.weight"].shape == (16, 32, 1, 1)
    assert v2["features.2.conv.1.0.weight"].shape == (96, 1, 3, 3)
    assert v2["features.18.1.running_var"].shape == (1280,)
    assert v2["classifier.1.weight"].shape == (1000, 1280)
    assert v3["features.1.block.1.fc1.weight"].shape == (8, 16, 1, 1)
    assert v3["features.11.block.3.0.weight"].shape == (96, 576, 1, 1)
    assert v3["classifier.0.weight"].shape == (1024, 576)
    assert v3["classifier.3.bias"].shape == (1000,)


@pytest.mark.parametrize(
    ("family", "padding"), [("mobilenet_v1", "same"), ("mobilenet_v2", "symmetric"), ("mobilenet_v3_digits", "same")]
)
def test_export_sees_the_same_network(
    family: str, padding: PaddingStyle, trained: Callable[[Architecture], nn.Module]
) -> None:
    module = trained(FAMILIES[family].make(0.35, 5, resolution=64, padding=padding))
    x = torch.randn(1, 3, 64, 64)
    logits = module(x)
    assert logits.shape == (1, 5)
    torch.testing.assert_close(torch.export.export(module, (x,)).module()(x), logits)


def test_only_layers_that_capture_knows() -> None:
    made = {(family.wiring, family.make().gate): family.make() for family in FAMILIES.values()}
    for architecture in made.values():
        with torch.device("meta"):
            leaves = [module for module in build(architecture).modules() if not list(module.children())]
        assert all(isinstance(leaf, LAYERS) for leaf in leaves)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 20), kernel=st.sampled_from([1, 3, 5]), stride=st.sampled_from([1, 2]))
def test_same_padding_is_tensorflows(size: int, kernel: int, stride: int) -> None:
    """Output pixel i reads the inputs i * stride - before, ..., written out as TensorFlow's documentation does."""
    layer = conv(Shape(1, 1, kernel, stride), (size, size), "same")
    x = torch.randn(1, 1, size, size)
    along = max(kernel - stride, 0) if size % stride == 0 else max(kernel - size % stride, 0)
    before = along // 2
    padded = functional.pad(x, (before, along - before, before, along - before))
    windows = padded.unfold(2, kernel, stride).unfold(3, kernel, stride)  # [1, 1, H', W', kernel, kernel]
    expected = (windows * layer.weight).sum((-1, -2))
    assert layer(x).shape[2:] == (-(-size // stride),) * 2
    torch.testing.assert_close(layer(x), expected)


def test_padding_is_explicit_only_where_it_differs_from_side_to_side() -> None:
    assert isinstance(conv(Shape(1, 1, 3, 2), (32, 32), "same"), PaddedConv2d)
    assert conv(Shape(1, 1, 3, 2), (33, 33), "same").padding == (1, 1)
    assert isinstance(conv(Shape(1, 1, 3, 2), (33, 32), "same"), PaddedConv2d)
    assert conv(Shape(1, 1, 5, 1), (32, 32), "same").padding == (2, 2)
    assert conv(Shape(1, 1, 3, 2), (32, 32), "symmetric").padding == (1, 1)


def test_odd_resolutions_give_every_block_its_own_border(trained: Callable[[Architecture], nn.Module]) -> None:
    same = trained(mobilenet_v2(0.35, 3, resolution=97, padding="same"))
    padded = [module for module in same.modules() if isinstance(module, PaddedConv2d)]
    # 97, 49, 25, 13, 7, 4: all odd, so that TensorFlow pads alike on both sides everywhere.
    assert not padded
    assert same(torch.randn(1, 3, 97, 97)).shape == (1, 3)


def test_residuals_only_between_equal_shapes() -> None:
    network = build(mobilenet_v3_small())
    blocks = [module for module in network.modules() if hasattr(module, "has_residual")]
    assert [block.has_residual for block in blocks] == [i in {2, 4, 5, 7, 9, 10} for i in range(11)]


def test_the_shipped_network_has_every_operator() -> None:
    kinds = {type(module) for module in build(mobilenet_v3_digits()).modules()}
    assert {nn.Hardswish, nn.Hardsigmoid, nn.ReLU} <= kinds
    rows = mobilenet_v3_digits().blocks
    assert {row.kernel for row in rows} == {3, 5}
    assert any(a.out == b.out and b.stride == 1 for a, b in pairwise(rows))
