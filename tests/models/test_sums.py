"""What is summed up while a checkpoint is loaded, bit by bit, against Python's own floats, added one by one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.models.heads import recognition
from edgekit.models.readers.parametrizations import made_whole
from edgekit.models.sums import sum_of_products

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

CHANNELS, HIDDEN, CLASSES = 48, 200, 5


def drawn(*shape: int) -> Tensor:
    # Sums of numbers of such different sizes have other last bits in every order.
    generator = torch.Generator().manual_seed(math.prod(shape))
    return torch.randn(shape, generator=generator) * 10 ** torch.randn(shape, generator=generator)


def added(left: Iterable[float], right: Iterable[float]) -> float:
    total = 0.0
    for one, other in zip(left, right, strict=True):
        total += one * other
    return total


def products(left: Tensor, right: Tensor) -> Tensor:
    """left [O, K] times right [K, I]."""
    columns = right.mT.tolist()
    return torch.tensor([[added(row, column) for column in columns] for row in left.tolist()], dtype=torch.float64)


def test_terms_are_added_one_after_another() -> None:
    left, right = drawn(CLASSES, HIDDEN), drawn(HIDDEN, CHANNELS)
    assert torch.equal(sum_of_products(left.mT[:, :, None], right[:, None, :]), products(left, right))


def test_layers_that_are_made_one() -> None:
    first, second = drawn(HIDDEN, CHANNELS), drawn(CLASSES, HIDDEN)
    biases = drawn(HIDDEN), drawn(CLASSES)
    rest = {"0.weight": first, "0.bias": biases[0], "1.weight": second, "1.bias": biases[1]}
    (layer,) = recognition.find({f"classifier.{name}": tensor for name, tensor in rest.items()}, CHANNELS, 1e-5).layers
    assert torch.equal(layer.weight, products(second, first).float())
    assert torch.equal(layer.bias, (biases[1] + products(second, biases[0][:, None])[:, 0]).float())


def test_batch_normalization_in_front_of_a_layer() -> None:
    weight, bias = drawn(CLASSES, CHANNELS), drawn(CLASSES)
    norm = {"weight": drawn(CHANNELS), "bias": drawn(CHANNELS), "running_mean": drawn(CHANNELS)}
    norm["running_var"] = drawn(CHANNELS).abs()
    rest = {f"classifier.0.{role}": tensor for role, tensor in norm.items()}
    found = recognition.find({**rest, "classifier.1.weight": weight, "classifier.1.bias": bias}, CHANNELS, 1e-5)
    (layer,) = found.layers
    scale = (norm["weight"].double() / (norm["running_var"].double() + 1e-5).sqrt()).float()
    shift = norm["bias"] - norm["running_mean"] * scale
    assert torch.equal(layer.bias, (bias + products(weight, shift[:, None])[:, 0]).float())


@pytest.mark.parametrize("dim", [0, 1, None])
def test_normalized_weights(dim: int | None) -> None:
    from torch.nn.utils.parametrizations import weight_norm

    module = torch.nn.Conv2d(6, 4, 3)
    module.weight = torch.nn.Parameter(drawn(4, 6, 3, 3))
    parts = weight_norm(module, dim=dim).state_dict()  # type: ignore[arg-type]
    whole, _ = made_whole({f"stem.{name}": tensor for name, tensor in parts.items()})
    torch.testing.assert_close(whole["stem.weight"], module.weight.data)
    if dim == 0:
        directions, sizes = (parts[f"parametrizations.weight.original{index}"] for index in (1, 0))
        lengths = [math.sqrt(added(row, row)) for row in directions.flatten(1).tolist()]
        exact = directions.double() * (sizes.double() / torch.tensor(lengths, dtype=torch.float64).reshape(4, 1, 1, 1))
        assert torch.equal(whole["stem.weight"], exact.float())
