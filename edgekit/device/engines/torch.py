"""TorchScript files in torch, on the CPU."""

from __future__ import annotations

import importlib
import json
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgekit.device.engines.engine import Kind, Wheels
from edgekit.errors import ArtifactError, MissingDependency

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray


class Fed:
    """An engine whose file says beside the program what this takes; TorchScript does not."""

    _input: Mapping[str, Any]
    _outputs: tuple[str, ...]
    _batch: int

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, C, H, W]."""
        return (self._batch, *self._input["shape"][1:])

    @property
    def dtype(self) -> str:
        """As numpy names it."""
        return str(self._input["dtype"])

    def _named(self, given: Any) -> dict[str, NDArray[Any]]:  # noqa: ANN401 - torch is optional
        """What ``forward`` gives, by the outputs' names: one tensor, or a tuple of several."""
        tensors = given if isinstance(given, tuple) else (given,)
        return {name: tensor.cpu().numpy() for name, tensor in zip(self._outputs, tensors)}


class Opened(Fed):
    """A TorchScript file, with one quantized engine."""

    placement = None

    def __init__(self, path: Path, *, kernels: str = "", threads: int = 1, batch: int = 1) -> None:
        """Load a file.

        Args:
            path: of the file.
            kernels: a quantized engine: "fbgemm" or "qnnpack"; "" for the one that the file was laid out for, and
                qnnpack where this build of torch lacks that.
            threads: that one run may use.
            batch: images at once; TorchScript takes any.

        Raises:
            ArtifactError: the file is missing, damaged, or not what edgekit writes.
            MissingDependency: torch is not installed, or this build does not have the engine.
        """
        from edgekit.device import torchscript  # noqa: PLC0415 - it needs numpy, see edgekit.device.engines.engine

        torch = runtime()
        program = program_of(path)
        laid_out = program["engine"]
        engine = kernels or (available(laid_out) if laid_out else "")
        supported = torch.backends.quantized.supported_engines
        if engine not in ("", *supported):
            raise MissingDependency(f"this build of torch has no quantized engine {engine!r}: {', '.join(supported)}")
        self._torch, self._input, self._outputs, self._batch = torch, program["input"], program["outputs"], batch
        self._engine, self._threads = engine, threads
        with self._settings(), deprecations_silenced():
            self._module = torchscript.load(path, torch)
        self.name = f"torch {torch.__version__.partition('+')[0]}" + (f", {engine}" if engine else "")

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for a batch, both as the file has them."""
        with self._settings(), deprecations_silenced():
            return self._named(self._module(self._tensor(batch)))

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the module on ``batch``; what it sets and restores takes 5 microseconds."""
        tensor = self._tensor(batch)

        def run_module() -> object:
            with self._settings():
                return self._module(tensor)

        return run_module

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Engine and threads belong to the process, so they are set for a run and then restored."""
        quantized, threads = self._torch.backends.quantized, self._torch.get_num_threads()
        engine = quantized.engine
        self._torch.set_num_threads(self._threads)
        quantized.engine = self._engine or engine
        try:
            with self._torch.inference_mode():
                yield
        finally:
            quantized.engine = engine
            self._torch.set_num_threads(threads)

    def _tensor(self, batch: NDArray[Any]) -> Any:  # noqa: ANN401 - torch is optional
        import numpy as np  # noqa: PLC0415 - see edgekit.device.engines.engine

        return self._torch.from_numpy(np.ascontiguousarray(batch))


def runtime() -> Any:  # noqa: ANN401 - likewise
    """The package.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        return importlib.import_module("torch")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingDependency("torch is not installed: pip install 'edgekit[torch]'") from error


def program_of(path: Path) -> dict[str, Any]:
    """What the file says about its input, its engine, and the names of its outputs.

    Raises:
        ArtifactError: the file is missing, damaged, or edgekit did not write it.
    """
    from edgekit.device import torchscript  # noqa: PLC0415 - it needs numpy, see edgekit.device.engines.engine

    try:
        (text,) = torchscript.read(path, [torchscript.PROGRAM]).values()
        program = json.loads(text)
        # An older edgekit named the one output after a layer; it is a classifier's.
        outputs = tuple(output["name"] for output in program["outputs"]) if "outputs" in program else ("logits",)
        taken = {key: program["input"][key] for key in ("shape", "dtype")}
        return {"engine": program["engine"], "input": taken, "outputs": outputs}
    except (ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path} is damaged: export it again") from error


def available(engine: str) -> str:
    """A quantized engine, or qnnpack where this build of torch lacks it.

    What is laid out for fbgemm is as exact with qnnpack, which every build for ARM has.
    """
    return engine if engine in runtime().backends.quantized.supported_engines else "qnnpack"


@contextmanager
def deprecations_silenced() -> Iterator[None]:
    """Silence what torch says about TorchScript, its quantized types and QNNPACK: the user can do nothing about it.

    The second warning appears once a process, whoever makes the first quantized tensor. Where C++ does, as in loading,
    it goes to stderr past every filter: so it is used up first.
    """
    torch = runtime()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", r"torch\.quantize_per_tensor, .* are deprecated", UserWarning)
        # QNNPACK quantizes to eight bits also where FBGEMM wants seven, which is what it is to do.
        warnings.filterwarnings("ignore", r"Currently, qnnpack incorrectly ignores reduce_range", UserWarning)
        torch.quantize_per_tensor(torch.zeros(1), 1.0, 0, torch.quint8)
        yield


KIND = Kind(
    "torch",
    packages=("torch",),
    wheels=(Wheels("torch", ("aarch64", "x86_64"), (3, 10), (3, 14), (2, 28)),),
    clamps_without_vnni=True,
)
