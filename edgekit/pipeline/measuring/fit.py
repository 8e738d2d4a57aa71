"""A latency model of a device: random networks are timed there, and what they took is explained."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from edgekit import files
from edgekit.device import machine
from edgekit.device import plan as plans
from edgekit.device.fastest import fastest
from edgekit.device.plan import Plan, PlannedFile
from edgekit.errors import ConfigError
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.progress import Progress, silent
from edgekit.runtimes.catalog import engine_of
from edgekit.timing import synthetic
from edgekit.timing.prediction.fitting import Sample, fit
from edgekit.timing.prediction.layers import layers
from edgekit.timing.prediction.model import DeviceLatency, LatencyModel
from edgekit.timing.prediction.networks import network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.config import Settings
    from edgekit.device.fastest import Fastest
    from edgekit.ir import Graph
    from edgekit.remote.examined import Examined

MINUTES: Final = 10.0  # of timing, for all formats together
FEWEST, MOST = 40, 160  # networks: below, kinds of layers are met too seldom; beyond, nothing becomes better
LAPS: Final = 2  # fresh processes of each file, of which the faster counts
_ROUND: Final = 4  # networks that take turns
_PART: Final = ".part"  # behind the name of the file: what was timed before an interruption
_STAGE: Final = "timing random networks"


class Device(Protocol):
    """A device that is elsewhere, connected (``edgekit.remote``)."""

    def examine(self) -> Examined:
        """What there is to say about it."""
        ...

    def send(self, contents: Mapping[str, bytes], progress: Progress = silent) -> None:
        """Send files, by their names over there."""
        ...

    def fastest(self, progress: Progress = silent) -> tuple[Fastest, ...]:
        """Undisturbed latencies of the plan that was sent."""
        ...


@dataclass(frozen=True, slots=True)
class FitResult:
    """What was found.

    Attributes:
        path: of the file that holds it.
        latency: the models.
        networks: how many were timed.
        seconds: that timing them took.
    """

    path: Path
    latency: DeviceLatency
    networks: int
    seconds: float


@dataclass(slots=True)
class _Timed:
    """What was timed up to now.

    Attributes:
        about: under which conditions: what an interrupted run has to share to be gone on with.
        runners: runtime, version and kernels, by format.
        ms: milliseconds by format, of the networks from 0 on.
        seconds: that it took.
    """

    about: dict[str, str]
    runners: dict[str, str] = field(default_factory=dict)
    ms: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def networks(self) -> int:
        """How many were timed."""
        return min(map(len, self.ms.values()), default=0)

    @property
    def is_enough(self) -> bool:
        """Whether the time is over, or there are as many as are of use."""
        return self.networks >= MOST or (self.networks >= FEWEST and self.seconds >= 60 * MINUTES)


def formats_to_fit(settings: Settings) -> tuple[str, ...]:
    """The formats whose latency is fitted: those that are exported, as far as edgekit can time them.

    Raises:
        ConfigError: there is none.
    """
    found = tuple(name for name in settings.export.targets if engine_of(name) is not None)
    if not found:
        raise ConfigError(f"export.targets is {', '.join(settings.export.targets)}, which edgekit does not time")
    return found


def engines_of(settings: Settings) -> frozenset[str]:
    """What times these formats: what a device needs."""
    return frozenset(filter(None, map(engine_of, formats_to_fit(settings))))


def fit_latency(
    settings: Settings, out: Path, *, device: Device | None = None, progress: Progress = silent
) -> FitResult:
    """Time random networks for ten minutes, and write what their layers cost.

    An interrupted run is gone on with: what was timed lies beside ``out`` until that is written.

    Args:
        settings: [export] says in which formats and with which boundary, [bench] with how many threads.
        out: where the models are written.
        device: where to do it; None for this machine.
        progress: told about seconds.

    Raises:
        ArtifactError: the runtime refuses a network.
        BadInput: a file cannot be written.
        ConfigError: several numbers of threads or batches are set, or nothing can be timed.
        DeviceUnreachable: the connection was lost.
        MissingDependency: a runtime, or what writes its files, is not installed.
    """
    threads, formats, io_dtype = _threads(settings), formats_to_fit(settings), IoDtype(settings.export.io_dtype)
    for name in formats:
        FORMATS[name].check_installed()
    here = machine.examine() if device is None else device.examine().machine
    part = out.with_name(f"{out.name}{_PART}")
    about = {"machine": here.processor, "runtimes": str(here.runtimes), "formats": ", ".join(formats)}
    timed = _gone_on(part, {**about, "threads": str(threads), "io_dtype": io_dtype})
    while not timed.is_enough:
        began = time.perf_counter()

        def told(stage: str, done: int, total: int, began: float = began) -> None:
            del stage, done, total
            seconds = min(timed.seconds + time.perf_counter() - began, 60 * MINUTES - 1)
            progress(f"{_STAGE}, {timed.networks} up to now", int(seconds), int(60 * MINUTES))

        graphs = [network(number) for number in range(timed.networks, timed.networks + _ROUND)]
        found = time_networks(graphs, formats, threads=threads, io_dtype=io_dtype, device=device, progress=told)
        for file in found:
            form = file.path.partition(".")[0]
            timed.runners[form] = file.runner
            timed.ms.setdefault(form, []).append(file.ms)
        timed.seconds += time.perf_counter() - began
        files.write_bytes(part, json.dumps(asdict(timed)).encode())
    progress(_STAGE, int(60 * MINUTES), int(60 * MINUTES))
    known = [layers(network(number)) for number in range(timed.networks)]
    models = []
    for name in formats:
        samples = [Sample(of, ms) for of, ms in zip(known, timed.ms[name], strict=True)]
        models.append(LatencyModel(name, timed.runners[name], threads, io_dtype, fit(samples, progress)))
    latency = DeviceLatency(here, tuple(models))
    latency.save(out)
    part.unlink(missing_ok=True)
    return FitResult(out, latency, timed.networks, timed.seconds)


def _threads(settings: Settings) -> int:
    """The one number of threads that is set."""
    threads, batches = settings.bench.threads, settings.bench.batches
    if threads == "all" or len(threads) > 1 or batches != (1,):
        raise ConfigError("--fit measures one image at a time with one number of threads: name that, as --threads 1")
    return threads[0]


def _gone_on(part: Path, about: dict[str, str]) -> _Timed:
    """What an interrupted run timed under the same conditions; nothing where there is none."""
    with suppress(OSError, ValueError, TypeError):
        found = _Timed(**json.loads(part.read_text(encoding="utf-8")))
        if found.about == about:
            return found
    return _Timed(about)


def time_networks(  # noqa: PLR0913 - what is timed, and how
    graphs: Sequence[Graph],
    formats: Sequence[str],
    *,
    threads: int,
    io_dtype: IoDtype,
    device: Device | None = None,
    progress: Progress = silent,
) -> tuple[Fastest, ...]:
    """Time int8 files of networks that take turns.

    Args:
        graphs: in ``passes.integer_form``.
        formats: that each of them is written in.
        threads: of one run.
        io_dtype: what the files take and give.
        device: where to do it; None for this machine.
        progress: told about laps.

    Returns:
        The formats of one network behind one another: a path begins with the format's name.
    """
    planned = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for place, graph in enumerate(graphs):  # the next networks take the same names, and the same room on a device
            model = synthetic.integer_model(graph)
            for name in formats:
                form, engine = FORMATS[name], engine_of(name)
                assert engine is not None, "a format that nothing times is left out"
                path = folder / f"{name}.{place}{form.suffix}"
                form.write_integer_model(model, path, io_dtype=io_dtype)
                planned.append(PlannedFile(path.name, engine, precision=Precision.INT8))
        plan = Plan(tuple(planned), (threads,), (1,), LAPS)
        if device is None:
            return fastest(plan, folder, progress)
        contents = {file.path: (folder / file.path).read_bytes() for file in planned}
        device.send({plans.FILE_NAME: plan.to_json().encode(), **contents})
        return device.fastest(progress)
