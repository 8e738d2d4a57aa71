"""Run TorchScript files in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from edgekit.exporters.torch import load, script

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from edgekit.exporters.metadata import Metadata


class TorchRunner:
    """A TorchScript file on the CPU, with one quantized engine."""

    def __init__(self, path: Path, *, threads: int = 1, engine: str | None = None) -> None:
        """Load ``path``.

        Args:
            path: a file that ``edgekit.exporters.torch`` or another tool wrote.
            threads: of one run.
            engine: packs the weights and runs the quantized operators: "onednn", "qnnpack", "fbgemm" or "x86" (torch's
                default, which is not exact: see ``edgekit.exporters.torch.integer``). None takes the one that is exact
                on this machine. A float file does not care.

        Raises:
            ArtifactError: the file is missing, damaged, or no TorchScript.
            MissingDependency: this build of torch does not have the engine.
        """
        self._threads, self._engine = threads, engine or script.exact_engine()
        loaded = load(path, engine=self._engine)
        self._module = loaded.module
        self.metadata: Metadata | None = loaded.contents.metadata if loaded.contents else None

    @property
    def name(self) -> str:
        """Runtime, version and kernels: "torch 2.13.0, onednn"."""
        return f"torch {torch.__version__.partition('+')[0]}, {self._engine}"

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The output [N, classes] for a batch [N, C, H, W], both in the types of the file's boundary.

        Threads and engine belong to the process, so they are set for the run and then restored.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            with script.pinned(self._engine), torch.inference_mode():
                output: NDArray[Any] = self._module(torch.from_numpy(np.ascontiguousarray(batch))).numpy()
        finally:
            torch.set_num_threads(threads)
        return output

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close: ``run`` leaves the process as it found it."""
