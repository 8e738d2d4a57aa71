"""Run files in processes of their own: with other packages than ours, or on another machine."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from edgekit.device.processes import Process
from edgekit.runtimes.worker import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

# What takes longer hangs. Under emulation, on an idle machine, torch is imported in 20 s, and MobileNetV2 takes 7 s
# an image in the slowest kernels.
START_SECONDS: Final = 600.0
IMAGE_SECONDS: Final = 120.0


class SeparateRunner:
    """Runs a file in a process that ``edgekit.runtimes.worker`` answers from."""

    def __init__(
        self, path: Path, kernels: str, python: Sequence[str], environment: Mapping[str, str], *, where: str = ""
    ) -> None:
        """Start the process and load the file.

        Args:
            path: of the file.
            kernels: as the worker takes them.
            python: the interpreter, with what stands in front of it and its options.
            environment: of the process; it says what can be imported.
            where: behind the runner's name: the machine, if it is not this one.

        Raises:
            ArtifactError: the runtime refuses the file, crashes or hangs.
            MissingDependency: the runtime is not installed there.
        """
        command = [*python, "-m", "edgekit.runtimes.worker", str(path), kernels]
        behind = f", {where}" if where else ""
        with ExitStack() as stack:
            # Runtimes and emulators write of processors that they do not know. It matters where they crash.
            messages = stack.enter_context(tempfile.TemporaryFile())
            self._process = stack.enter_context(Process(command, f"{path}{behind}", environment, stderr=messages))
            about, _ = self._process.ask("start", seconds=START_SECONDS)
            self._stack = stack.pop_all()
        self.name = f"{about['name']}{behind}"
        self.differs_because: str | None = about["differs_because"]
        self.simulated: tuple[str, ...] = tuple(about["simulated"])

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The outputs by name for a batch [N, C, H, W]."""
        return self._ask("run", batch)

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the file on ``batch``; sending that and the answer is part of it."""
        return partial(self.run, batch)

    def trace(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every activation for a batch [N, C, H, W], as the runner over there names it.

        Raises:
            MissingDependency: a package is not installed there that shows the tensors inside of this format.
        """
        return self._ask("trace", batch)

    def _ask(self, command: str, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        content = pack([batch])
        seconds = IMAGE_SECONDS * len(batch)
        about, answer = self._process.ask(f"{command} {len(content)}", content, seconds=seconds)
        return dict(zip(about["names"], unpack(answer), strict=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
