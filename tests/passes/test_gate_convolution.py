"""Only the gates that are named become convolutions, and the network computes the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.capture.torch_export import capture
from edgekit.executor.float import FloatExecutor
from edgekit.ir import Conv2d
from edgekit.passes import float_form, integer_form
from edgekit.passes.gate_convolution import gate_convolution, gates

if TYPE_CHECKING:
    from edgekit.ir import Graph


class Two(torch.nn.Module):
    """A classifier of two convolutions with a hard-swish each."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 5, 1)
        self.swish, self.other = torch.nn.Hardswish(), torch.nn.Hardswish()
        self.head = torch.nn.Conv2d(5, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.head(self.other(self.second(self.swish(self.first(x)))))
        return maps.mean((2, 3))


@pytest.fixture
def captured() -> Graph:
    torch.manual_seed(0)
    return capture(Two().eval(), "two", (3, 8, 8))


def test_only_the_named_gate_becomes_a_convolution(captured: Graph) -> None:
    before = integer_form(captured)
    first, second = gates(before)
    graph = gate_convolution(before, [first.name])
    (gate,) = (node for node in graph if isinstance(node.op, Conv2d) and node.op.groups > 1)
    assert gate.name == first.name
    assert graph.constants[gate.inputs[1]].shape == (4, 1, 1, 1)
    assert gates(graph) == (second,)


def test_it_computes_the_same(captured: Graph) -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 4
    before = integer_form(captured)
    graph = gate_convolution(before, [gate.name for gate in gates(before)])
    with torch.inference_mode():
        expected = FloatExecutor(float_form(captured))(x)["logits"]
        torch.testing.assert_close(FloatExecutor(graph)(x)["logits"], expected, rtol=1e-4, atol=1e-4)
