"""What torch saves, all of it or nothing, on a full disk, too."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import torch

from edgekit import files

if TYPE_CHECKING:
    from pathlib import Path


def save(value: Any, path: Path) -> None:  # noqa: ANN401 - whatever torch saves
    """Write what ``torch.load`` reads.

    Raises:
        BadInput: the disk is full, or writing is not permitted.
    """
    whole = io.BytesIO()  # where torch writes a file itself, a full disk is a RuntimeError that does not say so
    torch.save(value, whole)
    files.write_bytes(path, whole.getvalue())
