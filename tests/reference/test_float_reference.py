"""The float reference against torch in float64, one operator at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from edgekit.ir import (
    Add,
    BatchNorm,
    Clamp,
    Conv2d,
    Graph,
    HardSigmoid,
    HardSwish,
    Linear,
    MaxPool2d,
    Mean,
    Mul,
    Node,
    Op,
    Output,
    Pad,
    Padding,
    Rearrange,
    Tensor,
    TransposedConv2d,
)
from edgekit.reference.float import FloatReference

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def normal(*shape: int) -> NDArray[np.float32]:
    return (3 * np.random.default_rng(shape).standard_normal(shape)).astype(np.float32)


def run(
    op: Op, x: NDArray[np.float32], *constants: NDArray[np.float32], clamp: Clamp | None = None
) -> NDArray[np.float64]:
    named = {f"c{i}": constant for i, constant in enumerate(constants)}
    tensors = {name: Tensor(name, x.shape[1:]) for name in ("x", "y")}
    graph = Graph("tiny", "x", (Output.logits("y"),), (Node("node", op, ("x", *named), "y", clamp),), tensors, named)
    return FloatReference(graph).run(x)["logits"]


X, MAPS = normal(2, 6), normal(2, 6, 7, 9)
CASES: dict[str, tuple[Op, NDArray[np.float32], list[NDArray[np.float32]], Callable[..., torch.Tensor]]] = {
    "conv": (Conv2d((2, 1)), MAPS, [normal(4, 6, 3, 2), normal(4)], lambda x, w, b: F.conv2d(x, w, b, (2, 1))),
    "padded conv": (
        Conv2d(padding=Padding(1, 2, 0, 3)),
        MAPS,
        [normal(4, 6, 3, 3), normal(4)],
        lambda x, w, b: F.conv2d(F.pad(x, (0, 3, 1, 2)), w, b),
    ),
    "1x1 conv": (Conv2d(), MAPS, [normal(4, 6, 1, 1), normal(4)], F.conv2d),
    "depthwise": (
        Conv2d((2, 2), Padding(1, 1, 1, 1), 6),
        MAPS,
        [normal(6, 1, 3, 3), normal(6)],
        lambda x, w, b: F.conv2d(x, w, b, 2, 1, groups=6),
    ),
    "groups": (
        Conv2d(groups=2, dilation=(2, 1)),
        MAPS,
        [normal(4, 3, 2, 3), normal(4)],
        lambda x, w, b: F.conv2d(x, w, b, dilation=(2, 1), groups=2),
    ),
    "transposed conv": (
        TransposedConv2d((2, 1), Padding(1, 1, 0, 0), (1, 0), 2),
        MAPS,
        [normal(4, 3, 3, 2), normal(4)],
        lambda x, w, b: F.conv_transpose2d(
            x, w.reshape(2, 2, 3, 3, 2).transpose(1, 2).reshape(6, 2, 3, 2), b, (2, 1), (1, 0), (1, 0), 2
        ),
    ),
    "linear": (Linear(), X, [normal(5, 6), normal(5)], F.linear),
    "batch norm": (
        BatchNorm(1e-3),
        MAPS,
        [normal(6), normal(6), normal(6), np.abs(normal(6))],
        lambda x, gamma, beta, mean, variance: F.batch_norm(x, mean, variance, gamma, beta, eps=1e-3),
    ),
    "clamp": (Clamp(-1.0, 2.0), MAPS, [], lambda x: x.clamp(-1, 2)),
    "relu": (Clamp(0.0), MAPS, [], F.relu),
    "hard swish": (HardSwish(), MAPS, [], F.hardswish),
    "hard sigmoid": (HardSigmoid(), MAPS, [], F.hardsigmoid),
    "add": (Add(), MAPS, [np.array([3.0], np.float32)], lambda x, c: x + c),
    "mul": (Mul(), MAPS, [normal(2, 6, 1, 1)], lambda x, c: x * c),
    "mean": (Mean(), MAPS, [], lambda x: x.mean((2, 3), keepdim=True)),
    "flat mean": (Mean(keep_dims=False), MAPS, [], lambda x: x.mean((2, 3))),
    "max pool": (
        MaxPool2d((3, 2), (2, 1), Padding(1, 1, 0, 0)),
        MAPS,
        [],
        lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 0)),
    ),
    "max pool, rounded up": (
        MaxPool2d((3, 3), (2, 2), Padding().ceiled((MAPS.shape[2], MAPS.shape[3]), (3, 3), (2, 2))),
        MAPS,
        [],
        lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    ),
    "max pool, dilated": (
        MaxPool2d((2, 2), (1, 1), dilation=(2, 1)),
        MAPS,
        [],
        lambda x: F.max_pool2d(x, 2, 1, dilation=(2, 1)),
    ),
    "shuffle": (Rearrange((2, 3, 1), (1, 0, 2), (6, 1, 1)), normal(2, 6, 1, 1), [], lambda x: F.channel_shuffle(x, 2)),
    "pad": (Pad(Padding(1, 2, 0, 3)), MAPS, [], lambda x: F.pad(x, (0, 3, 1, 2))),
    "flatten": (Rearrange.reshape((6,)), normal(2, 6, 1, 1), [], lambda x: x.flatten(1)),
}


@pytest.mark.parametrize("name", CASES)
def test_operator(name: str) -> None:
    op, x, constants, expected = CASES[name]
    got = run(op, x, *constants)
    assert got.dtype == np.float64
    want = expected(*(torch.from_numpy(array).double() for array in (x, *constants)))
    np.testing.assert_allclose(got, want.numpy(), rtol=1e-12, atol=1e-12)


def test_a_fused_clamp() -> None:
    constants: list[Any] = [normal(5, 6), normal(5)]
    got = run(Linear(), X, *constants, clamp=Clamp(0.0, 6.0))
    np.testing.assert_array_equal(got, np.clip(run(Linear(), X, *constants), 0, 6))
    assert got.min() == 0
    assert got.max() == 6
