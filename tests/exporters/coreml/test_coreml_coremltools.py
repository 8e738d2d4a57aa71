"""coremltools as the judge: it must read every package, agree with every type, and write the same messages itself."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.exporters.coreml import codec as coreml
from edgekit.exporters.coreml.blobs import BlobWriter, read_blob
from edgekit.exporters.coreml.schema import schema
from edgekit.exporters.metadata import IoDtype, Precision

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel


@pytest.fixture(scope="module", params=["integer float32", "integer float16", "float float32", "float float16"])
def package(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    integer_model: IntegerModel,
    float_model: FloatModel,
) -> Path:
    kind, precision = request.param.split()
    path = tmp_path_factory.mktemp("coreml") / "m.mlpackage"
    if kind == "integer":
        coreml.write_integer_model(integer_model, path, io_dtype=IoDtype.FLOAT32, precision=Precision(precision))
    else:
        coreml.write_float_model(float_model, path, precision=Precision(precision))
    return path


def test_coremltools_writes_the_same_program(package: Path, tmp_path: Path, coremltools: Any) -> None:
    """Program -> coremltools' own representation, which checks every type and shape -> program."""
    model = coremltools.models.MLModel(str(package), skip_model_load=True)
    specification = model.get_spec()
    version = specification.specificationVersion
    load = importlib.import_module("coremltools.converters.mil.frontend.milproto.load").load
    exporter = importlib.import_module("coremltools.converters.mil.backend.mil.load").MILProtoExporter
    program = load(specification, version, model.weights_dir)
    again = exporter(program, str(tmp_path), version).export()
    again.attributes.clear()  # the version of coremltools
    assert again == specification.mlProgram
    written = package / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
    assert (tmp_path / "weight.bin").read_bytes() == written.read_bytes()


def test_coremltools_shows_the_metadata(package: Path, coremltools: Any) -> None:
    model = coremltools.models.MLModel(str(package), skip_model_load=True)
    assert model.author == "edgekit"
    assert model.short_description.startswith("tiny: ")
    assert "no softmax" in model.output_description["logits"]
    assert coreml.read(package).metadata is not None


def test_the_schema_is_the_one_of_coremltools(coremltools: Any) -> None:
    assert schema().model is coremltools.proto.Model_pb2
    assert schema().mil is coremltools.proto.MIL_pb2


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "uint8"])
def test_coremltools_reads_and_writes_the_same_weights(dtype: str, tmp_path: Path, coremltools: Any) -> None:
    storage = importlib.import_module(f"{coremltools.__name__}.libmilstoragepython")
    arrays = [np.arange(-size // 2, size // 2).astype(dtype) for size in (10, 64, 131)]
    ours, theirs = BlobWriter(), storage._BlobStorageWriter(str(tmp_path / "theirs.bin"))
    method = {"float16": "fp16", "float32": "float"}.get(dtype, dtype)
    as_stored = [array.view(np.uint16) if dtype == "float16" else array for array in arrays]
    offsets = [ours.add(array) for array in arrays]
    assert offsets == [getattr(theirs, f"write_{method}_data")(array) for array in as_stored]
    del theirs  # it writes the number of arrays at its end
    assert ours.to_bytes() == (tmp_path / "theirs.bin").read_bytes()
    for offset, array in zip(offsets, arrays, strict=True):
        np.testing.assert_array_equal(read_blob(ours.to_bytes(), offset, dtype, array.shape), array)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # coremltools leaves its temporary folder to the collector
def test_a_package_of_coremltools_is_read(tmp_path: Path, coremltools: Any) -> None:
    """With names, layout and arguments that are not ours."""
    builder = coremltools.converters.mil.Builder
    weight = np.arange(-48, 48).reshape(8, 3, 2, 2)

    specs = [builder.TensorSpec((1, 3, 4, 4))]

    @builder.program(input_specs=specs, opset_version=coremltools.target.iOS17)  # type: ignore[untyped-decorator]
    def program(x: Any) -> Any:
        x = builder.quantize(input=x, scale=np.float32(0.5), zero_point=np.uint8(7), output_dtype="uint8")
        x = builder.dequantize(input=x, scale=np.float32(0.5), zero_point=np.uint8(7))
        kernel = builder.constexpr_affine_dequantize(
            quantized_data=weight.astype(np.int8), scale=np.float32(0.1), zero_point=np.int8(0), axis=np.int32(0)
        )
        return builder.concat(values=[builder.conv(x=x, weight=kernel), builder.conv(x=x, weight=kernel)], axis=1)

    model = coremltools.convert(
        program, skip_model_load=True, minimum_deployment_target=coremltools.target.iOS17,
        compute_precision=coremltools.precision.FLOAT32, pass_pipeline=coremltools.PassPipeline.EMPTY,
    )  # fmt: skip
    model.save(str(tmp_path / "theirs.mlpackage"))
    summary, contents = coreml.read(tmp_path / "theirs.mlpackage"), coreml.read_contents(tmp_path / "theirs.mlpackage")
    assert dict(summary.operators) == {"conv": 2, "concat": 1}
    assert len(summary.float_operators) == 3
    assert summary.metadata is None
    (array,) = (fields["integers"] for operator in contents.operators if "integers" in (fields := operator.fields))
    assert isinstance(array, np.ndarray)
    assert np.array_equal(array, weight)
    assert [operator.fields["zero point"] for operator in contents.operators if operator.kind == "quantize"] == [7]
