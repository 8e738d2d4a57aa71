"""The standard metadata, read with nothing but the FlatBuffers and ZIP specifications."""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.exporters.tflite import metadata as tflite_metadata
from edgekit.exporters.tflite import schema as tflite_schema
from edgekit.exporters.tflite.codec import read, write_float_model, write_integer_model
from edgekit.preprocessing import Normalization
from tests.networks import FloatSketch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel


@dataclass(frozen=True)
class Table:
    """A table of a FlatBuffer (https://flatbuffers.dev/internals)."""

    data: bytes
    position: int

    def at(self, slot: int) -> int | None:
        """Where the field lies."""
        table = self.position - struct.unpack_from("<i", self.data, self.position)[0]
        size = struct.unpack_from("<H", self.data, table)[0]
        if 4 + 2 * slot >= size:
            return None
        offset = struct.unpack_from("<H", self.data, table + 4 + 2 * slot)[0]
        return self.position + offset if offset else None

    def scalar(self, slot: int, form: str = "B") -> Any:
        where = self.at(slot)
        return 0 if where is None else struct.unpack_from(f"<{form}", self.data, where)[0]

    def _followed(self, where: int) -> int:
        return where + int(struct.unpack_from("<I", self.data, where)[0])

    def table(self, slot: int) -> Table:
        where = self.at(slot)
        assert where is not None
        return Table(self.data, self._followed(where))

    def tables(self, slot: int) -> list[Table]:
        where = self.at(slot)
        if where is None:
            return []
        start = self._followed(where)
        count = struct.unpack_from("<I", self.data, start)[0]
        return [Table(self.data, self._followed(start + 4 + 4 * i)) for i in range(count)]

    def bytes_of(self, slot: int, item_bytes: int = 1) -> bytes:
        where = self.at(slot)
        if where is None:
            return b""
        start = self._followed(where)
        return self.data[start + 4 : start + 4 + item_bytes * struct.unpack_from("<I", self.data, start)[0]]

    def text(self, slot: int) -> str:
        return self.bytes_of(slot).decode()

    def floats(self, slot: int) -> tuple[float, ...]:
        data = self.bytes_of(slot, 4)
        return struct.unpack(f"<{len(data) // 4}f", data)


def standard_metadata(path: Path) -> Table:
    schema = tflite_schema.load()
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    (entry,) = (entry for entry in model.metadata if entry.name == b"TFLITE_METADATA")
    data = bytes(model.buffers[entry.buffer].data)
    assert data[4:8] == b"M001"
    return Table(data, struct.unpack_from("<I", data)[0])


@pytest.fixture
def files(integer_model: IntegerModel, float_model: FloatModel, tmp_path: Path) -> dict[str, Path]:
    """One file of each kind."""
    for io_dtype in IoDtype:
        write_integer_model(integer_model, tmp_path / f"int8, {io_dtype}", io_dtype=io_dtype)
    for precision in Precision.FLOAT32, Precision.FLOAT16:
        write_float_model(float_model, tmp_path / precision, precision=precision)
    return {path.name: path for path in tmp_path.iterdir()}


def test_tensors_are_described_in_every_kind_of_file(files: dict[str, Path], integer_model: IntegerModel) -> None:
    assert len(files) == 5
    for path in files.values():
        root = standard_metadata(path)
        assert root.text(0) == "tiny"
        assert root.text(7) == "1.0.0"
        (subgraph,) = root.tables(3)
        (image,), (logits,) = subgraph.tables(2), subgraph.tables(3)
        assert (image.text(0), logits.text(0)) == ("image", "logits")
        assert image.text(1) == "RGB image of 32 x 32 pixels"
        content = image.table(3)
        assert content.scalar(0) == 2, "image"
        properties = content.table(1)
        assert properties.scalar(0) == 1, "RGB"
        assert (properties.table(1).scalar(0, "I"), properties.table(1).scalar(1, "I")) == (32, 32)
        (unit,) = image.tables(4)
        assert unit.scalar(0) == 1, "normalization"
        assert (unit.table(1).floats(0), unit.table(1).floats(1)) == ((127.5,) * 3,) * 2
        assert logits.table(3).scalar(0) == 1, "feature"
        (labels,) = logits.tables(6)
        assert (labels.text(0), labels.scalar(2)) == ("labels.txt", 2), "axis labels"


def test_normalization_is_that_of_the_files_input(integer_model: IntegerModel, tmp_path: Path) -> None:
    """Integers stand for what the first convolution has left over, floats for the checkpoint's own."""
    left = Normalization((114.0, 114.0, 114.0), (57.5, 57.5, 57.5))
    model = replace(integer_model, normalization=left, pixel_input=True)
    for io_dtype, wanted in ((IoDtype.INT8, left), (IoDtype.FLOAT32, model.preprocessing.normalization)):
        write_integer_model(model, tmp_path / "m.tflite", io_dtype=io_dtype)
        (subgraph,) = standard_metadata(tmp_path / "m.tflite").tables(3)
        options = subgraph.tables(2)[0].tables(4)[0].table(1)
        assert options.floats(0) == pytest.approx(wanted.mean)
        assert options.floats(1) == pytest.approx(wanted.std)


def test_size_is_width_and_height_and_bgr_is_not_called_rgb(float_model: FloatModel, tmp_path: Path) -> None:
    preprocessing = replace(float_model.preprocessing, size=(192, 160), order="BGR")
    write_float_model(replace(float_model, preprocessing=preprocessing), tmp_path / "m.tflite")
    (subgraph,) = standard_metadata(tmp_path / "m.tflite").tables(3)
    (image,) = subgraph.tables(2)
    assert image.text(1) == "BGR image of 192 x 160 pixels"
    assert image.table(3).table(1).scalar(0) == 0
    assert image.table(3).table(1).table(1).scalar(0, "I") == 160


def test_only_the_first_output_has_labels(tmp_path: Path) -> None:
    s = FloatSketch((8, 7, 7))
    features = s.conv("x", 12)
    s.outputs = (s.linear(s.mean(features, keep_dims=False), 10), features)
    write_float_model(s.float_model(), tmp_path / "m.tflite")
    (subgraph,) = standard_metadata(tmp_path / "m.tflite").tables(3)
    assert [(output.text(0), len(output.tables(6))) for output in subgraph.tables(3)] == [
        ("logits", 1),
        ("output_1", 0),
    ]


def test_labels_lie_uncompressed_behind_the_model(files: dict[str, Path], litert: Callable[[Path], Any]) -> None:
    for path in files.values():
        with zipfile.ZipFile(path) as archive:
            (entry,) = archive.infolist()
            assert archive.read(entry) == "cat\ndog\ngröße\n日本\n".encode()
        assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        # Readers that do not search the file, like minizip, rely on offsets from its very beginning.
        assert path.read_bytes()[entry.header_offset :][:4] == b"PK\x03\x04"
        litert(path)


def test_without_labels_there_is_no_archive(integer_model: IntegerModel, tmp_path: Path) -> None:
    write_integer_model(replace(integer_model, labels=()), tmp_path / "m.tflite")
    assert not zipfile.is_zipfile(tmp_path / "m.tflite")
    (subgraph,) = standard_metadata(tmp_path / "m.tflite").tables(3)
    assert subgraph.tables(3)[0].tables(6) == []
    assert read(tmp_path / "m.tflite").metadata is not None


def test_weights_that_look_like_an_archive_are_no_archive() -> None:
    """PK 05 06 is the mark at the end of every archive."""
    model = bytes(100) + b"PK\x05\x06" + bytes(18) + bytes(100)
    packed = tflite_metadata.with_files(model, {"labels.txt": b"cat\n"})
    assert packed.startswith(model)
    assert zipfile.ZipFile(io.BytesIO(packed)).namelist() == ["labels.txt"]


@pytest.mark.parametrize(("kind", "release"), [
    ("int8, int8", b"1.14.0"), ("int8, float32", b"1.14.0"), ("float32", b"1.15.0"), ("float16", b"1.15.0")
])  # fmt: skip
def test_the_oldest_runtime_is_named(kind: str, release: bytes, files: dict[str, Path]) -> None:
    model = tflite_schema.load().ModelT.InitFromPackedBuf(files[kind].read_bytes(), 0)
    (entry,) = (entry for entry in model.metadata if entry.name == b"min_runtime_version")
    assert bytes(model.buffers[entry.buffer].data) == release.ljust(16, b"\0")
