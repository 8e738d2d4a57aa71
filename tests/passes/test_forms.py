"""Both forms of every network of the family compute what the torch module computes, tensor by tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from edgekit.capture.torch_export import capture
from edgekit.executor.float import FloatExecutor
from edgekit.ir import Add, Conv2d, HardSwish, Linear, Mean, Mul, Pad, Rearrange
from edgekit.models.families import FAMILIES
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_large
from edgekit.models.network import build
from edgekit.passes import float_form, integer_form

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from edgekit.ir import Graph
    from edgekit.models.architecture import Architecture

CANONICAL = (Add, Conv2d, Linear, Mean, Mul, Pad, Rearrange)
TOLERANCE = 1e-4  # of the largest value of a tensor; float32 on both sides

# Widths from 0.35 to 1.4, both paddings, sizes that stay even for long and sizes that do not.
CASES = [
    ("mobilenet_v1", 0.35, "same", 96),
    ("mobilenet_v1", 1.0, "symmetric", 33),
    ("mobilenet_v2", 0.35, "symmetric", 96),
    ("mobilenet_v2", 1.4, "same", 32),
    ("mobilenet_v3_large", 0.5, "same", 65),
    ("mobilenet_v3_small", 0.75, "same", 64),
    ("mobilenet_v3_small", 1.0, "symmetric", 47),
    ("mobilenet_v3_digits", 1.4, "same", 32),
    ("mobilenet_v3_digits", 0.5, "symmetric", 28),
]


def _trained(architecture: Architecture) -> nn.Module:
    """A network whose batch normalization is not the identity, as after training."""
    torch.manual_seed(0)
    module = build(architecture).eval()
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            with torch.no_grad():
                part.weight.uniform_(0.5, 1.5)
                part.bias.normal_(0.0, 0.3)
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_(0.0, 0.3)
            part.running_var.uniform_(0.5, 1.5)
    return module


def _module_outputs(module: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What every part of a module makes, by the part's name."""
    outputs: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_part: object, _inputs: object, output: torch.Tensor) -> None:
            outputs[name] = output.clone()

        return hook

    handles = [part.register_forward_hook(keep(name)) for name, part in module.named_modules()]
    with torch.no_grad():
        module(x)
    for handle in handles:
        handle.remove()
    return outputs


def _close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    largest = expected.abs().max().item()
    return torch.allclose(found.reshape(expected.shape), expected, rtol=0, atol=TOLERANCE * max(largest, 1e-6))


def _module_of(tensor: str) -> str:
    """The part that makes a tensor; what a block's own forward adds or multiplies is the block's result."""
    head, _, tail = tensor.rpartition(".")
    return head if tail in {"add", "mul"} else tensor


@pytest.mark.parametrize(("family", "width", "padding", "resolution"), CASES)
def test_every_tensor_is_what_the_module_computes(family: str, width: float, padding: Any, resolution: int) -> None:
    module = _trained(FAMILIES[family].make(width, 7, resolution=resolution, padding=padding))
    captured = capture(module, family, (3, resolution, resolution))
    x = torch.randn(2, 3, resolution, resolution)
    expected = _module_outputs(module, x)
    for form in (float_form, integer_form):
        graph = form(captured)
        allowed = (*CANONICAL, HardSwish) if form is float_form else CANONICAL
        assert all(isinstance(node.op, allowed) for node in graph)
        seen: dict[str, torch.Tensor] = {}
        with torch.no_grad():
            logits = FloatExecutor(graph)(x, observe=seen.__setitem__)["logits"]
        assert _close(logits, expected[""])
        compared = [name for name in graph.tensors if _module_of(name) in expected]
        assert len(compared) >= 0.6 * len(graph.tensors)
        for name in compared:
            factor = torch.as_tensor(graph.tensors[name].factor)
            assert _close(seen[name] / factor, expected[_module_of(name)]), name


@pytest.fixture(scope="module")
def v3_large() -> Graph:
    return capture(build(mobilenet_v3_large(0.35, 5, resolution=32)), "v3", (3, 32, 32))


def test_factors_of_mobilenet_v3_large(v3_large: Graph) -> None:
    graph = integer_form(v3_large)
    factors = {name: tensor.factor for name, tensor in graph.tensors.items()}
    # The stem's hard-swish carries a 6; the first block adds it to its projection, which is raised to it.
    assert [factors[f"features.{name}"] for name in ("0.2", "1.block.1.1", "1.add")] == [6.0, 6.0, 6.0]
    # From there on the trunk is as the checkpoint computes it.
    assert all(factors[f"features.{i}.add"] == 1.0 for i in (3, 5, 6, 8, 9, 10, 12, 14, 15))
    assert factors["features.13.block.1.2"] == 6.0  # hard-swish
    assert factors["features.13.block.2.scale_activation"] == 6.0  # hard-sigmoid
    assert factors["features.13.block.2.mul"] == 36.0  # their product
    assert factors[graph.output_tensors[0]] == 1.0
    assert {tensor.factor for tensor in float_form(v3_large).tensors.values()} == {1.0, 6.0}


def test_what_is_left_of_a_block(v3_large: Graph) -> None:
    """In integers a block of V3 with squeeze-and-excite is convolutions, ADD, MUL and MEAN."""
    block = [node for node in integer_form(v3_large) if node.output.startswith("features.15.")]
    swish = ["Add", "Mul"]
    assert [type(node.op).__name__ for node in block] == [
        "Conv2d",  # expansion
        *swish,
        "Conv2d",  # depthwise
        *swish,
        "Mean",  # squeeze
        "Conv2d",
        "Conv2d",  # excite, its hard-sigmoid in its bias and range
        "Mul",
        "Conv2d",  # projection
        "Add",  # residual
    ]


def test_shared_constants_are_a_mistake_of_ours(v3_large: Graph) -> None:
    first, second, *_ = (node for node in v3_large if isinstance(node.op, Conv2d))
    shared = replace(second, inputs=(second.inputs[0], *first.inputs[1:]))
    nodes = [shared if node is second else node for node in v3_large]
    with pytest.raises(AssertionError, match="a constant is shared"):
        float_form(v3_large.with_nodes(nodes))
