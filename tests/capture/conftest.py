"""What the tests of both front ends share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from edgekit.executor.float import FloatExecutor
from edgekit.passes import float_form, integer_form

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph

TOLERANCE = 1e-4  # of the largest logit; float32 on both sides


@pytest.fixture
def agrees() -> Callable[[Graph, torch.Tensor, torch.Tensor], None]:
    """Asserts that both forms of a captured graph give the expected logits."""

    def assert_agrees(captured: Graph, x: torch.Tensor, expected: torch.Tensor) -> None:
        assert expected.abs().max() > 0
        for form in (float_form, integer_form):
            with torch.no_grad():
                found = FloatExecutor(form(captured))(x)
            torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE * expected.abs().max().item())

    return assert_agrees
