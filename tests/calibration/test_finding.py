"""What a network expects is found from its batch normalization: the oracle is how the network was made."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edgekit.calibration.data_free import first_pictures
from edgekit.calibration.evidence import ENOUGH_NATS
from edgekit.calibration.finding import find, misfits
from edgekit.calibration.question import Expectations, Question
from edgekit.capture.torch_export import capture
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD, NORMALIZATIONS
from edgekit.executor.float import FloatExecutor
from edgekit.facts import Basis
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_small
from edgekit.models.network import build
from edgekit.passes import float_form
from edgekit.preprocessing import Preprocessing
from edgekit.progress import silent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgekit.calibration.question import Finding
    from edgekit.ir import Graph
    from edgekit.models.architecture import Architecture

SIZE = 64
CHOICES: dict[str, tuple[Any, ...]] = {
    "padding": ("same", "symmetric"),
    "bn_eps": (1e-5, 1e-3),
    "activation": ("relu6", "relu"),
}
# Nothing of this is right for most of the networks below: what is right has to be found.
START = Preprocessing((SIZE, SIZE), None, IMAGENET_MEAN, IMAGENET_STD)


def pictures(number: int, seed: int) -> NDArray[np.uint8]:
    """Pictures with the spectrum of photographs, more red than blue, as these are, [N, H, W, 3]."""
    warm = np.array([10.0, 0, -10])[:, None, None]
    pixels = (first_pictures(number, (SIZE, SIZE, 3), seed) + warm).clip(0, 255).round()
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1), np.uint8)


class Network:
    """A network whose batch normalization has seen pictures, and which can be built otherwise."""

    def __init__(self, architecture: Architecture, preprocessing: Preprocessing) -> None:
        torch.manual_seed(1)
        self.architecture, self.preprocessing = architecture, preprocessing
        module = build(architecture).train()
        stem = next(layer for layer in module.modules() if isinstance(layer, torch.nn.Conv2d))
        with torch.no_grad():
            # Trained networks have kernels that see nothing but colour, and channels that hardly move.
            stem.weight[::2] -= stem.weight[::2].mean(1, keepdim=True)
            for layer in module.modules():
                if isinstance(layer, torch.nn.Conv2d):
                    layer.weight[::5] *= 0.02
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.momentum = 1.0
                    layer.weight.fill_(1.5)
        seen = pictures(256, seed=1)
        with torch.no_grad():
            module(torch.from_numpy(preprocessing.normalization(in_order(seen, preprocessing.order))))
        self.module = module.eval()

    def variant(self, options: Mapping[str, Any]) -> torch.nn.Module:
        module = build(self.architecture.with_options(**options))
        module.load_state_dict(self.module.state_dict())
        return module.eval()

    def logits(self, options: Mapping[str, Any], images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            found: NDArray[np.float32] = self.variant(options)(torch.from_numpy(images)).numpy()
        return found

    def ask(
        self, pixels: NDArray[np.uint8], start: Preprocessing = START, enough: float = ENOUGH_NATS, **bases: Basis
    ) -> dict[str, Finding]:
        options: tuple[tuple[str, Any], ...] = (("padding", "symmetric"), ("bn_eps", 1e-5))
        if self.architecture.activation != "hard_swish":
            options += (("activation", "relu6"),)
        choices = {name: CHOICES[name] for name, _ in options}
        question = Question(Expectations(start, options), bases, choices, enough=enough)
        findings = find(
            question,
            lambda candidate: self.variant(dict(candidate.options)),
            lambda candidate, images: self.logits(dict(candidate.options), images),
            lambda number: pixels[:number],
            silent,
        )
        return {finding.name: finding for finding in findings}


def in_order(pixels: NDArray[np.uint8], order: str) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels if order == "RGB" else pixels[..., ::-1])


def preprocessing(name: str, order: str) -> Preprocessing:
    mean, std = NORMALIZATIONS[name]
    if order == "BGR":
        mean, std = mean[::-1], std[::-1]
    return replace(START, mean=mean, std=std, order=order)


@pytest.mark.parametrize(
    ("factory", "name", "order", "options"),
    [
        (mobilenet_v1, "tf", "RGB", {"padding": "same", "bn_eps": 1e-3}),
        (mobilenet_v1, "imagenet", "RGB", {"padding": "symmetric", "bn_eps": 1e-5, "activation": "relu"}),
        (mobilenet_v1, "unit", "BGR", {"padding": "same", "bn_eps": 1e-5}),
        (mobilenet_v2, "tf", "BGR", {"padding": "symmetric", "bn_eps": 1e-3, "activation": "relu"}),
        (mobilenet_v2, "raw", "RGB", {"padding": "same", "bn_eps": 1e-5}),
        (mobilenet_v2, "imagenet", "RGB", {"padding": "symmetric", "bn_eps": 1e-5}),
        (mobilenet_v3_small, "imagenet", "BGR", {"padding": "same", "bn_eps": 1e-3}),
        (mobilenet_v3_small, "tf", "RGB", {"padding": "symmetric", "bn_eps": 1e-5}),
    ],
)
def test_what_a_network_was_made_with_is_found_or_called_assumed(
    factory: Any, name: str, order: str, options: dict[str, Any]
) -> None:
    network = Network(factory(0.5, num_classes=12, resolution=SIZE, **options), preprocessing(name, order))
    findings = network.ask(pictures(32, seed=2))
    right = {
        "order": order,
        "normalization": {"mean": list(network.preprocessing.mean), "std": list(network.preprocessing.std)},
        "activation": network.architecture.activation,
        **options,
    }
    wrong = [f for f in findings.values() if f.basis is Basis.FOUND and f.value != right[f.name]]
    assert wrong == []
    found = {f.name for f in findings.values() if f.basis is Basis.FOUND}
    assert len(found) >= 3  # random weights leave traces of some things only: of colours, of values above 6
    assert {"normalization", "bn_eps"} <= found


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(mobilenet_v1(0.5, 10, resolution=SIZE), preprocessing("tf", "RGB"))


@pytest.mark.parametrize(
    ("basis", "name", "start", "right"),
    [
        (Basis.GIVEN, "normalization", START, {"mean": [0.5] * 3, "std": [0.5] * 3}),
        (Basis.STATED, "normalization", START, {"mean": [0.5] * 3, "std": [0.5] * 3}),
        (Basis.GIVEN, "order", preprocessing("tf", "BGR"), "RGB"),
        (Basis.STATED, "padding", preprocessing("tf", "RGB"), "same"),
    ],
)
def test_what_evidence_contradicts_is_told_and_kept(
    network: Network, basis: Basis, name: str, start: Preprocessing, right: Any
) -> None:
    # The pixels come in the order that is given.
    pixels = in_order(pictures(32, seed=2), start.order)
    assert network.ask(pixels, start, math.inf, **{name: basis})[name].contradicted is None
    told = network.ask(pixels, start, 2 * ENOUGH_NATS, **{name: basis})[name]
    assert told.contradicted == right, "clearly enough even where an export's images said otherwise"
    assert told.basis is basis
    assert told.value != right
    assert "batch normalization remembers" in told.because


def test_what_is_given_and_right_is_not_contradicted(network: Network) -> None:
    start = preprocessing("tf", "RGB")
    findings = network.ask(pictures(32, seed=2), start, normalization=Basis.GIVEN, order=Basis.GIVEN)
    assert [finding.contradicted for finding in findings.values()] == [None] * len(findings)
    assert findings["normalization"].basis is findings["order"].basis is Basis.GIVEN


def test_of_other_images_nothing_is_found(network: Network) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, SIZE, SIZE, 3), np.uint8)
    findings = network.ask(noise)
    assert {finding.basis for finding in findings.values()} == {Basis.ASSUMED}
    assert {finding.value for finding in findings.values() if finding.name == "padding"} == {"symmetric"}
    assert "no usual mean and std" in findings["padding"].because


# The fewest, and odd ones.
@pytest.mark.parametrize(("number", "basis"), [(4, Basis.GIVEN), (5, Basis.ASSUMED), (11, Basis.GIVEN)])
def test_any_number_of_images_is_looked_at_in_two_halves(network: Network, number: int, basis: Basis) -> None:
    start = preprocessing("tf", "RGB")
    findings = network.ask(pictures(number, seed=2), start, normalization=basis, order=basis)
    assert [finding.contradicted for finding in findings.values()] == [None] * len(findings)


@pytest.mark.parametrize("number", [1, 3])
def test_of_a_few_images_nothing_is_found(network: Network, number: int) -> None:
    findings = network.ask(pictures(number, seed=2))
    assert {finding.basis for finding in findings.values()} == {Basis.ASSUMED}


def test_a_folded_graph_tells_order_and_normalization(network: Network) -> None:
    graph = float_form(capture(network.module, "net", (3, SIZE, SIZE)))

    def ask(graph: Graph) -> dict[str, Finding]:
        def logits(_: Expectations, images: NDArray[np.float32]) -> NDArray[np.float32]:
            with torch.no_grad():
                found: NDArray[np.float32] = FloatExecutor(graph)(torch.from_numpy(images))["logits"].numpy()
            return found

        question = Question(Expectations(START), {})
        findings = find(question, lambda _: graph, logits, lambda number: pictures(32, seed=2)[:number], silent)
        return {finding.name: finding for finding in findings}

    found = ask(graph)
    assert (found["normalization"].basis, found["order"].basis) == (Basis.FOUND, Basis.FOUND)
    assert (found["normalization"].value["mean"], found["order"].value) == ([0.5] * 3, "RGB")
    # Its answers are those of random weights: without statistics they tell nothing, and nothing is made up.
    silent_graph = ask(replace(graph, statistics={}))
    assert {finding.basis for finding in silent_graph.values()} == {Basis.ASSUMED}


def test_pictures_that_were_enlarged_fit_worse(network: Network) -> None:
    right = preprocessing("tf", "RGB")
    seen = pictures(16, seed=2)
    enlarged = np.repeat(np.repeat(seen[:, 16:48, 16:48], 2, axis=1), 2, axis=2)
    found = misfits(network.variant({}), [right, right], [seen, enlarged])
    assert found is not None
    assert found[0] < found[1]
