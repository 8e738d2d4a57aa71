"""Files to named tensors, and what the files say about themselves. Nothing in a file is ever run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import CheckpointError
from edgekit.models.names import WAY_BY_ONNX
from edgekit.models.readers import kinds
from edgekit.models.readers.configs import with_config
from edgekit.models.readers.contents import ARCHITECTURE_KEY, ASSUMED_KEY, RECORDED_KEY, Contents, Group
from edgekit.models.readers.keras_files import read_h5, read_zip
from edgekit.models.readers.torch_files import read_pickle, read_safetensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["ARCHITECTURE_KEY", "ASSUMED_KEY", "RECORDED_KEY", "Contents", "Group", "read"]


def read(path: Path) -> Contents:
    """What the file ``path`` holds.

    Raises:
        CheckpointError: it is empty, damaged, of an unknown format, or a pickle that would run code.
        MissingDependency: its format needs an extra.
    """
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty: download or save it again")
    kind = kinds.format_of(path)
    reader = _SUFFIXES.get(path.suffix.lower()) if kind is None else _FORMATS[kind]
    if reader is None:
        raise CheckpointError(
            f"{path} has the suffix {path.suffix!r}, and checkpoints are {', '.join(_SUFFIXES)}:"
            f" save the model's state_dict() as .pth, or bring the network as ONNX: {WAY_BY_ONNX}"
        )
    return with_config(reader(path), path)


_FORMATS: Mapping[kinds.Format, Callable[[Path], Contents]] = {
    "pickle": read_pickle,
    "safetensors": read_safetensors,
    "h5": read_h5,
    "keras": read_zip,
}
_SUFFIXES: Mapping[str, Callable[[Path], Contents]] = {
    ".pth": read_pickle,
    ".pt": read_pickle,
    ".bin": read_pickle,
    ".ckpt": read_pickle,
    ".tar": read_pickle,  # the reference scripts of PyTorch write model_best.pth.tar
    ".safetensors": read_safetensors,
    ".h5": read_h5,
    ".hdf5": read_h5,
    ".keras": read_zip,
}
