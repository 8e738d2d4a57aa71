"""``edgekit.verify``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edgekit.api import settings as keywords
from edgekit.api.exporting import network_of
from edgekit.api.results import Exported, Verified, fields_of, paths_of
from edgekit.api.words import speaking_python
from edgekit.device.threads import limited
from edgekit.pipeline.making.given import Given, as_files_take_it
from edgekit.pipeline.proving.verify import verify as run
from edgekit.progress import silent
from edgekit.reports import writing


def verify(**given: Any) -> Verified:  # noqa: ANN401 - the keywords of ``edgekit.verify``, which has their types
    """See ``edgekit.verify``."""
    with speaking_python(), limited(given["threads"]):
        files, data, model = given["files"], given["data"], given["model"]
        named = keywords.is_path(data)
        reports = [Path(path) for path in keywords.names(_several(given["report"])) or ()]
        writing.check(reports)
        settings = keywords.load(
            given["config"],
            given["settings"],
            {
                "verify": {
                    "data": Path(data) if named else None,
                    "images": given["images"] if named or data is None else None,
                    "strict": given["strict"] or None,
                    "emulate": given["emulate"] or None,
                    "baseline": given["baseline"] and Path(given["baseline"]),
                    "latency": given["latency"] or None,
                },
                "bench": {"threads": None if given["threads"] is None else (given["threads"],)},
                "model": {"checkpoint": Path(model) if keywords.is_path(model) else None, "task": given["task"]},
            },
        )
        network = files.origin if model is None and isinstance(files, Exported) else network_of(model)
        images = None
        if data is not None and not named:
            from edgekit.calibration.in_memory import take  # noqa: PLC0415 - noise does without

            images = as_files_take_it(take(data, layout=given["layout"], limit=given["images"]))
            settings = replace(settings, verify=replace(settings.verify, data=None))
        result = run(paths_of(files), settings, given=Given(network, images), progress=given["progress"] or silent)
        verified = Verified(**fields_of(result))
        for path in reports:
            verified.report(path)
        return verified


def _several(value: Any) -> Any:  # noqa: ANN401 - a path or several
    return [str(value)] if keywords.is_path(value) else value
