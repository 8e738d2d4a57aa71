"""The latency predictor: costs that are known are found again, and what was not measured is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from edgekit.device import machine
from edgekit.errors import ArtifactError, UnsupportedOperator
from edgekit.ir import Conv2d
from edgekit.timing import synthetic
from edgekit.timing.prediction import fitting
from edgekit.timing.prediction.fitting import Sample, fit, non_negative
from edgekit.timing.prediction.layers import Layer, Tiling, counts, layers, most, total
from edgekit.timing.prediction.model import DeviceLatency, Error, Fit, LatencyModel
from edgekit.timing.prediction.networks import MOST_MACS, network

if TYPE_CHECKING:
    from pathlib import Path

SAMPLES: Final = 60
# A machine as it could be: kernels of 4 x 8 x 2, 1 ns a step, 0.2 ns an element, 5 us a call.
TRUE: Final = Tiling(rows=4, columns=8, depth=2, channels=8, vector=1)
STEP_MS, NUMBER_MS, CALL_MS = 1e-6, 2e-7, 5e-3


def true_ms(of: tuple[Layer, ...]) -> float:
    costs = {"steps": STEP_MS, "numbers": NUMBER_MS, "calls": CALL_MS}
    return sum(costs.get(term.rpartition(": ")[2], 0.0) * count for term, count in total(of, TRUE).items())


def some_layers(random: np.random.Generator) -> tuple[Layer, ...]:
    """As layers of a network, without one."""

    def one(number: int) -> Layer:
        places, inputs, outputs = (int(random.integers(1, most)) for most in (2000, 200, 200))
        kind = ("pointwise convolution", "depthwise convolution of 3x3", "addition")[number % 3]
        taps = 9 if number % 3 == 1 else 1
        return Layer(f"{number}", kind, places * inputs, places * outputs, places, inputs, outputs, taps)

    return tuple(map(one, range(int(random.integers(3, 12)))))


@pytest.fixture(scope="module")
def measured() -> list[Sample]:
    random = np.random.default_rng(0)
    found = [some_layers(random) for _ in range(SAMPLES)]
    return [Sample(of, true_ms(of)) for of in found]


@pytest.fixture(scope="module")
def model() -> LatencyModel:
    """Of what the networks 0 to 3 have."""
    found = [layers(network(number)) for number in range(4)]
    largest: dict[str, float] = {}
    for layer in itertools.chain(*found):
        largest = most(largest, counts(layer, TRUE))
    names = {"steps": STEP_MS, "numbers": NUMBER_MS, "calls": CALL_MS}
    costs = {term: names.get(term.rpartition(": ")[2], 0.0) for term in largest}
    times = list(map(true_ms, found))
    fitted = Fit(TRUE, costs, largest, (min(times), max(times)), Error(4, 0.01, 0.03, 1.0))
    return LatencyModel("tflite", "LiteRT 2.3.0, XNNPACK", 1, "float32", fitted)


@pytest.fixture
def _few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"rows": (1, 4), "columns": (8, 16), "depth": (1, 2), "channels": (1, 8), "vector": (1,)}
    monkeypatch.setattr(fitting, "_SIZES", few)


@pytest.mark.usefixtures("_few_sizes")
def test_known_costs_are_found_again(measured: list[Sample]) -> None:
    found = fit(measured)
    assert found.tiling == TRUE
    assert found.error.p95 < 1e-6
    assert found.costs_ms["pointwise convolution: steps"] == pytest.approx(STEP_MS)
    assert found.range_ms == (min(s.ms for s in measured), max(s.ms for s in measured))


@pytest.mark.usefixtures("_few_sizes")
def test_a_disturbed_network_counts_less(measured: list[Sample]) -> None:
    disturbed = fit([replace(measured[0], ms=3 * measured[0].ms), *measured[1:]])
    assert disturbed.error.median < 0.01


def test_non_negative_least_squares_keep_the_conditions_of_a_minimum() -> None:
    random = np.random.default_rng(0)
    rows, wanted = random.normal(size=(60, 12)), random.normal(size=60)
    x = non_negative(rows, wanted)
    gradient = rows.T @ (rows @ x - wanted)  # Karush, Kuhn, Tucker: 0 where x is free, above where it is held at 0
    assert (x >= 0).all()
    assert np.abs(gradient[x > 0]).max() < 1e-8
    assert gradient[x == 0].min() > -1e-8


def test_a_number_always_makes_the_same_network() -> None:
    first, again, other = (network(number) for number in (8, 8, 7))
    assert layers(first) == layers(again) != layers(other)
    assert max(first.macs, other.macs) <= MOST_MACS


def test_a_prediction_is_the_sum_of_its_layers(model: LatencyModel) -> None:
    graph = network(3)
    found = model.predict(graph)
    assert found.ms == pytest.approx(true_ms(layers(graph)))
    assert found.ms == pytest.approx(sum(node.ms for node in found.nodes)) == model.latency_ms(graph)
    assert [node.name for node in found.nodes[1:]] == [node.name for node in graph]
    assert found.beyond == ()


def test_ranges_change_no_prediction(model: LatencyModel) -> None:
    graph = network(3)
    assert model.latency_ms(synthetic.integer_model(graph).graph) == model.latency_ms(graph)


def test_saved_and_loaded_it_is_the_same(model: LatencyModel, tmp_path: Path) -> None:
    latency = DeviceLatency(machine.examine(), (model,))
    latency.save(tmp_path / "a.json")
    loaded = DeviceLatency.load(tmp_path / "a.json")
    assert loaded == latency
    assert loaded.of("tflite").latency_ms(network(2)) == model.latency_ms(network(2))
    loaded.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_what_was_not_measured_is_refused_by_name(model: LatencyModel, tmp_path: Path) -> None:
    graph = network(0)
    node = next(n for n in graph if isinstance(n.op, Conv2d) and n.op.groups > 1)
    assert isinstance(node.op, Conv2d)
    wide = replace(node, op=replace(node.op, dilation=(3, 3)))
    dilated = replace(graph, nodes=tuple(wide if n is node else n for n in graph))
    with pytest.raises(UnsupportedOperator, match=rf"{node.name}.*depthwise convolution of 3x3, dilated by 3"):
        model.predict(dilated)
    with pytest.raises(ArtifactError, match="onnx"):
        DeviceLatency(machine.examine(), (model,)).of("onnx")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ArtifactError, match="no latency model"):
        DeviceLatency.load(tmp_path / "x.json")


def test_a_model_that_lacks_a_cost_of_a_kind_that_it_knows_is_an_older_one(model: LatencyModel) -> None:
    costs = {term: cost for term, cost in model.fit.costs_ms.items() if term != "pointwise convolution: tiles"}
    older = replace(model, fit=replace(model.fit, costs_ms=costs))
    with pytest.raises(UnsupportedOperator, match=r"no cost of tiles of a pointwise convolution.*fit it anew"):
        older.predict(network(0))


def test_what_is_larger_than_anything_measured_is_said_to_be_extrapolated(model: LatencyModel) -> None:
    graph = network(1)
    fitted = replace(
        model.fit, largest={term: most / 4 for term, most in model.fit.largest.items()}, range_ms=(0.0, 0.1)
    )
    beyond = replace(model, fit=fitted).predict(graph).beyond
    assert any("larger than any" in sentence for sentence in beyond)
    assert any("took 0 to 0.1 ms" in sentence for sentence in beyond)
