"""What two files that should be the same say otherwise: a planted change is found, and its layer named."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.errors import ArtifactError
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype
from edgekit.integer_model import IntegerModel
from edgekit.verification.same_contents import first_difference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.exporters.format import Format

NAME = "mobilenet_v3_digits_1.0_32"
LAYER = "features.2.block.0.0"


def with_another_weight(model: IntegerModel) -> IntegerModel:
    node = next(node for node in model.graph if node.name == LAYER)
    constants = dict(model.graph.constants)
    weight = constants[node.inputs[1]].copy()
    weight[3, 1] = (weight[3, 1] + 60) % 100
    constants[node.inputs[1]] = weight
    return replace(model, graph=replace(model.graph, constants=constants))


def with_another_scale(model: IntegerModel) -> IntegerModel:
    output = next(node.output for node in model.graph if node.name == LAYER)
    params = model.params[output]
    return replace(model, params={**model.params, output: replace(params, scale=params.scale * np.float32(2))})


def with_other_labels(model: IntegerModel) -> IntegerModel:
    return replace(model, labels=(*model.labels[1::-1], *model.labels[2:]))


CHANGES: list[tuple[Callable[[IntegerModel], IntegerModel], str]] = [
    (
        with_another_weight,
        rf"weight of {LAYER}: 1 of 1024 numbers, the first, at \[3, 1, 0, 0\], is -?\d+ instead of -?\d+",
    ),
    (with_another_scale, rf"output scale of {LAYER}: 0\.\d+ instead of 0\.\d+"),
    (with_other_labels, r"model\.labels: in another order, '1' instead of '0' at 0"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_integer_models(
    exported: Path, tmp_path: Path, change: Callable[[IntegerModel], IntegerModel], said: str
) -> None:
    kept = exported / f"{NAME}.int8.edgekit"
    model = IntegerModel.load(kept)
    change(model).save(tmp_path / "other.edgekit")
    assert re.fullmatch(said, first_difference(tmp_path / "other.edgekit", kept) or "")
    assert first_difference(kept, kept) is None


@pytest.mark.parametrize("form", FORMATS.values(), ids=lambda form: form.name)
def test_files_of_every_format(exported: Path, tmp_path: Path, form: Format) -> None:
    model = IntegerModel.load(exported / f"{NAME}.int8.edgekit")
    other = tmp_path / f"other{form.suffix}"
    form.write_integer_model(with_another_weight(model), other, io_dtype=IoDtype.FLOAT32)
    said = first_difference(other, exported / f"{NAME}.int8{form.suffix}")
    assert said is not None
    assert LAYER in said
    assert "1 of 1024 numbers" in said
    float32, float16 = (exported / f"{NAME}.{precision}{form.suffix}" for precision in ("float32", "float16"))
    assert first_difference(float16, float32) is not None


def test_ranges(exported: Path, tmp_path: Path) -> None:
    kept = exported / f"{NAME}.ranges.json"
    values = json.loads(kept.read_text())
    other = tmp_path / "other.ranges.json"
    other.write_text(json.dumps(values))
    assert first_difference(other, kept) is None  # the same, in other bytes
    values["ranges"]["features.5.add"][1] = 7.5
    other.write_text(json.dumps(values))
    said = first_difference(other, kept)
    assert said is not None
    assert said.startswith("calibration.ranges.features.5.add: ")
    assert "7.5" in said


def test_a_damaged_file(exported: Path, tmp_path: Path) -> None:
    kept = exported / f"{NAME}.int8.edgekit"
    (tmp_path / "other.edgekit").write_bytes(kept.read_bytes()[:1000])
    with pytest.raises(ArtifactError, match="is damaged"):
        first_difference(tmp_path / "other.edgekit", kept)
