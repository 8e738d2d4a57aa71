"""What a machine could do at best: its roofline, measured once and kept.

The time of an operator has two lower bounds: its multiplications at the rate of the fastest kernel, and its bytes at
the rate of the memory. The larger one is what the machine could do (S. Williams, A. Waterman, D. Patterson, Roofline:
An Insightful Visual Performance Model for Multicore Architectures, Communications of the ACM 52(4), 2009).

The first rate is measured through the runtime itself, with a network of nothing but large pointwise convolutions: what
its best kernels reach, not what the processor's manual promises. The second is that of numbers which are read, negated
and written back. It depends on what they fit into, so it is measured for several sizes (A. Ilic, F. Pratas, L. Sousa,
Cache-aware Roofline Model: Upgrading the Loft, IEEE Computer Architecture Letters 13(1), 2014).
"""

from __future__ import annotations

import itertools
import json
import math
import platform
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit import files
from edgekit.device import machine
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.int8_weights import with_int8_weights
from edgekit.ir import Conv2d, Graph, Mean, Node, Output, Tensor
from edgekit.progress import Progress, silent
from edgekit.timing import synthetic
from edgekit.timing.kernels import ProfileWorker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.exporters.format import Format

FILE: Final = "rooflines.json"
SIZES: Final = tuple(2**power for power in range(16, 27, 2))  # bytes touched: 64 KiB to 64 MiB
_STREAM_SECONDS, _LEAST_STREAMS = 0.05, 4  # of each size; the first makes the system find memory
_CHANNELS, _SIZE, _CONVOLUTIONS = 256, 28, 8  # of the network: 200 KB of int8 activations, 64 KB of weights a layer
_PROCESSES, _RUNS = 3, 20  # of which the fastest run counts: where a process has its memory matters, too


@dataclass(frozen=True, slots=True)
class Roofline:
    """What a machine can do with so many threads.

    Attributes:
        machine: processor, architecture and number of cores.
        runner: runtime, version and kernels.
        precision: of the file that was measured.
        threads: of one run.
        peak_gmacs: what the runtime's convolutions reach, 10^9 MACs a second.
        bandwidths: bytes that are touched again and again, and the 10^9 bytes a second that move then, from small to
            large.
    """

    machine: str
    runner: str
    precision: str
    threads: int
    peak_gmacs: float
    bandwidths: tuple[tuple[int, float], ...]

    def bandwidth(self, touched_bytes: int) -> float:
        """10^9 bytes a second, where so many are touched again and again; between two measured sizes, in proportion.

        >>> Roofline("", "", "int8", 1, 100.0, ((1024, 80.0), (4096, 40.0))).bandwidth(2048)
        60.0
        """
        sizes, rates = zip(*self.bandwidths, strict=True)
        return float(np.interp(math.log2(max(touched_bytes, 1)), np.log2(sizes), rates))

    @property
    def nearest_gbs(self) -> float:
        """The bandwidth of the nearest cache that kernels can make use of."""
        return max(rate for _, rate in self.bandwidths)

    def arithmetic_us(self, macs: int) -> float:
        """Microseconds of so many multiplications at best."""
        return macs / self.peak_gmacs / 1e3

    def moving_us(self, moved_bytes: int, touched_bytes: int) -> float:
        """Microseconds that it takes at best to move bytes, where so many are touched before they are moved again."""
        return moved_bytes / self.bandwidth(touched_bytes) / 1e3


def roofline(form: Format, precision: Precision, runner: str, *, threads: int, progress: Progress = silent) -> Roofline:
    """The roofline of this machine, from the cache or measured.

    Args:
        form: the format, which decides the runtime.
        precision: what the operators compute in.
        runner: runtime, version and kernels that the format has here.
        threads: of one run.
        progress: told while it is measured, which takes some seconds.

    Raises:
        ArtifactError: the runtime refuses what it is measured with.
        BadInput: the cache cannot be written.
        MissingDependency: the package that writes the format is not installed.
    """
    cache = files.cache_folder() / FILE
    known = _read(cache)
    here = identity()
    key = "; ".join((here, runner, precision, f"{threads} threads"))
    if key not in known:
        bandwidths = next(
            (entry.bandwidths for entry in known.values() if (entry.machine, entry.threads) == (here, threads)), None
        )
        if bandwidths is None:
            bandwidths = _bandwidths(threads, progress)
        peak = _peak_gmacs(form, precision, threads, progress)
        known[key] = Roofline(here, runner, precision, threads, peak, bandwidths)
        files.write_bytes(cache, (json.dumps({k: asdict(v) for k, v in known.items()}, indent=1) + "\n").encode())
    return known[key]


def identity() -> str:
    """What a machine's roofline holds for."""
    return f"{machine.processor()}, {platform.machine()}, {machine.cores()} cores"


def _read(cache: Path) -> dict[str, Roofline]:
    """What was measured before; nothing where the file is missing or of another version of edgekit."""
    try:
        values: dict[str, dict[str, Any]] = json.loads(cache.read_text(encoding="utf-8"))
        return {
            key: Roofline(**{**entry, "bandwidths": tuple((int(n), float(rate)) for n, rate in entry["bandwidths"])})
            for key, entry in values.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _peak_gmacs(form: Format, precision: Precision, threads: int, progress: Progress) -> float:
    """The rate of the fastest run; what the network does besides convolutions is little."""
    stage, times_ms = "measuring the machine's arithmetic", []
    graph = convolutions()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"roofline{form.suffix}"
        if precision is Precision.INT8:
            form.write_integer_model(synthetic.integer_model(graph), path, io_dtype=IoDtype.INT8)
        else:
            model = synthetic.float_model(graph)
            stored = with_int8_weights(model) if precision.has_int8_weights else model
            form.write_float_model(stored, path, precision=precision)
        for done in range(_PROCESSES):
            progress(stage, done, _PROCESSES)
            with ProfileWorker(path, threads=threads) as worker:
                times_ms.append(worker.fastest_ms(_RUNS))
    progress(stage, _PROCESSES, _PROCESSES)
    macs = sum(array.size for array in graph.constants.values() if array.ndim == 4) * _SIZE**2
    return macs / min(times_ms) / 1e6


def convolutions() -> Graph:
    """The network that the arithmetic is measured with; its weights matter to no kernel."""
    shape = (_CHANNELS, _SIZE, _SIZE)
    tensors = {"x": Tensor("x", (3, *shape[1:]))}
    constants: dict[str, NDArray[np.float32]] = {}
    nodes = []
    random = np.random.default_rng(0)
    read = "x"
    for index in range(_CONVOLUTIONS):
        name, inputs = f"conv{index}", tensors[read].shape[0]
        weight = random.normal(0, inputs**-0.5, (_CHANNELS, inputs, 1, 1)).astype(np.float32)
        constants |= {f"{name}.weight": weight, f"{name}.bias": np.zeros(_CHANNELS, np.float32)}
        nodes.append(Node(name, Conv2d(), (read, f"{name}.weight", f"{name}.bias"), f"{name}.out"))
        read = f"{name}.out"
        tensors[read] = Tensor(read, shape)
    nodes.append(Node("mean", Mean(keep_dims=False), (read,), "mean"))
    tensors["mean"] = Tensor("mean", (_CHANNELS,))
    return Graph("roofline", "x", (Output.logits("mean"),), tuple(nodes), tensors, constants)


def _bandwidths(threads: int, progress: Progress) -> tuple[tuple[int, float], ...]:
    found = []
    for done, size in enumerate(SIZES):
        progress("measuring the machine's memory", done, len(SIZES))
        found.append((size, _stream_gbs(size, threads)))
    progress("measuring the machine's memory", len(SIZES), len(SIZES))
    return tuple(found)


def _stream_gbs(touched_bytes: int, threads: int) -> float:
    """What the fastest of some streams moves. Each thread has its part, so often that starting it does not count."""
    parts = [np.ones(touched_bytes // threads // 4, np.float32) for _ in range(threads)]
    times = max(2**22 // parts[0].nbytes, 1)

    def stream(numbers: NDArray[np.float32]) -> float:
        started = time.thread_time()  # what others take of the processor says nothing of the memory
        for _ in range(times):
            np.negative(numbers, out=numbers)
        return time.thread_time() - started

    fastest = math.inf
    with ThreadPoolExecutor(threads) as pool:
        ends = time.perf_counter() + _STREAM_SECONDS
        for count in itertools.count(1):
            fastest = min(fastest, max(pool.map(stream, parts)))
            if count >= _LEAST_STREAMS and time.perf_counter() > ends:
                break
    return 2 * sum(part.nbytes for part in parts) * times / fastest / 1e9
