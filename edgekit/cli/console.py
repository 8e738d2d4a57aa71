"""The only place that prints. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edgekit.errors import EdgekitError

if TYPE_CHECKING:
    from edgekit.progress import Progress

SCHEMA_VERSION = 1
INTERRUPTED = 130  # what shells give for SIGINT


@contextmanager
def reporting(command: str, *, as_json: bool) -> Iterator[None]:
    """Turn an EdgekitError into one sentence and its exit code, and Ctrl-C into a clean end."""
    try:
        yield
    except EdgekitError as error:
        if as_json:
            problem = {"type": type(error).__name__, "message": str(error)}
            print_json(command, {"error": problem, "exit_code": error.exit_code})
        else:
            _stderr().print(f"[bold red]✘[/] {_escape(str(error))}", soft_wrap=True, highlight=False)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        _stderr().print("interrupted: nothing was written", highlight=False)
        raise typer.Exit(INTERRUPTED) from None


def say(*lines: str) -> None:
    """Print lines of the result, with rich's markup."""
    from rich.console import Console  # noqa: PLC0415 - 60 ms that --help does without

    console = Console(highlight=False)
    for line in lines:
        console.print(line, soft_wrap=True)


def note(text: str) -> None:
    """Tell something besides the result."""
    _stderr().print(f"[dim]{_escape(text)}[/]", soft_wrap=True, highlight=False)


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table; columns whose title starts with ">" are numbers and end flush."""
    from rich import box  # noqa: PLC0415 - see say
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    shown = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column in columns:
        shown.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    console = Console(highlight=False)
    if not console.is_terminal:  # a pipe has no width: never break a line there
        console = Console(highlight=False, width=200)
    console.print(shown)


def print_json(command: str, value: Any) -> None:  # noqa: ANN401 - any result
    """Print one object with the schema version, the command and the fields and properties of ``value``."""
    body = {"schema_version": SCHEMA_VERSION, "command": command, **jsonable(value)}
    sys.stdout.write(json.dumps(body, indent=2, ensure_ascii=False) + "\n")


def jsonable(value: Any) -> Any:  # noqa: ANN401 - any result
    """A result as JSON values: dataclasses with their properties, paths and enumerations as strings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value)]
        names += [name for name, member in vars(type(value)).items() if isinstance(member, property)]
        return {name: jsonable(getattr(value, name)) for name in names}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar with time left on a terminal; a line a stage elsewhere."""
    console = _stderr()
    if not console.is_terminal:
        yield _stage_lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield update


def size(size_bytes: int) -> str:
    """A size for people.

    >>> size(3_512_345), size(512)
    ('3.51 MB', '512 B')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.3g} {unit}"
    return f"{size_bytes} B"


def percent(share: float) -> str:
    """A share for people, never rounded up to 100 %.

    >>> percent(1.0), percent(0.99999), percent(0.5)
    ('100 %', '99.99 %', '50 %')
    """
    if 0.9999 < share < 1.0:  # noqa: PLR2004 - where rounding would lie
        return "99.99 %"
    return f"{share * 100:.4g} %"


def escape(text: str) -> str:
    """``text`` with rich's markup taken literally."""
    return _escape(text)


def _stage_lines() -> Progress:
    seen: set[str] = set()

    def update(stage: str, done: int, total: int) -> None:
        if stage not in seen:
            seen.add(stage)
            sys.stderr.write(f"{stage} ({total})\n" if total > 1 else f"{stage}\n")
            sys.stderr.flush()

    return update


def _stderr() -> Any:  # noqa: ANN401 - rich is imported late
    from rich.console import Console  # noqa: PLC0415 - see say

    return Console(stderr=True)


def _escape(text: str) -> str:
    from rich.markup import escape as rich_escape  # noqa: PLC0415 - see say

    return rich_escape(text)
