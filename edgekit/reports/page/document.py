"""The page as a whole."""

from __future__ import annotations

from importlib.resources import files as resources
from typing import TYPE_CHECKING, Final

from edgekit.reports import findings
from edgekit.reports.page import closeness, contents, gates, images
from edgekit.reports.page.markup import Markup, element
from edgekit.reports.page.pieces import facts, style

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.pipeline.proving.verdicts import VerifyResult

# Whatever a name in the result may hold, a browser runs and loads nothing of this page.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
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
    """The page."""
    title = f"{result.network or 'Unreadable files'}: {findings.outcome(result)}"
    sections = [(name, content) for name, section in _SECTIONS.items() if (content := section(result)) is not None]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} – edgekit verify"),
        element("style", Markup(resources("edgekit.reports.page").joinpath("style.css").read_text(encoding="utf-8"))),
    )
    body = element(
        "body",
        _header(result),
        element("nav", *(element("a", name, href=f"#{_id(name)}") for name, _ in sections), aria_label="Sections"),
        element(
            "main",
            *(element("section", element("h2", name), content, id=_id(name)) for name, content in sections),
        ),
        _signature(),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _id(name: str) -> str:
    return name.lower().replace(" ", "-")


def _header(result: VerifyResult) -> Markup:
    """What a release manager reads first."""
    said = findings.outcome(result)
    word = said.capitalize()
    return element(
        "header",
        element("p", "edgekit verify", class_="kicker"),
        element("h1", result.network or "Unreadable files"),
        element(
            "p", element("strong", f"{findings.sign(said)} {word}"), " ", findings.conclusion(result),
            class_="verdict",
        ),
        facts(findings.facts(result)),
        class_=style(said),
    )  # fmt: skip


def _signature() -> Markup:
    """On paper."""
    return element("footer", element("p", "Released by"), element("p", "Date"), class_="signature")
