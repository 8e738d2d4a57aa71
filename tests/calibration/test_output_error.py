"""The error of the logits against running the whole network again."""

from __future__ import annotations

import numpy as np
import torch

from edgekit.calibration.output_error import OutputError
from edgekit.capture.torch_export import capture
from edgekit.executor.float import FloatExecutor
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_small
from edgekit.models.network import build
from edgekit.passes import integer_form

SIZE = 32
IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 3, SIZE, SIZE)).astype(np.float32)


def test_it_is_what_the_rest_of_the_network_makes_of_it() -> None:
    torch.manual_seed(0)
    shape = mobilenet_v3_small(1.0, 10, resolution=SIZE)
    graph = integer_form(capture(build(shape).eval(), shape.name, (3, SIZE, SIZE)))
    errors = OutputError(graph, IMAGES)
    (output,) = graph.outputs

    class Replacing(FloatExecutor):
        def compute(self, node, inputs):  # type: ignore[no-untyped-def]
            y = super().compute(node, inputs)
            return y.round() if node.output == name else y

    for name in ("features.0.2", "features.4.block.2.activation", "features.12.2", output.tensor):
        with torch.inference_mode():
            found = Replacing(graph)(torch.from_numpy(IMAGES))[output.name]
        expected = errors.values[output.tensor]
        wanted = float((found - expected).square().sum() / expected.square().sum())
        np.testing.assert_allclose(errors.of(name, errors.values[name].round()), wanted, rtol=1e-4)
    assert errors.of(graph.input, errors.values[graph.input]) == 0.0
