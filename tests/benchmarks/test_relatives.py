"""Relatives of MobileNets, small: they come in as modules and as ONNX files, and every runtime has their integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.benchmarks.random_weights import pictures
from edgekit.benchmarks.relatives.ways import FLOATS, MODULE, ONNX, compared, export
from edgekit.benchmarks.relatives.zoo import RELATIVES, draw
from edgekit.integer_model import IntegerModel

if TYPE_CHECKING:
    from pathlib import Path


# As ONNX files those come in that torch's exporter writes most unlike, all others as modules, and ShuffleNet both ways;
# so does everything in the benchmark. Float files are written of three that have all operators between them.
IN_FLOAT = ("resnet18", "unet_transposed", "blazeface_prelu")
FROM_FILES = ("shufflenet_v2", "paddle_recognizer", "unet_bilinear", "blazeface")
CASES = [(name, ONNX if name in FROM_FILES else MODULE) for name in RELATIVES] + [("shufflenet_v2", MODULE)]


@pytest.mark.parametrize(("name", "way"), CASES)
def test_every_format_and_runtime_has_its_integers(name: str, way: str, tmp_path: Path) -> None:
    """What differs in any runtime keeps export from publishing anything."""
    network = draw(name)
    in_float = way == MODULE and name in IN_FLOAT
    exported = export(network, way, tmp_path, floats=FLOATS if in_float else ())
    assert len(exported.files) == (12 if in_float else 4)
    assert all(file.proven != (bool(network.near) and file.precision == "int8") for file in exported.files)
    assert exported.integer_model is not None
    model = IntegerModel.load(exported.integer_model)
    assert {output.name for output in model.graph.outputs if output.tensor in model.near} == set(network.near)


def test_every_value_of_one(tmp_path: Path) -> None:
    """As the benchmark does it."""
    network = draw("blazeface")
    exported = export(network, MODULE, tmp_path, floats=())
    size = network.images.shape[1], network.images.shape[2]
    found = list(compared(exported, pictures(np.random.default_rng(1), 3, size)))
    assert len(found) == 4
    assert all(each.passed for each in found)
    assert len({parity.runner for each in found for parity in each.parities}) >= 6
