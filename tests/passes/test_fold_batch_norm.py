"""Batch normalization into the layer before it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgekit.capture.torch_export import capture
from edgekit.executor.float import FloatExecutor
from edgekit.ir import Clamp, Concat, Conv2d, Output, Padding
from edgekit.passes import integer_form
from edgekit.passes.fold_batch_norm import fold_batch_norm

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph, Node


def test_after_every_kind_of_layer(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    x = sketch.norm("conv.norm", sketch.conv("conv", "x", out=8, kernel=3))
    x = sketch.norm("depthwise.norm", sketch.conv("depthwise", x, out=8, kernel=3, groups=8))
    x = sketch.norm("linear.norm", sketch.dense("linear", sketch.mean("mean", x), out=5))
    before = sketch.ending_in(sketch.dense("classifier", x))
    after = fold_batch_norm(before)
    assert kinds(after) == ["Conv2d", "Conv2d", "Mean", "Rearrange", "Linear", "Linear"]
    assert [node.output for node in after][:2] == ["conv.norm", "depthwise.norm"]
    unchanged(before, after)


def test_one_after_the_other(sketch: Any, unchanged: Callable[[Graph, Graph], None]) -> None:
    before = sketch.end(sketch.norm("second", sketch.norm("first", sketch.conv("conv", "x"))))
    unchanged(before, fold_batch_norm(before))


def test_dead_channels_keep_their_digits(sketch: Any) -> None:
    x = sketch.conv("conv", "x")
    gamma, beta, mean, variance = np.array([[1e-3, 1, 1, 1], [0.5, 0, 0, 0], [3e-4, 0, 0, 0], [1e-12, 1, 1, 1]])
    parameters = {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": variance}
    before = sketch.end(sketch.batch_norm("norm", x, **parameters, eps=1e-5))
    after = fold_batch_norm(before)
    gain = np.float32(1e-3) / np.sqrt(np.float64(np.float32(1e-12)) + 1e-5)
    bias = np.float64(before.constants["conv.bias"][0])
    assert after.constants["conv.bias"][0] == np.float32(gain * (bias - np.float32(3e-4)) + 0.5)


def test_a_second_reader_needs_the_convolution_as_it_is(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    conv = sketch.conv("conv", "x")
    before = sketch.end(sketch.add("sum", conv, sketch.norm("norm", conv)))
    after = fold_batch_norm(before)
    assert kinds(after) == ["Conv2d", "Conv2d", "Add", "Mean", "Rearrange", "Linear"]
    assert after.nodes[1].op == Conv2d(groups=4)
    unchanged(before, after)


def test_so_does_an_output(sketch: Any, unchanged: Callable[[Graph, Graph], None]) -> None:
    graph = sketch.end(sketch.norm("norm", sketch.conv("conv", "x")))
    before = replace(graph, outputs=(*graph.outputs, Output("seen", "conv")))
    unchanged(before, fold_batch_norm(before))


@pytest.mark.parametrize("groups", [1, 4])
def test_into_all_layers_behind(
    groups: int, sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    """Of the image, for example; each of the layers takes it, in its own way."""
    normed = sketch.norm("norm", "x")
    a, b = sketch.conv("a", normed, kernel=3, groups=groups), sketch.conv("b", normed, kernel=3)
    pooled = sketch.norm("vector", sketch.flatten("flat", sketch.mean("mean", sketch.add("sum", a, b))))
    before = sketch.ending_in(sketch.dense("dense", pooled))
    after = fold_batch_norm(before)
    assert kinds(after) == ["Conv2d", "Conv2d", "Add", "Mean", "Rearrange", "Linear"]
    unchanged(before, after)


def test_zeros_at_the_border_are_not_normalized(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    """So a layer that pads takes a scale, but no shift."""
    padding = Padding(1, 1, 1, 1)
    before = sketch.end(sketch.conv("conv", sketch.norm("norm", "x"), kernel=3, padding=padding))
    after = fold_batch_norm(before)
    assert kinds(after)[:2] == ["Conv2d", "Conv2d"]
    unchanged(before, after)
    again = type(sketch)()
    scaled = again.affine("scale", "x", again.values(4), np.zeros(1))
    before = again.end(again.conv("conv", scaled, kernel=3, padding=padding))
    after = fold_batch_norm(before)
    assert kinds(after)[:2] == ["Conv2d", "Mean"]
    unchanged(before, after)


def test_a_layer_of_its_own(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    """Behind a concatenation and in front of a clamp, as in DenseNet; of a vector it is a linear layer."""
    x = sketch.apply("joined", Concat(), sketch.conv("conv", "x"), "x")
    x = sketch.apply("relu", Clamp(0.0), sketch.norm("norm", x))
    pooled = sketch.norm("vector", sketch.flatten("flat", sketch.mean("mean", x)))
    before = sketch.ending_in(sketch.dense("dense", sketch.apply("clamp", Clamp(-1.0, 1.0), pooled)))
    after = fold_batch_norm(before)
    assert kinds(after) == ["Conv2d", "Concat", "Conv2d", "Clamp", "Mean", "Rearrange", "Linear", "Clamp", "Linear"]
    assert after.nodes[2].op == Conv2d(groups=8)
    assert after.statistics.keys() == {"norm", "vector"}
    unchanged(before, after)


# --- what batch normalization has seen --------------------------------------------------------------------------------


class _Results(FloatExecutor):
    """Remembers what each layer makes before its activation, by node name."""

    def accumulate(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        y = super().accumulate(node, inputs)
        self.found = {**getattr(self, "found", {}), node.name: y.double()}
        return y


def test_statistics_are_those_of_the_results_through_every_pass() -> None:
    """A network whose normalization has seen these very images, with all that scales and moves a result behind it."""
    torch.manual_seed(0)
    conv, depthwise = torch.nn.Conv2d(4, 6, 3), torch.nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
    norms = [torch.nn.BatchNorm2d(6, momentum=1.0) for _ in range(3)]
    for norm in norms:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.depthwise, self.gate = conv, depthwise, torch.nn.Conv2d(6, 6, 1)
            self.first, self.second, self.third = norms
            self.linear = torch.nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = functional.hardswish(self.first(self.conv(x)))
            x = x * functional.hardsigmoid(self.third(self.gate(x.mean((2, 3), keepdim=True))))
            x = functional.relu6(self.second(self.depthwise(x)) * 0.5)
            logits: torch.Tensor = self.linear(x.mean((2, 3)))
            return logits

    network, images = Network().train(), torch.randn(64, 4, 12, 12)
    with torch.no_grad():
        network(images)
    graph = integer_form(capture(network.eval(), "toy", (4, 12, 12)))
    assert {name.split(".")[0] for name in graph.statistics} == {"conv", "depthwise", "gate"}
    executor = _Results(graph)
    with torch.inference_mode():
        executor(images)
    for name, known in graph.statistics.items():
        found = executor.found[name].transpose(0, 1).flatten(1)  # [C, values]
        torch.testing.assert_close(torch.from_numpy(known.mean), found.mean(1), rtol=1e-2, atol=1e-3)
        # Training normalizes by the variance without Bessel's correction, and remembers it with that: 64 values here.
        torch.testing.assert_close(torch.from_numpy(known.std), found.std(1), rtol=1e-2, atol=1e-3)


def test_a_scale_and_a_shift_are_no_statistics(sketch: Any) -> None:
    values = np.array([1.0, 2, 3, 4])
    x = sketch.affine("affine", sketch.conv("conv", "x"), values, values)
    assert fold_batch_norm(sketch.end(x)).statistics == {}


def test_but_they_move_what_is_known(sketch: Any) -> None:
    normed = sketch.norm("norm", sketch.conv("conv", "x"))
    alone = fold_batch_norm(sketch.end(normed)).statistics["conv"]
    gain, shift = np.array([1.0, -2, 3, 4]), np.array([0.5, 0, 0, -1])
    again = type(sketch)()
    moved = again.affine("affine", again.norm("norm", again.conv("conv", "x")), gain, shift)
    known = fold_batch_norm(again.end(moved)).statistics["conv"]
    np.testing.assert_allclose(known.mean, alone.mean * gain + shift)
    np.testing.assert_allclose(known.std, alone.std * abs(gain))
