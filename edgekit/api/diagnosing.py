"""``edgekit.diagnose``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.api import settings as keywords
from edgekit.api.exporting import network_of
from edgekit.api.results import Diagnosed, Exported, fields_of, paths_of
from edgekit.api.words import speaking_python
from edgekit.device.threads import limited
from edgekit.pipeline.diagnosing.diagnose import diagnose as run
from edgekit.pipeline.diagnosing.named import sorted_out
from edgekit.pipeline.making.given import Given, as_files_take_it
from edgekit.progress import silent
from edgekit.reports import writing
from edgekit.reports.pages import diagnose as page

if TYPE_CHECKING:
    from edgekit.config import Settings
    from edgekit.pipeline.diagnosing.named import Named


def diagnose(**given: Any) -> Diagnosed:  # noqa: ANN401 - the keywords of ``edgekit.diagnose``, which has their types
    """See ``edgekit.diagnose``."""
    with speaking_python(), limited(given["threads"]):
        report = None if given["report"] is None else Path(given["report"])
        writing.check_page(report)
        named = sorted_out([] if given["paths"] is None else paths_of(given["paths"]))
        settings, images = _settings(given, named), None
        if named.network is None and not named.files:
            named = named.with_network(settings.model.checkpoint)
        if given["data"] is not None and not keywords.is_path(given["data"]):
            from edgekit.calibration.in_memory import take  # noqa: PLC0415 - paths do without

            images = as_files_take_it(take(given["data"], layout=None, limit=given["images"]))
            settings = replace(settings, verify=replace(settings.verify, data=None))
        origin = given["paths"].origin if isinstance(given["paths"], Exported) else network_of(given["model"])
        result = run(
            settings,
            named,
            training=given["training"] and Path(given["training"]),
            threads=given["threads"] or 1,
            timing=not given["no_timing"],
            given=Given(origin, images),
            progress=given["progress"] or silent,
        )
        if report is not None:
            writing.write_page(page.render(result), report)
        return Diagnosed(**fields_of(result))


def _settings(given: dict[str, Any], named: Named) -> Settings:
    """The settings of a diagnosis.

    Raises:
        ConfigError: something is unknown, wrong, or contradicts itself.
    """
    expected = keywords.normalization(given["preprocessing"], given["mean"], given["std"], given["order"])
    is_named = keywords.is_path(given["data"])
    overrides = {
        "model": {
            "checkpoint": named.network,
            "padding": given["padding"],
            "task": given["task"],
            "labels": given["labels"],
            "insist": given["insist"] or None,
        },
        "preprocessing": {**expected, "resize": given["resize"]},
        "verify": {"data": Path(given["data"]) if is_named else None, "images": given["images"] if is_named else None},
    }
    return keywords.load(given["config"], given["settings"], overrides)
