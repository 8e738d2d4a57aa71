"""The only place that prints. Results go to stdout, progress, notes and errors to stderr.

On a terminal sentences are broken between words; in a pipe only where COLUMNS says how wide a line may be.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from edgekit import words
from edgekit.errors import BadInput, EdgekitError
from edgekit.reports import values
from edgekit.words import NOTHING, count, percent, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

    from rich.console import Console
    from rich.text import Text

    from edgekit.progress import Progress

__all__ = [
    "NOTHING",
    "count",
    "escape",
    "facts",
    "note",
    "percent",
    "print_json",
    "progress_bar",
    "reporting",
    "say",
    "size",
    "skipped",
    "table",
    "warn",
]

_LIVE: list[Console] = []  # the console that shows progress bars, while it does
_USUAL_WIDTH = 80
_PATIENCE_S = 10.0  # what takes longer is foretold, where no bar shows it
_GAP = 2  # between columns
INTERRUPTED, TERMINATED = 130, 143  # what shells give for SIGINT and SIGTERM


@contextmanager
def reporting(command: str, *, as_json: bool) -> Iterator[None]:
    """Turn an EdgekitError into one sentence and its exit code, Ctrl-C and SIGTERM into a clean end."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no tick shall not end the work
    try:
        with _unwinding_on_sigterm():
            yield
    except EdgekitError as error:
        if as_json and not isinstance(error, _StdoutError):
            problem = {"type": type(error).__name__, "message": str(error)}
            print_json(command, {"error": problem, "exit_code": error.exit_code})
        else:
            _sentence(_stderr(), f"[bold red]✘[/] {escape(str(error))}")
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        _sentence(_stderr(), "interrupted")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _unwinding_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does, so that no temporary folder and no process stays behind."""

    def end(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return
    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def say(*lines: str) -> None:
    """Print lines of the result, with rich's markup; one that is broken goes on where it began."""
    from rich.text import Text  # noqa: PLC0415 - 60 ms that --help does without

    with _explaining_stdout():
        for line in lines:
            shown = Text.from_markup(line)
            _hanging(shown, len(shown.plain) - len(shown.plain.lstrip()))


def note(text: str) -> None:
    """Tell something besides the result."""
    _sentence(_stderr(), f"[dim]{escape(text)}[/]")


def warn(text: str) -> None:
    """Tell of something that is likely a mistake, besides the result."""
    _sentence(_stderr(), f"[bold yellow]![/] {escape(text)}")


def table(columns: Sequence[str], rows: Sequence[Sequence[str] | str], spare: Sequence[str] = ()) -> None:
    """Print aligned columns, with rich's markup; a row that is a text stands below the one before it.

    Columns whose title starts with ">" are numbers and end flush. Where lines have a width, a text and the last column,
    unless it holds numbers, are broken between words and go on where they began. Other columns are neither broken nor
    cut: what is too wide for a terminal, the terminal wraps.

    Args:
        columns: their titles.
        rows: a cell for each column, or a text.
        spare: columns that are left out of a table that is too wide, as many as it takes, the first one first; those
            that it does not have are skipped.
    """
    from rich.text import Text  # noqa: PLC0415 - see say

    titles = [Text(title.removeprefix(">"), "dim") for title in columns]
    lines = [titles, *(row if isinstance(row, str) else [Text.from_markup(cell) for cell in row] for row in rows)]
    cells = [line for line in lines if not isinstance(line, str)]
    widths = [max(line[i].cell_len for line in cells) for i in range(len(columns))]
    for cell, title, width in ((line[i], columns[i], widths[i]) for line in cells for i in range(len(columns))):
        (cell.pad_left if title.startswith(">") else cell.pad_right)(width - cell.cell_len)
    shown_columns, left_out = list(range(len(columns))), list[str]()
    spare = [title for title in spare if title in columns]
    while _breaks(_stdout()) and len(left_out) < len(spare) and _joined_width(widths, shown_columns) > _stdout().width:
        left_out.append(spare[len(left_out)])
        shown_columns.remove(columns.index(left_out[-1]))
    before = shown_columns if columns[-1].startswith(">") else shown_columns[:-1]
    last = _joined_width(widths, before) + _GAP
    with _explaining_stdout():
        for line in lines:
            if isinstance(line, str):
                shown = Text.from_markup(line)
                start = len(shown.plain) - len(shown.plain.lstrip())
            else:
                shown, start = Text(" " * _GAP).join(line[i] for i in shown_columns), last
            shown.rstrip()
            _hanging(shown, start)
        if left_out:
            named = ", ".join(title.removeprefix(">") for title in left_out)
            _sentence(_stdout(), f"[dim]left out, for want of width: {escape(named)}[/]")


def _joined_width(widths: Sequence[int], shown: Sequence[int]) -> int:
    """How wide a row is of the columns that are shown."""
    return sum(widths[i] for i in shown) + _GAP * (len(shown) - 1)


def _hanging(line: Text, start: int) -> None:
    """Print a line; where lines have a width, what is behind ``start`` is broken between words, and goes on there."""
    console = _stdout()
    if not _breaks(console) or line.cell_len <= console.width or 4 * start > 3 * console.width:
        console.print(line, soft_wrap=True)
        return
    first, *others = line[start:].wrap(console, console.width - start)
    console.print(line[:start] + first, soft_wrap=True)
    for other in others:
        other.pad_left(start)
        console.print(other, soft_wrap=True)


def facts(title: str, values: Sequence[tuple[str, str]]) -> None:
    """Print names and their values, one below the other; long values are broken between words where sentences are."""
    console = _stdout()
    margin = max(len(name) for name, _ in values) + 2
    width = max(console.width - margin, 20) if _breaks(console) else sys.maxsize
    with _explaining_stdout():
        console.print(f"[bold]{escape(title)}[/]", soft_wrap=True)
        for name, value in values:
            first, *others = textwrap.wrap(value, width, break_long_words=False, break_on_hyphens=False) or [""]
            console.print(f"[dim]{name}[/]{' ' * (margin - len(name))}{escape(first)}".rstrip(), soft_wrap=True)
            for line in others:
                console.print(f"{'':{margin}}{escape(line)}", soft_wrap=True)


def print_json(command: str, value: Any) -> None:  # noqa: ANN401 - any result
    """Print one object with the schema version, the command and the fields and properties of ``value``."""
    with _explaining_stdout():
        sys.stdout.write(values.as_json(command, value))


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar with the time left on a terminal; a line a stage elsewhere."""
    console = _stderr()
    if not console.is_terminal:
        yield _stage_lines()
        return
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - see say
    from rich.progress import Progress as Bars  # noqa: PLC0415 - see say

    # What is told meanwhile goes through the same console, above the bars: another one would write into them.
    _LIVE.append(console)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[steps]}"), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int) -> None:
            name = stage.partition(",")[0]  # what follows it may change: "fine-tuning, loss 0.06"
            if name not in tasks:
                tasks[name] = bars.add_task(stage, steps="")
            # A single step says nothing of how far it is: then the bar just moves.
            known = {"total": total, "steps": f"{done}/{total}"} if total > 1 else {"total": None}
            bars.update(tasks[name], description=stage, completed=done, visible=done < total, **known)

        try:
            yield update
        finally:
            _LIVE.pop()


def skipped(images: Mapping[str, str], *, refused_by: str = "--strict") -> None:
    """Tell which images could not be used, and why; and the flag that refuses them, where a command has one."""
    if images:
        more = f": {refused_by} refuses them" if refused_by else ""
        note(f"{count(len(images), 'image')} skipped ({words.some(images)}){more}")


def escape(text: str) -> str:
    """``text`` with rich's markup taken literally."""
    from rich.markup import escape as rich_escape  # noqa: PLC0415 - see say

    return rich_escape(text)


def _stage_lines() -> Progress:
    """A line a stage, and one that says how long it is going to take, where that is long."""
    begun: dict[str, tuple[float, int]] = {}
    foretold: set[str] = set()

    def update(stage: str, done: int, total: int) -> None:
        name, now = stage.partition(",")[0], time.monotonic()
        if name not in begun:
            begun[name] = now, done
            sys.stderr.write(f"{name} ({total})\n" if total > 1 else f"{name}\n")
            sys.stderr.flush()
        since, before = begun[name]
        if name not in foretold and done > before and now - since > _PATIENCE_S:
            foretold.add(name)
            if (left := (now - since) * (total - done) / (done - before)) > _PATIENCE_S:
                sys.stderr.write(f"{name}: about {words.duration(left)} are left\n")
                sys.stderr.flush()

    return update


class _StdoutError(BadInput):
    """The result has nowhere to go."""


@contextmanager
def _explaining_stdout() -> Iterator[None]:
    """A full disk under a redirected stdout is no mistake of ours; a reader that went away is typer's business."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # or Python fails again at its end, on what is left to write
        raise _StdoutError(f"the result cannot be written to stdout: {error.strerror}") from error


def _sentence(console: Console, text: str) -> None:
    """Print a line; where lines have a width, it is broken between words."""
    console.print(text, soft_wrap=not _breaks(console))


def _breaks(console: Console) -> bool:
    """Whether lines have a width: on a terminal, and where COLUMNS says it, which rich goes by."""
    return console.is_terminal or bool(_columns())


def _columns() -> int | None:
    """The width that COLUMNS says; None where it says none."""
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdigit() else None


def _stdout() -> Console:
    return _console(stderr=False)


def _stderr() -> Console:
    return _LIVE[-1] if _LIVE else _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console  # noqa: PLC0415 - see say

    # Some programs set COLUMNS to 0, where rich would print nothing at all.
    return Console(stderr=stderr, highlight=False, width=_USUAL_WIDTH if _columns() == 0 else None)
