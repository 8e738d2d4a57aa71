"""Float networks with weights in int8."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.int8_weights import read_as_integers, with_int8_weights
from tests.networks import FloatSketch, v2_block


@pytest.fixture(scope="module")
def sketch() -> FloatSketch:
    sketch = FloatSketch((3, 12, 12))
    v2_block(sketch)
    return sketch


def test_weights_and_their_sums_are_as_near_as_integers_can_be_and_no_other_number_changes(sketch: FloatSketch) -> None:
    model = sketch.float_model()
    stored = with_int8_weights(model)
    weights = {node.operand("weight") for node in model.graph if node.op.has_weights}
    assert stored.grids.keys() == weights
    for name, real in model.graph.constants.items():
        found = stored.graph.constants[name]
        if name not in weights:
            assert found is real
            continue
        scale = stored.grids[name].scale.astype(np.float64)[:, None]
        off = (real - found).reshape(len(real), -1).astype(np.float64) / scale
        assert np.abs(off).max() < 1
        assert np.abs(off.sum(1)).max() < 0.5 + 1e-3
        integers = stored.grids[name].quantize(found)
        assert np.abs(integers.astype(int)).reshape(len(real), -1).max(1).tolist() == [127] * len(real)
        np.testing.assert_array_equal(stored.grids[name].dequantize(integers), found)


def test_weights_on_their_grid_stay_as_they_are(sketch: FloatSketch) -> None:
    once = with_int8_weights(sketch.float_model())
    twice = with_int8_weights(once)
    for name in once.grids:
        np.testing.assert_array_equal(once.graph.constants[name], twice.graph.constants[name])


def test_a_dead_channel_has_a_scale_that_kernels_take() -> None:
    sketch = FloatSketch((4, 3, 3))
    sketch.conv("x", 2)
    model = sketch.float_model()
    (weight,) = (node.operand("weight") for node in model.graph)
    model.graph.constants[weight][0] = 1e-42
    stored = with_int8_weights(model)
    assert stored.grids[weight].scale.min() >= np.finfo(np.float32).tiny
    assert not stored.graph.constants[weight][0].any()


def test_depthwise_layers_compute_in_float(sketch: FloatSketch) -> None:
    model = with_int8_weights(sketch.float_model())
    grouped = {n.operand("weight") for n in model.graph if n.op.has_weights and n.op.groups_of_weights > 1}
    assert grouped
    assert read_as_integers(model) == model.grids.keys() - grouped
