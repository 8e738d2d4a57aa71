"""Rows of numbers, as the heads of detectors give them: from torch.export and ONNX to the answer of every format."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edgekit.calibration.assignment import quantize
from edgekit.calibration.options import Options
from edgekit.calibration.ranges import Range
from edgekit.capture import onnx as onnx_capture
from edgekit.capture.torch_export import capture
from edgekit.executor.float import FloatExecutor
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.float_model import FloatModel
from edgekit.ir import Axis
from edgekit.passes import integer_form
from edgekit.preprocessing import Preprocessing
from edgekit.reference.integer import Reference
from edgekit.runtimes.catalog import all_runners
from edgekit.runtimes.runner import decode
from tests.networks import rows_of_two_maps

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph

SIZE, ROWS = (24, 32), {"boxes": (120, 4), "scores": (120, 3)}
BATCH = 3


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(BATCH, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=["torch.export", "ONNX"])
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Graph:
    module = rows_of_two_maps()
    if request.param == "torch.export":
        return integer_form(capture(module, "rows", (3, *SIZE)))
    pytest.importorskip("onnx")
    path = tmp_path_factory.mktemp("rows") / "rows.onnx"
    names: dict[str, Any] = {"input_names": ["image"], "output_names": [*ROWS]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its successor needs packages that edgekit does not
        torch.onnx.export(module, (torch.zeros(1, 3, *SIZE),), path, dynamo=False, opset_version=13, **names)
    return integer_form(onnx_capture.capture(path).graph)


@pytest.fixture(scope="module")
def model(graph: Graph, images: torch.Tensor) -> IntegerModel:
    ranges: dict[str, Range] = {}

    def observe(name: str, value: torch.Tensor) -> None:
        ranges[name] = Range(min(float(value.min()), 0.0), max(float(value.max()), 2.0**-8))

    FloatExecutor(graph)(images, observe)
    options = Options(pixel_input=False, weight_bits=7)  # no kernel of an x86 without VNNI clamps
    return quantize(FloatModel(graph, Preprocessing(SIZE, None)), ranges, options)


def test_what_is_captured_computes_the_same(graph: Graph, images: torch.Tensor) -> None:
    with torch.no_grad():
        wanted, found = rows_of_two_maps()(images), FloatExecutor(graph)(images)
    assert [output.name for output in graph.outputs] == [*ROWS]
    for name, shape in ROWS.items():
        assert found[name].shape == (BATCH, *shape)
        torch.testing.assert_close(found[name], wanted[name])
    assert {graph.tensors[tensor].axes for tensor in graph.output_tensors} == {(Axis.BATCH, Axis.PLACE, Axis.PLACE)}


@pytest.mark.parametrize("name", FORMATS)
def test_every_runtime_gives_the_same_rows(
    name: str, model: IntegerModel, images: torch.Tensor, tmp_path: Path
) -> None:
    form = FORMATS[name]
    path = tmp_path / f"rows{form.suffix}"
    stored = model.params[model.graph.input].quantize(images.numpy())
    wanted = Reference(model).run(stored)
    for io_dtype in map(IoDtype, form.io_dtypes):
        form.write_integer_model(model, path, io_dtype=io_dtype, options={})
        runners = all_runners(path)
        assert runners
        for make_runner in runners:
            with make_runner() as runner:
                if "builtin" in runner.name:
                    continue
                batch = {IoDtype.INT8: stored, IoDtype.UINT8: (stored.astype(np.int16) + 128).astype(np.uint8)}
                found = runner.run(batch.get(io_dtype, images.numpy()))
            for output in model.graph.outputs:
                values = decode(found[output.name], io_dtype, model.params[output.tensor])
                np.testing.assert_array_equal(values, wanted[output.name], err_msg=f"{runner.name}, {io_dtype}")


@pytest.mark.parametrize("name", FORMATS)
def test_files_say_what_their_rows_are(name: str, graph: Graph, model: IntegerModel, tmp_path: Path) -> None:
    form = FORMATS[name]
    for kind in ("int8", "float"):
        path = tmp_path / f"{kind}{form.suffix}"
        if kind == "int8":
            form.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32, options={})
        else:
            form.write_float_model(FloatModel(graph, Preprocessing(SIZE, None)), path, precision=Precision.FLOAT32)
        about = form.read(path).metadata
        assert about is not None
        assert [(output.name, output.axes, output.of_one_image) for output in about.outputs] == [
            (output, "NPP", shape) for output, shape in ROWS.items()
        ]
