"""Training: images -> a run's folder, which can be gone on with and exported."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from edgekit.calibration.diagnosis import diagnose
from edgekit.config import ModelSettings, Settings, TrainSettings
from edgekit.errors import BadInput, CheckpointError, ConfigError, GateFailed
from edgekit.models import checkpoint
from edgekit.models.architecture import Architecture
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.pipeline.making.beginning import begin
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.given import with_kept_images
from edgekit.pipeline.making.run import RunFolder
from edgekit.pipeline.making.source import open_source
from edgekit.pipeline.making.train import Opened, train
from edgekit.pipeline.proving.inspect import inspect
from edgekit.pipeline.proving.verify import verify
from edgekit.progress import silent

if TYPE_CHECKING:
    from edgekit.models.task_architecture import TaskArchitecture
    from edgekit.training.loop import Epoch

CLASSES = ("blue", "green", "red")
QUICK = {"arch": "mobilenet_v1_cifar", "width": 0.125, "resolution": 16, "batch_size": 8, "epochs": 3}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of 20 x 24 whose colour is their class, in train/ and val/."""
    folder, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for part, each in (("train", 12), ("val", 4)):
        for place, name in enumerate(CLASSES):
            (folder / part / name).mkdir(parents=True)
            for number in range(each):
                pixels = random.integers(0, 120, (20, 24, 3), np.uint8)
                pixels[..., 2 - place] += 130
                Image.fromarray(pixels).save(folder / part / name / f"{number}.png")
    return folder


def settings(data: Path, out: Path, **values: Any) -> Settings:
    return Settings(train=TrainSettings(**{"data": data, "out": out, **QUICK, **values}))


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(checkpoint.load(path).module.state_dict())


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "a"
    result = train(settings(photos, out, epochs=12, lr=0.05))
    assert result.best.measured[0].value == 100
    return out


def test_a_run_holds_what_export_needs(run: Path, photos: Path) -> None:
    assert not (run / "state.pt").exists()
    assert len(list((run / "calibration").iterdir())) == 36
    rows = (run / "log.csv").read_text().splitlines()
    assert rows[0] == "epoch,lr,loss,top1,top5,best,seconds"
    assert len(rows) == 13
    made = with_kept_images(Settings(train=TrainSettings(), model=replace(Settings().model, checkpoint=run)))
    out = run.parent / "exported"
    made = replace(made, export=replace(made.export, precisions=("int8", "float32"), targets=("tflite",), out=out))
    exported = export(made)
    assert not [fact for fact in exported.facts if fact.is_assumed]
    assert inspect(run).facts == inspect(run / "best.safetensors").facts
    verified = verify([out], replace(made, verify=replace(made.verify, data=photos / "val")))
    assert verified.passed
    top1 = {one.value for file in verified.files for one in file.measured if one.metric.name == "top1"}
    assert top1 == {100.0}


def test_the_statistics_of_a_short_run_are_those_of_its_weights(photos: Path, tmp_path: Path) -> None:
    train(settings(photos, tmp_path, epochs=1, aa="none", crop="none"))  # or they would be of changed images
    made = with_kept_images(replace(Settings(), model=replace(Settings().model, checkpoint=tmp_path)))
    source = open_source(made)
    assert source.images is not None
    diagnosis = diagnose(source.float_model, source.images)
    assert diagnosis.divergence is not None
    assert diagnosis.divergence < 0.02  # edgekit.calibration.diagnosis warns from 0.25 on


def test_the_same_seed_gives_the_same_weights_and_another_does_not(photos: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(settings(photos, tmp_path / name, epochs=1, seed=seed))
    a, b, c = (weights(tmp_path / name / "last.safetensors") for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


def test_an_interrupted_run_is_gone_on_with(photos: Path, tmp_path: Path) -> None:
    whole = train(settings(photos, tmp_path / "whole"))

    def stop(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    cut = settings(photos, tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        train(cut, passed=stop)
    told: list[Opened] = []
    again = train(cut, opened=told.append)
    assert told[0].epochs_done == 1  # the state of the second was not written yet
    names = ("best.safetensors", "last.safetensors")
    assert all((tmp_path / "whole" / n).read_bytes() == (tmp_path / "cut" / n).read_bytes() for n in names)
    assert [epoch.loss for epoch in again.epochs] == [epoch.loss for epoch in whole.epochs]


def test_a_finished_run_is_what_it_was(run: Path, photos: Path) -> None:
    before = (run / "best.safetensors").read_bytes()
    passed: list[Epoch] = []
    result = train(settings(photos, run, epochs=12, lr=0.05), passed=passed.append)
    assert (len(result.epochs), passed) == (12, [])
    assert (run / "best.safetensors").read_bytes() == before


def test_a_folder_of_another_run_is_left_alone(run: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lr was 0\.05 and is 0\.1.*--out DIR.*--pretrained "):
        train(settings(photos, run, epochs=12, lr=0.1))
    with pytest.raises(ConfigError, match=r"made otherwise \(other data, or split otherwise\)"):
        train(settings(photos / "train", run, epochs=12, lr=0.05))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty, and holds no run"):
        train(settings(photos, tmp_path))


def test_another_run_starts_from_its_weights(run: Path, photos: Path, tmp_path: Path) -> None:
    told: list[Opened] = []
    values = {"arch": None, "width": None, "resolution": None, "pretrained": run, "epochs": 1}
    result = train(settings(photos, tmp_path / "tuned", **values), opened=told.append)
    assert told[0].network == "mobilenet_v1_cifar_0.125_16"
    assert told[0].recipe.name == "finetune"
    assert result.best.measured[0].value == 100
    with pytest.raises(ConfigError, match=r"holds mobilenet_v1_cifar 0\.125, and mobilenet_v2"):
        train(settings(photos, tmp_path / "other", **{**values, "arch": "mobilenet_v2"}))


@pytest.mark.parametrize("kd", ["kd", "dkd"])
def test_a_student_learns_from_its_teacher(run: Path, photos: Path, tmp_path: Path, kd: str) -> None:
    taught = train(settings(photos, tmp_path / "student", teacher=(run,), kd=kd, lr=0.05))
    assert taught.opened.teachers == (str(run),)
    about = json.loads((tmp_path / "student" / "run.json").read_text())
    assert about["made_from"]["teachers"] == [hashlib.sha256((run / "best.safetensors").read_bytes()).hexdigest()]


def test_a_teacher_that_is_not_there_is_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no\.pth does not exist"):
        train(settings(photos, tmp_path / "student", teacher=(tmp_path / "no.pth",)))


def test_a_teacher_of_the_same_classes_in_another_order_is_refused(run: Path, photos: Path, tmp_path: Path) -> None:
    for old, new in zip(CLASSES, ("1", "0", "2"), strict=True):
        shutil.copytree(photos / "val" / old, tmp_path / "images" / f"{new}_{old}")
    with pytest.raises(ConfigError, match=r"tells blue, green, red … apart, and the images are of 0_green, 1_blue"):
        train(settings(tmp_path / "images", tmp_path / "student", teacher=(run,)))


def test_how_to_learn_from_a_teacher_wants_one(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none is named: add --teacher FILE"):
        train(settings(photos, tmp_path / "student", kd_alpha=0.5))


def test_a_loss_that_is_no_number_keeps_the_best_weights(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match="--lr"):
        train(settings(photos, tmp_path / "run", lr=1e30, clip_grad=None, warmup_epochs=0, recipe="cifar10"))


def test_a_network_has_to_be_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--arch FAMILY from random ones; families are mobilenet_v1"):
        train(settings(photos, tmp_path / "run", arch=None))
    with pytest.raises(ConfigError, match="edgekit train DATA"):
        train(Settings())


def test_an_update_takes_no_more_batches_than_there_are(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="an update takes 5 batches, and 36 images are 4 of 8: choose a smaller"):
        train(settings(photos, tmp_path, grad_accum_steps=5))


def test_numbers_are_not_mixed(photos: Path, tmp_path: Path) -> None:
    names = [f"train/{name}/0.png" for name in CLASSES for _ in range(4)]
    table = tmp_path / "numbers.csv"
    table.write_text("path,size\n" + "".join(f"{photos / name},{place}\n" for place, name in enumerate(names)))
    with pytest.raises(ConfigError, match="in regression images are not mixed: leave --mixup and --cutmix out"):
        train(settings(table, tmp_path / "run", task="regression", mixup=0.2))


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("train/run", "lies among the images"),
        ("other", "is not empty, and holds no run"),
        ("file", "is a file"),
        ("foreign", r"run\.json is of no run of edgekit train"),
    ],
)
def test_a_folder_that_no_run_can_lie_in_is_refused_before_images_are_read(tmp_path: Path, out: str, said: str) -> None:
    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "note").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "run.json").write_text('[{"schema_version": 1}]')
    with pytest.raises(ConfigError, match=said):
        train(settings(tmp_path, tmp_path / out), progress=lambda *_: pytest.fail("images were read"))


def test_the_best_weights_are_there_for_other_libraries(photos: Path, tmp_path: Path) -> None:
    small = {"arch": "mobilenet_v2", "width": 0.5, "resolution": 32, "epochs": 1}
    result = train(settings(photos, tmp_path / "run", **small))
    (torchvisions,) = (one for one in result.elsewhere if "torchvision" in one.path.name)
    assert torchvisions.made_by == "torchvision.models.mobilenet_v2(width_mult=0.5, num_classes=3)"
    there = checkpoint.load(torchvisions.path, padding="symmetric", bn_eps=1e-5).module
    here = checkpoint.load(result.checkpoint).module
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(there.eval()(images), here.eval()(images))


def with_three_classes(structure: Architecture | TaskArchitecture) -> Architecture:
    assert isinstance(structure, Architecture)
    return replace(structure, num_classes=3)


def test_a_network_can_have_its_first_strides_taken_out(tmp_path: Path) -> None:
    wanted = settings(tmp_path, tmp_path / "a", arch="mobilenet_v2", resolution=None)
    begun = begin(
        replace(wanted, model=ModelSettings(cifar_stem=True)),
        with_three_classes,
        lambda _: pytest.fail("asked"),
        silent,
    )
    assert begun.architecture == mobilenet_v2(0.125, 3, cifar_stem=True)
    assert begun.preprocessing.size == (32, 32)


def test_a_network_can_come_from_a_table_of_stages(photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "net.toml"
    table.write_text(
        "resolution = 16\nstem = 8\nhead = 16\n[[stages]]\nchannels = 8\nkernel = 5\nexpansion = 2\nrepeats = 2"
    )
    run = train(settings(photos, tmp_path / "run", arch=str(table), width=None, epochs=1))
    found = checkpoint.load(run.checkpoint).architecture
    assert [(block.kernel, block.expanded, block.out) for block in found.blocks] == [(5, 16, 8)] * 2
    assert found.size == (16, 16)
    with pytest.raises(ConfigError, match="says every channel of the network: leave --width out"):
        train(settings(photos, tmp_path / "wide", arch=str(table)))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"arch": "mobilenet_v9"}, "unknown family"),
        ({"aa": "strong"}, "rand-mMAGNITUDE"),
        ({"accelerator": "cuda"}, "torch finds none here"),
        ({"arch": None, "pretrained": Path("none.pth")}, "does not exist"),
    ],
)
def test_mistakes_are_said_before_images_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInput, match=said):
        train(settings(tmp_path / "no images", tmp_path / "run", **values))


def test_one_process_at_a_time_trains_in_a_folder(photos: Path, tmp_path: Path) -> None:
    wanted = settings(photos, tmp_path / "run", epochs=1)
    folder = RunFolder(tmp_path / "run")

    def meanwhile(_: Epoch) -> None:
        with pytest.raises(ConfigError, match="another process is training in"), folder.held():
            pass

    folder.path.mkdir()
    (folder.path / ".state.pt.x1").mkdir()  # as a killed process leaves it
    train(wanted, passed=meanwhile)
    assert not (folder.path / ".state.pt.x1").exists()
