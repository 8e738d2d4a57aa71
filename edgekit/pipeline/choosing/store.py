"""The results of a sweep in one SQLite file, written after every unit of work: a sweep goes on from there.

The table ``work`` has what was done, a unit a row, ``cells`` what came of it, a cell a row, for people and their
queries.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, get_args, get_type_hints

from edgekit.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from edgekit.pipeline.choosing.grid import Grid
    from edgekit.pipeline.choosing.work import Done

FILE: Final = "sweep.db"
_VERSION: Final = 1
_SHOWN = 4  # differences in a message
_SQL: Final = {str: "TEXT", int: "INTEGER", float: "REAL"}


@dataclass(frozen=True, slots=True)
class Row:
    """A cell and what was measured of it; what is not known is None.

    Attributes:
        key: names the cell.
        network: its name in every file.
        family: of the network.
        width: the multiplier of its channels.
        resolution: of its images in pixels, "192x256" where the sides differ.
        recipe: of its training.
        precision: of the file.
        target: its format.
        device: ``here``, an address, or ``none``.
        settings: all other axes, JSON.
        metric: that accuracy is measured by.
        accuracy: in the metric's unit.
        agreement: with the float network, percent of the images.
        images: that both were measured on.
        size_bytes: of the file.
        latency_ms: the median run, one image.
        latency_low_ms: lower end of its interval.
        latency_high_ms: upper end.
        peak_mib: what loading and running adds to a fresh process, MiB.
        threads: of one run.
        runner: runtime, version and kernels.
        machine: that it was timed on.
        checkpoint: that the file was made from.
        file: its path.
        error: what went wrong; "" where nothing did.
    """

    key: str
    network: str | None = None
    family: str | None = None
    width: float | None = None
    resolution: str | None = None
    recipe: str | None = None
    precision: str | None = None
    target: str | None = None
    device: str | None = None
    settings: str = "{}"
    metric: str | None = None
    accuracy: float | None = None
    agreement: float | None = None
    images: int | None = None
    size_bytes: int | None = None
    latency_ms: float | None = None
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None
    peak_mib: float | None = None
    threads: int | None = None
    runner: str | None = None
    machine: str | None = None
    checkpoint: str | None = None
    file: str | None = None
    error: str = ""

    @property
    def others(self) -> dict[str, Any]:
        """The values of axes that have no column of their own, by key of edgekit.toml."""
        found: dict[str, Any] = json.loads(self.settings)
        return found


_COLUMNS: Final = tuple(field.name for field in fields(Row))


class Store:
    """The results of a sweep; to be closed."""

    def __init__(self, folder: Path) -> None:
        """Open the file of a sweep, or begin one.

        Raises:
            BadInput: the folder cannot be written to.
            ConfigError: it holds something else.
        """
        self.path = folder / FILE
        if folder.exists() and not self.path.exists() and any(not one.name.startswith(".") for one in folder.iterdir()):
            raise ConfigError(f"{folder} holds something else than a sweep: choose another folder, --out DIR")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(self.path)
            with self._base:
                self._base.execute("CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
                self._base.execute(
                    "CREATE TABLE IF NOT EXISTS work (key TEXT PRIMARY KEY, attempts INTEGER NOT NULL, "
                    "seconds REAL NOT NULL, error TEXT NOT NULL, result TEXT)"
                )
                columns = ", ".join(f"{name} {_kind(name)}" for name in _COLUMNS if name != "key")
                self._base.execute(f"CREATE TABLE IF NOT EXISTS cells (key TEXT PRIMARY KEY, {columns})")
        except (OSError, sqlite3.Error) as error:
            raise BadInput(f"{self.path} cannot be written: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def begin(self, grid: Grid) -> None:
        """Write down what is swept; a sweep of the same settings is gone on with, whatever values its axes have.

        Raises:
            ConfigError: the folder holds a sweep of other settings.
        """
        wanted = {"version": _VERSION, **grid.shared}
        found = self._base.execute("SELECT value FROM about WHERE key = 'shared'").fetchone()
        if found is not None:
            before = json.loads(found[0])
            differing = [*_differences(before, wanted)]
            if differing:
                raise ConfigError(
                    f"{self.path.parent} holds a sweep that was made otherwise ({'; '.join(differing[:_SHOWN])}): "
                    f"choose another folder, --out DIR; axes may have more values than before, and no other axes"
                )
            wanted["inputs"] = {**before["inputs"], **wanted["inputs"]}
        with self._base:
            self._base.execute("INSERT OR REPLACE INTO about VALUES ('shared', ?)", (json.dumps(wanted),))

    def results(self) -> dict[str, Mapping[str, Any]]:
        """What came of the units that succeeded, by key."""
        found = self._base.execute("SELECT key, result FROM work WHERE result IS NOT NULL")
        return {key: json.loads(result) for key, result in found}

    def write(self, done: Done, rows: Iterable[Row]) -> None:
        """Keep how a unit ended, and the rows that it makes whole; all attempts are counted."""
        result = None if done.result is None else json.dumps(done.result)
        with self._base:
            self._show(rows)
            self._base.execute(
                "INSERT INTO work VALUES (?, 1, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET attempts = attempts + 1, "
                "seconds = excluded.seconds, error = excluded.error, result = excluded.result",
                (done.key, done.seconds, done.error, result),
            )

    def attempts(self) -> dict[str, int]:
        """How often each unit was begun and ended, however it ended."""
        return dict(self._base.execute("SELECT key, attempts FROM work"))

    def show(self, rows: Iterable[Row]) -> None:
        """Write rows of the table that people query, in the place of those with the same keys."""
        with self._base:
            self._show(rows)

    def _show(self, rows: Iterable[Row]) -> None:
        marks = ", ".join("?" for _ in _COLUMNS)
        values = ([getattr(row, name) for name in _COLUMNS] for row in rows)
        self._base.executemany(f"INSERT OR REPLACE INTO cells VALUES ({marks})", values)  # noqa: S608 - marks alone


def rows(folder: Path, where: str | None = None) -> tuple[Row, ...]:
    """The cells of a sweep, in the order in which they were finished.

    Args:
        folder: of the sweep.
        where: a condition of SQL over the fields of ``Row``: ``precision = 'int8' and latency_ms < 10``.

    Raises:
        ConfigError: there is no sweep, or the condition cannot be evaluated.
    """
    path = folder / FILE
    if not path.is_file():
        raise ConfigError(f"{folder} holds no sweep: edgekit sweep SPEC.toml --out {folder} makes one")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as base:
            found = base.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM cells WHERE {where or 1} ORDER BY rowid"  # noqa: S608 - the user's own query of a file that is opened to be read
            )
            return tuple(Row(*values) for values in found)
    except sqlite3.Error as error:
        raise ConfigError(
            f"{path} cannot be queried ({error}): --where takes a condition of SQL, such as \"precision = 'int8' and "
            f'latency_ms < 10", over {", ".join(_COLUMNS)}'
        ) from error


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What cells shared and share no more, in words."""
    for name in ("version", "axes"):
        if before[name] != now[name]:
            yield f"{name} was {before[name]} and is {now[name]}"
    for section, keys in now["settings"].items():
        for key, value in keys.items():
            if (old := before["settings"].get(section, {}).get(key)) != value:
                yield f"{section}.{key} was {old} and is {value}"
    for path, digest in now["inputs"].items():
        if before["inputs"].get(path, digest) != digest:
            yield f"{path} is another file by now"


def _kind(name: str) -> str:
    hint = get_type_hints(Row)[name]
    return next(sql for kind, sql in _SQL.items() if kind is hint or kind in get_args(hint))
