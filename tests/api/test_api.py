"""``import edgekit``: networks and images in memory, as somebody in a notebook has them."""

from __future__ import annotations

import copy
import inspect
import io
import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import edgekit
from edgekit.api import settings as keywords
from edgekit.api.words import KEYWORDS, in_python
from edgekit.calibration.evidence import ENOUGH_NATS
from edgekit.cli import analyze as analyze_command
from edgekit.cli import bench as bench_command
from edgekit.cli import diagnose as diagnose_command
from edgekit.cli import export as export_command
from edgekit.cli import prune as prune_command
from edgekit.cli import sweep as sweep_command
from edgekit.cli import verify as verify_command
from edgekit.config import ModelSettings
from edgekit.errors import ConfigError, DataError, EdgekitError
from edgekit.facts import Basis, Fact
from edgekit.integer_model import IntegerModel
from edgekit.models import checkpoint
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.network import build
from edgekit.pipeline.making.expectations import Contradicted
from edgekit.pipeline.making.in_memory import InMemory
from edgekit.pipeline.making.manifest import Manifest
from edgekit.pipeline.proving.reproduce import reproduce
from edgekit.tasks.values import Better, Measured, Metric
from edgekit.verification.integer_parity import IntegerParity

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.api.results import Exported

GIVEN: dict[str, Any] = {"preprocessing": "imagenet", "order": "RGB", "targets": "tflite", "verify": False}


def integers(result: Exported) -> IntegerModel:
    assert result.integer_model is not None
    return IntegerModel.load(result.integer_model)


def assert_same_integers(first: IntegerModel, second: IntegerModel) -> None:
    assert first.graph.constants.keys() == second.graph.constants.keys()
    for name, values in first.graph.constants.items():
        np.testing.assert_array_equal(values, second.graph.constants[name], err_msg=name)
    for name, params in first.params.items():
        np.testing.assert_array_equal(params.scale, second.params[name].scale, err_msg=name)


@pytest.fixture(scope="module")
def exported(module: nn.Module, inputs: torch.Tensor, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A module in memory and a DataLoader of its input, with labels."""
    loader = DataLoader(TensorDataset(inputs, torch.arange(len(inputs)) % 5), batch_size=8)
    return edgekit.export(module, loader, float32=True, out=tmp_path_factory.mktemp("own"))


# --- what is there


def test_errors_are_there_without_another_import() -> None:
    code = "import edgekit; print(edgekit.errors.EdgekitError.__name__)"
    assert subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE).stdout == b"EdgekitError\n"


def test_importing_is_light() -> None:
    code = "import json, sys, edgekit; edgekit.export; print(json.dumps([m for m in sys.modules if '.' not in m]))"
    found = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert not set(json.loads(found)) & {"numpy", "torch", "PIL", "typer", "rich"}


@pytest.mark.parametrize("name", ["export", "verify", "bench", "prune", "analyze", "diagnose", "sweep", "load"])
def test_a_page_of_help_names_every_function_and_explains_every_keyword(name: str) -> None:
    function = getattr(edgekit, name)
    assert name in dir(edgekit)
    assert f"    {name}(" in (edgekit.__doc__ or "")
    for keyword in inspect.signature(function).parameters:
        assert f"            {keyword}: " in (function.__doc__ or "").replace("\n", "\n    "), keyword


@pytest.mark.parametrize(
    ("function", "command", "own"),
    [
        (edgekit.export, export_command.export, {"layout", "images", "name", "resolution", "progress", "weights"}),
        (edgekit.verify, verify_command.verify, {"layout", "progress", "weights"}),
        (edgekit.bench, bench_command.bench, {"progress", "fit", "out"}),  # fit has another result
        (edgekit.prune, prune_command.prune, {"progress"}),
        (edgekit.diagnose, diagnose_command.diagnose, {"progress", "weights"}),
        (edgekit.analyze, analyze_command.analyze, {"everything"}),  # a table's length
        (edgekit.sweep, sweep_command.sweep, {"progress"}),
    ],
    ids=["export", "verify", "bench", "prune", "diagnose", "analyze", "sweep"],
)
def test_keywords_are_the_commands_flags(function: Any, command: Any, own: set[str]) -> None:
    renamed = {flag.replace("-", "_"): name for flag, name in KEYWORDS.items()}
    renamed |= {"assignments": "settings", "artifacts": "files"}
    flags = {renamed.get(name, name) for name in inspect.signature(command).parameters} - {"as_json", "verbose"}
    assert set(inspect.signature(function).parameters) - own == flags - own


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("--padding same|symmetric", "padding='same'|'symmetric'"),
        ("--preprocessing tf --order BGR", "preprocessing='tf' order='BGR'"),
        ("--mean and --std", "mean and std"),
        ("--set preprocessing.interpolation=bilinear", "settings={'preprocessing.interpolation': 'bilinear'}"),
        ("edgekit export --device x86 makes", "edgekit.export with device='x86' makes"),
        ("choose another --out, or", "choose another out, or"),
        ("go on: --insist", "go on: insist=True"),
    ],
)
def test_messages_speak_python(said: str, meant: str) -> None:
    assert in_python(said) == meant


# --- networks in memory


def test_a_network_in_memory_gives_the_bytes_of_its_checkpoint(pixels: torch.Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    known = mobilenet_v2(0.25, 4, resolution=32)
    architecture = replace(known, blocks=known.blocks[:4])
    network = build(architecture)
    network(torch.rand(8, 3, 32, 32))
    checkpoint.save(tmp_path / "net.safetensors", network, architecture)
    wanted = GIVEN | {"targets": ["tflite", "torch"], "float32": True, "calibration": pixels[:8]}
    of_file = edgekit.export(tmp_path / "net.safetensors", out=tmp_path / "file", **wanted)
    in_memory = edgekit.export(network, out=tmp_path / "memory", **wanted)
    assert network.training, "it is left as it is"
    assert [file.path.name for file in of_file.files] == [file.path.name for file in in_memory.files]
    for name in sorted(path.name for path in (tmp_path / "file").iterdir()):
        is_same = (tmp_path / "file" / name).read_bytes() == (tmp_path / "memory" / name).read_bytes()
        assert is_same != name.endswith("manifest.json"), name


def test_any_module_is_exported_and_verified(exported: Exported, module: nn.Module, inputs: torch.Tensor) -> None:
    assert module.training, "it is left as it is"
    assert [file.path.name for file in exported.files] == [
        f"ownnet.{name}" for name in ("float32.onnx", "float32.tflite", "int8.onnx", "int8.tflite")
    ]
    assert exported["int8.onnx"].name == "ownnet.int8.onnx"
    with pytest.raises(KeyError, match="2 files"):
        exported["tflite"]
    found = edgekit.verify(exported, data=inputs)
    assert found.passed
    checked = {file.path.name: {gate.name for gate in file.gates} for file in (*found.references, *found.files)}
    assert "integers made again" in checked["ownnet.int8.edgekit"], "from the module"
    assert "✘" not in repr(found)


def test_axes_that_files_leave_out_are_said() -> None:
    module = nn.Sequential(nn.Conv2d(3, 5, 1), nn.AdaptiveAvgPool2d(1))
    program = torch.export.export(module, (torch.zeros(2, 3, 8, 8),))
    for network in (InMemory(module, (3, 8, 8)), InMemory(program)):
        notes = network.load(ModelSettings()).notes
        assert notes == ("the network gives [N, 5, 1, 1], and files give the same numbers as [N, 5]",)
    flat = nn.Sequential(module, nn.Flatten())
    assert InMemory(flat, (3, 8, 8)).load(ModelSettings()).notes == ()


def test_several_names_may_stand_in_one_text() -> None:
    assert keywords.names("tflite, onnx") == keywords.names(["tflite", "onnx"]) == ["tflite", "onnx"]


def test_a_program_gives_the_integers_of_its_module(module: nn.Module, inputs: torch.Tensor, tmp_path: Path) -> None:
    program = torch.export.export(module.eval(), (inputs[:1],))
    module.train()
    first, second = (
        integers(edgekit.export(model, calibration=inputs, targets="tflite", out=tmp_path / name, verify=False))
        for name, model in (("program", program), ("module", module))
    )
    assert_same_integers(first, second)
    assert first.provenance["checkpoint_sha256"] == second.provenance["checkpoint_sha256"], "of the weights"


def test_what_is_no_network_is_refused(pixels: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match="the model is a list"):
        edgekit.export([nn.ReLU()], calibration=pixels, out=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no model is given"):
        edgekit.export(calibration=pixels)


def test_the_size_of_images_is_not_invented(module: nn.Module, inputs: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="resolution=224"):
        edgekit.export(module, out=tmp_path)
    result = edgekit.export(module, out=tmp_path, targets="tflite", resolution=16, verify=False)
    known = {fact.name: fact for fact in result.facts}
    assert known["resolution"].basis is Basis.GIVEN
    with pytest.raises(DataError, match=r"the images are \[3, 16, 16\], and the network takes \[3, 32, 32\]"):
        edgekit.export(module, calibration=inputs, out=tmp_path, resolution=32, insist=True)


class Focus(nn.Module):
    """Pixels become channels before the first convolution, and only one layer behind them has statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc, self.norm = nn.Conv2d(12, 4, 3, padding=1), nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W] -> [N, 4]."""
        parts = torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)
        x = torch.relu(self.conv(parts))[:, :4, :, :]
        y: torch.Tensor = self.norm(self.fc(x.mean((2, 3))))
        return y


def test_a_network_that_moves_pixels_first_is_asked_what_it_takes(pixels: torch.Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    wanted = GIVEN | {"targets": "tflite", "out": tmp_path, "resolution": 32, "insist": True, "verify": True}
    (file,) = edgekit.export(Focus().eval(), calibration=pixels[:8], **wanted).files
    (parity,) = file.parities
    assert isinstance(parity, IntegerParity)
    assert parity.identical == 1


def test_options_that_a_module_says_itself_are_refused(module: nn.Module, pixels: torch.Tensor) -> None:
    with pytest.raises(ConfigError, match=r"model\.padding is set, and OwnNet in memory says that itself"):
        edgekit.export(module, calibration=pixels, padding="same")


def test_networks_of_one_class_are_told_apart(module: nn.Module, inputs: torch.Tensor, tmp_path: Path) -> None:
    wanted: dict[str, Any] = {"targets": "tflite", "verify": False, "out": tmp_path}
    first = edgekit.export(module, inputs, **wanted)
    named = edgekit.export(nn.DataParallel(module), inputs, name="my-net.2", **wanted)
    assert first["tflite"].name == "ownnet.int8.tflite"
    assert named["tflite"].name == "my-net.2.int8.tflite"
    other = copy.deepcopy(module)
    with torch.no_grad():
        other.head.bias.add_(1)  # type: ignore[operator, union-attr]
    again = edgekit.export(other, inputs, **wanted)
    assert any("its files are replaced" in note for note in again.notes)
    with pytest.raises(ConfigError, match="holds another ownnet by now"):
        first["tflite"]
    with pytest.raises(ConfigError, match="holds another ownnet by now"):
        edgekit.verify(first)
    with pytest.raises(ConfigError, match="name is 'a/b'"):
        edgekit.export(module, inputs, name="a/b", **wanted)
    with pytest.raises(ConfigError, match="name is that of a network in memory"):
        edgekit.export(tmp_path / "net.pth", inputs, name="net", **wanted)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"calibration": "nowhere"}, "nowhere does not exist"),
        ({"calibration": "nowhere/*.png"}, "no image matches nowhere"),
        ({"labels": ["a", "b"]}, "labels are no path"),
        ({"settings": {"export.wrong": 1}}, "^unknown key export.wrong"),
        ({"calibration": torch.zeros(4, 1, 16, 16, dtype=torch.uint8)}, r"convert\('RGB'\)"),
    ],
)
def test_errors_say_the_next_step(
    module: nn.Module, inputs: torch.Tensor, tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(EdgekitError, match=said):
        edgekit.export(module, **{"calibration": inputs, "out": tmp_path, **given})


def test_reproducing_says_what_it_would_need(exported: Exported) -> None:
    assert Manifest.load(exported.manifest).inputs.in_memory == "OwnNet in memory"
    with pytest.raises(ConfigError, match="exported from a OwnNet in memory, which no file leads to"):
        reproduce(exported.manifest)


# --- images in memory


def test_normalized_images_give_the_integers_of_their_pixels(
    module: nn.Module, pixels: torch.Tensor, inputs: torch.Tensor, tmp_path: Path
) -> None:
    of_pixels = integers(edgekit.export(module, calibration=pixels, out=tmp_path / "p", **GIVEN))
    for name, floats, given in (
        ("found", inputs, {"targets": "tflite", "verify": False}),
        ("given", inputs, GIVEN),
        ("unit", pixels / 255, GIVEN),
        ("raw", pixels.float(), GIVEN),
    ):
        result = edgekit.export(module, calibration=floats, out=tmp_path / name, **given)
        assert_same_integers(integers(result), of_pixels)


def test_what_a_loader_says_is_found_and_its_channels_are_assumed(exported: Exported) -> None:
    known = {fact.name: fact for fact in exported.facts}
    assert known["normalization"].basis is Basis.FOUND
    assert "whole pixels" in known["normalization"].because
    assert known["order"].basis is Basis.ASSUMED
    assert known["resolution"].basis is Basis.STATED


def test_images_that_are_no_whole_pixels_need_a_word(module: nn.Module, inputs: torch.Tensor, tmp_path: Path) -> None:
    rough = inputs + 0.004 * torch.rand(inputs.shape)
    with pytest.raises(
        ConfigError, match=r"only assumed: normalization.*makes whole pixels.*preprocessing.*insist=True"
    ):
        edgekit.export(module, calibration=rough, out=tmp_path)
    edgekit.export(module, calibration=rough, out=tmp_path / "given", **GIVEN)
    with pytest.raises(DataError, match="no pixels by the mean and std of the network"):
        edgekit.export(module, calibration=3 * rough, out=tmp_path, **GIVEN)
    result = edgekit.export(module, calibration=rough, targets="tflite", out=tmp_path / "insisted", insist=True)
    model = integers(result)
    levels = model.preprocessing.normalization(np.array([[[[0] * 3, [255] * 3]]], np.uint8))
    assert levels.min() == pytest.approx(float(rough.min()), abs=1e-4), "256 levels over the range of the input"
    assert levels.max() == pytest.approx(float(rough.max()), abs=1e-4)
    with torch.no_grad():
        wanted = module.eval()(rough).numpy()
    module.train()
    found = np.stack([answer.logits for answer in edgekit.load(result).predict(rough)])
    assert np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()


def test_pixels_alone_do_not_tell_how_they_are_normalized(module: nn.Module, tmp_path: Path) -> None:
    noise = torch.zeros(8, 3, 16, 16, dtype=torch.uint8)
    with pytest.raises(ConfigError, match=r"normalization imagenet.*order RGB"):
        edgekit.export(module, calibration=noise, out=tmp_path)


# --- files


def test_a_file_answers_images_of_every_kind(
    exported: Exported, pixels: torch.Tensor, inputs: torch.Tensor, tmp_path: Path
) -> None:
    picture = Image.fromarray(pixels[0].permute(1, 2, 0).numpy())
    picture.save(tmp_path / "a.png")
    opened = edgekit.load(exported["int8.tflite"])
    several = opened.predict(inputs)
    assert len(repr(several).splitlines()) == 2 + 20 + 1, (
        "a title, titles of columns, 20 of 24, and that there are more"
    )
    assert "<table>" in several._repr_html_()
    assert len(several) == len(inputs)
    for image in (pixels[0], inputs[0], picture, pixels[0].permute(1, 2, 0).numpy()):
        one = opened.predict(image)
        np.testing.assert_array_equal(one.logits, several[0].logits)
        assert one.top[0].index == int(one.logits.argmax())
        assert sum(each.probability for each in one.top) == pytest.approx(1)
        assert one.label in repr(one)
    assert opened.predict(tmp_path / "a.png").name == "a.png"
    assert len(opened.predict(tmp_path)) == 1, "a folder is several"
    given = opened.run(inputs[:2].numpy())
    assert not isinstance(given, dict), "it has one output"
    np.testing.assert_allclose(given[0], several[0].logits)
    assert "float32" in repr(opened)
    with pytest.raises(DataError, match=r"the images are \[3, 8, 8\], and the network takes \[3, 16, 16\]"):
        opened.predict(inputs[0, :, :8, :8])


def test_the_same_pixels_have_the_same_answer(
    exported: Exported, pixels: torch.Tensor, inputs: torch.Tensor, tmp_path: Path
) -> None:
    array = pixels[0].permute(1, 2, 0).numpy()
    Image.fromarray(array).save(tmp_path / "a.png")
    opened = edgekit.load(exported["int8.onnx"])
    wanted = opened.predict(inputs[0]).logits
    with (tmp_path / "a.png").open("rb") as stream:
        images = [str(tmp_path / "a.png"), [tmp_path / "a.png"], tmp_path, stream, array, pixels[0] / 255, array * 1.0]
        for image in images:
            found = opened.predict(image)
            np.testing.assert_array_equal((found[0] if isinstance(found, list) else found).logits, wanted)
    larger = Image.fromarray(np.repeat(np.repeat(array, 2, 0), 2, 1))
    larger.save(tmp_path / "b.png")
    np.testing.assert_array_equal(opened.predict(larger).logits, opened.predict(tmp_path / "b.png").logits)
    with pytest.raises(DataError, match=r"reach from .*, which are no pixels by the mean and std of the network"):
        opened.predict(3 * inputs[0])
    with pytest.raises(DataError, match="uint8, are resized"):
        opened.predict(torch.zeros(3, 48, 48))


def test_images_are_resized_as_it_was_given(module: nn.Module, pixels: torch.Tensor, tmp_path: Path) -> None:
    Image.fromarray(pixels[0].permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    found = {}
    for resize in (None, "none", 24):
        result = edgekit.export(module, pixels, resize=resize, insist=True, out=tmp_path / f"{resize}", **GIVEN)
        opened = edgekit.load(result)
        found[resize] = opened.predict(pixels[0]).logits
        np.testing.assert_array_equal(found[resize], opened.predict(tmp_path / "a.png").logits)
        assert any(fact.is_assumed for fact in result.facts) == (resize != "none")
    np.testing.assert_array_equal(found[None], found["none"])
    assert np.abs(found[24] - found[None]).max() > 0


def test_what_is_no_input_of_a_file_is_refused(exported: Exported, inputs: torch.Tensor, pixels: torch.Tensor) -> None:
    opened = edgekit.load(exported["int8.tflite"])
    wanted = opened.run(inputs[:2].numpy())
    np.testing.assert_array_equal(opened.run(inputs[:2]), wanted)
    np.testing.assert_array_equal(opened.run(inputs[:2].double().numpy()), wanted)
    takes = r"float32 of shape \[N, 3, 16, 16\]"
    wrong: list[tuple[Any, str]] = [
        (inputs[0], takes),
        (inputs[:1].permute(0, 2, 3, 1), takes),
        (torch.zeros(1, 3, 17, 16), takes),
        (pixels[:1], takes),
        ([[1.0], [2.0, 3.0]], "the input is a list"),
        (np.full((1, 3, 16, 16), np.nan, np.float32), "NaN"),
    ]
    for batch, said in wrong:
        with pytest.raises(DataError, match=said):
            opened.run(batch)


def test_a_files_own_boundary_does_not_change_its_answer(
    module: nn.Module, pixels: torch.Tensor, tmp_path: Path
) -> None:
    found = []
    for io_dtype in ("float32", "int8", "uint8"):
        result = edgekit.export(module, calibration=pixels, out=tmp_path / io_dtype, io_dtype=io_dtype, **GIVEN)
        found.append(edgekit.load(result).predict(pixels[0]).logits)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-6)


def test_labels_are_read_or_refused(exported: Exported, module: nn.Module, inputs: torch.Tensor) -> None:
    with torch.inference_mode():
        classes = module.eval()(inputs).argmax(1)
    module.train()
    for data in ([(inputs, classes)], [{"image": inputs, "label": classes}], (inputs.numpy(), classes.numpy())):
        found = edgekit.verify(exported["int8.tflite"], data)
        assert [one.value for one in found.files[0].measured if one.metric.name == "top1"], "accuracy was measured"
    assert "! labels: " not in repr(edgekit.verify(exported["int8.tflite"], (inputs, classes)))
    for wrong, said in ((classes.float(), "give integers"), (classes[:-3], "as many"), (classes - 9, "from 0: leave")):
        with pytest.raises(DataError, match=said):
            edgekit.verify(exported, [(inputs, wrong)])


def test_files_are_timed(exported: Exported) -> None:
    found = edgekit.bench(exported["int8.tflite"], laps=1)
    assert {row.precision for row in found.results.rows} == {"int8", "float32"}
    assert "ownnet.int8.tflite" in repr(found)


def test_results_show_themselves(exported: Exported) -> None:
    assert "ownnet.int8.tflite" in repr(exported)
    assert "<table>" in exported._repr_html_()
    assert "✔" not in repr(exported), "order is assumed"
    assert "max |Δ|: the largest difference from" in repr(exported)
    shown = repr(exported)
    for file in exported.files:
        assert in_python(file.unproven) in shown, "as the command line says it"
        assert all(in_python(text).partition(": ")[2] in shown for text in file.unclaimed)


def test_a_console_without_its_signs_shows_others(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    repr(exported).encode("ascii")
    assert " -> " in repr(exported)


def test_a_clear_drop_leads(exported: Exported, module: nn.Module, inputs: torch.Tensor) -> None:
    found = edgekit.verify(exported["int8.tflite"], inputs, model=module)
    drop = Metric("drop", "drop of top-1", "points", Better.LOWER)
    (file,) = found.files
    for low, said in ((0.5, True), (-0.5, False)):
        measured = (Measured(drop, 3.5, low, 6.5),)
        shown = repr(replace(found, files=(replace(file, measured=measured),)))
        assert ("! int8.tflite: drop of top-1 3.50 (0.50 to 6.50), measured in LiteRT" in shown) == said


def test_too_few_images_are_said(module: nn.Module, inputs: torch.Tensor, tmp_path: Path) -> None:
    few = edgekit.export(module, inputs[:1], targets="tflite", out=tmp_path, verify=False)
    assert "! the calibration images look wrong: one image is too few" in repr(few)


@pytest.mark.parametrize(("evidence", "passed"), [(6.0, True), (8.0, True), (20.0, False)])
def test_thin_evidence_does_not_overrule_what_the_export_settled(
    exported: Exported,
    module: nn.Module,
    inputs: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
    *,
    evidence: float,
    passed: bool,
) -> None:
    told = Fact("normalization", {"mean": [0.5], "std": [0.5]}, Basis.GIVEN, "other colours", "")

    def settle(*_: Any, enough: float = ENOUGH_NATS) -> None:
        if evidence >= enough:
            raise Contradicted([told], "RGB")

    monkeypatch.setattr("edgekit.pipeline.proving.verify.settle", settle)
    found = edgekit.verify(exported["int8.tflite"], inputs, model=module)
    assert found.passed == passed
    assert ("! these images speak a little against" in repr(found)) == (passed and evidence > ENOUGH_NATS)
    assert not found.is_proven
