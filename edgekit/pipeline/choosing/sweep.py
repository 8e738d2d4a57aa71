"""A grid of networks and settings -> a row a cell: how accurate, how large and how fast.

=====================  ================================================================================================
sweep.db               the results (``store.py``): SQLite
trained/KEY/           the run of a network that was trained
files/KEY/             an export: a file, and what ``edgekit export`` writes beside it
=====================  ================================================================================================

Files are timed on this machine after everything else is done, one at a time: nothing disturbs them. Other devices have
one timing each at a time, beside the rest.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from edgekit.compression.search.front import front
from edgekit.pipeline.choosing.cluster import RayPool
from edgekit.pipeline.choosing.grid import HERE, NOWHERE, read
from edgekit.pipeline.choosing.pools import InProcess
from edgekit.pipeline.choosing.store import Row, Store, rows
from edgekit.pipeline.choosing.work import Done, Unit
from edgekit.pipeline.making.run import RunFolder
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edgekit.config import Overrides
    from edgekit.pipeline.choosing.grid import Cell, Grid
    from edgekit.pipeline.choosing.pools import Pool

OUT: Final = "runs/sweep"  # where nothing is named
_ATTEMPTS: Final = 3  # of a unit whose worker is lost: one that takes its worker along is given up
_OWN: Final = ("width", "resolution", "recipe", "precision", "target", "device")  # axes with a column of their own


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep found.

    Attributes:
        folder: of the sweep.
        rows: one a cell.
        front: those that no cheaper one of their device equals, the cheapest first: in latency, or in size where
            nothing was timed.
        cost: what is cheap: "latency_ms" or "size_bytes".
        measured: cells that this call measured; the others were there.
        seconds: in all.
    """

    folder: Path
    rows: tuple[Row, ...]
    front: tuple[Row, ...]
    cost: str
    measured: int
    seconds: float

    @property
    def failed(self) -> tuple[Row, ...]:
        """Those of which something is missing."""
        return tuple(row for row in self.rows if row.error)

    @staticmethod
    def front_of(rows: Sequence[Row], cost: str) -> tuple[Row, ...]:
        """Those of some rows that no cheaper one equals, the cheapest first. What failed takes no part."""
        whole = [row for row in rows if not row.error and row.accuracy is not None and getattr(row, cost) is not None]
        return front(whole, lambda row: getattr(row, cost), lambda row: row.accuracy or 0.0)


def sweep(  # noqa: PLR0913 - a grid, where it is computed, and what is told meanwhile
    spec: Path,
    out: Path,
    *,
    workers: int,
    address: str | None = None,
    overrides: Overrides | None = None,
    opened: Callable[[int, int], None] = lambda _cells, _left: None,
    failed: Callable[[Row], None] = lambda _: None,
    progress: Progress = silent,
) -> SweepResult:
    """Measure every cell of a grid. The same call goes on with a sweep that was interrupted.

    Args:
        spec: an edgekit.toml with a section [grid].
        out: the folder of the sweep.
        workers: processes of one thread; one, without an address, is this process.
        address: of a Ray cluster that is running; None starts one here.
        overrides: of keys that all cells share.
        opened: told how many cells there are, and how many of them are left to measure.
        failed: told of each cell of which something is missing.
        progress: told after each cell.

    Raises:
        BadInput: the grid cannot be read, the folder cannot be used, or there is no such cluster.
        MissingDependency: Ray is not installed.
    """
    started = time.perf_counter()
    grid, out = read(spec.resolve(), overrides), out.resolve()  # workers start elsewhere
    with closing(Store(out)) as store:
        store.begin(grid)
        with RunFolder(out).held():
            work = _Work(grid, store, out)
            opened(len(grid.cells), left := len(work.left()))
            if left:
                devices = {cell.device for cell in grid.cells} - {NOWHERE}
                alone = workers == 1 and address is None
                with InProcess() if alone else RayPool(workers, devices, address) as pool:
                    work.run(pool, failed, progress)
            work.show(grid.cells)
    keys = {cell.key for cell in grid.cells}
    return _result(out, [row for row in rows(out) if row.key in keys], left, time.perf_counter() - started)


def shown(folder: Path, where: str | None = None) -> SweepResult:
    """What a sweep found, which may be going on, or the cells of it that fulfil a condition.

    Raises:
        ConfigError: there is no sweep, or the condition cannot be evaluated.
    """
    return _result(folder, rows(folder, where), 0, 0.0)


class _Work:
    """What is to be done, what is done, and what came of it."""

    def __init__(self, grid: Grid, store: Store, folder: Path) -> None:
        self._grid, self._store, self._folder = grid, store, folder
        self._results = store.results()
        self._errors: dict[str, str] = {}
        self._units = {unit.key: unit for cell in grid.cells for unit in self._of(cell)}

    def left(self) -> list[Cell]:
        """Cells that have still something to be done."""
        return [cell for cell in self._grid.cells if any(u.key not in self._results for u in self._of(cell))]

    def run(self, pool: Pool, failed: Callable[[Row], None], progress: Progress) -> None:
        """Do it."""
        lost, told, given = Counter[str](), set[str](), set[str]()
        total = len(self._grid.cells)
        while waiting := [unit for unit in self._units.values() if not self._is_settled(unit)]:
            is_quiet = all(unit.device == HERE for unit in waiting)
            for unit in waiting:
                is_ready = unit.needs is None or unit.needs in self._results
                if unit.key not in given and is_ready and (is_quiet or unit.device != HERE):
                    pool.submit(unit, self._results.get(unit.needs or ""))
                    given.add(unit.key)
            progress("measuring", total - len(self.left()), total)
            if (done := pool.next()) is None:
                continue
            lost[done.key] += done.lost
            if done.lost and lost[done.key] < _ATTEMPTS:
                given.discard(done.key)
            else:
                self._keep(done)
            ended = [c for c in self._grid.cells if c.key not in told and all(map(self._is_settled, self._of(c)))]
            finished = [self._row(cell) for cell in ended]
            self._store.write(done, finished)
            told |= {row.key for row in finished}
            for row in finished:
                if row.error:
                    failed(row)
        progress("measuring", total, total)

    def show(self, cells: Sequence[Cell]) -> None:
        """Write the rows of cells."""
        self._store.show(self._row(cell) for cell in cells)

    def _of(self, cell: Cell) -> Iterator[Unit]:
        """The units of a cell, each behind the one that it needs."""
        trained, made = f"train-{cell.network}", f"make-{cell.file}"
        if cell.network is not None:
            yield Unit(trained, "train", cell.settings, self._folder)
        yield Unit(made, "make", cell.settings, self._folder, needs=trained if cell.network else None)
        if cell.device != NOWHERE:
            yield Unit(f"time-{cell.key}", "time", cell.settings, self._folder, needs=made, device=cell.device)

    def _is_settled(self, unit: Unit) -> bool:
        return unit.key in self._results or self._error(unit) != ""

    def _error(self, unit: Unit) -> str:
        """Why a unit has no result, its own reason or that of what it needs."""
        if unit.key in self._errors or unit.needs is None:
            return self._errors.get(unit.key, "")
        return self._error(self._units[unit.needs])

    def _keep(self, done: Done) -> None:
        if done.result is None:
            self._errors[done.key] = done.error
        else:
            self._results[done.key] = done.result

    def _row(self, cell: Cell) -> Row:
        """What is known of a cell."""
        found: dict[str, Any] = {name: cell.values[name] for name in _OWN if name in cell.values}
        errors = []
        for unit in self._of(cell):
            result = self._results.get(unit.key, {})
            found |= {name: value for name, value in result.items() if value is not None}
            errors.append(self._error(unit) or result.get("error", ""))
        if found.get("resolution") is not None:
            size = found["resolution"]
            found["resolution"] = "x".join(map(str, size)) if isinstance(size, list | tuple) else str(size)
        settings = {axis: value for axis, value in cell.values.items() if "." in axis}
        known = {field.name: found[field.name] for field in fields(Row) if field.name in found}
        error = next(filter(None, errors), "")
        return Row(**{**known, "key": cell.key, "settings": json.dumps(settings), "error": error})


def _result(folder: Path, found: Sequence[Row], measured: int, seconds: float) -> SweepResult:
    cost = "latency_ms" if any(row.latency_ms is not None for row in found) else "size_bytes"
    devices = dict.fromkeys(row.device for row in found)
    fronts = (SweepResult.front_of([row for row in found if row.device == device], cost) for device in devices)
    return SweepResult(folder, tuple(found), tuple(row for front in fronts for row in front), cost, measured, seconds)
