"""The package around a program: endpoints, metadata, bytes, and packages that cannot be read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgekit.errors import ArtifactError, MissingDependency
from edgekit.exporters import metadata
from edgekit.exporters.coreml import codec as coreml
from edgekit.exporters.coreml import package
from edgekit.exporters.coreml.reader import read_model
from edgekit.exporters.coreml.schema import schema
from edgekit.exporters.metadata import Head, IoDtype, Precision
from edgekit.ir import Output

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

MODEL, WEIGHTS = "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"


def write(model: IntegerModel, path: Path) -> Path:
    coreml.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32)
    return path


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


class TestBytes:
    def test_equal_models_give_equal_files(self, tmp_path: Path, integer_model: IntegerModel) -> None:
        first, second = (contents(write(integer_model, tmp_path / f"{n}.mlpackage")) for n in ("a", "b"))
        assert first == second
        assert set(first) == {"Manifest.json", MODEL, WEIGHTS}

    def test_different_models_give_different_identifiers(self, tmp_path: Path, integer_model: IntegerModel) -> None:
        other = replace(integer_model, labels=())
        first, second = (contents(write(m, tmp_path / "m.mlpackage")) for m in (integer_model, other))
        assert first["Manifest.json"] != second["Manifest.json"]
        assert first[WEIGHTS] == second[WEIGHTS]

    def test_another_process_writes_the_same(self, tmp_path: Path, integer_model: IntegerModel) -> None:
        """Hash seeds change the order of sets, and all of coremltools must stay out: it takes seconds to import."""
        integer_model.save(tmp_path / "model.edgekit")
        script = (
            "import sys; from pathlib import Path\n"
            "from edgekit.exporters.coreml import codec as coreml; from edgekit.exporters.metadata import IoDtype\n"
            "from edgekit.integer_model import IntegerModel\n"
            "model, path = IntegerModel.load(Path(sys.argv[1])), Path(sys.argv[2])\n"
            "coreml.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32); coreml.read(path)\n"
            "assert not {'coremltools', 'torch'} & set(sys.modules), 'all of coremltools was imported'\n"
            "import coremltools.proto; assert coremltools.proto.Model_pb2\n"
        )
        command = [sys.executable, "-c", script, str(tmp_path / "model.edgekit"), str(tmp_path / "other.mlpackage")]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        assert contents(tmp_path / "other.mlpackage") == contents(write(integer_model, tmp_path / "m.mlpackage"))

    def test_a_package_is_replaced(self, tmp_path: Path, integer_model: IntegerModel) -> None:
        path = write(integer_model, tmp_path / "m.mlpackage")
        (path / "stale").write_text("left over")
        assert "stale" not in contents(write(integer_model, path))
        assert list(tmp_path.iterdir()) == [path]


class TestEndpoints:
    def test_an_image_and_logits(self, tmp_path: Path, integer_model: IntegerModel) -> None:
        path = write(integer_model, tmp_path / "m.mlpackage")
        message = schema().model.Model.FromString((path / MODEL).read_bytes())
        (image,) = message.description.input
        assert image.name == "image"
        assert (image.type.imageType.width, image.type.imageType.height) == (12, 16)
        assert image.type.imageType.colorSpace == schema().features.ImageFeatureType.RGB
        # No classifier, though there are labels: what one gives are probabilities (tests/exporters/test_head.py).
        assert [output.name for output in message.description.output] == ["logits"]
        assert not message.description.predictedFeatureName
        assert not message.description.predictedProbabilitiesName
        assert "logits, no softmax" in message.description.output[0].shortDescription
        assert all(operation.operator != "classify" for operation in coreml.read_program(path).operations)

    def test_the_order_of_colours(self, tmp_path: Path, integer_model: IntegerModel) -> None:
        bgr = replace(integer_model, preprocessing=replace(integer_model.preprocessing, order="BGR"))
        message = schema().model.Model.FromString((write(bgr, tmp_path / "m.mlpackage") / MODEL).read_bytes())
        assert message.description.input[0].type.imageType.colorSpace == schema().features.ImageFeatureType.BGR

    @pytest.mark.parametrize("labels", [(), ("a", "b", "c"), ("a", "b", "c", "a")], ids=["none", "few", "twice"])
    def test_without_a_label_for_each_class_there_are_arrays(
        self, tmp_path: Path, integer_model: IntegerModel, labels: tuple[str, ...]
    ) -> None:
        path = tmp_path / "m.mlpackage"
        model = replace(integer_model, labels=labels)
        coreml.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32, head=Head.SOFTMAX)
        summary = coreml.read(path)
        assert [output.name for output in summary.outputs] == ["probabilities", "logits"]
        logits = summary.outputs[1]
        assert (logits.name, logits.dtype, logits.shape) == ("logits", "float32", (1, 4))
        assert summary.metadata is not None
        assert summary.metadata.labels == labels

    def test_several_outputs(self, tmp_path: Path, integer_model: IntegerModel) -> None:
        outputs = (Output.logits("logits"), Output("feature_map", "swish"))
        model = replace(integer_model, graph=replace(integer_model.graph, outputs=outputs))
        summary = coreml.read(write(model, tmp_path / "m.mlpackage"))
        assert [(output.name, output.shape) for output in summary.outputs] == [
            ("logits", (1, 4)),
            ("feature_map", (1, 16, 8, 6)),
        ]
        assert summary.float_operators == ()


class TestSummary:
    def test_an_integer_package(self, tmp_path: Path, integer_model: IntegerModel) -> None:
        path = write(integer_model, tmp_path / "m.mlpackage")
        summary = coreml.read(path)
        assert dict(summary.operators) == {
            "conv": 5, "add": 2, "mul": 2, "reduce_mean": 2, "pad": 1, "reshape": 1, "linear": 1
        }  # fmt: skip
        assert summary.float_operators == ()
        assert summary.int8_share == 1
        assert summary.boundary == ("quantize", "dequantize")
        assert summary.version == "specification 8 (iOS 17), opset CoreML7"
        assert summary.metadata == metadata.of_integer_model(integer_model, IoDtype.FLOAT32, batch=1)
        assert summary.size_bytes == sum(len(data) for data in contents(path).values())

    def test_an_operator_without_quantization_is_a_float_operator(
        self, tmp_path: Path, integer_model: IntegerModel
    ) -> None:
        """A dequantize that is left out makes its consumers compute in float, and only them."""
        path = write(integer_model, tmp_path / "m.mlpackage")
        message = schema().model.Model.FromString((path / MODEL).read_bytes())
        block = message.mlProgram.functions["main"].block_specializations["CoreML7"]
        (pool,) = (operation for operation in block.operations if operation.outputs[0].name == "pool_result")
        pool.inputs["x"].arguments[0].name = "down_result"
        (path / MODEL).write_bytes(message.SerializeToString())
        assert coreml.read(path).float_operators == ("conv down_result", "reduce_mean pool_result")

    def test_a_float_package(self, tmp_path: Path, float_model: FloatModel) -> None:
        coreml.write_float_model(float_model, tmp_path / "f.mlpackage", precision=Precision.FLOAT16)
        summary = coreml.read(tmp_path / "f.mlpackage")
        assert summary.boundary == ("cast", "cast")
        assert summary.version == "specification 6 (iOS 15), opset CoreML5"
        assert summary.metadata == metadata.of_float_model(float_model, Precision.FLOAT16, batch=1)

    def test_the_version_follows_from_the_contents(self, tmp_path: Path, integer_model: IntegerModel) -> None:
        versions = []
        for head in (Head.LOGITS, Head.LOGITS, Head.SOFTMAX):
            path = tmp_path / "m.mlpackage"
            coreml.write_integer_model(integer_model, path, io_dtype=IoDtype.FLOAT32, head=head)
            described = schema().model.Model.FromString((path / MODEL).read_bytes()).description.metadata
            assert described.shortDescription == "tiny: int8 weights and activations in a float32 program"
            assert described.author == "edgekit"
            versions.append(described.versionString)
        assert versions[0] == versions[1] != versions[2]

    def test_a_package_of_another_tool_has_no_metadata(self, tmp_path: Path, integer_model: IntegerModel) -> None:
        path = write(integer_model, tmp_path / "m.mlpackage")
        message = schema().model.Model.FromString((path / MODEL).read_bytes())
        message.description.metadata.userDefined.clear()
        (path / MODEL).write_bytes(message.SerializeToString())
        assert coreml.read(path).metadata is None


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no manifest": lambda path: (path / "Manifest.json").unlink(),
    "manifest of something else": lambda path: (path / "Manifest.json").write_text(json.dumps({"a": 1})),
    "manifest is a list": lambda path: (path / "Manifest.json").write_text("[]"),
    "no model": lambda path: (path / MODEL).unlink(),
    "model ends early": lambda path: _truncate(path / MODEL),
    "model is empty": lambda path: (path / MODEL).write_bytes(b""),
    "model is text": lambda path: (path / MODEL).write_text("not a model"),
    "no weights": lambda path: (path / WEIGHTS).unlink(),
    "weights end early": lambda path: _truncate(path / WEIGHTS),
    "weights are empty": lambda path: (path / WEIGHTS).write_bytes(b""),
    "weights are zeros": lambda path: (path / WEIGHTS).write_bytes(bytes((path / WEIGHTS).stat().st_size)),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, integer_model: IntegerModel) -> Path:
    return write(integer_model, tmp_path_factory.mktemp("coreml") / "m.mlpackage")


class TestDamage:
    @pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
    def test_damaged_packages(self, tmp_path: Path, whole: Path, damage: Callable[[Path], object]) -> None:
        path = tmp_path / "m.mlpackage"
        shutil.copytree(whole, path)
        damage(path)
        with pytest.raises(ArtifactError, match=r"m\.mlpackage.*(damaged|is not)"):
            coreml.read(path)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="does not exist"):
            coreml.read(tmp_path / "m.mlpackage")

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "m.mlmodel").write_bytes(b"old format")
        with pytest.raises(ArtifactError, match=r"is a file.*\.mlpackage"):
            coreml.read(tmp_path / "m.mlmodel")

    def test_a_neural_network(self, tmp_path: Path) -> None:
        message = schema().model.Model(specificationVersion=4)
        message.neuralNetwork.SetInParent()
        package.write(tmp_path / "old.mlpackage", message.SerializeToString(), b"")
        with pytest.raises(ArtifactError, match="not an ML program"):
            coreml.read(tmp_path / "old.mlpackage")

    def test_foreign_metadata_under_our_key(self, whole: Path, tmp_path: Path) -> None:
        path = tmp_path / "m.mlpackage"
        shutil.copytree(whole, path)
        message = schema().model.Model.FromString((path / MODEL).read_bytes())
        message.description.metadata.userDefined[metadata.KEY] = "{}"
        (path / MODEL).write_bytes(message.SerializeToString())
        assert read_model(path).user_defined[metadata.KEY] == "{}"
        with pytest.raises(ArtifactError, match=r"metadata of .* damaged"):
            coreml.read(path)


def test_without_coremltools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, integer_model: IntegerModel) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)
    schema.cache_clear()
    with pytest.raises(MissingDependency, match=r"pip install 'edgekit\[coreml\]'"):
        write(integer_model, tmp_path / "m.mlpackage")
    assert not list(tmp_path.iterdir())
