"""What several sections of the page are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.reports import findings
from edgekit.reports.page.markup import Markup, element
from edgekit.words import NOTHING

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


def style(said: str) -> str:
    """The class of a verdict."""
    return {findings.PASSED: "passed", findings.WARNED: "warned"}.get(said, "failed")


def mark(*, passed: bool) -> Markup:
    """Passed or not, as a sign, a colour and a word."""
    word = "passed" if passed else "failed"
    return element("span", findings.mark(passed=passed), class_=word, role="img", aria_label=word)


def verdict(said: str) -> Markup:
    """A verdict as a sign, a colour and a word; a badge of what is neither passed nor failed."""
    if findings.sign(said) == NOTHING:
        return badge(said)
    return element("span", findings.sign(said), class_=style(said), role="img", aria_label=said)


def badge(text: str) -> Markup:
    """What is neither passed nor failed."""
    return element("span", text, class_="badge")
