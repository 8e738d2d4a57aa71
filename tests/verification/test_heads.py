"""The integers of detectors and segmenters: every runtime against the reference, output by output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.calibration.assignment import quantize
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.heads.making import deeplab, lraspp, ssd, vector
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.runtimes.catalog import all_runners
from edgekit.verification import compare
from edgekit.verification.integer_parity import IntegerParity
from tests.networks import with_ranges

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.integer_model import IntegerModel

SIZE = (40, 24)  # maps of 5 x 3 places, which are no whole multiple of those of 2 x 1
PIXELS = np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def model() -> IntegerModel:
    """A network with a head of every kind."""
    backbone = mobilenet_v2(0.25, resolution=SIZE)
    heads = (
        vector(backbone, "tagging", 3),
        ssd(backbone, 2, separable=True, name="lite"),
        ssd(backbone, 2, separable=False, name="full"),
        lraspp(backbone, 3, name="fine"),
        deeplab(backbone, 3, name="coarse"),
    )
    model, ranges = with_ranges(TaskArchitecture(backbone, heads), PIXELS, clipped=0.001)
    return quantize(model, ranges)


def test_identity_is_claimed_of_every_output(model: IntegerModel) -> None:
    assert model.exact
    names = "tagging", "lite_boxes", "lite_scores", "full_boxes", "full_scores", "fine_mask", "coarse_mask"
    assert tuple(output.name for output in model.graph.outputs) == names
    assert not model.float_nodes


@pytest.mark.parametrize("name", ["tflite", "onnx", "coreml"])
def test_every_runtime_gives_the_integers_of_the_reference(model: IntegerModel, name: str, tmp_path: Path) -> None:
    path = tmp_path / f"net{FORMATS[name].suffix}"
    FORMATS[name].write_integer_model(model, path, io_dtype=IoDtype.FLOAT32, options={})
    about, expected = FORMATS[name].read(path).metadata, compare.reference_outputs(model, PIXELS)
    assert about is not None
    asked = 0
    for make_runner in all_runners(path):
        with make_runner() as runner:
            if compare.unclaimed(runner, about, model):
                continue
            parities = compare.integers(runner, about, model, PIXELS, expected)
        assert {parity.output for parity in parities} == set(expected)
        assert all(isinstance(parity, IntegerParity) and parity.identical == 1 for parity in parities)
        asked += 1
    assert asked
