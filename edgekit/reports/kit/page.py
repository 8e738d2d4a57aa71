"""The page around its sections."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files as resources
from typing import TYPE_CHECKING

from edgekit.reports.kit.markup import Markup, element
from edgekit.reports.kit.pieces import facts as listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def page(  # noqa: PLR0913 - the parts of a page
    command: str,
    title: str,
    says: str,
    sections: Mapping[str, Markup | None],
    *,
    facts: Sequence[tuple[str, str]] = (),
    outcome: str = "",
    style: str = "",
    closing: Markup | None = None,
) -> str:
    """An HTML document that needs no other file.

    Args:
        command: that made it, "edgekit profile".
        title: what it is about.
        says: the result in a sentence.
        sections: by their titles; those that are None are left out.
        facts: names and values under the sentence.
        outcome: of the title of the window, "failed"; empty where nothing passes or fails.
        style: "passed", "warned" or "failed", which colours the top; empty where nothing passes or fails.
        closing: what stands below all sections.
    """
    shown = {name: content for name, content in sections.items() if content is not None}
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy()),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title}{f': {outcome}' if outcome else ''} – {command}"),
        element("style", Markup(_read("style.css"))),
    )
    header = element(
        "header",
        element("p", command, class_="kicker"),
        element("h1", title),
        element("p", says, class_="verdict"),
        listed(facts) if facts else None,
        class_=style or None,
    )
    body = element(
        "body",
        header,
        element("nav", *(element("a", name, href=f"#{_id(name)}") for name in shown), aria_label="Sections"),
        element(
            "main",
            *(element("section", element("h2", name), content, id=_id(name)) for name, content in shown.items()),
        ),
        closing,
        element("script", Markup(_read("sort.js"))),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def policy() -> str:
    """What a browser may do with a page: show its pictures and run its one script, by hash. Source: W3C CSP Level 2."""
    digest = base64.b64encode(hashlib.sha256(_read("sort.js").encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"


def _read(name: str) -> str:
    return resources("edgekit.reports.kit").joinpath(name).read_text(encoding="utf-8")


def _id(name: str) -> str:
    return name.lower().replace(" ", "-")
