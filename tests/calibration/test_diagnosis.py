"""The calibration doctor: right images pass, whatever their number, and every mistake is noticed and named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgekit import facts
from edgekit.benchmarks.diagnosis import mistakes
from edgekit.calibration import diagnosis
from edgekit.calibration.data_free import first_pictures
from edgekit.calibration.diagnosis import Mistake, diagnose, diagnose_pixels
from edgekit.calibration.images import held_images
from edgekit.calibration.stem import Stem
from edgekit.capture.torch_export import capture
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.executor.float import FloatExecutor
from edgekit.facts import Basis, Fact
from edgekit.float_model import FloatModel
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.network import build
from edgekit.passes import integer_form
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.ir import Node

SIZE = 32
WANTED = {
    "grey images": Mistake.GREY,
    "a quarter of the contrast": Mistake.DISTRIBUTION,
    "stored as 0 and 1": Mistake.DARK,
    "one image, repeated": Mistake.COPIES,
    "3 images": Mistake.FEW,
    "noise": Mistake.NOISE,
    "one colour each": Mistake.ONE_COLOUR,
}


def pictures(number: int, seed: int) -> NDArray[np.uint8]:
    """Pictures with the spectrum of photographs, more red than blue, as these are."""
    warm = np.array([10.0, 0, -10])[:, None, None]
    pixels = (first_pictures(number, (SIZE, SIZE, 3), seed) + warm).clip(0, 255).round()
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1), np.uint8)


@pytest.fixture(scope="module", params=["symmetric", "same"])
def model(request: pytest.FixtureRequest) -> FloatModel:
    """A network whose normalization has seen 512 pictures, which were normalized with ImageNet's mean and std."""
    torch.manual_seed(0)
    shape = mobilenet_v2(0.35, 10, resolution=SIZE, padding=request.param)
    preprocessing = Preprocessing((SIZE, SIZE), None, IMAGENET_MEAN, IMAGENET_STD)
    module = build(shape).train()
    stem = next(layer for layer in module.modules() if isinstance(layer, torch.nn.Conv2d))
    with torch.no_grad():  # every second kernel sees nothing but colour, as trained networks have them
        stem.weight[::2] -= stem.weight[::2].mean(1, keepdim=True)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        module(torch.from_numpy(preprocessing.normalization(pictures(512, seed=1))))
    return FloatModel(integer_form(capture(module.eval(), shape.name, (3, SIZE, SIZE))), preprocessing)


def test_each_mistake_is_noticed_and_named(model: FloatModel) -> None:
    found = {what: diagnose_pixels(model, pixels).finding for what, pixels in mistakes(pictures(128, seed=2))}
    assert {what: finding.mistake for what, finding in found.items() if finding is not None} == WANTED
    assert found.keys() == WANTED.keys()


@pytest.mark.parametrize(
    ("name", "silent"),
    [("normalization", {"a quarter of the contrast", "grey images"}), ("order", {"a quarter of the contrast"})],
)
def test_images_are_not_blamed_for_what_is_only_assumed(model: FloatModel, name: str, silent: set[str]) -> None:
    """The fact has said so already; grey images are the same in any order."""
    fact = Fact(name, None, Basis.ASSUMED, "nothing shows it", f"--{name}")
    unsure = replace(model, provenance={facts.KEY: [fact.to_dict()]})
    found = {what: diagnose_pixels(unsure, pixels).finding for what, pixels in mistakes(pictures(128, seed=2))}
    assert {what for what, finding in found.items() if finding is None} == silent


@pytest.mark.parametrize("number", [16, 32, 128])
def test_right_images_raise_no_alarm(model: FloatModel, number: int) -> None:
    for seed in range(10, 16):
        found = diagnose_pixels(model, pictures(number, seed))
        assert found.finding is None
        assert found.divergence is not None
        assert found.divergence < diagnosis.DIVERGENCE_LIMIT / 2


class _First(FloatExecutor):
    def accumulate(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        y = super().accumulate(node, inputs)
        if inputs[0].shape[1] == 3:
            self.found = y.double().numpy()
        return y


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_what_the_first_layer_would_make_is_what_it_makes(model: FloatModel, order: str) -> None:
    pixels = pictures(4, seed=3)
    meant = Preprocessing((SIZE, SIZE), None, (0.2, 0.5, 0.7), (0.1, 1.0, 0.5), order)
    node = model.graph.nodes[0]
    stem = Stem.of_graph(model.graph, pixels)
    assert stem is not None
    first, second = stem.moments(model.preprocessing, meant)
    executor = _First(model.graph)
    seen = pixels if order == "RGB" else pixels[..., ::-1]
    with torch.inference_mode():
        executor(torch.from_numpy(meant.normalization(np.ascontiguousarray(seen))))
    made = executor.found - model.graph.constants[node.inputs[2]][:, None, None]
    np.testing.assert_allclose(first, made.mean((2, 3)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(second, (made**2).mean((2, 3)), rtol=1e-4, atol=1e-4)


def test_the_divergence_is_kullbacks_and_leiblers(model: FloatModel) -> None:
    stem = Stem.of_graph(model.graph, pictures(1, seed=0))
    assert stem is not None
    mean, std = stem.mean + 0.3 * stem.std, 1.7 * stem.std
    first = mean - stem.bias
    divergence = stem.divergence(np.stack([first, std**2 + first**2]))
    m, s, mu, sigma = (torch.from_numpy(values) for values in (mean, std, stem.mean, stem.std))
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(m, s), normal(mu, sigma))
    assert divergence == pytest.approx(expected.mean().item())


def test_without_statistics_only_pixels_are_looked_at(model: FloatModel) -> None:
    silent = replace(model, graph=replace(model.graph, statistics={}))
    found = diagnose_pixels(silent, np.ascontiguousarray(pictures(32, seed=2)[..., ::-1]))
    assert (found.finding, found.layer, found.divergence) == (None, None, None)
    noise = np.random.default_rng(0).integers(0, 256, (32, SIZE, SIZE, 3), np.uint8)
    noticed = diagnose_pixels(silent, noise).finding
    assert noticed is not None
    assert noticed.mistake is Mistake.NOISE


def test_a_sample_is_looked_at(model: FloatModel) -> None:
    found = diagnose(model, held_images(pictures(40, seed=4), "pictures"), sample=20)
    assert (found.images, found.layer) == (20, model.graph.nodes[0].name)
