"""A narrowed graph against that of the network which is cut; and latency by a predictor whose answers are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.capture.torch_export import capture
from edgekit.compression.pruning.cutting import cut
from edgekit.compression.pruning.latency import Latency, narrowed
from tests.compression.pruning.conftest import SIDE

if TYPE_CHECKING:
    from tests.compression.pruning.conftest import Subject


def test_a_narrowed_graph_has_the_shapes_of_the_network_that_is_cut(classifier: Subject) -> None:
    counts = np.array([float(max(group.channels // 2, 1)) for group in classifier.groups])
    kept = [np.arange(group.channels) < count for group, count in zip(classifier.groups, counts, strict=True)]
    small = cut(classifier.module, classifier.structure, classifier.groups, kept)
    expected = capture(small.module, "small", (3, SIDE, SIDE))
    found = narrowed(classifier.graph, classifier.groups, counts)
    assert [node.op for node in found] == [node.op for node in expected]
    assert {name: tensor.shape for name, tensor in found.tensors.items()} == {
        name: tensor.shape for name, tensor in expected.tensors.items()
    }
    for name, array in expected.constants.items():
        np.testing.assert_array_equal(found.constants[name], array)


def test_slopes_are_what_half_of_a_layer_saves(classifier: Subject) -> None:
    """A predictor that counts multiplications of what is quantized."""
    latency = Latency(classifier.graph, classifier.groups, classifier.widths, lambda graph: float(graph.macs))
    whole = np.array([float(group.channels) for group in classifier.groups])
    slopes = latency.slopes(whole)
    assert latency.of(whole) == classifier.graph.macs
    for width in classifier.widths:
        (at,) = width.groups
        fewer = whole.copy()
        fewer[at] = whole[at] // 2
        assert slopes[at] * (whole[at] - fewer[at]) == pytest.approx(latency.of(whole) - latency.of(fewer))
