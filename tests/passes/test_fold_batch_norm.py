"""Batch normalization into the layer before it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.errors import UnsupportedOperator
from edgekit.passes.fold_batch_norm import fold_batch_norm

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.ir import Graph


def test_after_every_kind_of_layer(
    sketch: Any, kinds: Callable[[Graph], list[str]], unchanged: Callable[[Graph, Graph], None]
) -> None:
    x = sketch.norm("conv.norm", sketch.conv("conv", "x", out=8, kernel=3))
    x = sketch.norm("depthwise.norm", sketch.conv("depthwise", x, out=8, kernel=3, groups=8))
    x = sketch.norm("linear.norm", sketch.dense("linear", sketch.mean("mean", x), out=5))
    before = sketch.finish("toy", sketch.dense("classifier", x))
    after = fold_batch_norm(before)
    assert kinds(after) == ["Conv2d", "Conv2d", "Mean", "Flatten", "Linear", "Linear"]
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


def test_a_second_reader_needs_the_convolution_as_it_is(sketch: Any) -> None:
    conv = sketch.conv("conv", "x")
    graph = sketch.end(sketch.add("sum", conv, sketch.norm("norm", conv)))
    with pytest.raises(UnsupportedOperator, match=r"'norm'.*layer of its own"):
        fold_batch_norm(graph)


def test_so_does_an_output(sketch: Any) -> None:
    graph = sketch.end(sketch.norm("norm", sketch.conv("conv", "x")))
    with pytest.raises(UnsupportedOperator, match="'norm'"):
        fold_batch_norm(replace(graph, outputs=(*graph.outputs, "conv")))


def test_normalization_of_the_image_is_told_apart(sketch: Any) -> None:
    graph = sketch.end(sketch.conv("conv", sketch.norm("norm", "x")))
    with pytest.raises(UnsupportedOperator, match=r"'norm'.*normalizes the image, out of the network"):
        fold_batch_norm(graph)
