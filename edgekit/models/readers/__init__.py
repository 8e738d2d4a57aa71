"""Files to named tensors, and what the files say about themselves. Nothing in a file is ever run."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointError
from edgekit.models.readers.contents import ARCHITECTURE_KEY, Contents, Group
from edgekit.models.readers.keras_files import read_h5, read_zip
from edgekit.models.readers.torch_files import holds_code, read_pickle, read_safetensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["ARCHITECTURE_KEY", "Contents", "Group", "read"]


def read(path: Path) -> Contents:
    """What the file holds.

    Raises:
        CheckpointError: it is missing, empty, damaged, of an unknown format, or a pickle that would run code.
        MissingDependency: its format needs an extra.
    """
    if not path.exists():
        raise CheckpointError(f"{path} does not exist: give the path of a trained checkpoint")
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder: give the path of a checkpoint file in it")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty: download or save it again")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise CheckpointError(
            f"{path} has the suffix {path.suffix!r}, and checkpoints are {', '.join(_READERS)}:"
            " save the model's state_dict() as .pth"
        )
    return reader(path)


def _torch(path: Path) -> Contents:
    if _is_torchscript(path):
        raise holds_code(path, "a TorchScript program")
    return read_pickle(path)


def _is_torchscript(path: Path) -> bool:
    """Whether the file was written by torch.jit.save, whose archives hold a table of constants."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:  # noqa: BLE001 - no zip, or a damaged one, of which torch.load tells more
        return False


_READERS: Mapping[str, Callable[[Path], Contents]] = {
    ".pth": _torch,
    ".pt": _torch,
    ".bin": _torch,
    ".ckpt": _torch,
    ".tar": _torch,  # the reference scripts of PyTorch write model_best.pth.tar
    ".safetensors": read_safetensors,
    ".h5": read_h5,
    ".hdf5": read_h5,
    ".keras": read_zip,
}
