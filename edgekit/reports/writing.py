"""Reports by their suffix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgekit import files
from edgekit.errors import ConfigError
from edgekit.reports import junit, markdown, values
from edgekit.reports.pages.verify import document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edgekit.pipeline.proving.verdicts import VerifyResult

FORMATS: Final[dict[str, Callable[[VerifyResult], str]]] = {
    ".html": document.render,
    ".md": markdown.render,
    ".xml": junit.render,
    ".json": lambda result: values.as_json("verify", result),
}


def check(paths: Iterable[Path]) -> None:
    """Refuse reports that cannot be written, before the work whose result they would hold.

    Raises:
        ConfigError: a suffix is none of ``FORMATS``, or there is a folder of that name.
    """
    for path in paths:
        if path.suffix.lower() not in FORMATS:
            choices = ", ".join(FORMATS)
            raise ConfigError(f"{path} is no report that edgekit knows: its suffix decides, choose from {choices}")
        if path.is_dir():
            raise ConfigError(f"{path} is a folder, and a report is a file: give it another name")


def check_page(path: Path | None) -> None:
    """Refuse a page that cannot be written, before the work whose result it would show; None is none.

    Raises:
        ConfigError: its suffix is not .html, or there is a folder of that name.
    """
    if path is not None and path.suffix.lower() != ".html":
        raise ConfigError(f"{path} is no page: --report FILE.html writes one")
    if path is not None and path.is_dir():
        raise ConfigError(f"{path} is a folder, and a report is a file: give it another name")


def write_page(page: str, path: Path) -> None:
    """Write an HTML document, all of it or nothing.

    Raises:
        BadInput: the disk is full, or writing is not permitted.
    """
    files.write_bytes(path, page.encode())


def write(result: VerifyResult, path: Path) -> None:
    """Write a report, all of it or nothing.

    Raises:
        ConfigError: ``path`` has no suffix of ``FORMATS``, or is a folder.
        BadInput: the disk is full, or writing is not permitted.
    """
    check([path])
    files.write_bytes(path, FORMATS[path.suffix.lower()](result).encode())
