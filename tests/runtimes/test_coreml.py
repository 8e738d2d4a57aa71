"""Core ML: a package is interpreted anywhere, and takes and gives in Apple's framework what other runners do."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit import extras
from edgekit.errors import ArtifactError
from edgekit.exporters import metadata
from edgekit.exporters.coreml import codec as coreml
from edgekit.exporters.coreml.reader import read_model
from edgekit.exporters.coreml.schema import schema
from edgekit.exporters.metadata import Head, IoDtype
from edgekit.integer_model import IntegerModel
from edgekit.runtimes.coreml import CoreMlInterpreter, CoreMlRunner
from edgekit.runtimes.mil import Interpreter
from edgekit.runtimes.tracing import TracingRunner
from edgekit.verification import compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

pytest.importorskip("coremltools")
MODEL = "Data/com.apple.CoreML/model.mlmodel"


@pytest.fixture(scope="module")
def int8(exported: Path) -> Path:
    return next(exported.glob("*.int8.mlpackage"))


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def batch(int8: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    about = coreml.read(int8).metadata
    assert about is not None
    return about.normalization(pixels)


@pytest.fixture
def classifier(int8: Path, tmp_path: Path, edited: Callable[..., Path]) -> Path:
    """A package that gives scores by label and no logits, as those of other tools do."""
    path = tmp_path / "both.mlpackage"
    model = IntegerModel.load(int8.with_suffix(".edgekit"))
    coreml.write_integer_model(model, path, io_dtype=IoDtype.FLOAT32, head=Head.SOFTMAX)

    def keep_scores(message: Any) -> None:
        del message.description.output[2]
        del message.mlProgram.functions["main"].block_specializations["CoreML7"].outputs[2]

    return edited(keep_scores, path, "classifier")


@pytest.fixture
def edited(int8: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a copy of a package whose message was edited."""

    def make(edit: Callable[[Any], object], package: Path = int8, name: str = "edited") -> Path:
        copy = tmp_path / f"{name}.mlpackage"
        shutil.copytree(package, copy)
        message = schema().model.Model.FromString((copy / MODEL).read_bytes())
        edit(message)
        (copy / MODEL).write_bytes(message.SerializeToString())
        return copy

    return make


def operations(message: Any) -> Any:
    return message.mlProgram.functions["main"].block_specializations["CoreML7"].operations


class TestInterpreter:
    def test_it_gives_the_integers_of_the_model(self, int8: Path, pixels: NDArray[np.uint8]) -> None:
        model, about = IntegerModel.load(int8.with_suffix(".edgekit")), coreml.read(int8).metadata
        assert about is not None
        with CoreMlInterpreter(int8) as runner:
            assert isinstance(runner, TracingRunner)
            found = compare.run_integers(runner, about, model, pixels)
        np.testing.assert_array_equal(found["logits"], compare.reference_outputs(model, pixels)["logits"])

    @pytest.mark.parametrize("precision", ["float32", "float16"])
    def test_the_name_says_what_it_computes_in(self, exported: Path, precision: str) -> None:
        with CoreMlInterpreter(next(exported.glob(f"*.{precision}.mlpackage"))) as runner:
            assert runner.name == f"Core ML program, interpreted, {precision}"
            assert (runner.differs_because is None) == (precision == "float32")

    def test_what_is_bound_is_run(self, int8: Path, batch: NDArray[np.float32]) -> None:
        with CoreMlInterpreter(int8) as runner:
            bound: Any = runner.bind(batch[:1])()
            np.testing.assert_array_equal(bound["logits"], runner.run(batch[:1])["logits"])

    def test_scores_come_in_the_order_of_the_labels(
        self, classifier: Path, edited: Callable[..., Path], batch: NDArray[np.float32]
    ) -> None:
        """Applications look scores up by label, so a program that names classes in another order is another model."""

        def exchange(message: Any) -> None:
            (classes,) = operations(message)[-1].inputs["classes"].arguments
            first, second, *_ = classes.value.immediateValue.list.values
            texts = [value.immediateValue.tensor.strings for value in (first, second)]
            texts[0].values[0], texts[1].values[0] = texts[1].values[0], texts[0].values[0]

        right = CoreMlInterpreter(classifier).run(batch)["classLabel_probs"]
        wrong = CoreMlInterpreter(edited(exchange, classifier)).run(batch)["classLabel_probs"]
        np.testing.assert_array_equal(wrong, right[:, [1, 0, *range(2, 10)]])

    def test_classes_that_are_no_labels(
        self, classifier: Path, edited: Callable[..., Path], batch: NDArray[np.float32]
    ) -> None:
        def rename(message: Any) -> None:
            (classes,) = operations(message)[-1].inputs["classes"].arguments
            classes.value.immediateValue.list.values[3].immediateValue.tensor.strings.values[0] = "three"

        with pytest.raises(ArtifactError, match="scores other classes than its metadata names"):
            CoreMlInterpreter(edited(rename, classifier)).run(batch)

    def test_a_package_that_says_nothing_takes_what_its_program_takes(
        self, int8: Path, edited: Callable[..., Path], batch: NDArray[np.float32], pixels: NDArray[np.uint8]
    ) -> None:
        silent = edited(lambda message: message.description.metadata.userDefined.pop(metadata.KEY))
        found = CoreMlInterpreter(silent).run(pixels.transpose(0, 3, 1, 2).astype(np.float32))["logits"]
        np.testing.assert_array_equal(found, CoreMlInterpreter(int8).run(batch)["logits"])

    def test_an_unknown_operator_is_named(self, edited: Callable[..., Path]) -> None:
        def rename(message: Any) -> None:
            next(operation for operation in operations(message) if operation.type == "conv").type = "lstm"

        with pytest.raises(ArtifactError, match=r"operation '\w+_result' is a lstm, which edgekit does not run"):
            CoreMlInterpreter(edited(rename))

    def test_two_inputs(self, edited: Callable[..., Path]) -> None:
        def add(message: Any) -> None:
            message.description.input.add(name="mask").type.imageType.SetInParent()

        with pytest.raises(ArtifactError, match="has not one input and an answer"):
            CoreMlInterpreter(edited(add))

    def test_a_package_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="does not exist"):
            CoreMlInterpreter(tmp_path / "none.mlpackage")


class TestFramework:
    """Without a Mac: a stand-in for coremltools' MLModel, which takes and gives what the real one does."""

    @pytest.fixture(autouse=True)
    def _stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        load = extras.load

        class MLModel:
            def __init__(self, path: str, compute_units: str) -> None:
                assert compute_units == "CPU_ONLY"
                self._program = Interpreter(coreml.read_program(Path(path)))
                space = read_model(Path(path)).message.description.input[0].type.imageType.colorSpace
                self._colours = schema().features.ImageFeatureType.ColorSpace.Name(space)

            def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
                ((name, given),) = inputs.items()
                if not isinstance(given, np.ndarray):
                    assert given.mode == "RGB"
                    planes = np.asarray(given).transpose(2, 0, 1)[None].astype(np.float32)
                    given = planes[:, ::-1] if self._colours == "BGR" else planes
                return self._program.run({name: given}, self._program.program.outputs)

        stand_in = SimpleNamespace(
            models=SimpleNamespace(MLModel=MLModel), ComputeUnit=SimpleNamespace(CPU_ONLY="CPU_ONLY")
        )
        monkeypatch.setattr(
            extras, "load", lambda name, extra: stand_in if name == "coremltools" else load(name, extra)
        )

    @pytest.mark.parametrize("precision", ["float32", "int8"])
    def test_it_takes_and_gives_what_the_interpreter_does(
        self, exported: Path, batch: NDArray[np.float32], precision: str
    ) -> None:
        path = next(exported.glob(f"*.{precision}.mlpackage"))
        with CoreMlRunner(path) as real, CoreMlInterpreter(path) as interpreted:
            assert real.name.startswith("Core ML of macOS")
            assert real.name.endswith(", CPU, float32")
            np.testing.assert_array_equal(real.run(batch)["logits"], interpreted.run(batch)["logits"])
            bound: Any = real.bind(batch[:1])()
            np.testing.assert_array_equal(bound["logits"], interpreted.run(batch[:1])["logits"])

    @pytest.mark.parametrize("pixel_input", [True, False])
    def test_blue_first_and_no_picture_at_all(
        self, int8: Path, tmp_path: Path, batch: NDArray[np.float32], *, pixel_input: bool
    ) -> None:
        model = IntegerModel.load(int8.with_suffix(".edgekit"))
        other = replace(
            model, preprocessing=replace(model.preprocessing, order="BGR"), pixel_input=pixel_input, labels=()
        )
        path = tmp_path / "other.mlpackage"
        coreml.write_integer_model(other, path, io_dtype=IoDtype.FLOAT32)
        with CoreMlRunner(path) as real, CoreMlInterpreter(path) as interpreted:
            np.testing.assert_array_equal(real.run(batch)["logits"], interpreted.run(batch)["logits"])

    def test_what_it_refuses(self, int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            warnings.warn("You will not be able to run predict() on this Core ML model.", RuntimeWarning, stacklevel=2)

        monkeypatch.setattr(extras.load("coremltools", "coreml").models, "MLModel", refuse)
        with pytest.raises(ArtifactError, match=r"Core ML of macOS .* refuses .*int8\.mlpackage: You will not be able"):
            CoreMlRunner(int8)
