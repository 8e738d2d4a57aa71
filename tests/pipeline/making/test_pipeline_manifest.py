"""The manifest: the same for the same export, and what it says is what was read and written."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from edgekit import config
from edgekit.calibration.images import open_images
from edgekit.defaults import CHECKPOINT, CONFIG, FOLDER
from edgekit.errors import ArtifactError, ConfigError
from edgekit.pipeline.making import manifest
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.manifest import Images, Manifest, sha256_of
from edgekit.preprocessing import Preprocessing
from edgekit.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.config import Settings
    from edgekit.pipeline.making.source import Source

    MakeSettings = Callable[..., Settings]

for needed in ("torch", "safetensors", "onnx", "onnxruntime", "onnxsim", "ai_edge_litert", "coremltools"):
    pytest.importorskip(needed)

NAME = "mobilenet_v3_digits_1.0_32"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def shipped(exported: Path) -> Path:
    """The manifest of the session's export."""
    return exported / f"{NAME}.manifest.json"


def test_what_was_read_and_written(shipped: Path) -> None:
    found = Manifest.load(shipped)
    assert (found.command, found.network) == ("export", NAME)
    assert found.inputs.checkpoint_sha256 == sha256(CHECKPOINT.read_bytes())
    assert found.inputs.labels_sha256 == sha256((FOLDER / "labels.txt").read_bytes())
    assert found.inputs.ranges_sha256 is None
    assert {path.name for path in shipped.parent.iterdir()} == {*found.files, shipped.name}
    for name, file in found.files.items():
        path = shipped.parent / name
        if path.is_file():
            assert (file.sha256, file.size_bytes) == (sha256(path.read_bytes()), path.stat().st_size)


def test_every_image_that_was_calibrated_on(shipped: Path) -> None:
    with np.load(FOLDER / "calibration.npz") as arrays:
        pixels = arrays["images"]
    chosen = [(2 * i + 1) * len(pixels) // 32 for i in range(16)]
    images = Manifest.load(shipped).inputs.images
    assert images is not None
    assert images.files == {f"calibration.npz[{i}]": sha256(pixels[i].tobytes()) for i in chosen}
    assert images.sha256 == sha256(b"".join(hashlib.sha256(pixels[i].tobytes()).digest() for i in chosen))
    assert images.labels_sha256 is None
    ranges = json.loads((shipped.parent / f"{NAME}.ranges.json").read_text())
    assert ranges["digest"] == images.sha256  # so that every int8 file says which list it comes from


def test_how_it_was_made(shipped: Path) -> None:
    import torch

    found = Manifest.load(shipped)
    values = json.loads(shipped.read_text())
    assert list(values["settings"]) == ["model", "preprocessing", "calibration", "export"]
    wanted = config.load(CONFIG).calibration
    assert found.settings.calibration == replace(wanted, images=16, data=found.settings.calibration.data)
    # Paths are relative to the manifest where both are below one folder.
    for path, place in ((found.settings.calibration.data, wanted.data), (found.settings.model.checkpoint, CHECKPOINT)):
        assert path is not None
        assert place is not None
        assert path.resolve() == place.resolve()
    assert found.settings.export.out.resolve() == shipped.parent.resolve()
    assert values["settings"]["export"]["out"] == "."
    assert found.versions["edgekit"] == __version__
    assert found.versions["python"] == platform.python_version()
    assert found.versions["numpy"] == np.__version__
    assert {"torch", "onnx", "onnxsim", "ai-edge-litert", "flatbuffers", "coremltools", "protobuf"} < set(
        found.versions
    )
    assert (found.machine.threads, found.machine.gpu) == (torch.get_num_threads(), None)
    assert found.machine.architecture == platform.machine()


def test_the_same_export_gives_the_same_manifest(settings: MakeSettings, tmp_path: Path) -> None:
    first = export(settings()).manifest.read_bytes()
    beside = export(settings(export={"out": tmp_path / "beside"})).manifest
    assert beside.read_bytes() == first  # a folder beside the other sees its inputs in the same places
    found = Manifest.load(beside)
    assert found.settings.calibration.ranges is not None
    assert found.inputs.ranges_sha256 == sha256(found.settings.calibration.ranges.read_bytes())
    assert found.inputs.images is None


def test_what_is_saved_is_what_is_loaded(shipped: Path, tmp_path: Path) -> None:
    found = Manifest.load(shipped)
    found.save(tmp_path / "again.json", shipped.parent)
    assert (tmp_path / "again.json").read_bytes() == shipped.read_bytes()


def test_a_package_counts_with_the_names_and_contents_of_its_files(tmp_path: Path) -> None:
    def package(**contents: bytes) -> str:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}.mlpackage"
        for name, content in contents.items():
            path = folder / name.replace("_", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return sha256_of(folder)

    same = package(a=b"1", b_c=b"2")
    assert same == sha256(b"a\0" + hashlib.sha256(b"1").digest() + b"b/c\0" + hashlib.sha256(b"2").digest())
    assert package(b_c=b"2", a=b"1") == same
    for other in ({"a": b"1"}, {"a": b"2", "b_c": b"1"}, {"a": b"1", "b_d": b"2"}, {"a": b"12", "b_c": b""}):
        assert package(**other) != same


def test_labels_count_where_a_floor_goes_by_them() -> None:
    def of(path: Path, **calibration: Any) -> Images:
        wanted = config.load(CONFIG, {"calibration": calibration})
        return Images.of(open_images(path, Preprocessing((8, 8), None), limit=4), wanted)

    assert of(FOLDER / "test.npz").labels_sha256 is None
    labelled = of(FOLDER / "test.npz", floor=1.0)
    with np.load(FOLDER / "test.npz") as arrays:
        chosen = arrays["labels"][[(2 * i + 1) * len(arrays["labels"]) // 8 for i in range(4)]]
    assert labelled.labels_sha256 == sha256(" ".join(map(str, chosen)).encode())


@pytest.mark.parametrize(
    ("calibration", "precisions", "hashed"),
    [
        ({}, ["int8"], True),
        ({}, ["float32"], False),
        ({"data_free": True}, ["int8", "float32"], False),
    ],
)
def test_ranges_count_where_they_are_read(
    tmp_path: Path, calibration: dict[str, Any], precisions: list[str], *, hashed: bool
) -> None:
    ranges = tmp_path / "net.ranges.json"
    ranges.write_text("some")
    flags = {"calibration": {"ranges": ranges, **calibration}, "export": {"precisions": precisions}}
    (tmp_path / "out").mkdir()
    named = SimpleNamespace(graph=SimpleNamespace(name="net"), provenance={"checkpoint_sha256": "0"})
    source = cast("Source", SimpleNamespace(float_model=named, facts=(), in_memory=None))
    built = manifest.build(tmp_path / "out", source, None, config.load(CONFIG, flags), command="export")
    assert built.inputs.ranges_sha256 == (sha256(b"some") if hashed else None)
    assert built.files == {}


@pytest.mark.parametrize(
    ("checkpoint", "targets", "precisions", "torch", "others"),
    [
        ("net.pth", ["tflite"], ["float32"], True, {"ai-edge-litert", "flatbuffers"}),
        ("net.h5", ["torch"], ["float32"], True, {"h5py"}),
        ("net.safetensors", ["coreml"], ["int8"], True, {"safetensors", "coremltools", "protobuf"}),
        ("net.onnx", ["onnx"], ["float32"], False, {"onnx", "onnxsim", "protobuf"}),
        ("net.onnx", ["onnx"], ["float32", "int8"], True, {"onnx", "onnxsim", "protobuf"}),
        ("net.ONNX", ["torch"], ["float32"], True, {"onnx", "onnxsim", "protobuf"}),
    ],
)
def test_only_what_has_a_part_in_it_is_named(
    checkpoint: str, targets: list[str], precisions: list[str], others: set[str], *, torch: bool
) -> None:
    flags: dict[str, dict[str, Any]] = {
        "model": {"checkpoint": checkpoint},
        "export": {"targets": targets, "precisions": precisions},
    }
    wanted = config.load(None, flags)
    always = {"edgekit", "python", "zlib", "numpy", "pillow"}
    assert set(manifest.versions(wanted)) == always | others | ({"torch"} if torch else set())
    assert (manifest.machine(wanted, "export").threads is not None) == torch


def changed(path: Path, folder: Path, **values: Any) -> Path:
    """A copy in which single values are others; ... takes one away."""
    found = json.loads(path.read_text()) | values
    (folder / "changed.manifest.json").write_text(json.dumps({k: v for k, v in found.items() if v is not ...}))
    return folder / "changed.manifest.json"


@pytest.mark.parametrize(
    "values",
    [
        {"settings": ...},
        {"settings": {}},
        {"settings": 3},
        {"command": "verify"},
        {"inputs": {}},
        {"inputs": None},
        {"machine": {"threads": 1}},
        {"files": {"a": {"sha": "0"}}},
        {"files": []},
        {"schema_version": ...},
    ],
)
def test_what_is_no_manifest_is_refused(shipped: Path, tmp_path: Path, values: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="is no manifest, or is damaged: edgekit export writes one"):
        Manifest.load(changed(shipped, tmp_path, **values))


def test_files_that_are_something_else(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_bytes(b"\xff{")
    for path, said in (
        (tmp_path / "net.json", "is no manifest, or is damaged"),
        (tmp_path / "none.json", "does not exist: name the"),
        (tmp_path, "is a folder: name the"),
        (
            changed(shipped, tmp_path, schema_version=1),
            r"has schema version 1, this edgekit reads 3: .* that wrote it, \d",
        ),
    ):
        with pytest.raises(ArtifactError, match=said):
            Manifest.load(path)


def test_a_setting_that_this_edgekit_lacks(shipped: Path, tmp_path: Path) -> None:
    found = json.loads(shipped.read_text())["settings"]
    with pytest.raises(ConfigError, match=r"changed\.manifest\.json: unknown key export\.glitter"):
        Manifest.load(changed(shipped, tmp_path, settings=found | {"export": {"glitter": True}}))
