"""Soft-max behind the last layer of integers: every file computes it in float, and every integer before is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype
from edgekit.reference.integer import Reference
from edgekit.runtimes.catalog import all_runners
from edgekit.verification.float_layers import compare_float_layers
from tests.networks import RELU, FloatSketch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("target", FORMATS)
def test_a_softmax_of_channels(target: str, tmp_path: Path) -> None:
    """Probabilities of every pixel, and products with the map that they come from; the map is an output, too."""
    s = FloatSketch((3, 6, 5))
    scores = s.conv(s.silu(s.conv("x", 6)), 4)
    probabilities = s.softmax(scores)
    s.outputs = (scores, probabilities, s.mul(s.conv("x", 4, clamp=RELU), probabilities))
    model = s.integer_model()
    assert model.exact
    assert model.notes == (f"kept in float: {probabilities} (Softmax has no integer form)",)
    path = tmp_path / f"m{FORMATS[target].suffix}"
    FORMATS[target].write_integer_model(model, path, io_dtype=IoDtype.FLOAT32, options={})
    floats = compare_float_layers(
        FORMATS[target].read(path).float_operators, FORMATS[target].contents(path).nodes, model
    )
    assert floats.surplus == ()
    stored = model.params["x"].quantize(s.images(3))
    expected = Reference(model).run(stored)
    for make_runner in all_runners(path):
        with make_runner() as runner:
            if runner.differs_because is not None:
                continue
            found = runner.run(model.params["x"].dequantize(stored))
        for output in model.graph.outputs:
            values, wanted = found[output.name], model.real(output.tensor, expected[output.name])
            if values.shape != wanted.shape:
                values = values.transpose(0, 3, 1, 2)
            tolerance = 0 if output.tensor in model.params else 2e-6
            np.testing.assert_allclose(values, wanted, rtol=0, atol=tolerance, err_msg=f"{runner.name}, {output.name}")
