"""What calibration finds is enough to make the same integers again, whatever the recipe, and it says what it did."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edgekit.calibration.images import held_images
from edgekit.calibration.options import Options
from edgekit.calibration.recipe import calibrate, integer_model, told
from edgekit.calibration.saved import load, save
from edgekit.capture.torch_export import capture
from edgekit.executor.float import FloatExecutor
from edgekit.executor.integer import IntegerExecutor
from edgekit.float_model import FloatModel
from edgekit.ir import Conv2d, Linear
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_small
from edgekit.models.network import build
from edgekit.passes import integer_form
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.statistics import sqnr_db

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.calibration.found import Ranges
    from edgekit.integer_model import IntegerModel

SIZE = 32
PIXELS = np.random.default_rng(0).integers(0, 256, (64, SIZE, SIZE, 3), np.uint8)
IMAGES = held_images(PIXELS, "noise")


@pytest.fixture(scope="module")
def model() -> FloatModel:
    """A MobileNetV3 whose first channels reach very differently far, with means that differ between colours."""
    torch.manual_seed(0)
    shape = mobilenet_v3_small(0.5, 10, resolution=SIZE)
    preprocessing = Preprocessing((SIZE, SIZE), None)
    module = build(shape).train()
    with torch.no_grad():
        module(torch.from_numpy(preprocessing.normalization(PIXELS)))  # statistics for batch normalization
        first = next(m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d))
        first.weight.copy_(torch.logspace(-1, 1, len(first.weight)))
    return FloatModel(integer_form(capture(module.eval(), shape.name, (3, SIZE, SIZE))), preprocessing)


@pytest.fixture(scope="module")
def found(model: FloatModel) -> Ranges:
    return calibrate(model, IMAGES)


@pytest.fixture(scope="module")
def seven(model: FloatModel) -> Ranges:
    """With weights of seven bits."""
    return calibrate(model, held_images(PIXELS[:16], "noise"), Options(weight_bits=7))


def changed(ranges: Ranges, **found: Any) -> Ranges:
    """With something else in place of what some steps found."""
    return replace(ranges, found={**ranges.found, **found})


def logits(model: FloatModel, integers: IntegerModel) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """In float, and what the integers stand for."""
    images = torch.from_numpy(model.preprocessing.normalization(PIXELS))
    with torch.inference_mode():
        floats: NDArray[np.float32] = FloatExecutor(model.graph)(images)["logits"].numpy()
        stored = IntegerExecutor(integers)(torch.from_numpy(integers.encode(PIXELS)))["logits"].numpy()
    return floats, integers.params[integers.graph.output_tensors[0]].dequantize(stored)


def test_a_saved_file_gives_the_same_integers(model: FloatModel, found: Ranges, tmp_path: Path) -> None:
    save(found, tmp_path / "ranges.json")
    again, first = integer_model(model, load(tmp_path / "ranges.json")), integer_model(model, found)
    assert again.params.keys() == first.params.keys()
    for name, array in first.graph.constants.items():
        np.testing.assert_array_equal(again.graph.constants[name], array)
    assert any(offsets.any() for offsets in found.found["roundings"].values())


def test_an_offset_too_much_saturates_instead_of_changing_its_sign(model: FloatModel, found: Ranges) -> None:
    far = {name: np.full_like(offsets, 100) for name, offsets in found.found["roundings"].items()}
    nearest = integer_model(model, changed(found, roundings={})).graph.constants
    rounded = integer_model(model, changed(found, roundings=far)).graph.constants
    for name in far:
        np.testing.assert_array_equal(rounded[name], np.minimum(nearest[name].astype(np.int16) + 100, 127))


def test_rounding_brings_the_logits_nearer(model: FloatModel, seven: Ranges) -> None:
    """With coarse weights, whose errors are not hidden behind those of the activations."""
    floats, integers = logits(model, integer_model(model, seven))
    _, without = logits(model, integer_model(model, changed(seven, roundings={})))
    assert sqnr_db(integers, floats) > sqnr_db(without, floats) + 0.5


def test_equalization_brings_the_logits_nearer(model: FloatModel, found: Ranges) -> None:
    """By itself: corrections and roundings suit equalized channels only."""
    equalized = changed(found, roundings={}, corrections={})
    floats, integers = logits(model, integer_model(model, equalized))
    _, without = logits(model, integer_model(model, changed(equalized, gains={})))
    assert sqnr_db(integers, floats) > sqnr_db(without, floats) + 6


def test_without_folding_the_first_layer_is_rounded_to_nearest(model: FloatModel, found: Ranges) -> None:
    (first,) = (node.inputs[1] for node in model.graph.consumers(model.graph.input))
    unfolded = replace(found, options=Options(pixel_input=False))
    outside = integer_model(model, unfolded)
    nearest = integer_model(model, changed(unfolded, roundings={}))
    np.testing.assert_array_equal(outside.graph.constants[first], nearest.graph.constants[first])


def test_per_tensor_weights_have_one_scale_a_layer_and_stay_near(model: FloatModel) -> None:
    found = calibrate(model, IMAGES, Options(per_tensor_weights=True))
    integers = integer_model(model, found)
    layers = [node for node in integers.graph if isinstance(node.op, Conv2d | Linear)]
    assert all(integers.params[node.inputs[1]].scale.size == 1 for node in layers)
    floats, balanced = logits(model, integers)
    _, naive = logits(model, integer_model(model, changed(found, gains={}, roundings={}, corrections={})))
    assert sqnr_db(balanced, floats) > sqnr_db(naive, floats) + 3


def test_weights_of_seven_bits_are_within_64_and_stay_near(model: FloatModel, found: Ranges, seven: Ranges) -> None:
    integers, eight = integer_model(model, seven), integer_model(model, found)
    assert (integers.lowering, eight.lowering) == ("seven-bit", "universal")
    weights = [node.inputs[1] for node in integers.graph if isinstance(node.op, Conv2d | Linear)]
    assert max(np.abs(integers.graph.constants[name].astype(int)).max() for name in weights) == 64
    floats, coarse = logits(model, integers)
    _, fine = logits(model, eight)
    assert sqnr_db(coarse, floats) > sqnr_db(fine, floats) - 6
    offsets = seven.found["roundings"]
    far = changed(seven, roundings={name: np.full_like(found, 100) for name, found in offsets.items()})
    beyond = integer_model(model, far).graph.constants
    assert max(int(beyond[name].max()) for name in seven.found["roundings"]) == 64


def test_the_recipe_says_what_was_done_and_why(model: FloatModel, found: Ranges) -> None:
    text = "\n".join(told(model, found))
    for words in ("channels equalized", "hard-swishes", "not rounded to nearest", "biases of", "more images"):
        assert words in text
    assert told(model, changed(found, gains={}, roundings={}, corrections={}, stability={})) == ()


@pytest.mark.parametrize(
    ("gain", "said"),
    [(12.4, "factors up to 12:"), (1.44, "factors up to 1.4:"), (1.01, "channels of 1 family of tensors reach about")],
)
def test_factors_are_told_where_there_are_any(model: FloatModel, found: Ranges, gain: float, said: str) -> None:
    name, gains = next(iter(found.found["gains"].items()))
    only = changed(found, gains={name: (gain, *(1.0,) * (len(gains) - 1))}, roundings={}, corrections={}, stability={})
    assert said in told(model, only)[0]
