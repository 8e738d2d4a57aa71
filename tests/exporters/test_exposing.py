"""Every tensor inside of a file, from the kernels that give its answer, by its name in the graph."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.reference.float import FloatReference
from edgekit.runtimes.tracing import renamed, trace_file, trace_model
from edgekit.verification.divergence import locate

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.exporters.format import Format
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> Format:
    found = FORMATS[request.param]
    for module in found.modules:
        pytest.importorskip(module)
    return found


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("io_dtype", IoDtype)
def test_integers(
    form: Format, integer_block: Any, io_dtype: IoDtype, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    if io_dtype not in form.io_dtypes:
        pytest.skip(f"{form.title} does not have this boundary")
    model: IntegerModel = integer_block[0]
    path = tmp_path / f"m{form.suffix}"
    form.write_integer_model(model, path, io_dtype=io_dtype)
    expected, found = trace_model(model, pixels), trace_file(path, pixels, model)
    assert found.tensors.keys() == expected.tensors.keys() == set(model.graph.tensors)
    for name, values in expected.tensors.items():
        assert values.dtype == found.tensors[name].dtype == np.int8
        np.testing.assert_array_equal(found.tensors[name], values, err_msg=name)
    np.testing.assert_array_equal(found.answers["logits"], expected.answers["logits"])
    assert (found.precision, found.is_reference, expected.is_reference) == (Precision.INT8, False, True)


def test_layers_in_float_among_integers(
    form: Format, mixed_block: IntegerModel, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Identical up to the first of them, and all of them are found."""
    path = tmp_path / f"m{form.suffix}"
    form.write_integer_model(mixed_block, path, io_dtype=IoDtype.FLOAT32)
    expected, found = trace_model(mixed_block, pixels), trace_file(path, pixels, mixed_block)
    assert found.tensors.keys() == set(mixed_block.graph.tensors)
    stored = {name: name in mixed_block.params for name in mixed_block.graph.tensors}
    assert {name: values.dtype == np.int8 for name, values in found.tensors.items()} == stored
    x = mixed_block.graph.input
    np.testing.assert_array_equal(found.tensors[x], expected.tensors[x])
    for name in ("layer.0", "layer.2"):  # reals, in what the checkpoint computes
        np.testing.assert_allclose(found.tensors[name], expected.tensors[name], atol=1e-5)
    assert locate(path, mixed_block, pixels) is None  # near is enough behind them


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_floats(
    form: Format, float_model: FloatModel, precision: Precision, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    path, graph = tmp_path / f"m{form.suffix}", float_model.graph
    form.write_float_model(float_model, path, precision=precision)
    images = float_model.preprocessing.normalization(pixels)
    expected = FloatReference(graph).run_all(images)
    tolerance = 1e-5 if precision is Precision.FLOAT32 else 1e-2
    unnamed = renamed(
        trace_file(path, pixels), graph.tensors, {"image": graph.input, "logits": graph.output_tensors[0]}
    )
    for found in (trace_file(path, pixels, graph), unnamed):
        assert set(graph.tensors) <= found.tensors.keys()
        for name in graph.tensors:
            reach = np.abs(expected[name]).max()
            np.testing.assert_allclose(found.tensors[name], expected[name], atol=tolerance * reach, err_msg=name)
        reach = np.abs(expected[graph.output_tensors[0]]).max()
        np.testing.assert_allclose(found.answers["logits"], expected[graph.output_tensors[0]], atol=tolerance * reach)


def test_factors_are_taken_out(
    form: Format, float_model: FloatModel, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Reals are what the checkpoint computes, whatever factor the graph's tensor carries."""
    path, graph = tmp_path / f"m{form.suffix}", float_model.graph
    form.write_float_model(float_model, path, precision=Precision.FLOAT32)
    channels = tuple(np.arange(1.0, graph.tensors["layer.0"].shape[0] + 1))
    carrying = {"layer.0": replace(graph.tensors["layer.0"], factor=channels)}
    carrying[graph.output_tensors[0]] = replace(graph.tensors[graph.output_tensors[0]], factor=6.0)
    plain = trace_file(path, pixels, graph)
    divided = trace_file(path, pixels, replace(graph, tensors={**graph.tensors, **carrying}))
    np.testing.assert_allclose(divided.answers["logits"] * 6, plain.answers["logits"], rtol=1e-6)
    np.testing.assert_allclose(
        divided.tensors["layer.0"] * np.reshape(channels, (-1, 1, 1)), plain.tensors["layer.0"], rtol=1e-6
    )
