"""Values of nodes for Model Explorer, against the file itself and against verify's report."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING

import pytest

import edgekit
from edgekit.reports import node_data

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("node_data")
    found = edgekit.export(
        config="edgekit/defaults/edgekit.toml", targets="tflite", int8=True, images=8, out=out, verify=False
    )
    return found["int8.tflite"]


def test_ranges_are_those_of_the_runtime(exported: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(exported))
    quantized = {
        detail["name"]: detail["quantization"][0]
        for detail in interpreter.get_tensor_details()
        if detail["dtype"].__name__ == "int8" and len(detail["quantization_parameters"]["scales"]) == 1
    }
    found = node_data.ranges(exported)
    assert len(found) > 50
    assert {name: pytest.approx(255 * quantized[name], rel=1e-6) for name in found} == found


def test_sqnr_comes_from_a_report_about_this_very_file(exported: Path) -> None:
    layers = [{"tensor": "a", "sqnr_db": 40.5}, {"tensor": "b", "sqnr_db": "Infinity"}]
    report = {"command": "verify", "files": [{"sha256": "0" * 64}], "layers": layers}
    path = exported.with_name("report.json")
    path.write_text(json.dumps(report), encoding="utf-8")
    assert node_data.sqnr_db(exported) == {}
    report["files"] = [{"sha256": hashlib.sha256(exported.read_bytes()).hexdigest()}]
    path.write_text(json.dumps(report), encoding="utf-8")
    assert node_data.sqnr_db(exported) == {"a": 40.5, "b": math.inf}


def test_a_document_has_finite_values_and_two_colours() -> None:
    text = node_data.document("SQNR, dB", {"a": 40.5, "b": math.inf}, high_is_bad=False)
    (graph,) = json.loads(text).values()
    assert graph["results"] == {"a": {"value": 40.5}}
    assert [stop["stop"] for stop in graph["gradient"]] == [0, 1]
