"""The process that runs one file for another machine: ``python -m edgekit.runtimes.worker FILE KERNELS``.

``edgekit.device.processes`` says how it is spoken to. ``start`` loads the file and tells the runner's name; ``run N``
has a batch in the N bytes behind it and is answered with the outputs and their names; ``trace N`` likewise with every
tensor. Arrays travel as .npy. It imports what a Raspberry Pi has: numpy, Pillow and one runtime.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from edgekit.errors import ArtifactError, EdgekitError
from edgekit.exporters.formats import format_of
from edgekit.runtimes.catalog import runtimes_of
from edgekit.runtimes.tracing import TracingRunner

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def main(path: Path, kernels: str) -> None:
    """Answer commands until stdin ends."""
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a runtime prints must not look like an answer
        serve(sys.stdin.buffer, answers, path, kernels)


def serve(commands: BinaryIO, answers: BinaryIO, path: Path, kernels: str) -> None:
    """Answer each command."""
    with ExitStack() as stack:
        runner: TracingRunner | None = None
        for line in iter(commands.readline, b""):
            command, *size = line.decode().split()
            content = commands.read(int(size[0])) if size else b""
            about: dict[str, Any] = {}
            answer = b""
            try:
                if command == "start":
                    runner = stack.enter_context(open_runner(path, kernels))
                    about = {
                        "name": runner.name,
                        "differs_because": runner.differs_because,
                        "simulated": runner.simulated,
                    }
                else:
                    assert runner is not None, "start comes first"
                    (batch,) = unpack(content)
                    arrays = runner.run(batch) if command == "run" else runner.trace(batch)
                    about, answer = {"names": list(arrays)}, pack(arrays.values())
            except EdgekitError as error:
                about = {"error": type(error).__name__, "message": str(error)}
            answers.write(json.dumps({**about, "bytes": len(answer)}).encode() + b"\n" + answer)
            answers.flush()


def open_runner(path: Path, kernels: str) -> TracingRunner:
    """A file in its runtime.

    Args:
        path: of the file.
        kernels: by name, as the first runtime of its format has them.

    Raises:
        ArtifactError: the runtime refuses the file, or there is none for its format.
        MissingDependency: the runtime is not installed.
    """
    found = runtimes_of(format_of(path).name)
    if not found:
        raise ArtifactError(f"nothing here runs {path}")
    runner = found[0].open(path, kernels=kernels, threads=1)
    assert isinstance(runner, TracingRunner), "what runs elsewhere shows its tensors"
    return runner


def pack(arrays: Iterable[NDArray[Any]]) -> bytes:
    """Arrays as the bytes of .npy files, one behind the other."""
    content = io.BytesIO()
    for array in arrays:
        np.save(content, array, allow_pickle=False)
    return content.getvalue()


def unpack(content: bytes) -> list[NDArray[Any]]:
    """The inverse of ``pack``."""
    stream = io.BytesIO(content)
    arrays = []
    while stream.tell() < len(content):
        arrays.append(np.load(stream, allow_pickle=False))
    return arrays


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
