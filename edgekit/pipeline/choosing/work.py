"""The three kinds of work that cells are made of: a network is trained, a file is made and measured, a file is timed.

Each calls what the command of its purpose calls: ``edgekit train``, ``export``, ``verify`` and ``bench``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from edgekit.device.threads import limited
from edgekit.errors import EdgekitError, GateFailed
from edgekit.pipeline.choosing.grid import HERE
from edgekit.pipeline.making.export import export
from edgekit.pipeline.making.given import with_kept_images
from edgekit.pipeline.making.train import train
from edgekit.pipeline.measuring.bench import bench, plan
from edgekit.pipeline.measuring.bundle import pack
from edgekit.pipeline.measuring.device import bench_on, connect
from edgekit.pipeline.proving.verify import verify
from edgekit.tasks.values import measured_as

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.config import Settings
    from edgekit.device.results import Results
    from edgekit.pipeline.proving.verdicts import VerifyResult

Kind = Literal["train", "make", "time"]
_THREADS: Final = 1  # of a training and an export: a sweep computes several at once instead


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of work that is done once, and whose result is kept.

    Attributes:
        key: names it, and the folder of what it writes.
        kind: what is done.
        settings: as the command takes them.
        folder: of the sweep.
        needs: the unit whose result it takes; None where it takes none.
        device: of a timing: where.
    """

    key: str
    kind: Kind
    settings: Settings
    folder: Path
    needs: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """How a unit ended.

    Attributes:
        key: of the unit.
        result: JSON values; None where there is none.
        error: why there is none; "" where there is one.
        seconds: that it took.
        lost: whatever ran it is gone, so it may be tried again.
    """

    key: str
    result: Mapping[str, Any] | None
    error: str = ""
    seconds: float = 0.0
    lost: bool = False


def do(unit: Unit, needed: Mapping[str, Any] | None) -> Done:
    """Do a unit's work. What goes wrong in it is its result: other units go on.

    Args:
        unit: to be done.
        needed: the result of the unit that it needs.
    """
    started = time.perf_counter()
    try:
        with limited(_THREADS):
            result = _WORK[unit.kind](unit, needed or {})
    except EdgekitError as error:
        return Done(unit.key, None, str(error), time.perf_counter() - started)
    except Exception as error:  # noqa: BLE001 - one cell's bug is no reason to lose the others' hours
        return Done(unit.key, None, f"{type(error).__name__}: {error}", time.perf_counter() - started)
    return Done(unit.key, result, "", time.perf_counter() - started)


def _train(unit: Unit, _: Mapping[str, Any]) -> dict[str, Any]:
    run = unit.folder / "trained" / unit.key
    result = train(replace(unit.settings, train=replace(unit.settings.train, out=run)))
    return {"checkpoint": str(result.run)}


def _make(unit: Unit, trained: Mapping[str, Any]) -> dict[str, Any]:
    settings = unit.settings
    if trained:
        model = replace(settings.model, checkpoint=type(unit.folder)(trained["checkpoint"]))
        settings = with_kept_images(replace(settings, model=model))
    out = unit.folder / "files" / unit.key
    settings = replace(settings, export=replace(settings.export, out=out, verify=False))  # verification follows
    exported = export(settings)
    (file,) = exported.files
    verified = verify([file.path], settings)
    (verdict,) = verified.files
    if not verdict.measured or verified.noise:
        raise GateFailed(f"accuracy was not measured: {'; '.join(verified.warnings)}")
    first, agreement = verdict.measured[0], measured_as("agreement", verdict.measured)
    about = file.summary.metadata
    architecture = {} if about is None else about.provenance.get("architecture", {})
    return {
        "network": exported.network,
        "family": architecture.get("family"),
        "width": architecture.get("width"),
        "resolution": architecture.get("resolution"),
        "checkpoint": str(settings.model.checkpoint),
        "file": str(file.path),
        "size_bytes": file.size_bytes,
        "metric": first.metric.name,
        "accuracy": first.value,
        "agreement": None if agreement is None else agreement.value,
        "images": verified.images,
        "error": "" if verified.passed else f"verification failed: {_problems(verified)}",
    }


def _problems(verified: VerifyResult) -> str:
    judged = (*verified.references, *verified.files)
    return "; ".join(dict.fromkeys(gate.problem for one in judged for gate in one.gates if not gate.passed))


def _time(unit: Unit, made: Mapping[str, Any]) -> dict[str, Any]:
    (row,) = (results := _timed(unit, type(unit.folder)(made["file"]))).rows
    return {
        "latency_ms": row.p50_ms.value,
        "latency_low_ms": row.p50_ms.low,
        "latency_high_ms": row.p50_ms.high,
        "peak_mib": row.peak_mib,
        "threads": row.threads,
        "runner": row.runner,
        "machine": results.machine.model or results.machine.processor,
    }


def _timed(unit: Unit, path: Path) -> Results:
    settings = unit.settings.bench
    if unit.device == HERE:
        return bench([path], settings).results
    planned = plan([path], settings)
    assert unit.device is not None, "what is not timed has no such unit"
    with connect(unit.device, python=settings.python, engines={file.engine for file in planned.plan.files}) as there:
        return bench_on(there, planned, pack(planned.plan)).results


_WORK: Final = {"train": _train, "make": _make, "time": _time}
