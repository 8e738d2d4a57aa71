"""Linux tells of itself in small files; what is not there, or not for everybody, is None or empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def lines(path: Path) -> list[str]:
    """The lines of a file."""
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def text(path: Path) -> str | None:
    """The first line of a file."""
    return next((line.strip(" \0") for line in lines(path)), None)


def number(path: Path) -> float | None:
    """The number that a file holds."""
    try:
        return float(text(path) or "")
    except ValueError:
        return None
