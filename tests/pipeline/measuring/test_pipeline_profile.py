"""Where the time of real files goes, in their real runtimes; and the picture of it."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("ai_edge_litert")

from torch import nn

import edgekit
from edgekit.errors import ArtifactError
from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import KEY
from edgekit.exporters.origins import ORIGINS
from edgekit.integer_model import IntegerModel
from edgekit.pipeline.measuring import profile as profiles
from edgekit.pipeline.measuring.profile import BY_RUNTIME, ProfileResult, profile, side_by_side
from edgekit.reports.pages import profile as page
from edgekit.reports.pictures.profile import draw
from edgekit.timing.roofline import Roofline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"
MACHINE = Roofline("a machine", "a runtime", "int8", 1, 100.0, ((2**16, 50.0),))
NAMES = ("int8.tflite", "float32.tflite", "int8.onnx", "float32.onnx", "int8.pt")


@pytest.fixture(scope="module", autouse=True)
def _known_machine() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiles, "roofline", lambda *_, **__: MACHINE)
        yield


@pytest.fixture(scope="module")
def found(exported: Path) -> dict[str, ProfileResult]:
    """A profile of each file of the shipped network."""
    return {name: profile(next(exported.glob(f"*.{name}")), runs=8) for name in NAMES}


@pytest.fixture(params=NAMES)
def result(found: dict[str, ProfileResult], request: pytest.FixtureRequest) -> ProfileResult:
    return found[request.param]


def test_nothing_is_lost_or_counted_twice(result: ProfileResult) -> None:
    assert result.kernels_us > 0 < result.whole_us
    for parts in (result.layers, result.kinds, (result.total,)):
        for field in ("us", "calls", "macs", "moved_bytes", "bound_us"):
            whole = sum(getattr(entry, field) for entry in result.operators)
            assert sum(getattr(part, field) for part in parts) == pytest.approx(whole)
    assert result.uncovered_us == pytest.approx(result.whole_us - result.kernels_us)


def test_every_convolution_runs(result: ProfileResult) -> None:
    """And is counted under its own name, once: as many as the file has."""
    operators = format_of(result.path).contents(result.path).operators
    of_file = [o for o in operators if re.search("conv", o.kind, re.IGNORECASE)]
    of_run = [entry for entry in result.operators if re.search("conv", entry.operator, re.IGNORECASE)]
    assert len(of_run) == len(of_file)
    assert all(entry.calls == 1 and entry.macs and entry.us > 0 for entry in of_run)


def test_macs_are_those_of_the_network(found: dict[str, ProfileResult]) -> None:
    for name in ("float32.tflite", "float32.onnx"):
        model = IntegerModel.load(next(found[name].path.parent.glob("*.edgekit")))
        total = 0
        for node in model.graph:
            weight = next((model.graph.constants[n] for n in node.inputs if n.endswith(".weight")), None)
            if weight is not None and not node.name.endswith(".shift"):
                _, *spatial = (*model.graph.tensors[node.output].shape, 1, 1)
                total += weight.size * spatial[0] * spatial[1]
        assert found[name].total.macs == total


def test_layers_are_those_of_the_checkpoint(found: dict[str, ProfileResult], exported: Path) -> None:
    graph = IntegerModel.load(next(exported.glob("*.edgekit"))).graph
    with_weights = {name.removesuffix(".weight") for name in graph.constants if name.endswith(".weight")}
    with_weights = {name for name in with_weights if not name.endswith(".shift")}
    known = {*with_weights, *graph.tensors, *(node.name for node in graph), "input", "output", ""}
    for name, result in found.items():
        layers = {entry.layer for entry in result.layers}
        assert with_weights <= layers, name
        if name.startswith("int8"):
            assert layers <= known, name


def test_convolutions_in_groups_are_called_so(tmp_path: Path) -> None:
    layers = [nn.Conv2d(3, 16, 1), *(nn.Conv2d(16, 16, 3, groups=groups) for groups in (2, 16, 1))]
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
    images = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3), np.uint8)
    given: Any = {"mean": 0.5, "std": 0.5, "insist": True, "verify": False}
    exported = edgekit.export(module, images, targets="tflite,onnx,torch", out=tmp_path, **given)
    wanted = {"1": "grouped", "2": "depthwise", "3": "dense"}
    for name in ("tflite", "onnx", "torch"):
        kinds = {entry.layer: entry.kind for entry in profile(exported[name], runs=1).layers}
        assert {layer: kinds[layer] for layer in wanted} == {k: f"{kind} convolution" for k, kind in wanted.items()}, (
            name
        )


def test_kinds(found: dict[str, ProfileResult]) -> None:
    kinds = {name: {entry.kind: entry for entry in result.kinds} for name, result in found.items()}
    for name, of_file in kinds.items():
        fused = {"hard-swish"} if name == "float32.onnx" else set()
        expected = {"depthwise convolution", "pointwise convolution", "fully connected", "hard-swish"} - fused
        assert expected <= of_file.keys(), name
        assert "other" not in of_file, name
    # Whoever runs it, the same layers are of one kind.
    counts = {name: kinds[name]["depthwise convolution"].calls for name in NAMES}
    assert len({counts[name] for name in NAMES if name.endswith((".tflite", ".onnx"))}) == 1
    assert kinds["int8.tflite"]["hard-swish"].macs < 0.05 * found["int8.tflite"].total.macs
    assert kinds["float32.onnx"][BY_RUNTIME].bound_us == 0


def test_arithmetic_of_an_operator(found: dict[str, ProfileResult]) -> None:
    entry = replace(
        found["int8.tflite"].operators[1], us=20.0, macs=1_000_000, weight_bytes=0, activation_bytes=500_000
    )
    entry = replace(entry, bound_us=10.0, memory_us=10.0)
    assert (entry.gmacs, entry.gbs, entry.intensity, entry.efficiency, entry.bound) == (50.0, 25.0, 2.0, 0.5, "memory")
    assert replace(entry, memory_us=0.0).bound == "arithmetic"
    assert replace(entry, bound_us=0.0).bound == ""


def test_bounds(result: ProfileResult) -> None:
    """Within the machine's rates, and one of the two reached."""
    for entry in result.operators:
        least = max(entry.macs / MACHINE.peak_gmacs, entry.moved_bytes / result.weights_gbs) / 1e3
        assert entry.bound_us == pytest.approx(least)


def test_a_picture(found: dict[str, ProfileResult]) -> None:
    result = found["int8.tflite"]
    document = ET.fromstring(draw(result))
    assert len(list(document.iter(f"{SVG}circle"))) == sum(entry.macs > 0 for entry in result.operators)
    bars = [bar for bar in document.iter(f"{SVG}rect") if bar.find(f"{SVG}title") is not None]
    widths = [float(bar.get("width", "")) for bar in bars]
    longest = max(layer.us for layer in result.layers)
    assert widths == pytest.approx([layer.us / longest * max(widths) for layer in result.layers], abs=0.1)
    texts = {text.text for text in document.iter(f"{SVG}text")}
    assert {layer.layer for layer in result.layers} <= texts
    assert {"100 GMAC/s", "caches: 50 GB/s", "weights: 50 GB/s"} <= texts


def test_files_stand_side_by_side_and_their_page_names_every_layer(found: dict[str, ProfileResult]) -> None:
    results = [found["float32.tflite"], found["int8.tflite"]]
    together = side_by_side(results)
    for place, result in enumerate(results):
        us = {layer.layer: layer.us for layer in result.layers if layer.layer}
        assert {name: values[place] for name, values in together.items() if values[place] is not None} == us
    text = page.render(results)
    assert all(f">{name}<" in text for name in together)
    assert "float32.tflite over int8.tflite" in text


def test_operators_name_the_tensors_that_the_file_has(result: ProfileResult) -> None:
    named = [one.tensor for one in result.operators if one.tensor]
    assert set(named) <= {operator.name for operator in format_of(result.path).contents(result.path).operators}
    assert len(set(named)) == len(named) > 20


def test_a_file_that_does_not_say_where_its_operators_come_from(exported: Path, tmp_path: Path) -> None:
    """As older versions of edgekit wrote them: it is a sound file, and only its profile would have no layers."""
    model, path = onnx.load(next(exported.glob("*.int8.onnx"))), tmp_path / "old.onnx"
    properties = {entry.key: entry.value for entry in model.metadata_props}
    said = json.loads(properties[KEY])
    del said[ORIGINS]
    onnx.helper.set_model_props(model, {**properties, KEY: json.dumps(said)})
    onnx.save(model, path)
    saved = IntegerModel.load(next(exported.glob("*.edgekit")))
    assert format_of(path).differences(path, saved) == ()
    with pytest.raises(ArtifactError, match=r"old\.onnx does not say which layers .* Export it again to profile it"):
        profile(path)


def test_what_cannot_be_profiled(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="needs an Apple system to run"):
        profile(next(exported.glob("*.int8.mlpackage")))
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    with pytest.raises(ArtifactError, match=r"broken\.tflite"):
        profile(broken)
