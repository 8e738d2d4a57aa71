"""Verdicts as a sign, a colour and a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.reports import findings
from edgekit.reports.kit.markup import element
from edgekit.reports.kit.pieces import badge
from edgekit.words import NOTHING

if TYPE_CHECKING:
    from edgekit.reports.kit.markup import Markup


def style(said: str) -> str:
    """The class of a verdict."""
    return {findings.PASSED: "passed", findings.WARNED: "warned"}.get(said, "failed")


def mark(*, passed: bool) -> Markup:
    """Passed or not."""
    word = "passed" if passed else "failed"
    return element("span", findings.mark(passed=passed), class_=word, role="img", aria_label=word)


def verdict(said: str) -> Markup:
    """A verdict; a badge of what is neither passed nor failed."""
    if findings.sign(said) == NOTHING:
        return badge(said)
    return element("span", findings.sign(said), class_=style(said), role="img", aria_label=said)
