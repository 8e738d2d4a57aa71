"""The folder that an .mlpackage is: a manifest, the model and its weights.

    NAME.mlpackage/
      Manifest.json                            names the two items below
      Data/com.apple.CoreML/model.mlmodel      a Model message
      Data/com.apple.CoreML/weights/weight.bin

Source: modelpackage/src/ModelPackage.cpp in apple/coremltools.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edgekit import files
from edgekit.errors import ArtifactError
from edgekit.exporters.coreml import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEIGHTS_REFERENCE: Final = "@model_path/weights/weight.bin"  # how a program names its weights file

_AUTHOR: Final = "com.apple.CoreML"  # of the items, not of the model: coremltools and Xcode look for it
_MODEL, _WEIGHTS = f"{_AUTHOR}/model.mlmodel", f"{_AUTHOR}/weights"
_MANIFEST = "Manifest.json"
_FINDER = ".DS_Store"  # what macOS leaves in folders that it has shown
_FOREIGN = "is not a Core ML package, or is damaged: export it again"


@dataclass(frozen=True, slots=True)
class Package:
    """The contents of a package that was opened.

    Attributes:
        model: the serialized Model message.
        folder: where it lies, which a program calls @model_path.
    """

    model: bytes
    folder: Path


def write(path: Path, model: bytes, weights: bytes) -> None:
    """Write a package, all of it or nothing.

    The manifest needs two identifiers. coremltools draws them at random; here they follow from the contents, so that
    equal models give equal packages.

    Raises:
        BadInput: the package cannot be written.
    """
    identifiers = {item: _identifier(content) for item, content in ((_MODEL, model), (_WEIGHTS, weights))}
    manifest = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": {
            identifiers[_MODEL]: {
                "author": _AUTHOR,
                "description": "CoreML Model Specification",
                "name": "model.mlmodel",
                "path": _MODEL,
            },
            identifiers[_WEIGHTS]: {
                "author": _AUTHOR,
                "description": "CoreML Model Weights",
                "name": "weights",
                "path": _WEIGHTS,
            },
        },
        "rootModelIdentifier": identifiers[_MODEL],
    }
    with files.replacing(path) as temporary:
        data = temporary / "Data"
        (data / _WEIGHTS).mkdir(parents=True)
        (data / _WEIGHTS / "weight.bin").write_bytes(weights)
        (data / _MODEL).write_bytes(model)
        (temporary / _MANIFEST).write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n")


def open_package(path: Path) -> Package:
    """Find the model in a package.

    Raises:
        ArtifactError: there is none.
    """
    if not path.exists():
        raise ArtifactError(f"{path} does not exist")
    if path.is_file():
        raise ArtifactError(f"{path} is a file: a Core ML model is a folder that ends in {SUFFIX}")
    try:
        manifest = json.loads((path / _MANIFEST).read_bytes())
        model = path / "Data" / manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
        return Package(model.read_bytes(), model.parent)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} {_FOREIGN} ({error})") from error


def weights_folder(path: Path) -> Path:
    """Where the weights of a package lie.

    Raises:
        ArtifactError: there is no model in it.
    """
    return open_package(path).folder / "weights"


def irregularities(path: Path) -> Iterator[str]:
    """What makes two readers of one package see different things, and what is in it that none of them sees.

    Args:
        path: of a package that ``open_package`` opens.
    """
    repeated: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        repeated.extend(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        return dict(pairs)

    manifest = json.loads((path / _MANIFEST).read_bytes(), object_pairs_hook=unique)
    items = list(manifest["itemInfoEntries"].values())
    yield from (f"the manifest says {key} twice, and which of both counts is the reader's choice" for key in repeated)
    for key in ("name", "path"):  # ModelPackage.cpp, findItem: by name and author
        for value, count in Counter(item.get(key) for item in items).items():
            if count > 1:
                yield f"{count} items of the manifest have the {key} {value}, and which counts is the reader's choice"
    expected = {_MODEL, _WEIGHTS}
    places = [str(item.get("path")) for item in items]
    yield from (f"the manifest lists {place}, which edgekit never writes" for place in places if place not in expected)
    yield from (f"the manifest does not list {place}: compilers leave it out" for place in expected - set(places))
    known = {path / _MANIFEST, path / "Data" / _MODEL, path / "Data" / _WEIGHTS / "weight.bin"}
    for entry in sorted(path.rglob("*")):
        name = entry.relative_to(path)
        if entry.is_symlink():
            yield f"{name} is a link to elsewhere, and does not travel along"
        elif entry.is_file() and entry not in known and entry.name != _FINDER:
            yield f"the file {name} belongs to nothing"


def _identifier(content: bytes) -> str:
    return str(uuid.UUID(bytes=hashlib.sha256(content).digest()[:16], version=5)).upper()
