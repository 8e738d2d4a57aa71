"""Models that are wrong from the start: their files agree with one another, and only evidence from elsewhere tells."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit import config
from edgekit.calibration.saved import load, save
from edgekit.config import ModelSettings, Settings
from edgekit.defaults import CHECKPOINT, FOLDER
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.facts import Basis, Fact
from edgekit.float_model import FloatModel
from edgekit.integer_model import IntegerModel
from edgekit.passes import float_form
from edgekit.pipeline.making import rebuilding
from edgekit.pipeline.making.trained import FROM_FILE, Trained
from edgekit.pipeline.proving import evidence
from edgekit.pipeline.proving.verify import verify
from edgekit.quantization import Ratio

for needed in ("torch", "onnx", "onnxruntime", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.calibration.found import Ranges
    from edgekit.ir import Graph
    from edgekit.models.architecture import PaddingStyle
    from edgekit.pipeline.proving.verdicts import FileVerdict, VerifyResult

    AnyModel = IntegerModel | FloatModel

NAME = "mobilenet_v3_digits_1.0_32"
FIRST, MIDDLE, DEPTHWISE, LAST = "features.0.0", "features.4.block.3.0", "features.4.block.1.0", "classifier.3"
RATIO = "a ratio off by one"
WITH = config.load(None, {"model": {"checkpoint": CHECKPOINT}})


# --- evidence, read once ----------------------------------------------------------------------------------------------


@functools.cache
def trained(padding: PaddingStyle | None = None, bn_eps: float | None = None) -> Trained:
    """The shipped network, or it as it would be if it had been read so."""
    found = FROM_FILE.load(ModelSettings(checkpoint=CHECKPOINT, padding=padding, bn_eps=bn_eps))
    return replace(found, capture=functools.cache(found.capture))


@pytest.fixture(autouse=True)
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint is read and captured once, not in every test."""

    def load(settings: ModelSettings, *_: Any) -> Trained:
        assert settings.checkpoint is not None
        return trained() if settings.checkpoint.samefile(CHECKPOINT) else FROM_FILE.load(settings)

    monkeypatch.setattr(evidence, "load_as_exported", load)


@pytest.fixture(scope="session")
def good(exported: Path) -> IntegerModel:
    return IntegerModel.load(exported / f"{NAME}.int8.edgekit")


@pytest.fixture(scope="session")
def ranges(exported: Path) -> Ranges:
    return load(exported / f"{NAME}.ranges.json")


@pytest.fixture(scope="session")
def floats(exported: Path, good: IntegerModel) -> FloatModel:
    about = FORMATS["onnx"].read(exported / f"{NAME}.float32.onnx").metadata
    assert about is not None
    return FloatModel(float_form(trained().capture()), good.preprocessing, good.labels, about.provenance)


def problems(verdict: FileVerdict) -> list[str]:
    return [gate.problem for gate in verdict.gates if not gate.passed]


def judged_model(result: VerifyResult) -> FileVerdict:
    """The verdict on the saved integer model."""
    return next(verdict for verdict in result.references if verdict.path.suffix == ".edgekit")


# --- what is done to a model ------------------------------------------------------------------------------------------


def with_constants(model: Any, **changed: NDArray[Any]) -> Any:
    constants = {**model.graph.constants, **{name.replace("__", "."): value for name, value in changed.items()}}
    return replace(model, graph=replace(model.graph, constants=constants))


def changing(layer: str, change: Callable[[NDArray[Any]], NDArray[Any]], *parts: str) -> Callable[[Any], Any]:
    """Spoils the constants of a layer: its weight, or the parts that are named."""

    def spoil(model: Any) -> Any:
        names = [f"{layer}.{part}" for part in parts or ("weight",)]
        constants = model.graph.constants
        changed = {name: np.ascontiguousarray(change(constants[name])) for name in names}
        return replace(model, graph=replace(model.graph, constants={**constants, **changed}))

    return spoil


def one_step(values: NDArray[Any]) -> NDArray[Any]:
    """One number by as little as it can change."""
    changed = values.copy()
    flat = changed.reshape(-1)
    flat[5] = np.nextafter(flat[5], np.inf) if flat.dtype == np.float32 else flat[5] + (-1 if flat[5] > 0 else 1)
    return changed


def rolled(values: NDArray[Any]) -> NDArray[Any]:
    return np.roll(values, 1, axis=0)


def scale(model: IntegerModel) -> IntegerModel:
    name = "features.7.add"
    params = model.params[name]
    return replace(model, params={**model.params, name: replace(params, scale=params.scale * np.float32(1.001))})


def zero_point(model: IntegerModel) -> IntegerModel:
    name = "features.7.add"
    params = model.params[name]
    return replace(model, params={**model.params, name: replace(params, zero_point=params.zero_point + 1)})


def ratio(model: IntegerModel) -> IntegerModel:
    """Of a convolution's first channel, by its smallest step."""
    found = model.ratios[MIDDLE]
    numerator = found.numerator.copy()
    numerator[0] += 1
    return replace(model, ratios={**model.ratios, MIDDLE: Ratio(numerator, found.denominator)})


def attribute(layer: str, **changes: Any) -> Callable[[Any], Any]:
    def spoil(model: Any) -> Any:
        nodes = [replace(node, op=replace(node.op, **changes)) if node.name == layer else node for node in model.graph]
        return replace(model, graph=replace(model.graph, nodes=tuple(nodes)))

    return spoil


def labels(model: Any) -> Any:
    return replace(model, labels=model.labels[::-1])


def preprocessing(model: Any) -> Any:
    return replace(model, preprocessing=replace(model.preprocessing, order="BGR"))


def truncated(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """To float16, toward zero."""
    near = values.astype(np.float16)
    far = np.abs(near.astype(np.float32)) > np.abs(values)
    return np.where(far, np.nextafter(near, np.float16(0)), near).astype(np.float32)


def widened(model: FloatModel) -> FloatModel:
    """The first ReLU becomes a ReLU6."""
    from edgekit.ir import Clamp

    clamped = next(node for node in model.graph if node.activation is not None)
    nodes = [replace(node, activation=Clamp(0.0, 6.5)) if node is clamped else node for node in model.graph]
    return replace(model, graph=replace(model.graph, nodes=tuple(nodes)))


def scaled(ranges: Ranges, tensor: str) -> Ranges:
    """With a range that is a tenth wider."""
    before = ranges.found["ranges"]
    return replace(ranges, found={**ranges.found, "ranges": {**before, tensor: before[tensor].scaled(1.1)}})


def as_if_read(model: Any, graph: Graph, ranges: Ranges) -> Any:
    """The network read in another way, under the old provenance."""
    if isinstance(model, FloatModel):
        return replace(model, graph=float_form(graph))
    other = rebuilding.integer_model(trained(), graph, ranges, model)
    return replace(other, provenance=model.provenance)


@dataclass(frozen=True)
class Wrong:
    """A model that is not what its checkpoint gives.

    Attributes:
        name: what is wrong with it.
        spoil: makes it, of the good one and the ranges.
        layer: that has to be named first; None for the model as a whole.
        words: of which one has to be said.
    """

    name: str
    spoil: Callable[[Any, Ranges], Any]
    layer: str | None
    words: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def of(name: str, spoil: Callable[[Any], Any], layer: str | None, *words: str) -> Wrong:
    return Wrong(name, lambda model, _: spoil(model), layer, words)


_BOTH = (
    of("classifier rolled by one", changing(LAST, rolled, "weight", "bias"), LAST, "in another order"),
    of("a block zeroed", changing(MIDDLE, np.zeros_like, "weight", "bias"), MIDDLE, "weight"),
    of("a stem in BGR", changing(FIRST, lambda w: w[:, ::-1]), FIRST, "channels 0 and 2 swapped along axis 1"),
    of("halves of a layer swapped", changing(MIDDLE, lambda w: np.roll(w, len(w) // 2, 0)), MIDDLE, "another order"),
    of("one weight off by its last bit", changing(MIDDLE, one_step), MIDDLE, "1 of 3840 numbers", "1 of 3,840"),
    of("one bias off by its last bit", changing(MIDDLE, one_step, "bias"), MIDDLE, "1 of 40 numbers"),
    of("a kernel turned around", changing(DEPTHWISE, lambda w: w[:, :, ::-1, ::-1]), DEPTHWISE, "of 2400 numbers"),
    of("a depthwise kernel transposed", changing(DEPTHWISE, lambda w: w.swapaxes(2, 3)), DEPTHWISE, "transposed"),
    of("another sign", changing(LAST, np.negative), LAST, "numbers"),
    Wrong(
        "padding as TensorFlow has it",
        lambda model, ranges: as_if_read(model, trained(padding="same").capture(), ranges),
        "features.1.block.0.0",
        ("padding", "pad_nd", "PAD", "Pad"),
    ),
    Wrong(
        "batch normalization with another epsilon",
        lambda model, ranges: as_if_read(model, trained(bn_eps=1e-5).capture(), ranges),
        FIRST,
        ("numbers", "off by"),
    ),
)  # fmt: skip
INTEGERS = (
    *_BOTH,
    of("a scale off by a thousandth", scale, "features.7.add", "scale"),
    of("a zero point off by one", zero_point, "features.7.add", "zero point"),
    of("preprocessing in BGR", preprocessing, None, "order"),
    of(RATIO, ratio, MIDDLE, "ratio"),
)
FLOATS = (
    *_BOTH,
    of("float16 cut off instead of rounded", changing(MIDDLE, truncated), MIDDLE, "numbers"),
    of("a clamp widened", widened, "features.1.block.0.0", "clamp", "clip", "Clip"),
)


# --- int8 -------------------------------------------------------------------------------------------------------------


def write(model: AnyModel, folder: Path, target: str, precision: Precision = Precision.INT8) -> Path:
    path = folder / f"{NAME}.{precision}{FORMATS[target].suffix}"
    if isinstance(model, IntegerModel):
        FORMATS[target].write_integer_model(model, path, io_dtype=IoDtype.FLOAT32)
    else:
        FORMATS[target].write_float_model(model, path, precision=precision)
    return path


def target_of(wrong: Wrong, among: tuple[Wrong, ...]) -> str:
    """Each of the formats in turn."""
    return list(FORMATS)[among.index(wrong) % len(FORMATS)]


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """With the ranges of the good model."""
    shutil.copy(exported / f"{NAME}.ranges.json", tmp_path)
    return tmp_path


@pytest.mark.parametrize("wrong", INTEGERS, ids=str)
def test_a_wrong_integer_model_is_found(wrong: Wrong, good: IntegerModel, ranges: Ranges, folder: Path) -> None:
    model = wrong.spoil(good, ranges)
    model.save(folder / f"{NAME}.int8.edgekit")
    write(model, folder, target_of(wrong, INTEGERS))
    result = verify([folder], WITH)
    assert not result.passed
    problem = problems(judged_model(result))[0]
    assert any(word in problem for word in wrong.words), problem
    assert wrong.layer is None or wrong.layer in problem, problem
    assert CHECKPOINT.name in problem
    (file,) = result.files
    assert file.failed is (wrong.name != RATIO), "files hold no ratios"


@pytest.mark.parametrize("wrong", INTEGERS[:4], ids=str)
def test_without_evidence_nothing_is_ticked(wrong: Wrong, good: IntegerModel, ranges: Ranges, folder: Path) -> None:
    model = wrong.spoil(good, ranges)
    model.save(folder / f"{NAME}.int8.edgekit")
    write(model, folder, "tflite")
    result = verify([folder], Settings())
    assert result.passed
    assert not result.is_proven
    assert not any(file.is_proven for file in result.files)
    (warning,) = set(result.warnings) - set(result.unmeasured)  # on noise
    assert "the model itself was not checked" in warning
    assert "--checkpoint FILE" in warning


# --- floats -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", FLOATS, ids=str)
def test_a_wrong_float_file_is_found(wrong: Wrong, floats: FloatModel, ranges: Ranges, tmp_path: Path) -> None:
    precision = Precision.FLOAT16 if "float16" in wrong.name else Precision.FLOAT32
    path = write(wrong.spoil(floats, ranges), tmp_path, target_of(wrong, FLOATS), precision)
    (file,) = verify([path], WITH).files
    (problem,) = problems(file)
    assert any(word in problem for word in wrong.words), problem
    assert wrong.layer is None or wrong.layer in problem, problem


def test_there_are_enough() -> None:
    assert len(INTEGERS) + len(FLOATS) >= 20
    for among in (INTEGERS, FLOATS):
        assert {target_of(wrong, among) for wrong in among} == set(FORMATS)


# --- what differs from the evidence is what is blamed -----------------------------------------------------------------


def files_that_failed(result: VerifyResult) -> set[str]:
    return {file.path.suffix for file in result.files if file.failed}


@pytest.fixture
def four(exported: Path, folder: Path) -> Path:
    """The int8 files of all formats, the integer model and its ranges; no manifest."""
    for path in exported.glob(f"{NAME}.int8.*"):
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, folder / path.name)
    return folder


@pytest.mark.parametrize("settings", [WITH, Settings()], ids=["with the checkpoint", "without it"])
def test_a_saved_model_that_differs_from_its_files_is_blamed(
    four: Path, good: IntegerModel, settings: Settings
) -> None:
    changing(MIDDLE, one_step)(good).save(four / f"{NAME}.int8.edgekit")
    result = verify([four], settings)
    assert not result.passed
    assert files_that_failed(result) == set()
    assert MIDDLE in problems(judged_model(result))[0]
    # With the checkpoint the files are held against what it gives; without, against nothing.
    assert all(file.passed is (settings is WITH) for file in result.files)


@pytest.mark.parametrize("settings", [WITH, Settings()], ids=["with the checkpoint", "without it"])
def test_a_file_that_differs_from_its_model_is_blamed(four: Path, good: IntegerModel, settings: Settings) -> None:
    write(changing(MIDDLE, one_step)(good), four, "coreml")
    result = verify([four], settings)
    assert files_that_failed(result) == {".mlpackage"}
    assert not judged_model(result).failed


def test_a_single_file_is_not_blamed_for_a_model_that_was_changed(
    exported: Path, folder: Path, good: IntegerModel
) -> None:
    for name in ("int8.tflite", "manifest.json"):
        shutil.copy(exported / f"{NAME}.{name}", folder)
    (folder / f"{NAME}.manifest.json").write_text(without_checkpoint(folder / f"{NAME}.manifest.json"))
    changing(MIDDLE, one_step)(good).save(folder / f"{NAME}.int8.edgekit")
    result = verify([folder], Settings())
    assert not result.passed
    assert files_that_failed(result) == set()
    said = problems(judged_model(result))
    assert "is not the file that was exported" in said[0]
    assert MIDDLE in said[1]


def without_checkpoint(manifest: Path) -> str:
    """Of an export whose checkpoint is elsewhere by now."""
    values = json.loads(manifest.read_text())
    values["settings"]["model"]["checkpoint"] = "/gone.safetensors"
    return json.dumps(values)


def test_the_float_file_that_differs_is_blamed_wherever_it_stands(
    exported: Path, floats: FloatModel, tmp_path: Path
) -> None:
    names = ("float32.onnx", "float32.pt", "float32.tflite")
    for wrong in names:
        folder = tmp_path / wrong.replace(".", "_")
        folder.mkdir()
        for name in names:
            shutil.copy(exported / f"{NAME}.{name}", folder)
        write(
            changing(LAST, rolled, "weight", "bias")(floats),
            folder,
            {"pt": "torch"}.get(wrong[8:], wrong[8:]),
            Precision.FLOAT32,
        )
        result = verify([folder], Settings())
        assert [file.path.name for file in result.files if file.failed] == [f"{NAME}.{wrong}"]


@pytest.mark.parametrize("spoil", [labels, preprocessing], ids=["labels", "preprocessing"])
def test_labels_and_preprocessing_are_those_of_most_files(
    exported: Path, floats: FloatModel, tmp_path: Path, spoil: Callable[[Any], Any]
) -> None:
    for name in ("float32.pt", "float16.pt"):
        shutil.copy(exported / f"{NAME}.{name}", tmp_path)
    write(spoil(floats), tmp_path, "onnx", Precision.FLOAT32)
    for settings in (Settings(), WITH):
        assert files_that_failed(verify([tmp_path], settings)) == {".onnx"}


# --- ranges and the manifest ------------------------------------------------------------------------------------------


def test_ranges_of_another_run_are_blamed(four: Path, ranges: Ranges) -> None:
    save(replace(ranges, digest="0" * 64), four / f"{NAME}.ranges.json")
    result = verify([four], WITH)
    assert not result.passed
    (problem,) = problems(judged_model(result))
    assert f"{NAME}.ranges.json is of another calibration than {NAME}.int8.edgekit" in problem
    assert files_that_failed(result) == set()


def test_ranges_that_were_changed_are_blamed(exported: Path, tmp_path: Path, ranges: Ranges) -> None:
    for name in ("int8.edgekit", "int8.tflite", "manifest.json"):
        shutil.copy(exported / f"{NAME}.{name}", tmp_path)
    tensor = "features.7.add"
    save(scaled(ranges, tensor), tmp_path / f"{NAME}.ranges.json")
    result = verify([tmp_path], WITH)
    (problem,) = problems(judged_model(result))
    assert f"{NAME}.ranges.json is not the file that was exported" in problem
    assert files_that_failed(result) == set()


def test_ranges_that_were_changed_are_noticed_without_a_manifest(four: Path, ranges: Ranges) -> None:
    save(scaled(ranges, "features.7.add"), four / f"{NAME}.ranges.json")
    result = verify([four], WITH)
    assert "features.7" in problems(judged_model(result))[0]


def test_missing_ranges_are_said(four: Path) -> None:
    (four / f"{NAME}.ranges.json").unlink()
    result = verify([four], WITH)
    assert result.passed
    assert not result.is_proven
    (warning,) = (text for text in result.warnings if "were not made again" in text)
    assert f"were not made again: {NAME}.ranges.json, which export writes beside it, is missing" in warning


@pytest.mark.parametrize("target", FORMATS)
def test_a_file_that_is_not_the_one_that_was_exported(
    target: str, exported: Path, good: IntegerModel, tmp_path: Path
) -> None:
    for name in ("int8.edgekit", "ranges.json", "manifest.json"):
        shutil.copy(exported / f"{NAME}.{name}", tmp_path)
    (wrong,) = verify([write(replace(good, labels=good.labels[::-1]), tmp_path, target)], Settings()).files
    assert "is not the file that was exported" in problems(wrong)[0]
    assert f"{NAME}.manifest.json" in problems(wrong)[0]


def test_another_checkpoint_of_the_same_kind(four: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(CHECKPOINT)
    weights["classifier.3.bias"] += 1
    with pytest.importorskip("safetensors").safe_open(CHECKPOINT, "pt") as file:
        save_file(weights, tmp_path / "other.safetensors", file.metadata())
    result = verify([four], config.load(None, {"model": {"checkpoint": tmp_path / "other.safetensors"}}))
    assert len(files_that_failed(result)) == 4
    assert all("another checkpoint" in problems(file)[0] for file in (*result.files, judged_model(result)))


# --- images -----------------------------------------------------------------------------------------------------------


def on(**sections: dict[str, Any]) -> Settings:
    return config.load(None, {"verify": {"data": FOLDER / "test.npz", "images": 60}, **sections})


def test_labelled_images_show_a_rolled_classifier(exported: Path, good: IntegerModel, folder: Path) -> None:
    shutil.copy(exported / f"{NAME}.float32.tflite", folder)
    model = changing(LAST, rolled, "weight", "bias")(good)
    model.save(folder / f"{NAME}.int8.edgekit")
    write(model, folder, "tflite")
    result = verify([folder], on())
    (file,) = (file for file in result.files if file.failed)
    assert ".int8." in file.path.name
    assert "quantization that works reaches 75 % or more" in problems(file)[0]


def test_labels_that_are_not_the_networks_make_the_float_network_poor(exported: Path, tmp_path: Path) -> None:
    data = np.load(FOLDER / "test.npz")
    np.savez(tmp_path / "reversed.npz", images=data["images"], labels=9 - data["labels"])
    settings = config.load(None, {"verify": {"data": tmp_path / "reversed.npz", "images": 60}})
    result = verify([exported / f"{NAME}.float32.tflite"], settings)
    assert not result.passed
    (verdict,) = (verdict for verdict in result.references if verdict.failed)
    assert verdict.path == CHECKPOINT
    assert "the float network itself is" in problems(verdict)[0]


# --- good exports -----------------------------------------------------------------------------------------------------


def test_no_false_alarm_with_another_number_of_threads(exported: Path) -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        trained.cache_clear()
        result = verify(
            [exported / f"{NAME}.{name}" for name in ("int8.tflite", "float32.tflite", "float16.onnx")], WITH
        )
    finally:
        torch.set_num_threads(before)
    assert result.passed
    assert result.warnings == result.unmeasured  # on noise
    assert all(file.is_proven for file in (*result.files, judged_model(result)))


def test_nothing_that_rests_on_an_assumption_is_ticked(good: IntegerModel, ranges: Ranges, folder: Path) -> None:
    guess = Fact("resolution", 32, Basis.ASSUMED, "usual", "--set model.resolution=32")
    known = [fact for fact in good.provenance["facts"] if fact["name"] != guess.name]
    model = replace(good, provenance={**good.provenance, "facts": [*known, guess.to_dict()]})
    model.save(folder / f"{NAME}.int8.edgekit")
    save(ranges, folder / f"{NAME}.ranges.json")
    write(model, folder, "tflite")
    result = verify([folder], WITH)
    assert "resolution 32 is assumed: usual; to set it: --set model.resolution=32" in result.warnings
    assert not any(file.is_proven for file in (*result.files, judged_model(result)))
