"""``edgekit.bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.api import settings as keywords
from edgekit.api.results import Benched, fields_of, paths_of
from edgekit.api.words import speaking_python
from edgekit.pipeline.measuring.bench import bench as here
from edgekit.pipeline.measuring.bench import plan
from edgekit.progress import silent

if TYPE_CHECKING:
    from edgekit.config import BenchSettings
    from edgekit.pipeline.measuring.bench import BenchResult, Planned
    from edgekit.progress import Progress


def bench(**given: Any) -> Benched:  # noqa: ANN401 - the keywords of ``edgekit.bench``, which has their types
    """See ``edgekit.bench``."""
    with speaking_python():
        flags = {
            "threads": given["threads"] if given["threads"] == "all" else _numbers(given["threads"]),
            "batches": _numbers(given["batch"]),
            "laps": given["laps"],
            "gpu": given["gpu"] or None,
        }
        settings = keywords.load(given["config"], given["settings"], {"bench": flags}).bench
        against = given["against"] and Path(given["against"])
        files, progress = paths_of(given["files"]), given["progress"] or silent
        if given["device"] is None:
            return Benched(**fields_of(here(files, settings, against=against, progress=progress)))
        planned = plan(files, settings, against=against)
        return Benched(**fields_of(_elsewhere(given["device"], planned, settings, progress)))


def _elsewhere(device: str, planned: Planned, settings: BenchSettings, progress: Progress) -> BenchResult:
    from edgekit.pipeline.measuring.bundle import pack  # noqa: PLC0415 - ssh is for few
    from edgekit.pipeline.measuring.device import bench_on, connect  # noqa: PLC0415 - likewise

    engines = {file.engine for file in planned.plan.files}
    with connect(device, python=settings.python, engines=engines) as there:
        return bench_on(there, planned, pack(planned.plan, progress=progress), progress=progress)


def _numbers(value: Any) -> list[int] | None:  # noqa: ANN401 - one number or several
    if value is None:
        return None
    return [value] if isinstance(value, int) else list(value)
