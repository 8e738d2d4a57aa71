"""Fresh processes that run one file each, and what they are asked."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from edgekit.device.engines.engine import FixedBatch
from edgekit.device.processes import Process, our_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self  # newer than the Python of a device

    from edgekit.device.plan import PlannedFile

ANSWER_SECONDS = 300.0  # what takes longer hangs: loading and importing torch on a Raspberry Pi takes half a minute

# Not -m, which imports what lies in the working directory, and Python 3.9 has no -P, which prevents that.
_CODE = "import sys; sys.path = [p for p in sys.path if p]; from edgekit.device.worker import main; main(sys.argv[1:])"

# Every large block has a mapping of its own, which the system gets back as soon as it is freed (mallopt(3),
# M_MMAP_THRESHOLD). Else it depends on the order of small blocks what can be given back, and peaks of torch scatter by
# 10 %, those of ONNX Runtime's float files fall into two groups that lie 9 % apart.
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536"}


class Worker:
    """A process that runs one file; see ``edgekit.device.worker`` for what is said over its pipes.

    What it is asked raises ArtifactError where the file cannot be run or its runtime crashes or hangs, FixedBatch where
    the file does not take such a batch, and MissingDependency where the runtime is not installed.
    """

    def __init__(
        self,
        file: PlannedFile,
        folder: Path,
        *,
        threads: int = 1,
        batch: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """It starts with the ``with`` block.

        Args:
            file: what it runs.
            folder: where relative paths start from.
            threads: that one run may use.
            batch: images at once.
            environment: variables besides ours.
        """
        self._path = folder / file.path
        self._options = {
            "engine": file.engine,
            "kernels": file.kernels,
            "threads": threads,
            "batch": batch,
            "shape": file.shape,
            "dtype": file.dtype,
        }
        self._environment = {**our_environment(), **(environment or {})}
        self._began = 0.0
        self.about: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        command = [sys.executable, "-c", _CODE, str(self._path), json.dumps(self._options)]
        self._process = Process(command, str(self._path), self._environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, error, trace)

    def start(self) -> None:
        """Load the file and run it once: ``about`` says how that went.

        "cold_start_ms" is from the start of the process to this first result, the start of Python and the import of the
        runtime included.
        """
        self.about = self._ask("start")
        self.about["cold_start_ms"] = (time.perf_counter() - self._began) * 1e3

    def warm(self) -> int:
        """Run until it is warm, and so many runs that took."""
        runs: int = self._ask("warm")["runs"]
        return runs

    def begin(self) -> None:
        """Let it load the file and warm up, while others do the same; ``wait`` ends it."""
        self._process.tell("start")
        self._process.tell("warm")

    def wait(self) -> None:
        """Wait until what was begun is done."""
        self.about = self._answer()
        self._answer()

    @property
    def runner(self) -> str:
        """Runtime, version and kernels, once it is started."""
        name: str = self.about["runner"]
        return name

    def time(self, seconds: float) -> tuple[list[float], list[bool]]:
        """Milliseconds of each run of a turn, and whether something else had the processor meanwhile."""
        answer = self._ask(f"time {seconds}")
        return answer["latencies_ms"], answer["interrupted"]

    def work(self, times: int) -> list[float]:
        """Milliseconds of processor time of each run."""
        measured: list[float] = self._ask(f"work {times}")["cpu_ms"]
        return measured

    def pin(self, core: int) -> None:
        """Keep it on one core."""
        self._ask(f"pin {core}")

    def memory(self) -> dict[str, Any]:
        """What loading and running the file takes; in a worker that does nothing else."""
        return self._ask("memory")

    def _ask(self, command: str) -> dict[str, Any]:
        self._process.tell(command)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        values, _ = self._process.answer(seconds=ANSWER_SECONDS)
        if "refused" in values:
            raise FixedBatch(values["refused"])
        return values


def peak_memory(file: PlannedFile, folder: Path, *, threads: int = 1, batch: int = 1) -> tuple[str, float | None]:
    """Runtime, version and kernels, and what loading and running a file adds to a fresh process at its peak, in MiB.

    That is the runtime's library, the file and what it was made into, and the activations; None where the system does
    not tell. Raises what a ``Worker`` does.
    """
    with Worker(file, folder, threads=threads, batch=batch, environment=_ALLOCATOR) as worker:
        found = worker.memory()
        return found["runner"], found["peak_mib"]
