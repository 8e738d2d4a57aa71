"""TorchScript files in torch, on an NVIDIA GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.device.engines import torch as on_cpu
from edgekit.device.engines.engine import Kind
from edgekit.errors import MissingDependency

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

PLAIN, GRAPH = "plain", "graph"
_RUNS_BEFORE_CAPTURE = 3  # as https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs has it


class Opened(on_cpu.Fed):
    """A float TorchScript file on the GPU; torch has no quantized kernels there."""

    placement = None

    def __init__(self, path: Path, *, kernels: str = PLAIN, threads: int = 1, batch: int = 1) -> None:
        """Load a file.

        Args:
            path: of the file.
            kernels: ``PLAIN``, or ``GRAPH``: channels last, and all kernels of a run launched at once.
            threads: of the processor, which has nothing to do here.
            batch: images at once; TorchScript takes any.

        Raises:
            ArtifactError: the file is missing, damaged, or not what edgekit writes.
            MissingDependency: torch is not installed, finds no GPU, or has no kernels for this file there.
        """
        from edgekit.device import torchscript  # noqa: PLC0415 - it needs numpy, see edgekit.device.engines.engine

        del threads
        torch = on_cpu.runtime()
        if not torch.cuda.is_available():
            raise MissingDependency(f"torch {torch.__version__} finds no CUDA GPU here")
        program = on_cpu.program_of(path)
        if program["engine"]:
            raise MissingDependency("torch has no int8 kernels for CUDA")
        torch.set_grad_enabled(False)
        with on_cpu.deprecations_silenced():
            module = torchscript.load(path, torch, "cuda")
        self._torch, self._kernels, self._input, self._batch = torch, kernels, program["input"], batch
        self._outputs = program["outputs"]
        self._module = module.to(memory_format=torch.channels_last) if kernels == GRAPH else module
        how = ", CUDA graph, channels last" if kernels == GRAPH else ""
        self.name = f"torch {torch.__version__.partition('+')[0]}, {torch.cuda.get_device_name()}{how}"

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for a batch, both as the file has them."""
        return self._named(self._module(self._tensor(batch)))

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the module on ``batch``, which is on the GPU already, and waits until it is done."""
        torch, tensor = self._torch, self._tensor(batch)
        launch = self._captured(tensor) if self._kernels == GRAPH else lambda: self._module(tensor)

        def run_module() -> None:
            launch()
            torch.cuda.synchronize()

        return run_module

    def _captured(self, tensor: Any) -> Callable[[], object]:  # noqa: ANN401 - torch is optional
        """What replays the kernels of one run; the recipe is that of torch's notes on CUDA graphs."""
        torch, side = self._torch, self._torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side), torch.jit.optimized_execution(False):
            for _ in range(_RUNS_BEFORE_CAPTURE):
                self._module(tensor)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph), torch.jit.optimized_execution(False):
            self._module(tensor)
        replay: Callable[[], object] = graph.replay
        return replay

    def _tensor(self, batch: NDArray[Any]) -> Any:  # noqa: ANN401 - likewise
        import numpy as np  # noqa: PLC0415 - see edgekit.device.engines.engine

        tensor = self._torch.from_numpy(np.ascontiguousarray(batch)).cuda()
        return tensor.contiguous(memory_format=self._torch.channels_last) if self._kernels == GRAPH else tensor


def runtime() -> Any:  # noqa: ANN401 - likewise
    """The package.

    Raises:
        MissingDependency: it is not installed.
    """
    return on_cpu.runtime()


KIND = Kind("torch-cuda", on_gpu_for="torch", kernels=(PLAIN, GRAPH))
