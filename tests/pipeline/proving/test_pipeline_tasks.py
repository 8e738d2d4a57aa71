"""A network for another task than classification, from the checkpoint to the reports: it reads numbers off digits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("torch")

from safetensors import safe_open
from safetensors.numpy import save_file

from edgekit import config
from edgekit.calibration.images import open_images
from edgekit.defaults import CHECKPOINT, CONFIG, FOLDER
from edgekit.errors import ConfigError
from edgekit.exporters.formats import FORMATS
from edgekit.facts import Basis, of_provenance
from edgekit.integer_model import IntegerModel
from edgekit.ir import VALUES
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.source import open_source
from edgekit.pipeline.proving.verify import verify
from edgekit.reports import markdown
from edgekit.reports.pages.verify import document
from edgekit.reports.values import as_json
from edgekit.tasks.values import measured_as

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("value", "loops")
LOOPS = np.array([1, 0, 0, 0, 0, 0, 1, 0, 2, 1])  # in each digit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network with a head of two numbers, fitted to its own logits, its files, and images with targets."""
    made = tmp_path_factory.mktemp("numbers")
    settings = config.load(CONFIG)
    source = open_source(settings)
    images = open_images(FOLDER / "calibration.npz", source.float_model.preprocessing)
    batch = images.sample(len(images))
    logits = source.outputs(source.float_model.preprocessing.normalization(batch.pixels))["logits"]
    assert batch.labels is not None
    wanted = np.stack([batch.labels, LOOPS[list(batch.labels)]], 1)
    fit = np.linalg.lstsq(np.c_[logits, np.ones(len(logits))], wanted, rcond=None)[0].T.astype(np.float32)
    with safe_open(CHECKPOINT, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        about = {key: json.loads(text) | {"num_classes": 2} for key, text in file.metadata().items()}
    last = max(name for name in tensors if name.startswith("classifier") and name.endswith("weight"))
    bias = last.replace("weight", "bias")
    tensors[bias] = fit[:, :-1] @ tensors[bias] + fit[:, -1]
    tensors[last] = fit[:, :-1] @ tensors[last]
    save_file(tensors, made / "numbers.safetensors", {key: json.dumps(value) for key, value in about.items()})
    (made / "labels.txt").write_text("\n".join(NAMES))
    with np.load(FOLDER / "test.npz") as archive:
        labels = archive["labels"]
        targets = np.stack([labels, LOOPS[labels]], 1)
        np.savez(made / "test.npz", images=archive["images"], targets=targets)
    export(flags(made, export={"targets": ["tflite"], "precisions": ["int8", "float32"], "out": made / "exported"}))
    return made


def flags(made: Path, **sections: dict[str, object]) -> config.Settings:
    given = {"checkpoint": made / "numbers.safetensors", "labels": made / "labels.txt", "task": "regression"}
    tables: dict[str, dict[str, Any]] = {"model": given, "verify": {"data": made / "test.npz"}}
    return config.load(CONFIG, {**tables, **sections, "model": given | sections.get("model", {})})


def test_it_is_proven_and_measured_by_its_own_metrics(folder: Path) -> None:
    result = verify([folder / "exported"], flags(folder))
    assert result.passed, markdown.render(result)
    assert result.task == "regression"
    floats = {one.metric.name: one.value for one in result.float_measured}
    assert floats["r2"] > 0.7
    for file in result.files:
        found = {one.metric.name: one for one in file.measured}
        assert set(found) == {"mae", "rmse", "r2", "drop", "agreement", "sqnr_db"}
        assert found["mae"].value == pytest.approx(floats["mae"], rel=0.2)
        assert found["agreement"].value > 90
    assert "mean absolute error | rise (95 %) | as float" in markdown.render(result)
    page = document.render(result)
    assert "int8 over float, 720 values" in page
    assert "R²" in page
    assert json.loads(as_json("verify", result))["metrics"][0]["better"] == "lower"


def test_numbers_above_0_are_tags_for_who_says_so(folder: Path) -> None:
    with np.load(FOLDER / "test.npz") as archive:
        digits = archive["labels"]
        np.savez(
            folder / "tags.npz", images=archive["images"], targets=np.stack([digits > 0, LOOPS[digits] > 0], 1) * 1
        )
    wanted = {"data": folder / "tags.npz", "images": 48}
    result = verify(
        sorted((folder / "exported").glob("*.int8.*")), flags(folder, model={"task": "tagging"}, verify=wanted)
    )
    assert result.passed, markdown.render(result)
    (file,) = result.files
    found = {one.metric.name: one.value for one in file.measured}
    assert set(found) == {"f1", "f1_of_tags", "map", "drop", "agreement", "sqnr_db"}
    assert found["map"] > 75
    assert "mean average precision" in document.render(result)


def test_its_files_say_what_it_is_for(folder: Path) -> None:
    about = FORMATS["tflite"].read(next((folder / "exported").glob("*.int8.tflite"))).metadata
    assert about is not None
    (fact,) = [fact for fact in of_provenance(about.provenance) if fact.name == "task"]
    assert (fact.value, fact.basis) == ("regression", Basis.GIVEN)
    (model,) = (folder / "exported").glob("*.int8.edgekit")
    assert [output.role for output in IntegerModel.load(model).graph.outputs] == [VALUES]
    wanted = {"data": folder / "test.npz", "limits.mae": 1e-3, "limits.r2": 0.1}
    result = verify([folder / "exported"], config.load(None, {"verify": wanted}))  # nobody says it again
    failed = {gate.name for file in result.files for gate in file.gates if not gate.passed}
    assert failed == {"mean absolute error"}


def test_where_no_numbers_lie_beside_the_images_no_error_is_measured(folder: Path) -> None:
    result = verify([folder / "exported"], flags(folder, verify={"data": FOLDER / "test.npz", "images": 16}))
    assert not result.float_measured
    assert any("no numbers lie beside the images" in text for text in result.unmeasured)
    assert all(measured_as("agreement", file.measured) for file in result.files if not file.is_reference)


def test_numbers_have_no_probabilities(folder: Path) -> None:
    wanted = {"targets": ["tflite"], "probabilities": "softmax", "out": folder / "none"}
    with pytest.raises(ConfigError, match="probabilities are made of logits"):
        export(flags(folder, export=wanted))


def test_limits_of_another_task_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"verify\.limits\.top1: regression has no such metric"):
        verify([folder / "exported"], flags(folder, verify={"limits.top1": 75}))
