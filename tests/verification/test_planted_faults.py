"""What a wrong tool does to a file is found without a single image, and the layer is named; good files pass."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.config import Settings
from edgekit.errors import ArtifactError
from edgekit.exporters.formats import FORMATS, format_of
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.pipeline.proving.verify import verify
from edgekit.runtimes.catalog import all_runners
from edgekit.verification import compare
from edgekit.verification.tie_free import broken_conditions
from edgekit.verification.well_formed import well_formed
from tests.networks import MIXED_BLOCK, RELU6, FloatSketch, hard_swish_block, v2_block, v3_block
from tests.verification.conftest import EDITORS, FAULTS, Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.integer_model import IntegerModel
    from tests.verification.conftest import Planted

for needed in ("torch", "onnx", "onnxruntime", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)


def is_felt(path: Path, model: IntegerModel) -> bool:
    """Whether a runtime refuses the file, or answers otherwise than it has to."""
    pixels: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (1, *model.preprocessing.size, 3), np.uint8)
    about = format_of(path).read(path).metadata
    assert about is not None
    try:
        with all_runners(path)[0]() as runner:
            found = compare.run_integers(runner, about, model, pixels)
    except Exception:  # noqa: BLE001 - whatever a runtime thinks of it
        return True
    expected = compare.reference_outputs(model, pixels)
    if any(found[name].shape != values.shape for name, values in expected.items()):
        return True
    return not all(parity.passed for parity in compare.with_reference("", found, expected, model))


def test_the_layer_is_named(planted: Any) -> None:
    fault = planted.fault
    first, *_ = format_of(planted.path).differences(planted.path, planted.model)
    assert first.layer == fault.layer
    assert any(word in f"{first.field} {first.text}" for word in fault.words), first.text
    assert fault.unfelt or is_felt(planted.path, planted.model)


# ``verify`` asks what the test above asks, whatever the format: of each fault it is shown one, the formats in turn.
TO_VERIFY = [
    same[number % len(same)]
    for number, same in enumerate(zip(*([f for f in FAULTS if f.target == target] for target in EDITORS), strict=True))
]


@pytest.mark.parametrize("fault", TO_VERIFY, ids=str)
def test_verify_fails_and_names_the_layer(fault: Fault, plant: Callable[[Fault], Planted]) -> None:
    planted = plant(fault)
    saved = planted.path.parent / "reference.edgekit"
    planted.model.save(saved)
    result = verify([planted.path, saved], Settings())
    assert not result.passed
    (file,) = result.files
    problems = [gate.problem for gate in file.gates if not gate.passed]
    assert problems
    assert planted.fault.layer is None or any(planted.fault.layer in problem for problem in problems), problems


def test_there_are_enough(request: pytest.FixtureRequest) -> None:
    faults = [item for item in request.session.items if item.name.startswith("test_the_layer_is_named")]
    assert len(faults) >= 40 or len(request.session.items) < 40  # unless some were selected


class TestTruncated:
    @pytest.mark.parametrize("kept", [0.1, 0.6, 0.995])
    @pytest.mark.parametrize("target", FORMATS)
    def test_a_file_that_ends_early_is_found(
        self, target: str, kept: float, good_files: Callable[[str, str], Any], tmp_path: Path
    ) -> None:
        good = good_files(target, "shipped")
        path = tmp_path / good.path.name
        for file in self.copied(good.path, path):
            whole = file.read_bytes()
            file.write_bytes(whole[: int(kept * len(whole))])
            assert well_formed(path, good.model)
            try:
                assert format_of(path).differences(path, good.model)
            except ArtifactError as error:
                assert str(path) in str(error)  # noqa: PT017 - one of both has to be
            file.write_bytes(whole)

    @staticmethod
    def copied(source: Path, path: Path) -> list[Path]:
        if source.is_file():
            shutil.copyfile(source, path)
            return [path]
        shutil.copytree(source, path)
        return [entry for entry in path.rglob("*") if entry.is_file()]


# --- good files -------------------------------------------------------------------------------------------------------


def networks() -> dict[str, IntegerModel]:
    def v1_block(s: FloatSketch) -> None:
        x = s.conv("x", 8, 3, (2, 2), "same", RELU6)
        for channels, stride in ((16, (1, 1)), (24, (2, 2))):
            x = s.conv(s.conv(x, None, 3, stride, "same", RELU6), channels, clamp=RELU6)
        s.linear(s.flatten(s.mean(x)), 10)

    def sketched(build: Callable[[FloatSketch], object], **options: Any) -> IntegerModel:
        s = FloatSketch((3, 32, 32), seed=2)
        build(s)
        return s.integer_model(**options)

    return {
        "V1": sketched(v1_block),
        "V2": sketched(v2_block),
        "V3": sketched(v3_block),
        "per tensor": sketched(lambda s: s.linear(s.mean(s.conv("x", 8, 3, per_tensor=True), keep_dims=False), 10)),
        "keep float": sketched(v3_block, keep_float=MIXED_BLOCK),
        "int16": sketched(v3_block, int16=("layer.1", "layer.2")),
        "float output": sketched(v2_block, keep_float=("layer.9",)),
    }


def kinds(network: str) -> list[tuple[str, IoDtype, dict[str, Any]]]:
    """The formats, boundaries and options that a network is written with."""
    float32 = IoDtype.FLOAT32
    if network == "int16":
        return [("onnx", float32, {}), ("tflite", float32, {})]
    plain: list[tuple[str, IoDtype, dict[str, Any]]] = [(target, float32, {}) for target in FORMATS]
    if network != "V3":
        return plain
    more: list[tuple[str, IoDtype, dict[str, Any]]] = [
        (target, IoDtype(io_dtype), {}) for target in FORMATS for io_dtype in FORMATS[target].io_dtypes[1:]
    ]
    return [
        *plain, *more, ("onnx", float32, {"runtime": "1.7"}), ("onnx", IoDtype.UINT8, {"runtime": "1.10"}),
        ("torch", float32, {"engine": "qnnpack"}), ("coreml", float32, {"precision": Precision.FLOAT16}),
    ]  # fmt: skip


def test_good_int8_files_say_what_they_have_to(tmp_path: Path, subtests: pytest.Subtests) -> None:
    files = 0
    for network, model in networks().items():
        assert broken_conditions(model) == ()
        for target, io_dtype, options in kinds(network):
            with subtests.test(network=network, target=target, io_dtype=io_dtype, options=options):
                form, path = FORMATS[target], tmp_path / f"{files}{FORMATS[target].suffix}"
                form.write_integer_model(model, path, io_dtype=io_dtype, options=options)
                assert form.differences(path, model) == ()
                assert well_formed(path, model) == ()
                files += 1
    assert files >= 20


def test_shipped_files_say_what_they_have_to(exported: Path, good_files: Callable[[str, str], Any]) -> None:
    model = good_files("tflite", "shipped").model
    assert broken_conditions(model) == ()
    for target, runtime in {"onnx": "1.17", "tflite": "1.2", "coreml": "iOS17", "torch": None}.items():
        (path,) = exported.glob(f"*.int8{FORMATS[target].suffix}")
        assert FORMATS[target].differences(path, model) == ()
        assert well_formed(path, model, runtime=runtime) == ()
    for precision in ("float32", "float16"):
        for form in FORMATS.values():
            assert well_formed(next(exported.glob(f"*.{precision}{form.suffix}"))) == ()


@pytest.mark.parametrize("network", ["shipped", "mixed"])
@pytest.mark.parametrize("target", FORMATS)
def test_another_tool_may_write_the_same_in_other_bytes(
    target: str, network: str, good_files: Callable[[str, str], Any], editors: dict[str, Any], tmp_path: Path
) -> None:
    good = good_files(target, network)
    path = tmp_path / f"again{FORMATS[target].suffix}"
    editor = editors[target](good)
    self_made = {"onnx": "metadata_props", "coreml": "userDefined"}.get(target)
    if self_made == "metadata_props":
        editor.model.metadata_props.add(key="team", value="vision")
    elif self_made == "userDefined":
        editor.model.description.metadata.userDefined["team"] = "vision"
    editor.save(path)
    assert FORMATS[target].differences(path, good.model) == ()
    assert well_formed(path, good.model) == ()


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
@pytest.mark.parametrize("target", FORMATS)
def test_float_files_are_compared_with_the_float_model(target: str, precision: Precision, tmp_path: Path) -> None:
    pytest.importorskip("onnxsim")
    s = FloatSketch((3, 32, 32))
    hard_swish_block(s)
    model, form, path = s.float_model(), FORMATS[target], tmp_path / f"m{FORMATS[target].suffix}"
    form.write_float_model(model, path, precision=precision)
    assert form.differences(path, model) == ()
    assert well_formed(path, model) == ()
    constants = {**model.graph.constants, "layer.2.weight": model.graph.constants["layer.2.weight"][::-1].copy()}
    first, *_ = form.differences(path, replace(model, graph=replace(model.graph, constants=constants)))
    assert first.layer == "layer.2"
    assert "24 channels in another order" in first.text
