"""The latency of a candidate, block by block."""

from __future__ import annotations

import math

import pytest

from edgekit.capture.torch_export import capture
from edgekit.compression.search.latency import BlockLatency, pieces
from edgekit.models.network import build
from edgekit.models.tables import table_of
from edgekit.passes import integer_form
from edgekit.timing.prediction.layers import Tiling, counts, layers
from edgekit.timing.prediction.model import Error, Fit, LatencyModel

ARCHITECTURE = table_of(
    {
        "resolution": 32,
        "stem": 8,
        "head": 24,
        "hidden": 16,
        "stages": [
            {"channels": 8, "expansion": 1, "squeeze": 0.25, "repeats": 2},
            {"channels": 16, "stride": 2, "kernel": 5, "expansion": 2, "activation": "relu", "repeats": 2},
        ],
    }
).architecture(10)


def test_a_network_takes_as_long_as_its_pieces() -> None:
    graph = integer_form(capture(build(ARCHITECTURE).eval(), "whole", (3, 32, 32)))
    terms = sorted({term for layer in layers(graph) for term in counts(layer, Tiling())})
    costs = {term: 1e-6 * (1 + place) for place, term in enumerate(terms)}
    fit = Fit(Tiling(), costs, dict.fromkeys(terms, math.inf), (0.0, math.inf), Error(1, 0.0, 0.0, 1.0))
    model = LatencyModel("tflite", "LiteRT", 1, "float32", fit)
    asked = BlockLatency(model)
    assert asked(ARCHITECTURE) == pytest.approx(model.latency_ms(graph))
    assert len(asked.known) == len(list(pieces(ARCHITECTURE))) == 5


def test_pieces_that_are_alike_are_one() -> None:
    table = {"resolution": 32, "stem": 8, "stages": [{"channels": 8, "expansion": 2, "repeats": 4}]}
    architecture = table_of(table).architecture(10)
    assert len(set(pieces(architecture))) == 3  # the stem with its block, the others, and the head
