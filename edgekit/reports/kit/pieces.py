"""Small pieces that sections of pages are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.reports.kit.markup import Markup, element

if TYPE_CHECKING:
    from collections.abc import Sequence


def code(text: str) -> Markup:
    """A name as it is written."""
    return element("code", text)


def note(text: str) -> Markup:
    """Something to know about what stands above."""
    return element("p", text, class_="note")


def command(text: str) -> Markup:
    """A command to paste."""
    return element("pre", element("code", text))


def facts(values: Sequence[tuple[str, str]]) -> Markup:
    """Names and what they are."""
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in values))


def badge(text: str) -> Markup:
    """A word that is neither good nor bad."""
    return element("span", text, class_="badge")
