"""``edgekit.sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.api import settings as keywords
from edgekit.api.results import Swept, fields_of
from edgekit.api.words import speaking_python
from edgekit.device.machine import cores
from edgekit.errors import ConfigError
from edgekit.pipeline.choosing.sweep import OUT, shown
from edgekit.pipeline.choosing.sweep import sweep as run
from edgekit.progress import silent
from edgekit.reports import writing
from edgekit.reports.pages import sweep as page

if TYPE_CHECKING:
    from edgekit.pipeline.choosing.sweep import SweepResult


def sweep(**given: Any) -> Swept:  # noqa: ANN401 - the keywords of ``edgekit.sweep``, which has their types
    """See ``edgekit.sweep``."""
    with speaking_python():
        report = None if given["report"] is None else Path(given["report"])
        writing.check_page(report)
        result = _shown(given) if given["show"] is not None else _measured(given)
        if report is not None:
            writing.write_page(page.render(result), report)
        return Swept(**fields_of(result))


def _shown(given: dict[str, Any]) -> SweepResult:
    if any(given[name] is not None for name in ("spec", "out", "workers", "address", "settings")):
        raise ConfigError("show measures nothing: leave out all but where and report")
    return shown(Path(given["show"]), given["where"])


def _measured(given: dict[str, Any]) -> SweepResult:
    if given["spec"] is None:
        raise ConfigError("no grid is named: spec, an edgekit.toml with a section [grid]")
    out = Path(given["out"] or OUT)
    result = run(
        Path(given["spec"]),
        out,
        workers=given["workers"] or cores(),
        address=given["address"],
        overrides=keywords.assigned(given["settings"]),
        progress=given["progress"] or silent,
    )
    return result if given["where"] is None else shown(out, given["where"])
