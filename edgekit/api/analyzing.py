"""``edgekit.analyze``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit.api.results import Analyzed, fields_of
from edgekit.api.words import speaking_python
from edgekit.pipeline.choosing.analyze import analyze as run
from edgekit.reports import writing
from edgekit.reports.pages import analyze as page


def analyze(**given: Any) -> Analyzed:  # noqa: ANN401 - the keywords of ``edgekit.analyze``, which has their types
    """See ``edgekit.analyze``."""
    with speaking_python():
        report = None if given["report"] is None else Path(given["report"])
        writing.check_page(report)
        result = run(
            [Path(path) for path in _several(given["checkpoints"])],
            archs=_several(given["arch"]),
            widths=_several(given["width"]),
            resolutions=_several(given["resolution"]),
        )
        if report is not None:
            writing.write_page(page.render(result), report)
        return Analyzed(**fields_of(result))


def _several(value: Any) -> list[Any]:  # noqa: ANN401 - one or several
    """A list of what may be one value."""
    is_one = isinstance(value, str | int | float) or hasattr(value, "__fspath__")
    return [value] if is_one else list(value)
