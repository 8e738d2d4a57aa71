"""The form of convolutions: which layers change, and that a block-diagonal weight means the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekit.exporters.torch.convolution import Form, block_diagonal, form
from edgekit.ir import Conv2d, Padding

AROUND, AROUND5, TENSORFLOW = Padding(1, 1, 1, 1), Padding(2, 2, 2, 2), Padding(0, 1, 0, 1)


@pytest.mark.parametrize(("channels", "merged"), [(8, 8), (24, 8), (72, 8), (960, 8), (7, 1), (12, 1), (20, 1)])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_fast_kernel(channels: int, merged: int, stride: int) -> None:
    op = Conv2d((stride, stride), AROUND, channels)
    assert form(op, (channels, 1, 3, 3), "fbgemm") == Form(Padding(), (1, 1), merged=merged)


@pytest.mark.parametrize(
    ("padding", "added"),
    [
        (TENSORFLOW, Padding(top=1, left=1)),
        (Padding(1, 1, 0, 1), Padding(left=1)),  # an odd height and an even width
        (Padding(0, 1, 1, 1), Padding(top=1)),
    ],
)
def test_the_padding_of_tensorflow(padding: Padding, added: Padding) -> None:
    expected = Form(added, (1, 1), (added.top, added.left), merged=8)
    assert form(Conv2d((2, 2), padding, 48), (48, 1, 3, 3), "fbgemm") == expected
    assert form(Conv2d((2, 2), padding, 48), (48, 1, 3, 3), "qnnpack") == Form(padding, (0, 0))


@pytest.mark.parametrize(("channels", "merged"), [(960, 16), (72, 24), (120, 24), (40, 40), (88, 8), (12, 1)])
def test_the_general_path(channels: int, merged: int) -> None:
    shape = (channels, 1, 5, 5)
    assert form(Conv2d((1, 1), AROUND5, channels), shape, "fbgemm") == Form(Padding(), (2, 2), merged=merged)
    if merged > 1:
        outside = Padding(1, 2, 1, 2)
        assert form(Conv2d((2, 2), outside, channels), shape, "fbgemm") == Form(outside, (0, 0), merged=merged)


@pytest.mark.parametrize(
    "op",
    [
        Conv2d((1, 1), Padding(), 16),  # no zeros around
        Conv2d((1, 1), TENSORFLOW, 16),  # cropping is for stride 2
        Conv2d((1, 2), AROUND, 16),
        Conv2d((2, 2), Padding(0, 2, 0, 2), 16),
    ],
)
def test_3_x_3_on_the_general_path(op: Conv2d) -> None:
    assert form(op, (16, 1, 3, 3), "fbgemm").merged == 16


@pytest.mark.parametrize(
    ("op", "weight_shape"),
    [(Conv2d((1, 1), AROUND, 1), (16, 8, 3, 3)), (Conv2d((1, 1), AROUND, 4), (32, 4, 3, 3))],
)
def test_other_layers_are_left_alone(op: Conv2d, weight_shape: tuple[int, ...]) -> None:
    assert form(op, weight_shape, "fbgemm") == form(op, weight_shape, "qnnpack") == Form(Padding(), (1, 1))


@pytest.mark.parametrize(
    ("groups", "of_group", "merged"),
    [(5, 4, 5), (6, 4, 2), (12, 2, 3), (6, 2, 3), (2, 2, 2), (32, 4, 1), (3, 8, 1), (6, 3, 1)],
)
def test_small_groups_become_larger_where_16_does_not_divide_them(groups: int, of_group: int, merged: int) -> None:
    shape = (groups * of_group, of_group, 3, 3)
    op = Conv2d((2, 2), AROUND, groups)
    assert form(op, shape, "fbgemm") == Form(Padding(), (1, 1), merged=merged)
    assert form(op, shape, "qnnpack").merged == 1
    random = np.random.default_rng(groups)
    weight = random.integers(-127, 128, shape).astype(np.int8)
    x = torch.from_numpy(random.integers(0, 256, (1, shape[0], 6, 5))).double()
    result = torch.from_numpy(block_diagonal(weight, groups, merged)).double()
    found = torch.conv2d(x, result, groups=groups // merged)
    assert torch.equal(found, torch.conv2d(x, torch.from_numpy(weight).double(), groups=groups))


@pytest.mark.parametrize("merged", [2, 8, 24])
def test_a_block_diagonal_weight_means_the_same(merged: int) -> None:
    random = np.random.default_rng(merged)
    weight = random.integers(-127, 128, (24, 1, 3, 3)).astype(np.int8)
    x = torch.from_numpy(random.integers(0, 256, (1, 24, 6, 5))).double()
    result = block_diagonal(weight, 24, merged)
    assert result.shape == (24, merged, 3, 3)
    found = torch.conv2d(x, torch.from_numpy(result).double(), groups=24 // merged)
    assert torch.equal(found, torch.conv2d(x, torch.from_numpy(weight).double(), groups=24))
