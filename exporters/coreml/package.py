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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit import files
from edgekit.errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX: Final = ".mlpackage"
WEIGHTS_REFERENCE: Final = "@model_path/weights/weight.bin"  # how a program names its weights file

_AUTHOR: Final = "com.apple.CoreML"  # of the items, not of the model: coremltools and Xcode look for it
_MODEL, _WEIGHTS = f"{_AUTHOR}/model.mlmodel", f"{_AUTHOR}/weights"
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
        (temporary / "Manifest.json").write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n")


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
        manifest = json.loads((path / "Manifest.json").read_bytes())
        model = path / "Data" / manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
        return Package(model.read_bytes(), model.parent)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} {_FOREIGN} ({error})") from error


def _identifier(content: bytes) -> str:
    return str(uuid.UUID(bytes=hashlib.sha256(content).digest()[:16], version=5)).upper()
