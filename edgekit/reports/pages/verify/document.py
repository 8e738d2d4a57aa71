"""The page as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgekit.reports import findings
from edgekit.reports.kit.markup import Markup, element, join
from edgekit.reports.kit.page import page
from edgekit.reports.pages.verify import closeness, contents, gates, images
from edgekit.reports.pages.verify.signs import style

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.pipeline.proving.verdicts import VerifyResult

_SECTIONS: Final[dict[str, Callable[[VerifyResult], Markup | None]]] = {
    "What failed": gates.failures,
    "Warnings": gates.taken_for_true,
    "Files": gates.files,
    "Accuracy": closeness.accuracy,
    "Integers": closeness.integers,
    "Classes": closeness.classes,
    "Floats": closeness.floats,
    "Boxes": closeness.boxes,
    "Layers": closeness.layers,
    "Differences": images.differences,
    "Pictures": images.pictures,
    "Calibration": images.calibration,
    "Operators": contents.operators,
    "Latency": contents.latency,
    "Cost": contents.cost,
    "Gates": gates.gates,
    "Provenance": contents.provenance,
}


def render(result: VerifyResult) -> str:
    """The page, with what a release manager reads first on top."""
    said = findings.outcome(result)
    verdict = element("strong", f"{findings.sign(said)} {said.capitalize()}")
    return page(
        "edgekit verify",
        result.network or "Unreadable files",
        join(verdict, " ", findings.conclusion(result)),
        {name: section(result) for name, section in _SECTIONS.items()},
        facts=findings.facts(result),
        outcome=said,
        style=style(said),
        closing=_signature(),
    )


def _signature() -> Markup:
    """On paper."""
    return element("footer", element("p", "Released by"), element("p", "Date"), class_="signature")
