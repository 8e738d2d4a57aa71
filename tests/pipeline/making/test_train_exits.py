"""Training with exits: from images to files that say which exit each image takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from edgekit.cli.app import app
from edgekit.config import BenchSettings, PruneSettings, Settings, TrainSettings
from edgekit.device.chain import FILE_NAME, MAP, AdaptiveRunner, Chain, Left, WholeChain
from edgekit.device.check import check_file
from edgekit.device.engines.engine import FixedBatch
from edgekit.device.exits import NO_LIMIT, ExitRule, taken
from edgekit.device.opening import size_bytes
from edgekit.errors import ArtifactError, ConfigError, DataError, UnsupportedOperator
from edgekit.exporters.formats import FORMATS
from edgekit.integer_model import IntegerModel
from edgekit.models import checkpoint
from edgekit.models.head_specs import ExitSpec
from edgekit.models.task_architecture import TaskArchitecture
from edgekit.pipeline.making.chain import rules_of, write_chain
from edgekit.pipeline.making.completing import completed
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.given import with_kept_images
from edgekit.pipeline.making.prune import prune
from edgekit.pipeline.making.splitting import cut
from edgekit.pipeline.making.teaching import teachers_of
from edgekit.pipeline.making.train import TrainResult, train
from edgekit.pipeline.measuring.bench import plan
from edgekit.pipeline.measuring.bundle import pack
from edgekit.pipeline.measuring.leaving import time_stages
from edgekit.pipeline.proving.predicting import predict
from edgekit.pipeline.proving.verify import verify
from edgekit.tasks.exits import Exited
from edgekit.verification import chains
from edgekit.verification.compare import reference_outputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.training.data.opening import Data


def settings(folder: Path, **values: Any) -> Settings:
    quick = {"arch": "mobilenet_v1_cifar", "width": 0.25, "resolution": 16, "batch_size": 8, "epochs": 1}
    return Settings(train=TrainSettings(**{"data": folder / "i.npz", "out": folder / "run", **quick, **values}))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, random = tmp_path_factory.mktemp("exits"), np.random.default_rng(0)
    pixels = random.integers(0, 256, (24, 16, 16, 3), np.uint8)
    np.savez(folder / "i.npz", images=pixels, labels=np.arange(24) % 2, classes=["cat", "dog"])
    return folder


@pytest.fixture(scope="module")
def trained(images: Path) -> TrainResult:
    return train(settings(images, exits=("features.1",), exit_drop=100.0))


def test_exits_are_trained_and_chosen(images: Path, trained: TrainResult) -> None:
    result = trained
    assert result.leavings is not None
    assert sum(one.share for one in result.leavings.exits) == 1
    structure = checkpoint.load(result.checkpoint).structure
    assert isinstance(structure, TaskArchitecture)
    first, last = structure.heads
    assert isinstance(first, ExitSpec)
    assert (first.confidence, first.temperature) == (
        result.leavings.exits[0].confidence,
        result.leavings.exits[0].temperature,
    )
    assert last.to_dict()["confidence"] is None
    again = train(settings(images, exits=("features.1",), exit_drop=100.0))
    assert again.leavings is None  # it is chosen already


@pytest.fixture(scope="module")
def exported(images: Path, trained: TrainResult) -> Path:
    """Files of the trained network."""
    made = with_kept_images(replace(Settings(), model=replace(Settings().model, checkpoint=trained.run)))
    out = images / "files"
    export(replace(made, export=replace(made.export, precisions=("int8",), targets=("tflite",), out=out)))
    return out


def test_files_say_when_images_leave(images: Path, exported: Path) -> None:
    (file,) = exported.glob("*.tflite")
    about = FORMATS["tflite"].read(file).metadata
    assert about is not None
    rule, last = map(ExitRule.from_dict, about.provenance["exits"])
    assert last.limit == NO_LIMIT
    first = checkpoint.load(images / "run").structure.to_dict()["heads"][0]
    assert rule == ExitRule.of("exit1", rule.scale, first["temperature"], first["confidence"])
    names = {one.answer.exit for one in predict(file, [images / "i.npz"]).images if isinstance(one.answer, Exited)}
    assert names <= {"exit1", "classifier"}


def test_stages_compute_what_the_network_does(images: Path, exported: Path) -> None:
    (saved,) = exported.glob("*.edgekit")
    model, chain = IntegerModel.load(saved), write_chain(exported, ["tflite"])
    stages = cut(model)
    assert sum(one.graph.macs for one in stages) == model.graph.macs
    assert [one.exit for one in chain.files] == ["exit1", "classifier"]
    with np.load(images / "i.npz") as data:
        pixels = data["images"]
    rule, last = rules_of(model)
    medium = np.median(sums := [_sum(rule, row) for row in reference_outputs(model, pixels)["exit1"]])
    assert min(sums) <= medium < max(sums)
    runner = AdaptiveRunner(chain.folder)
    runner.rules = [replace(rule, limit=int(medium)), last]  # so that some leave and some do not
    expected = reference_outputs(model, pixels)
    wanted = taken([expected["exit1"], expected["classifier"]], runner.rules)
    assert set(wanted) == {0, 1}
    for image, place, index in zip(pixels, wanted, range(24), strict=True):
        left = runner.run(image[None])
        assert left.exit == place
        assert (left.logits == expected[("exit1", "classifier")[place]][index]).all()


def test_stages_take_one_image_as_it_is(exported: Path) -> None:
    runner = AdaptiveRunner(write_chain(exported, ["tflite"]).folder)
    pixels = np.zeros(runner.shape or (), np.uint8)
    stored = np.full(pixels.shape, -128, np.int8)
    assert (runner.run(pixels).logits == runner.run(stored).logits).all()
    for wrong in (np.zeros((2, *pixels.shape[1:]), np.uint8), pixels[..., :1], pixels.astype(np.float32)):
        with pytest.raises(DataError, match="the stages take one image, int8"):
            runner.run(wrong)


def test_stages_answer_what_the_file_does(images: Path, exported: Path) -> None:
    (file,), folder = exported.glob("*.tflite"), write_chain(exported, ["tflite"]).folder
    one, other = (predict(path, [images / "i.npz"]) for path in (file, folder))
    assert one.network == other.network
    assert [found.name for found in one.images] == [found.name for found in other.images]
    for whole, chain in zip(one.images, other.images, strict=True):
        assert isinstance(whole.answer, Exited)
        assert isinstance(chain.answer, Exited)
        assert (whole.answer.exit, whole.answer.text) == (chain.answer.exit, chain.answer.text)
        likely = [[each.probability for each in answer.best] for answer in (whole.answer, chain.answer)]
        assert likely[0] == pytest.approx(likely[1], abs=1e-5)


def test_stages_are_timed_against_the_whole_network(images: Path, exported: Path, trained: TrainResult) -> None:
    folder, (one_file,) = write_chain(exported, ["tflite"]).folder, exported.glob("*.tflite")
    model = replace(Settings().model, checkpoint=trained.run, heads=("classifier",))
    made = with_kept_images(replace(Settings(), model=model))
    wanted = replace(made.export, precisions=("int8",), targets=("tflite",), out=images / "whole", verify=False)
    (whole,) = export(replace(made, export=wanted)).files
    found = time_stages(folder, whole.path, images / "i.npz")
    assert found.images == len(found.answers) == len(found.whole_answers) == 24
    assert sum(one.share for one in found.exits) == pytest.approx(1)
    assert found.macs == pytest.approx(np.array([one.macs for one in found.exits])[found.taken].mean())
    assert found.chain_us > 0
    assert found.whole_us > 0
    with pytest.raises(ArtifactError, match="gives exit1, classifier: export the network without its early exits"):
        time_stages(folder, one_file, images / "i.npz")
    wanted = replace(wanted, precisions=("float32",), out=images / "floats")
    (floats,) = export(replace(made, export=wanted)).files
    with pytest.raises(ArtifactError, match="is no int8 file of the network that was cut"):
        time_stages(folder, floats.path, images / "i.npz")
    with pytest.raises(ArtifactError, match="are two files, and one answers at a time"):
        predict(whole.path, [floats.path, images / "i.npz"])


def test_stages_for_core_ml_leave_where_the_reference_does(images: Path, exported: Path) -> None:
    """Reals cross between them, and come back to the same integers: on images that take both exits."""
    pytest.importorskip("coremltools")
    (saved,) = exported.glob("*.edgekit")
    model, chain = IntegerModel.load(saved), write_chain(exported, ["coreml"])
    with np.load(images / "i.npz") as data:
        pixels = data["images"]
    wanted = reference_outputs(model, pixels)
    first, last = rules_of(model)
    medium = int(np.median([_sum(first, row) for row in wanted["exit1"]]))
    rules = (replace(first, limit=medium), last)
    with chains.opened([one.path for one in chain.files], cut(model), rules) as (runners, abouts):
        for runner in runners:
            runner.run(pixels, abouts)
            assert {place for exits in runner.exits for place in exits.tolist()} == {0, 1}
            assert all(parity.passed for parity in runner.against(wanted))
    assert {name.partition(".")[2] for stage in Chain.load(chain.folder).stages for name in stage.files.values()} == {
        "int8.mlpackage"
    }
    shapes = [FORMATS["coreml"].read(one.path) for one in chain.files]
    (crossing,) = (output for output in shapes[0].outputs if output.name == MAP)
    assert (crossing.shape, crossing.dtype) == (shapes[1].inputs[0].shape, shapes[1].inputs[0].dtype)
    with pytest.raises(ArtifactError, match=r"has files for coreml, and none for the runtimes of this machine"):
        AdaptiveRunner(chain.folder)


def test_stages_are_measured_one_by_one_and_in_a_row(exported: Path, tmp_path: Path) -> None:
    folder = write_chain(exported, ["tflite", "onnx"]).folder
    planned = plan([folder], BenchSettings())
    names = [(PurePath(file.path).name, file.engine) for file in planned.plan.files]
    assert names[-2:] == [(FILE_NAME, "litert"), (FILE_NAME, "onnxruntime")]
    assert sorted(name for name, _ in names[:-2]) == sorted(path.name for path in folder.glob("stage*"))
    file = planned.plan.files[-2]
    luggage = pack(replace(planned.plan, files=planned.plan.files[:-1]))
    for name, content in luggage.contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    found = check_file(luggage.plan.files[-1], tmp_path)
    assert [(one.output, one.images, one.different) for one in found] == [("exit", 16, 0), ("logits", 16, 0)]
    golden = luggage.plan.files[-1].golden
    assert golden is not None
    (saved,) = exported.glob("*.edgekit")
    model = IntegerModel.load(saved)
    wanted = reference_outputs(model, (np.load(tmp_path / golden.inputs).astype(np.int16) + 128).astype(np.uint8))
    exits = taken([wanted["exit1"], wanted["classifier"]], rules_of(model))
    assert (np.load(tmp_path / golden.outputs["exit"].array)[:, 0] == exits).all()
    said = json.loads((tmp_path / FILE_NAME).read_text())  # a planted fault: who left early stays, and the other way
    said["stages"][0]["rule"]["limit"] = 0 if exits[0] == 0 else NO_LIMIT
    (tmp_path / FILE_NAME).write_text(json.dumps(said))
    assert check_file(luggage.plan.files[-1], tmp_path)[0].different
    with pytest.raises(FixedBatch):
        WholeChain(Path(file.path), file.engine, batch=2)
    stages = [folder / stage.files["litert"] for stage in Chain.load(folder).stages]
    assert size_bytes(Path(file.path), "litert") == sum(path.stat().st_size for path in stages)


def test_stages_are_timed_to_the_last_exit(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = WholeChain(write_chain(exported, ["tflite"]).folder / FILE_NAME, "litert")
    ran: list[int] = []

    def run(_: AdaptiveRunner, image: NDArray[Any]) -> Left:
        left = original(whole._runner, image)
        ran.append(left.exit)
        return left

    original = AdaptiveRunner.run
    monkeypatch.setattr(AdaptiveRunner, "run", run)
    whole.bind(np.zeros(whole.shape or (), np.int8))()
    assert ran == [1]


def test_stages_of_another_format_go_when_they_are_written_again(exported: Path) -> None:
    folder = write_chain(exported, ["tflite", "onnx"]).folder
    (folder / "notes.txt").write_text("mine")
    write_chain(exported, ["tflite"])
    assert {path.suffix for path in folder.iterdir()} == {".tflite", ".json", ".txt"}
    (folder / "notes.txt").unlink()


def test_stages_are_verified(images: Path, exported: Path) -> None:
    folder = write_chain(exported, ["tflite"]).folder
    made = replace(Settings(), model=replace(Settings().model, checkpoint=images / "run"))
    made = replace(made, verify=replace(made.verify, data=images / "i.npz"))
    *_, chain = verify([exported], made).files
    assert not chain.failed
    assert {gate.name for gate in chain.gates} >= {"when images leave", "contents of all stages"}
    assert [parity.output for parity in chain.parities] == ["the exit taken", "the logits there"]
    said = json.loads((folder / FILE_NAME).read_text())
    said["stages"][0]["rule"]["limit"] += 1
    (folder / FILE_NAME).write_text(json.dumps(said))
    *_, chain = verify([exported], made).files
    assert [gate.name for gate in chain.gates if not gate.passed] == ["when images leave"]


def test_what_has_no_exits_is_not_cut(exported: Path) -> None:
    (saved,) = exported.glob("*.edgekit")
    model = IntegerModel.load(saved)
    with pytest.raises(ConfigError, match="nothing says from where images leave"):
        rules_of(replace(model, provenance={}))
    with pytest.raises(ConfigError, match="has no early exits"):
        cut(replace(model, provenance={}))
    graph = model.graph
    crossing = [tensor for tensor in graph.tensors if len(graph.consumers(tensor)) > 1]
    with pytest.raises(UnsupportedOperator, match="is no map of int8"):
        cut(replace(model, params={name: one for name, one in model.params.items() if name not in crossing}))


def _sum(rule: ExitRule, row: NDArray[np.int8]) -> int:
    return sum(rule.table[int(row.max()) - int(q)] for q in row)


def test_the_command_writes_stages(images: Path, exported: Path) -> None:
    found = CliRunner().invoke(app, ["stages", str(exported), "--target", "tflite"])
    assert found.exit_code == 0, found.stderr
    assert "stage2.int8.tflite  classifier" in found.stdout
    said = "16 images of noise leave where the reference lets them go, with its logits"
    assert f"XNNPACK: {said}" in " ".join(found.stdout.split())
    found = CliRunner().invoke(app, ["stages", str(exported), "--data", str(images / "i.npz")])
    assert found.exit_code == 2
    assert "give both, or none" in " ".join(found.stderr.split())


def test_exits_of_a_pretrained_network_are_chosen_anew(trained: TrainResult) -> None:
    before = checkpoint.load(trained.checkpoint).structure
    assert isinstance(before, TaskArchitecture)
    found = completed(before, TrainSettings(), cast("Data", SimpleNamespace(outputs=5)))
    assert isinstance(found, TaskArchitecture)
    assert [head.to_dict()["confidence"] for head in found.heads] == [None, None]
    assert [(head.name, head.takes) for head in found.heads] == [(head.name, head.takes) for head in before.heads]
    assert found.num_classes == 5
    with pytest.raises(ConfigError, match="the pretrained network has exits: leave --exits out"):
        completed(before, TrainSettings(exits=("2",)), cast("Data", SimpleNamespace(outputs=5)))


def test_a_network_with_exits_teaches_what_its_last_one_says(images: Path, trained: TrainResult) -> None:
    found = teachers_of(settings(images, teacher=(trained.checkpoint,)), ("cat", "dog"), "cpu")
    assert found is not None
    (teacher,) = found.teachers
    pixels = torch.from_numpy(np.random.default_rng(1).uniform(0, 255, (3, 3, 16, 16)).astype(np.float32))
    mean, std = (torch.tensor(values).reshape(-1, 1, 1) for values in (teacher.mean, teacher.std))
    with torch.no_grad():
        wanted = checkpoint.load(trained.checkpoint).module((pixels - mean) / std)
    assert torch.allclose(teacher.logits(pixels), wanted["classifier"], atol=1e-5)
    assert not torch.allclose(wanted["exit1"], wanted["classifier"], atol=1e-2)


def test_a_network_with_exits_is_pruned_and_learns_from_the_whole(images: Path, trained: TrainResult) -> None:
    how = TrainSettings(data=images / "i.npz", batch_size=8, epochs=1)
    wanted = PruneSettings(to="macs=0.7", multiple=4, out=images / "small")
    result = prune(Settings(replace(Settings().model, checkpoint=trained.run), prune=wanted, train=how))
    assert result.after.macs <= 0.7 * result.before.macs
    assert not any("labels alone" in note for note in result.notes)
    assert isinstance(checkpoint.load(result.checkpoint).structure, TaskArchitecture)


def test_what_has_no_exits_is_refused(images: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no early exits, and train.exit_drop says .*: add --exits"):
        train(replace(settings(images, out=images / "none"), origins={"train.exit_drop": "--exit-drop"}))
    with pytest.raises(ConfigError, match="a classifier has exits, and the task is tagging"):
        train(settings(images, task="tagging", exits=("2",)))
    with pytest.raises(ConfigError, match="say how many or where, as in --exits 2"):
        train(settings(images, task="exits"))
