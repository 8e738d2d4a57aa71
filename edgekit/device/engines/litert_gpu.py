"""LiteRT on a GPU: its CompiledModel, which reaches one through WebGPU, OpenCL or Metal."""

from __future__ import annotations

import atexit
import importlib
import importlib.metadata
import os
from typing import TYPE_CHECKING, Any

from edgekit.device.engines.engine import FixedBatch, Kind
from edgekit.device.engines.litert import quiet
from edgekit.errors import MissingDependency

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

FLOAT32, FASTEST = "float32", "fastest"
_PACKAGE = "ai_edge_litert"


class Opened:
    """A .tflite file whose operators all run on the GPU.

    It computes int8 files in float, too, and rounds where they quantize. In float32 that gives the reference's
    integers: no value of a tie-free model lies near enough to a tie.
    """

    placement = None

    def __init__(self, path: Path, *, kernels: str = FASTEST, threads: int = 1, batch: int = 1) -> None:
        """Load a file.

        Args:
            path: of the file.
            kernels: ``FLOAT32``, or ``FASTEST``, which is float16 where the GPU has it.
            threads: of the processor, which has nothing to do here.
            batch: images at once.

        Raises:
            FixedBatch: the file takes another batch.
            MissingDependency: ai-edge-litert is not installed, or it finds no GPU, or no way to run the file on it.
        """
        del threads
        litert, self.kernels = runtime(), kernels
        try:
            with quiet():
                options = litert.Options(
                    hardware_accelerators=litert.HardwareAccelerator.GPU,
                    gpu_options=litert.GpuOptions(enforce_f32=kernels == FLOAT32),
                )
                self._model = litert.CompiledModel.from_file(str(path), options=options)
                everything = self._model.is_fully_accelerated()
        except RuntimeError as error:
            raise MissingDependency("LiteRT finds no GPU here, or no driver for it (Vulkan, OpenCL, Metal)") from error
        if not everything:
            raise MissingDependency(f"LiteRT does not run all of {path.name} on this GPU")
        key, names = next(iter(self._model.get_signature_list().items()))
        self._input = self._model.get_input_tensor_details(key)[names["inputs"][0]]
        details = self._model.get_output_tensor_details(key)
        self._given = {name: details[name] for name in names["outputs"]}
        if self.shape[0] != batch:
            raise FixedBatch.of(path, self.shape[0], batch)
        self.name = f"LiteRT {importlib.metadata.version('ai-edge-litert')}, GPU, {kernels}"
        self._inputs, self._outputs = self._model.create_input_buffers(0), self._model.create_output_buffers(0)

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, H, W, C]."""
        return tuple(int(size) for size in self._input["shape"])

    @property
    def dtype(self) -> str:
        """As numpy names it."""
        import numpy as np  # noqa: PLC0415 - see edgekit.device.engines.engine

        return str(np.dtype(self._input["dtype"]).name)

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for a batch, both as the file has them."""
        self._inputs[0].write(batch)
        return self._answer()

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the file on ``batch`` and waits for the answer: that it is there is what ends a run."""
        self._inputs[0].write(batch)
        return self._answer

    def _answer(self) -> dict[str, NDArray[Any]]:
        import numpy as np  # noqa: PLC0415 - see edgekit.device.engines.engine

        self._model.run_by_index(0, self._inputs, self._outputs)
        answers: dict[str, NDArray[Any]] = {}
        for buffer, (name, details) in zip(self._outputs, self._given.items()):
            shape = tuple(int(size) for size in details["shape"])
            answers[name] = buffer.read(int(np.prod(shape)), np.dtype(details["dtype"])).reshape(shape)
        return answers


def runtime() -> Any:  # noqa: ANN401 - an untyped package
    """The module.

    Raises:
        MissingDependency: ai-edge-litert is not installed, or is older than its CompiledModel.
    """
    try:
        with quiet():
            module = importlib.import_module(f"{_PACKAGE}.compiled_model")
    except ModuleNotFoundError as error:
        raise MissingDependency("LiteRT's GPU path is not installed: pip install 'ai-edge-litert>=2'") from error
    atexit.register(_mute)
    return module


def _mute() -> None:
    """At the end of the process, behind everything that we have to say, LiteRT tells what it gives back."""
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


KIND = Kind("litert-gpu", on_gpu_for="litert", kernels=(FLOAT32, FASTEST), exact=(FLOAT32,))
