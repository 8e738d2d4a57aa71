"""Files of int8 weights, in every format: the same integers, and what the network with these weights computes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.config import ExportSettings
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import Precision
from edgekit.int8_weights import read_as_integers, with_int8_weights
from edgekit.runtimes.catalog import all_runners
from edgekit.verification import compare
from edgekit.verification.float_parity import TOLERANCE, FloatParity
from tests.networks import SAME, FloatSketch

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.exporters.format import Format
    from edgekit.float_model import FloatModel

PRECISIONS = (Precision.DYNAMIC, Precision.WEIGHT_ONLY)
FILES = [
    (form, precision) for form in FORMATS for precision in PRECISIONS if (form, precision) != ("coreml", "dynamic")
]


@pytest.fixture(scope="module")
def model() -> FloatModel:
    """What stands in MobileNets: a stem, a depthwise layer, a pointwise one with a clamp, and a classifier."""
    s = FloatSketch((3, 12, 12))
    x = s.conv(s.hard_swish(s.conv("x", 8, 3, (2, 2), SAME)), 16)
    s.linear(s.mean(s.conv(s.conv(x, None, 3, (1, 1), SAME), 24, clamp=None), keep_dims=False), 10)
    return with_int8_weights(s.float_model())


def write(form: Format, precision: Precision, model: FloatModel, folder: Path) -> Path:
    path = folder / f"m.{precision}{form.suffix}"
    chosen = {key: getattr(ExportSettings(), key) for key in ("coreml_program", "onnxruntime", "signatures")}
    options = form.options({**chosen, "torch_engine": "qnnpack"}, precision, int16=False)
    form.write_float_model(model, path, precision=precision, options=options)
    return path


def integers(array: Any) -> tuple[int, ...] | None:
    """All integers of a weight, whatever their order; None of what is none."""
    if not isinstance(array, np.ndarray) or array.dtype not in {np.dtype(np.int8), np.dtype(np.uint8)}:
        return None
    return tuple(sorted((array.astype(int) - (128 if array.dtype == np.uint8 else 0)).ravel().tolist()))


@pytest.mark.parametrize(("name", "precision"), FILES)
def test_a_file_holds_the_integers_and_computes_with_them(
    name: str, precision: Precision, model: FloatModel, tmp_path: Path
) -> None:
    form = FORMATS[name]
    path = write(form, precision, model, tmp_path)
    contents = form.contents(path)
    said = {integers(value) for operator in contents.operators for value in operator.fields.values()}
    for weight, grid in model.grids.items():
        assert integers(grid.quantize(model.graph.constants[weight])) in said, weight
    assert form.differences(path, model) == ()
    assert form.irregularities(path) == ()
    pixels = np.random.default_rng(0).integers(0, 256, (3, *model.preprocessing.shape), np.uint8)
    expected, about = compare.stored_outputs(model, pixels), form.read(path).metadata
    assert about is not None
    for make_runner in all_runners(path):
        with make_runner() as runner:
            (parity,) = compare.floats(runner, about, pixels, expected)
        assert isinstance(parity, FloatParity)
        assert parity.passed
        assert bool(parity.near) == (precision is Precision.DYNAMIC)
        assert parity.tolerance == TOLERANCE[precision]


@pytest.mark.parametrize(("name", "precision"), FILES)
def test_one_other_integer_is_found(name: str, precision: Precision, model: FloatModel, tmp_path: Path) -> None:
    form, weight = FORMATS[name], next(iter(model.grids))
    path = write(form, precision, model, tmp_path)
    changed = model.graph.constants[weight].copy()
    changed[3, 1, 2, 0] -= model.grids[weight].scale[3] * np.sign(changed[3, 1, 2, 0])
    other = replace(model, graph=replace(model.graph, constants={**model.graph.constants, weight: changed}))
    first, *behind = form.differences(path, other)
    assert first.layer == "layer.0"
    assert not any(difference.layer for difference in behind)


@pytest.mark.parametrize("name", [form for form, precision in FILES if precision is Precision.DYNAMIC])
def test_layers_that_quantize_what_they_read(name: str, model: FloatModel, tmp_path: Path) -> None:
    found = FORMATS[name].contents(write(FORMATS[name], Precision.DYNAMIC, model, tmp_path)).quantizing
    able = {
        node.name for node in model.graph if node.op.has_weights and node.operand("weight") in read_as_integers(model)
    }
    assert found == able - ({"layer.0"} if name == "torch" else set())  # torch has a kernel for 1 x 1 alone


def test_formats_say_which_precisions_they_lack() -> None:
    assert {name: [*form.lacks] for name, form in FORMATS.items() if form.lacks} == {"coreml": [Precision.DYNAMIC]}
