"""Export: everything is proven before anything is published."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edgekit import config
from edgekit.calibration import data_free
from edgekit.defaults import CHECKPOINT, FOLDER
from edgekit.errors import ArtifactError, BadInput, ConfigError, DataError, GateFailed, UnsupportedOperator
from edgekit.exporters.format import Format
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import Precision
from edgekit.facts import Basis, assumed, of_provenance
from edgekit.integer_model import IntegerModel
from edgekit.pipeline.making import export as export_module
from edgekit.pipeline.making.export import export
from edgekit.pipeline.proving.verify import verify
from edgekit.runtimes import processor
from edgekit.runtimes.catalog import all_runners
from edgekit.verification import compare
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgekit.config import Settings
    from edgekit.exporters.summary import Summary
    from edgekit.pipeline.making.export import ExportedFile
    from edgekit.pipeline.making.source import Source

    MakeSettings = Callable[..., Settings]

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)
safetensors = pytest.importorskip("safetensors")
safetensors_torch = pytest.importorskip("safetensors.torch")

NAME = "mobilenet_v3_digits_1.0_32"
TEST = FOLDER / "test.npz"
ALL = {"targets": ["onnx", "tflite", "coreml", "torch"], "precisions": ["float32", "float16", "int8"]}


def is_clamped(file: ExportedFile) -> bool:
    """Whether the runtime that runs it by default on this machine clamps sums."""
    return processor.lacks_vnni() and file.precision is Precision.INT8 and file.target in {"onnx", "torch"}


def test_what_is_told_of_every_file(settings: MakeSettings, exported: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    result = export(settings(export=ALL), progress=lambda *step: seen.append(step))
    assert len(result.files) == 12
    for file in result.files:
        assert file.path.parent == tmp_path / "out"
        assert file.path.exists()
        assert file.summary.path == file.path
        assert file.size_bytes == file.summary.size_bytes > 100_000
        assert file.write_seconds > 0
        assert file.proven is not is_clamped(file)
        assert file.parity is not None
        assert file.parity.passed
    assert result.integer_model == tmp_path / "out" / f"{NAME}.int8.edgekit"
    assert result.ranges == tmp_path / "out" / f"{NAME}.ranges.json"
    assert result.manifest == tmp_path / "out" / f"{NAME}.manifest.json"
    assert (result.images, result.skipped) == (0, {})  # the ranges came from a file
    assert seen == [("loading", 0, 1), ("loading", 1, 1), *(("writing", i, 12) for i in range(13))]
    for path in (tmp_path / "out").rglob("*"):  # the same again is the same bytes
        if path.is_file() and not path.name.endswith(".manifest.json"):  # which says that ranges were given this time
            assert path.read_bytes() == (exported / path.relative_to(tmp_path / "out")).read_bytes(), path


def test_every_format_comes_from_one_model(exported: Path) -> None:
    model = IntegerModel.load(exported / f"{NAME}.int8.edgekit")
    assert model.provenance["calibration"]["images"] == 16
    for form in FORMATS.values():
        about = form.read(exported / f"{NAME}.int8{form.suffix}").metadata
        assert about is not None
        assert about.provenance == model.provenance


def test_files_of_another_checkpoint_are_not_overwritten(settings: MakeSettings, tmp_path: Path) -> None:
    weights, other = safetensors_torch.load_file(CHECKPOINT), tmp_path / "other.safetensors"
    about = {"format": "pt", **_about_of(CHECKPOINT)}
    safetensors_torch.save_file({name: value + 0 for name, value in weights.items()}, other, about)
    float32 = {"targets": ["tflite"], "precisions": ["float32"]}
    export(settings(export=float32))
    before = (tmp_path / "out" / f"{NAME}.manifest.json").read_bytes()
    export(settings(export=float32))  # the same again
    assert (tmp_path / "out" / f"{NAME}.manifest.json").read_bytes() == before
    copied = tmp_path / "copied.safetensors"
    copied.write_bytes(CHECKPOINT.read_bytes())
    export(settings(export=float32, model={"checkpoint": copied}))  # the same in another place
    name = next(name for name, value in weights.items() if value.ndim == 4)
    safetensors_torch.save_file({**weights, name: weights[name] * 1.01}, other, about)
    with pytest.raises(
        ConfigError, match=r"of another checkpoint, .*copied\.safetensors, .*other\.safetensors .*--out"
    ):
        export(settings(export=float32, model={"checkpoint": other}))
    copied.write_bytes(other.read_bytes())  # trained on, under the same name
    result = export(settings(export=float32, model={"checkpoint": copied}))
    assert "copied.safetensors has changed since the last export: its files are replaced" in result.notes


def _about_of(path: Path) -> dict[str, str]:
    with safetensors.safe_open(path, "pt") as file:
        return dict(file.metadata())


def test_files_of_an_earlier_export_that_stay_are_said(settings: MakeSettings, earlier: Path) -> None:
    result = export(settings(export={"targets": ["tflite"], "precisions": ["float32"]}))
    (said,) = (note for note in result.notes if "earlier export" in note)
    assert said.startswith(
        f"{earlier} still holds {NAME}.int8.tflite of an earlier export, which this one does not touch"
    )
    assert (earlier / f"{NAME}.int8.tflite").read_text() == "earlier"


def test_float_files_need_no_images(settings: MakeSettings) -> None:
    result = export(settings(calibration={"ranges": None, "data": None}, export={"precisions": ["float32"]}))
    assert (result.integer_model, result.ranges) == (None, None)
    assert [file.path.name for file in result.files] == [f"{NAME}.float32.tflite"]


def test_what_a_format_has_not_is_left_out_beside_others_and_refused_alone(settings: MakeSettings) -> None:
    wanted: dict[str, Any] = {"precisions": ["float32", "dynamic"], "targets": ["coreml", "tflite"]}
    result = export(settings(export=wanted))
    written = [(file.target, file.precision) for file in result.files]
    assert written == [("coreml", "float32"), ("tflite", "float32"), ("tflite", "dynamic")]
    assert "no dynamic .mlpackage is written: Core ML quantizes nothing while it runs" in result.notes
    with pytest.raises(ConfigError, match=r"so no .mlpackage can be dynamic: leave --dynamic out, or name another"):
        export(settings(export={**wanted, "targets": ["coreml"]}), progress=_no_work)


def test_what_is_named_twice_is_written_once(settings: MakeSettings) -> None:
    twice = {"targets": ["tflite", "tflite"], "precisions": ["float32", "float32"]}
    assert len(export(settings(export=twice)).files) == 1


def test_an_onnx_file_as_the_trained_network(settings: MakeSettings, exported: Path) -> None:
    model = {"checkpoint": exported / f"{NAME}.float32.onnx"}
    calibration = {"ranges": None, "images": 16}
    wanted = {"targets": ["tflite", "onnx"], "precisions": ["int8", "float32"]}
    given = settings(model=model, calibration=calibration, export=wanted)
    result = export(replace(given, calibration=replace(given.calibration, ranges=None)))
    assert result.description == "ONNX"
    assert result.network == f"{NAME}.float32"
    assert [file.parity is not None and file.parity.passed for file in result.files] == [True] * 4
    assert export(settings(model=model | {"classes": 10}, export={"precisions": ["float32"]})).files


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"classes": 7}, "the network has 10 classes, and 7 are expected"),
        ({"padding": "same"}, "model.padding is set, and an ONNX file says that itself"),
        ({"resolution": 64}, "model.resolution is 64x64, and the ONNX file says that itself, 32x32"),
        ({"bn_eps": 1e-3}, "model.bn_eps is set"),
        ({"family": "mobilenet_v2"}, "model.family is set"),
    ],
)
def test_settings_that_an_onnx_file_contradicts(
    settings: MakeSettings, exported: Path, model: dict[str, Any], said: str
) -> None:
    checkpoint = {"checkpoint": exported / f"{NAME}.float32.onnx"}
    with pytest.raises(BadInput, match=said):
        export(settings(model=checkpoint | model, export={"precisions": ["float32"]}))


# --- ranges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"model": {"padding": "same"}}, "another architecture or padding"),
        ({"model": {"resolution": 64}}, "another architecture or padding"),
        ({"calibration": {"keep_float": ["features.1"]}}, "another choice of --keep-float or --int16-activations"),
        ({"calibration": {"int16_activations": ["features.1"]}}, "another choice of --keep-float"),
        ({"preprocessing": {"resize": 40}}, "another preprocessing"),
        ({"preprocessing": {"mean": (0.4, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}}, "another preprocessing"),
    ],
)
def test_ranges_of_something_else_are_refused(
    settings: MakeSettings, sections: dict[str, dict[str, Any]], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=f"was calibrated with {said}.*: calibrate again"):
        export(settings(**sections))
    assert list(tmp_path.iterdir()) == []


def test_ranges_of_another_checkpoint_are_refused(settings: MakeSettings, exported: Path, tmp_path: Path) -> None:
    values = json.loads(next(exported.glob("*.ranges.json")).read_text())
    values["provenance"]["checkpoint_sha256"] = "0" * 64
    (tmp_path / "ranges.json").write_text(json.dumps(values))
    with pytest.raises(ArtifactError, match="was calibrated with another checkpoint"):
        export(settings(calibration={"ranges": tmp_path / "ranges.json"}))


def test_int8_without_images_is_refused_before_any_work(settings: MakeSettings) -> None:
    given = settings()
    given = replace(given, calibration=replace(given.calibration, ranges=None, data=None))
    with pytest.raises(DataError, match="--calib DIR, or --ranges FILE"):
        export(given, progress=_no_work)


def _no_work(stage: str, done: int, total: int) -> None:
    raise AssertionError(f"{stage} has begun")


def test_what_a_target_cannot_do_is_refused_before_any_work(settings: MakeSettings) -> None:
    with pytest.raises(ConfigError, match="int8 files for Core ML take and give float32, not uint8"):
        export(settings(export={"targets": ["tflite", "coreml"], "io_dtype": "uint8"}), progress=_no_work)
    with pytest.raises(ConfigError, match=r"'1\.x' is not a version of ONNX Runtime"):
        export(settings(export={"targets": ["onnx"], "onnxruntime": "1.x"}), progress=_no_work)
    boundary = {"targets": ["coreml"], "io_dtype": "uint8", "precisions": ["float32"]}
    assert export(settings(export=boundary)).files  # of int8 files alone


# --- layers in float --------------------------------------------------------------------------------------------------


@pytest.fixture
def calibrating(settings: MakeSettings) -> MakeSettings:
    """As ``settings``, with a few images instead of the ranges of an earlier export."""

    def make(**sections: dict[str, Any]) -> Settings:
        given = settings(**sections)
        return replace(given, calibration=replace(given.calibration, ranges=None, images=16))

    return make


def test_layers_in_float(calibrating: MakeSettings, tmp_path: Path) -> None:
    wanted = {"keep_float": ["features.1", "classifier.3"]}
    result = export(calibrating(calibration=wanted, export={"targets": ["onnx", "tflite", "coreml", "torch"]}))
    model = IntegerModel.load(tmp_path / "out" / f"{NAME}.int8.edgekit")
    assert result.kept_float == tuple(node.name for node in model.float_nodes)
    assert [name.split(".")[0] for name in result.kept_float] == ["features"] * (len(result.kept_float) - 1) + [
        "classifier"
    ]
    assert model.provenance["kept_float"] == list(result.kept_float)
    for file in result.files:
        assert file.proven is not is_clamped(file)
        assert file.summary.metadata is not None
        assert (file.summary.metadata.lowering, file.summary.metadata.provenance) == ("mixed", model.provenance)
        assert 0.7 < file.summary.int8_share < 1
    verdict = verify([tmp_path / "out"], config.load(None, {"verify": {"data": TEST, "images": 8}}))
    assert verdict.passed
    assert all(file.passed for file in verdict.files)
    assert all(isinstance(parity, FloatParity) for file in verdict.files for parity in file.parities)
    again = calibrating(calibration=wanted, export={"out": tmp_path / "again"})
    again = replace(again, calibration=replace(again.calibration, ranges=result.ranges))
    (file,) = export(again).files
    assert file.path.read_bytes() == (tmp_path / "out" / file.path.name).read_bytes()


def test_layers_with_16_bits(calibrating: MakeSettings, tmp_path: Path) -> None:
    wanted = {"int16_activations": ["features.1", "classifier.3"]}
    result = export(calibrating(calibration=wanted, export={"targets": ["onnx", "tflite"]}))
    model = IntegerModel.load(tmp_path / "out" / f"{NAME}.int8.edgekit")
    assert result.int16 == tuple(node.name for node in model.int16_nodes)
    assert result.int16[-1] == "classifier.3"
    assert model.provenance["int16"] == list(result.int16)
    assert all(file.proven is not is_clamped(file) for file in result.files)
    assert {type(file.parity) for file in result.files} == {FloatParity}  # its logits are dequantized in the file


@pytest.mark.parametrize(("target", "title"), [("coreml", "Core ML"), ("torch", "torch")])
def test_formats_without_16_bits_are_refused_before_any_work(settings: MakeSettings, target: str, title: str) -> None:
    wanted = {"calibration": {"int16_activations": ["features.1"]}, "export": {"targets": ["onnx", target]}}
    with pytest.raises(ConfigError, match=f"{title} has no 16-bit activations: use --keep-float for these layers"):
        export(settings(**wanted), progress=_no_work)
    old = {"targets": ["onnx"], "onnxruntime": "1.17"}
    with pytest.raises(ConfigError, match=r"ONNX Runtime 1\.17 has no 16-bit activations"):
        export(settings(**wanted | {"export": old}), progress=_no_work)


def test_unknown_layers_are_refused_before_calibration(settings: MakeSettings) -> None:
    def no_calibration(stage: str, done: int, total: int) -> None:
        assert stage == "loading"

    with pytest.raises(ConfigError, match=r"has no layer 'feature\.1': did you mean 'features\.1'"):
        export(settings(calibration={"keep_float": ["feature.1"]}), progress=no_calibration)


def test_a_float_output_has_no_integers_to_give(calibrating: MakeSettings, earlier: Path) -> None:
    wanted = {"calibration": {"keep_float": ["classifier.3"]}, "export": {"io_dtype": "int8"}}
    with pytest.raises(ConfigError, match=r"the output 'classifier\.3' is kept in float.*--io-dtype float32"):
        export(calibrating(**wanted))
    assert_untouched(earlier)


def test_a_layer_that_is_not_kept_is_noticed(
    calibrating: MakeSettings, earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Format.read
    monkeypatch.setattr(Format, "read", lambda form, path: replace(read(form, path), float_operators=()))
    with pytest.raises(GateFailed, match=r"does not keep classifier\.3 in float"):
        export(calibrating(calibration={"keep_float": ["classifier.3"]}))
    assert_untouched(earlier)


# --- images that are not what they should be, and none ---------------------------------------------------------------


@pytest.mark.parametrize("insist", [False, True])
def test_what_evidence_contradicts_is_refused_unless_the_user_insists(settings: MakeSettings, *, insist: bool) -> None:
    given = settings(
        model={"insist": insist},
        calibration={"images": 32},
        preprocessing={"mean": (0.0,) * 3, "std": (1.0,) * 3},
    )
    given = replace(given, calibration=replace(given.calibration, ranges=None))
    if not insist:
        with pytest.raises(
            ConfigError, match=r"not normalization unit .*\. Correct it, --preprocessing tf; or .* --insist"
        ):
            export(given)
        return
    result = export(given)
    assert result.files
    (told,) = [fact for fact in result.facts if fact.name == "normalization"]
    assert (told.basis, told.value["mean"]) == (Basis.CONTRADICTED, [0.0] * 3)
    assert not any(file.proven for file in result.files)  # no tick stands beside what evidence contradicts
    assert "remembers normalization tf" in told.because
    assert result.diagnosis is not None
    assert result.diagnosis.finding is None  # the fact says it; nobody says it a second time, of the images


def test_what_is_assumed_needs_consent_before_integers_are_written(settings: MakeSettings, tmp_path: Path) -> None:
    # Without metadata and images, nothing tells what a network expects.
    weights = tmp_path / "bare.safetensors"
    load_file, save_file = (getattr(safetensors_torch, name) for name in ("load_file", "save_file"))
    save_file(load_file(FOLDER / "digits_v3.safetensors"), weights)
    bare = settings(model={"checkpoint": weights, "labels": None}, calibration={"data": None, "data_free": True})
    told: list[Source] = []
    with pytest.raises(
        ConfigError, match=r"only assumed: padding symmetric .*, bn_eps 0\.001 .* \(--padding same\|symmetric.*--insist"
    ):
        export(replace(bare, calibration=replace(bare.calibration, ranges=None)), opened=told.append)
    assert {fact.name for fact in assumed(told[0].facts)} == {*("padding", "bn_eps", "activation", "resolution")}
    float_files = export(replace(bare, export=replace(bare.export, precisions=("float32",))))
    assert {fact.name for fact in assumed(float_files.facts)} >= {"padding", "bn_eps"}
    about = float_files.files[0].summary.metadata
    assert about is not None
    assert of_provenance(about.provenance) == float_files.facts


def test_without_images_that_is_said_everywhere_and_stays(
    settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_free, "synthesize", functools.partial(data_free.synthesize, steps=2))
    first = export(settings(calibration={"data_free": True}))
    assert (first.data_free, first.diagnosis, first.images) == (True, None, data_free.IMAGES)
    assert first.ranges is not None
    kept = tmp_path / "kept.ranges.json"
    kept.write_bytes(first.ranges.read_bytes())
    assert json.loads(kept.read_text())["provenance"]["data_free"] == f"{data_free.IMAGES} synthetic images"
    again = export(settings(calibration={"ranges": kept}))
    assert (again.data_free, again.images) == (True, 0)
    about = again.files[0].summary.metadata
    assert about is not None
    assert about.provenance["calibration"]["data_free"] == f"{data_free.IMAGES} synthetic images"


# --- the proof --------------------------------------------------------------------------------------------------------


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """An earlier output, which a failure leaves alone."""
    out = tmp_path / "out"
    out.mkdir()
    (out / f"{NAME}.int8.tflite").write_text("earlier")
    return out


@pytest.mark.parametrize(
    ("target", "lacks", "prover"),
    [
        ("onnx", False, "ALL"),
        ("onnx", True, "DISABLE_ALL"),
        ("torch", True, "qnnpack"),
        ("tflite", True, "XNNPACK"),
    ],
)
def test_kernels_that_clamp_sums_prove_nothing(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, target: str, *, lacks: bool, prover: str
) -> None:
    if processor.lacks_vnni() and not lacks:
        pytest.skip("this processor has no VNNI")
    monkeypatch.setattr(processor, "lacks_vnni", lambda: lacks)
    (file,) = export(settings(export={"targets": [target], "precisions": ["int8"]})).files
    assert file.parity is not None
    assert file.parity.runner.endswith(f", {prover}")
    assert isinstance(file.parity, IntegerParity)
    assert file.parity.max_lsb == 0
    # A tick would say that an application gets these integers here.
    is_default = target == "tflite" or not lacks
    assert file.proven is is_default
    assert ("the default on this machine, need not give the file's integers" in file.unproven) is not is_default


def test_a_file_that_no_kernel_here_can_prove_has_no_proof(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "lacks_vnni", lambda: True)
    monkeypatch.setattr(export_module, "all_runners", lambda path: all_runners(path)[:1])
    (file,) = export(settings(export={"targets": ["torch"], "precisions": ["int8"]})).files
    assert (file.parity, file.proven) == (None, False)
    assert file.unproven.startswith("not proven on this machine, torch ")
    assert "without VNNI" in file.unproven


def assert_untouched(out: Path) -> None:
    assert [path.name for path in out.iterdir()] == [f"{NAME}.int8.tflite"]
    assert (out / f"{NAME}.int8.tflite").read_text() == "earlier"


def test_other_integers_are_never_published(
    settings: MakeSettings, earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference_outputs = compare.reference_outputs

    def off_by_two(model: IntegerModel, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.int8]]:
        outputs = reference_outputs(model, pixels)
        outputs["logits"][0, 0] ^= 2
        return outputs

    monkeypatch.setattr(compare, "reference_outputs", off_by_two)
    said = rf"{NAME}\.int8\.tflite gives other integers in LiteRT .* up to 2 LSB .*nothing was written.* --no-verify"
    with pytest.raises(GateFailed, match=said):
        export(settings())
    assert_untouched(earlier)
    (file,) = export(settings(export={"verify": False})).files
    assert (file.parity, file.proven) == (None, False)
    assert file.path.stat().st_size > 100_000


def test_other_floats_are_never_published(
    settings: MakeSettings, earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    floats = compare.floats
    monkeypatch.setattr(
        compare,
        "floats",
        lambda *args: tuple(replace(found, max_rel_error=0.5) for found in floats(*args)),  # type: ignore[arg-type] # a FloatParity
    )
    with pytest.raises(GateFailed, match=r"is off by 0\.5 of the largest logit in LiteRT .* \(0\.0001 is allowed\)"):
        export(settings(export={"precisions": ["float32"]}))
    assert_untouched(earlier)


def test_a_package_is_looked_into_like_any_other_file(
    settings: MakeSettings, earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Format.read

    def damage(form: Format, path: Path) -> Summary:
        summary = read(form, path)
        if form.name == "coreml":
            weights = path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"
            content = weights.read_bytes()
            middle = len(content) // 2  # inside of an array: headers are rare
            weights.write_bytes(content[:middle] + bytes(32) + content[middle + 32 :])
        return summary

    monkeypatch.setattr(Format, "read", damage)
    said = rf"{NAME}\.int8\.mlpackage is not what it has to be, so nothing was written: .*--no-verify"
    with pytest.raises(GateFailed, match=said):
        export(settings(export={"targets": ["tflite", "coreml"]}))
    assert_untouched(earlier)


@pytest.mark.parametrize("verify", [True, False])
def test_an_int8_file_with_float_operators_is_never_published(
    settings: MakeSettings, earlier: Path, monkeypatch: pytest.MonkeyPatch, *, verify: bool
) -> None:
    read = Format.read
    monkeypatch.setattr(Format, "read", lambda form, path: replace(read(form, path), float_operators=("SOFTMAX",)))
    with pytest.raises(GateFailed, match="is no int8 file, it holds 1 float operators: SOFTMAX"):
        export(settings(export={"verify": verify}))
    assert_untouched(earlier)


@pytest.mark.parametrize("failure", [UnsupportedOperator("no such operator"), KeyboardInterrupt(), ZeroDivisionError()])
def test_a_failure_at_the_last_file_leaves_no_file(
    settings: MakeSettings, earlier: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    write = Format.write_integer_model

    def fails(form: Format, *args: Any, **options: Any) -> None:
        if form.name == "torch":
            raise failure
        write(form, *args, **options)

    monkeypatch.setattr(Format, "write_integer_model", fails)
    with pytest.raises(type(failure)):
        export(settings(export=ALL | {"precisions": ["int8"], "verify": False}))
    assert_untouched(earlier)
