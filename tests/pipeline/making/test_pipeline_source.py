"""The trained network: loaded, captured, and fed as it was trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.config import CalibrationSettings, ModelSettings, PreprocessingSettings, Settings
from edgekit.conventions import IMAGENET_MEAN, IMAGENET_STD
from edgekit.defaults import FOLDER
from edgekit.errors import ConfigError, DataError
from edgekit.facts import Basis
from edgekit.ir import VALUES
from edgekit.pipeline.making.source import open_source
from edgekit.pipeline.making.trained import FROM_FILE
from edgekit.preprocessing import Preprocessing
from edgekit.reference.float import FloatReference

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("torch")
pytest.importorskip("safetensors")

CHECKPOINT = FOLDER / "digits_v3.safetensors"


def test_both_forms_compute_what_was_trained() -> None:
    source = open_source(Settings(model=ModelSettings(CHECKPOINT)))
    images = np.random.default_rng(0).normal(0, 1, (2, 3, 32, 32)).astype(np.float32)
    expected = source.outputs(images)["logits"]
    for form in (source.float_model, source.integer_form):
        found = np.concatenate([FloatReference(form.graph).run(images[i : i + 1])["logits"] for i in range(2)])
        scale = form.graph.tensors[form.graph.output_tensors[0]].factor
        assert found / scale == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert (
        source.float_model.provenance["checkpoint_sha256"]
        == FROM_FILE.load(ModelSettings(CHECKPOINT)).provenance["checkpoint_sha256"]
    )


@pytest.mark.parametrize(
    ("padding", "given", "mean", "std"),
    [
        ("symmetric", PreprocessingSettings(), IMAGENET_MEAN, IMAGENET_STD),
        ("same", PreprocessingSettings(), (0.5,) * 3, (0.5,) * 3),
        ("same", PreprocessingSettings(mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0)), (0.1, 0.2, 0.3), (1.0,) * 3),
    ],
)
def test_the_usual_preprocessing(
    padding: str, given: PreprocessingSettings, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    # The file states its own padding.
    model = ModelSettings(CHECKPOINT, padding=padding, insist=True)  # type: ignore[arg-type]  # a parameter is no literal
    found = open_source(Settings(model=model, preprocessing=given)).float_model.preprocessing
    assert (found.mean, found.std) == (mean, std)
    assert (found.size, found.resize) == ((32, 32), 37)  # 256 for 224


def test_no_resizing_has_a_name() -> None:
    settings = Settings(model=ModelSettings(CHECKPOINT), preprocessing=PreprocessingSettings(resize="none"))
    assert open_source(settings).float_model.preprocessing.resize is None


def test_labels_are_one_a_class(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(["größe", *"abcdefghi", "", ""]), encoding="utf-8")
    for mark in ("", "\N{BYTE ORDER MARK}"):
        path.write_text(mark + path.read_text(encoding="utf-8"), encoding="utf-8")
        source = open_source(Settings(model=ModelSettings(CHECKPOINT, labels=path)))
        assert source.float_model.labels == source.integer_form.labels == ("größe", *"abcdefghi")
    path.write_text("a\nb")
    with pytest.raises(DataError, match="names 2 classes, and the network has 10"):
        open_source(Settings(model=ModelSettings(CHECKPOINT, labels=path)))


def test_without_a_checkpoint() -> None:
    with pytest.raises(ConfigError, match="no checkpoint is named: edgekit export CHECKPOINT"):
        open_source(Settings())


def test_of_what_training_recorded_nothing_is_assumed(tmp_path: Path) -> None:
    from edgekit.models.checkpoint import save
    from edgekit.models.families.mobilenet_v2 import mobilenet_v2
    from edgekit.models.network import build
    from edgekit.models.recorded import Recorded

    whole = mobilenet_v2(0.1, 3, resolution=32)
    architecture = replace(whole, blocks=whole.blocks[:2])
    images = Preprocessing((32, 32), None, (0.2,) * 3, (0.9,) * 3, antialias=False)
    recorded = Recorded(images, "regression", ("x", "y", "z"))
    save(tmp_path / "net.safetensors", build(architecture), architecture, recorded)
    np.savez(tmp_path / "noise.npz", images=np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8))
    model, noise = ModelSettings(tmp_path / "net.safetensors"), CalibrationSettings(data=tmp_path / "noise.npz")
    source = open_source(Settings(model=model, calibration=noise))
    assert {fact.basis for fact in source.facts} == {Basis.STATED}
    assert source.float_model.preprocessing == source.integer_form.preprocessing == images
    assert source.float_model.labels == ("x", "y", "z")
    assert [output.role for output in source.float_model.graph.outputs] == [VALUES]
    other = PreprocessingSettings(mean=(0.5,), std=(0.5,))
    with pytest.raises(ConfigError, match=r"the file says normalization mean 0\.2, std 0\.9"):
        open_source(Settings(model=model, preprocessing=other))
