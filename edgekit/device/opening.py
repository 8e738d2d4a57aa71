"""What a plan names, opened: a file in its runtime, or the files of a network's stages in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.device.chain import Chain, WholeChain
from edgekit.device.engines import open_file
from edgekit.device.plan import CHAIN

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.device.engines.engine import Engine


def opened(path: Path, engine: str, *, kernels: str = "", threads: int = 1, batch: int = 1) -> Engine:
    """A file, or the chain that a ``chain.json`` stands for, which has no other kernels. See ``engines.open_file``."""
    if path.name == CHAIN:
        return WholeChain(path, engine, threads=threads, batch=batch)
    return open_file(path, engine, kernels=kernels, threads=threads, batch=batch)


def size_bytes(path: Path, engine: str) -> int:
    """Of a file, or of all stages of a chain for an engine."""
    files = [path]
    if path.name == CHAIN:
        files = [path.with_name(stage.files[engine]) for stage in Chain.load(path.parent).stages]
    return sum(file.stat().st_size for file in files)
