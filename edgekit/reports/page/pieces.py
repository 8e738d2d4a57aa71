"""What several sections of the page are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.reports import findings
from edgekit.reports.page.markup import Markup, element

if TYPE_CHECKING:
    from collections.abc import Sequence


def code(text: str) -> Markup:
    """A name as it is written."""
    return element("code", text)


def note(text: str) -> Markup:
    """Something to know about what stands above."""
    return element("p", text, class_="note")


def facts(values: Sequence[tuple[str, str]]) -> Markup:
    """Names and what they are."""
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in values))


def mark(*, passed: bool) -> Markup:
    """Passed or not, as a sign, a colour and a word."""
    word = "passed" if passed else "failed"
    return element("span", findings.mark(passed=passed), class_=word, role="img", aria_label=word)


def badge(text: str) -> Markup:
    """What is neither passed nor failed."""
    return element("span", text, class_="badge")
