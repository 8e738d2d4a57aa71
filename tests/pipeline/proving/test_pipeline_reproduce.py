"""Reproduce: the same bytes from a manifest alone, or what differs, from the inputs to the layer."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit import config
from edgekit.defaults import CHECKPOINT, CONFIG, FOLDER
from edgekit.errors import ConfigError, DataError
from edgekit.pipeline.making import manifest as manifests
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.finetune import finetune
from edgekit.pipeline.making.manifest import Images, Manifest, PublishedFile
from edgekit.pipeline.proving.reproduce import Moved, _difference, reproduce

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.config import Settings

    MakeSettings = Callable[..., Settings]

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

import torch  # noqa: E402 - after it was looked for

NAME = "mobilenet_v3_digits_1.0_32"


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def made(exported: Path) -> Path:
    """The manifest of an export from images, to every format; to be read, not written to."""
    return exported / f"{NAME}.manifest.json"


@pytest.fixture
def small(settings: MakeSettings, tmp_path: Path) -> Path:
    """The manifest of a quick export."""
    return export(settings(export={"out": tmp_path / "small", "verify": False})).manifest


def edited(path: Path, **sections: dict[str, Any]) -> Path:
    """The manifest with other values in some sections."""
    values = json.loads(path.read_text())
    for name, section in sections.items():
        values[name] |= section
    path.write_text(json.dumps(values))
    return path


def test_the_same_bytes_from_the_manifest_alone(made: Path, tmp_path: Path) -> None:
    gone = json.loads(made.read_text())["settings"] | {"model": {"checkpoint": "gone", "labels": "gone"}}
    alone = edited(Path(shutil.copy(made, tmp_path / made.name)), settings=gone)
    found = reproduce(
        alone,
        moved=Moved(checkpoint=CHECKPOINT, labels=FOLDER / "labels.txt", calib=FOLDER / "calibration.npz"),
        out=tmp_path / "again",
    )
    assert found.passed
    assert (found.inputs, found.notes, found.out) == ((), (), tmp_path / "again")
    assert len(found.files) == 3 * 4 + 2
    again, then = tree(tmp_path / "again"), tree(made.parent)
    assert again.keys() == then.keys()
    assert [name for name in then if again[name] != then[name]] == [made.name]  # other paths, and no proof


# --- other inputs -----------------------------------------------------------------------------------------------------


def no_work(stage: str, done: int, total: int) -> None:
    assert stage == "checking the inputs"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The manifest of an export of nothing, from a folder of pictures."""
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(5):
        Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(folder / f"{i}.png")
    flags: dict[str, dict[str, Any]] = {"calibration": {"data": folder}, "export": {"precisions": ["int8"]}}
    settings = config.load(CONFIG, flags)
    from edgekit.calibration.images import open_images
    from edgekit.preprocessing import Preprocessing

    (tmp_path / "out").mkdir()
    provenance = {"checkpoint_sha256": manifests.sha256_of(CHECKPOINT)}
    named = SimpleNamespace(graph=SimpleNamespace(name="net"), provenance=provenance)
    source: Any = SimpleNamespace(float_model=named, facts=(), in_memory=None)
    seen = Images.of(open_images(folder, Preprocessing((32, 32), "whole")), settings)
    built = manifests.build(tmp_path / "out", source, seen, settings, command="export")
    built.save(tmp_path / "out" / "net.manifest.json", tmp_path / "out")
    return tmp_path / "out" / "net.manifest.json"


def test_images_that_changed(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    shutil.copy(folder / "0.png", folder / "3.png")
    found = reproduce(pictures, progress=no_work)
    assert (found.passed, found.files, found.out) == (False, (), None)
    said = f"the calibration images in {pictures.parent}/../pictures are not those of then"
    assert found.inputs == (f"{said}: 1 changed (3.png)",)
    (folder / "2.png").unlink()
    for name in "abcd":
        shutil.copy(folder / "0.png", folder / f"{name}.png")
    (said,) = reproduce(pictures, progress=no_work).inputs
    assert said.endswith(": 1 changed (3.png), 1 missing (2.png), 4 new (a.png, b.png, c.png, …)")


def test_images_in_another_order(pictures: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    names = [f"pictures/{i}.png" for i in (4, 1, 2, 3, 0)]
    listed.write_text("\n".join(names))
    (said,) = reproduce(pictures, moved=Moved(calib=listed), progress=no_work).inputs
    assert "1 changed" not in said  # as their names start elsewhere, they are other images to it
    (tmp_path / "pictures" / "list.csv").write_text("\n".join(name.partition("/")[2] for name in names))
    (said,) = reproduce(pictures, moved=Moved(calib=tmp_path / "pictures" / "list.csv"), progress=no_work).inputs
    assert said.endswith("are not those of then: the same ones in another order, or some of them more often")


def test_another_checkpoint_and_other_labels(made: Path, tmp_path: Path) -> None:
    checkpoint, labels = tmp_path / "net.safetensors", tmp_path / "labels.txt"
    checkpoint.write_bytes(CHECKPOINT.read_bytes()[:-1] + b"\0")
    labels.write_text("\n".join("9876543210"))
    found = reproduce(made, moved=Moved(checkpoint=checkpoint, labels=labels), progress=no_work)
    assert not found.passed
    assert [said.partition(":")[0] for said in found.inputs] == [
        f"the checkpoint {checkpoint} is not the one of then",
        f"the file of labels {labels} is not the one of then",
    ]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (
            {"checkpoint": "gone.pth"},
            r"the checkpoint gone\.pth cannot be read: if it has moved, --checkpoint FILE says",
        ),
        ({"labels": "gone.txt"}, r"the file of labels gone\.txt cannot be read: if it has moved, --labels FILE says"),
        ({"calib": "gone"}, "gone does not exist.*; if the calibration images have moved, --calib DIR says where to"),
    ],
)
def test_missing_inputs(made: Path, place: dict[str, str], said: str) -> None:
    there: dict[str, Any] = {name: Path(path) for name, path in place.items()}
    with pytest.raises(DataError, match=said):
        reproduce(made, moved=Moved(**there), progress=no_work)


def test_what_contradicts_the_manifest(made: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--ranges is given, and nothing of that kind was read then"):
        reproduce(made, moved=Moved(ranges=made), progress=no_work)
    with pytest.raises(ConfigError, match="is where the files of the manifest are: choose another --out"):
        reproduce(made, out=made.parent / ".", progress=no_work)
    if not torch.cuda.is_available():
        tuned = edited(Path(shutil.copy(made, tmp_path / made.name)), machine={"gpu": "NVIDIA H200"})
        places = Moved(checkpoint=CHECKPOINT, labels=FOLDER / "labels.txt", calib=FOLDER / "calibration.npz")
        with pytest.raises(ConfigError, match="it was fine-tuned on NVIDIA H200, and torch finds no GPU here"):
            reproduce(tuned, moved=places, progress=no_work)


# --- other files ------------------------------------------------------------------------------------------------------


def test_what_differs_and_what_is_otherwise_here(small: Path) -> None:
    """A manifest that claims another setting than the files were made with."""
    then = json.loads(small.read_text())["settings"]
    edited(
        small,
        settings={"export": then["export"] | {"io_dtype": "uint8"}},
        versions={"torch": "1.0", "glitter": "3"},
        machine={"processor": "Z80", "threads": 1000},
    )
    found = reproduce(small)
    assert not found.passed
    files = {file.name.removeprefix(f"{NAME}."): file for file in found.files}
    assert files["ranges.json"].identical
    assert files["int8.edgekit"].identical
    assert not files["int8.tflite"].identical
    assert "ADD of x.add is missing" in (files["int8.tflite"].difference or "")
    notes = "\n".join(found.notes)
    assert f"torch: 1.0 then, {torch.__version__} now" in notes
    assert "glitter: 3 then, not installed now" in notes
    assert "processor: Z80 then, " in notes
    assert "threads: 1000 then, and this machine has" in notes


def test_files_that_are_no_longer_what_they_were(small: Path, tmp_path: Path) -> None:
    names = [f"{NAME}.{kind}" for kind in ("int8.edgekit", "int8.tflite", "ranges.json")]
    with (small.parent / names[1]).open("ab") as stream:
        stream.write(b"more")
    values = json.loads((small.parent / names[2]).read_text())
    values["ranges"]["features.5.add"][1] = 7.5
    (small.parent / names[2]).write_text(json.dumps(values))
    (small.parent / names[0]).unlink()
    found = reproduce(small, out=tmp_path / "again")
    edgekit, tflite, ranges = found.files
    assert (edgekit.identical, edgekit.difference) == (True, None)  # it need not be there
    changed = "rebuilt, but the file beside the manifest was changed since: "
    assert (tflite.identical, tflite.difference) == (False, f"{changed}it says the same, in other bytes")
    assert (ranges.difference or "").startswith(f"{changed}calibration.ranges.features.5.add: ")


@pytest.mark.parametrize(
    ("then", "now", "there", "said"),
    [
        ("1", "1", "1", None),
        ("1", "1", None, None),
        ("1", "2", None, "other bytes; the file of then is not beside the manifest, which would say what differs"),
        (
            "1",
            "2",
            "3",
            "other bytes; the file beside the manifest is not the one of then either, so what differs is not",
        ),
        ("1", None, "1", "it is not written any more"),
        (None, "1", None, "it was not written then"),
    ],
)
def test_what_is_said_where_files_are_missing(
    tmp_path: Path, then: str | None, now: str | None, there: str | None, said: str | None
) -> None:
    def published(content: str | None) -> PublishedFile | None:
        return None if content is None else PublishedFile(hashlib.sha256(content.encode()).hexdigest(), len(content))

    kept = tmp_path / "net.onnx"
    if there is not None:
        kept.write_text(there)
    found = _difference(published(then), published(now), kept, tmp_path / "again")
    assert found == said or (found or "").startswith(said or "it says")


def test_float_files_alone(settings: MakeSettings, tmp_path: Path) -> None:
    wanted = settings(
        calibration={"ranges": None}, export={"precisions": ["float32"], "out": tmp_path / "float", "verify": False}
    )
    made = export(replace(wanted, calibration=replace(wanted.calibration, ranges=None))).manifest
    content = json.loads(made.read_text())
    model = content["settings"]["model"] | {"bn_eps": 0.01, "insist": True}
    (file,) = reproduce(edited(made, settings={"model": model})).files
    assert "features.0.0" in (file.difference or "")


def test_what_was_fine_tuned_for_some_time(settings: MakeSettings, tmp_path: Path) -> None:
    minutes = {"minutes": 0.001, "seed": 3}
    wanted = settings(calibration={"images": 12}, finetune=minutes, export={"out": tmp_path / "tuned", "verify": False})
    result = finetune(replace(wanted, calibration=replace(wanted.calibration, ranges=None)))
    found = Manifest.load(result.export.manifest)
    assert found.command == "finetune"
    assert found.settings.finetune == config.FinetuneSettings(
        epochs=result.finetuning.epochs, accelerator="cpu", seed=3
    )
    assert found.settings.export.precisions == ("int8",)
    assert reproduce(result.export.manifest).passed


def test_the_threads_of_then_and_an_interruption_that_leaves_nothing(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    before = torch.get_num_threads()
    edited(small, machine={"threads": before + 1})
    there = sorted(tmp_path.rglob("*"))
    threads = {}

    def interrupt(stage: str, done: int, total: int) -> None:
        threads[stage] = torch.get_num_threads()
        if stage == "writing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(small, progress=interrupt)
    assert threads == {"checking the inputs": before, "loading": before + 1, "writing": before + 1}
    assert torch.get_num_threads() == before
    assert sorted(tmp_path.rglob("*")) == there
