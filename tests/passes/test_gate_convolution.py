"""Only the gate behind the first convolution becomes a convolution, and the network computes the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.capture.torch_export import capture
from edgekit.executor.float import FloatExecutor
from edgekit.ir import Add, Conv2d
from edgekit.passes import float_form, integer_form

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


def test_the_first_gate_is_a_convolution_and_the_second_an_addition(captured: Graph) -> None:
    graph = integer_form(captured)
    convolutions = [node for node in graph if isinstance(node.op, Conv2d)]
    (gate,) = (node for node in convolutions if isinstance(node.op, Conv2d) and node.op.groups > 1)
    assert gate.name.startswith("swish")
    assert graph.constants[gate.inputs[1]].shape == (4, 1, 1, 1)
    assert len(convolutions) == 4
    (addition,) = (node for node in graph if isinstance(node.op, Add))
    assert addition.name.startswith("other")


def test_it_computes_the_same(captured: Graph) -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 4
    with torch.inference_mode():
        expected = FloatExecutor(float_form(captured))(x)
        torch.testing.assert_close(FloatExecutor(integer_form(captured))(x), expected, rtol=1e-4, atol=1e-4)
