"""What a file is, by its first bytes and, in an archive, by the names of its members: suffixes say little.

Sources of the marks: the formats' own specifications and ``file``'s magic database.
"""

from __future__ import annotations

import re
import struct
import zipfile
from typing import TYPE_CHECKING, Literal

from edgekit.errors import CheckpointError
from edgekit.models.names import WAY_BY_ONNX

if TYPE_CHECKING:
    from pathlib import Path

Format = Literal["pickle", "safetensors", "h5", "keras"]

_HEAD = 512  # bytes that are looked at; a tar archive says what it is at 257
_MAX_HEADER = 100_000_000  # bytes of names in a .safetensors file, its own limit

_KERAS = "model.save('model.keras') in the environment of the training"
_SAVED_MODEL = (
    "convert it by python -m tf2onnx.convert --saved-model FOLDER --inputs-as-nchw INPUT --output model.onnx, then"
    f" edgekit export model.onnx; or save the Keras model: {_KERAS}"
)
_AGAIN = "download it again, by a link to the file itself"
_FROM_TRAINING = f"give the checkpoint of the training, or bring its network as ONNX: {WAY_BY_ONNX}"

# What files begin with, at which byte, and the next step.
_MAGIC: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"version https://git-lfs", "a Git LFS pointer, which stands for a file that was not fetched", "git lfs pull"),
    (0, b"\x1f\x8b", "compressed with gzip", "gunzip FILE (or tar xzf FILE), and give what comes out"),
    (0, b"BZh", "compressed with bzip2", "bunzip2 FILE, and give what comes out"),
    (0, b"\xfd7zXZ", "compressed with xz", "unxz FILE, and give what comes out"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd", "unzstd FILE, and give what comes out"),
    (0, b"7z\xbc\xaf", "a 7z archive", "unpack it, and give the checkpoint in it"),
    (0, b"Rar!", "a RAR archive", "unpack it, and give the checkpoint in it"),
    (4, b"TFL3", "a TensorFlow Lite file, which is an export already", _FROM_TRAINING),
    (4, b"ET12", "an ExecuTorch program, which is an export already", _FROM_TRAINING),
    (0, b"GGUF", "a GGUF file of llama.cpp, which holds a language model", "give a trained MobileNet"),
    (0, b"7767517", "the network description of ncnn, which is an export already", _FROM_TRAINING),
    (0, b"ftrt", "a TensorRT engine, which is an export already", _FROM_TRAINING),
    (0, b"\x89PNG", "a PNG image", "give a trained checkpoint; images go to --calib"),
    (0, b"\xff\xd8\xff", "a JPEG image", "give a trained checkpoint; images go to --calib"),
    (0, b"%PDF", "a PDF document", "give a trained checkpoint"),
    (0, b"\x93NUMPY", "a NumPy array", "save the network's state_dict() with torch.save"),
    (0, b"\x12\x01\x00\x00\x00\x00\x00\x00", "parameters of MXNet", _FROM_TRAINING),
    (0, b"model_checkpoint_path", "the index of TensorFlow's checkpoints, without weights", _KERAS),
    (257, b"ustar", "a tar archive", "tar xf FILE, and give the checkpoint in it"),
)
# The same for text, whatever stands before it.
_TEXT: tuple[tuple[str, str, str], ...] = (
    (r"<!doctype html|<html|<head", "an HTML page, not the file behind it", _AGAIN),
    (r"<\?xml.*<net ", "a network of OpenVINO, which is an export already", _FROM_TRAINING),
    (r"<\?xml|<error", "an XML answer of a server, not the file that was asked for", _AGAIN),
    (r"name\s*:\s*\"[^\"]*\"\s*(layer|input)", "a network description of Caffe, without weights", _FROM_TRAINING),
    (r"\{\s*\"(error|message|detail)", "a server's error message, not the file that was asked for", _AGAIN),
    (r"(access denied|not found|invalid username|unauthorized)", "a server's error message", _AGAIN),
    (r"\{", "JSON text without weights", "give the file of weights beside it"),
)
# Members of a zip archive that tell what it is.
_MEMBERS: tuple[tuple[str, str, str], ...] = (
    (r"(^|/)(archive_format|serialized_exported_program\.json)$", "a program of torch.export", _FROM_TRAINING),
    (r"(^|/)(constants\.pkl|code/)", "a TorchScript program", _FROM_TRAINING),
    (r"(^|/)saved_model\.pb$", "a zipped SavedModel of TensorFlow", f"unpack it; {_SAVED_MODEL}"),
    (r"\.(mlmodel|mlpackage/)", "a zipped Core ML model, which is an export already", _FROM_TRAINING),
    (r"\.npy$", "arrays of NumPy, which do not say what network they belong to", "save it with torch.save or Keras"),
    (r"\.(pth|pt|bin|ckpt|safetensors|h5|keras|onnx)$", "a zip archive", "unzip it, and give the checkpoint in it"),
)


def format_of(path: Path) -> Format | None:
    """How a file is read; None where its bytes do not tell, and its suffix has to.

    Raises:
        CheckpointError: it is no checkpoint, but something that is known, which the message names.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"PK\x03\x04"):
        return _archive(path)
    for offset, mark, name, way in _MAGIC:
        if head[offset:].startswith(mark):
            raise CheckpointError(f"{path} is {name}: {way}")
    if head.startswith(b"\x89HDF"):
        return "h5"
    if _is_safetensors(head):
        return "safetensors"
    if _is_onnx(head):
        raise CheckpointError(f"{path} is an ONNX file by its content: give it the suffix .onnx")
    if _is_tensorflow(head):
        raise CheckpointError(f"{path} is a graph of TensorFlow (.pb): {_SAVED_MODEL}")
    if path.suffix == ".index" or re.search(r"\.data-\d{5}-of-\d{5}$", path.name):
        raise CheckpointError(f"{path} is a checkpoint of TensorFlow, which names no network: {_KERAS}")
    if re.match(rb"\x80[\x02-\x05]", head):
        return "pickle"
    _refuse_text(path, head)
    return None


def _archive(path: Path) -> Format | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return None  # damaged, of which the reader tells more
    if "model.weights.h5" in names:
        return "keras"
    for mark, name, way in _MEMBERS:
        if any(re.search(mark, member) for member in names):
            note = ", and edgekit never runs a file's code" if "program" in name else ""
            raise CheckpointError(f"{path} holds {name}{note}: {way}")
    return "pickle" if any(re.search(r"(^|/)data\.pkl$", name) for name in names) else None


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 9 and struct.unpack("<Q", head[:8])[0] < _MAX_HEADER and head[8:9] == b"{"


def _is_onnx(head: bytes) -> bool:
    """A ModelProto begins with its ir_version (field 1, a small number) and mostly its producer (field 2, text)."""
    return (
        re.match(rb"\x08[\x01-\x1f]\x12.[a-zA-Z]", head, re.DOTALL) is not None
        or re.match(rb"\x08[\x01-\x1f](B|:)", head) is not None
    )


def _is_tensorflow(head: bytes) -> bool:
    """A GraphDef begins with a node (field 1) that has a name (1) and an operator (2); a SavedModel with a version."""
    is_graph = re.match(rb"\n.{1,3}\n.[A-Za-z0-9_/.:-]{1,120}\x12.[A-Z][A-Za-z0-9]+", head, re.DOTALL) is not None
    return is_graph or (head.startswith(b"\x08\x01\x12") and b"MetaGraph" in head)


def _refuse_text(path: Path, head: bytes) -> None:
    """Refuses text, whose bytes are all printable."""
    try:
        text = head[: max(head.rfind(b" "), 16)].decode("utf-8").lstrip("\ufeff \t\r\n")
    except UnicodeDecodeError:
        return
    for mark, name, way in _TEXT:
        if re.match(rf"(?is){mark}", text):
            raise CheckpointError(f"{path} is {name}: {way}")
