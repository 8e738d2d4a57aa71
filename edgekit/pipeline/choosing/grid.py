"""A grid of networks and settings, as a file says it, and the cells that it has.

The file is an edgekit.toml with a section [grid] more: what all cells share stands in the other sections, and a key of
[grid] is an axis, a list of values. An axis is one of ``AXES`` or any key of another section, such as
``calibration.method``.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edgekit import config
from edgekit.errors import ConfigError, did_you_mean
from edgekit.pipeline.making.given import with_kept_images
from edgekit.pipeline.making.manifest import sha256_of
from edgekit.remote.address import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgekit.config import Overrides, Settings

GRID: Final = "grid"
HERE, NOWHERE = "here", "none"  # devices: this machine, and no timing
AXES: Final = {
    "checkpoint": "model.checkpoint",
    "arch": "train.arch",
    "width": "train.width",
    "resolution": "",  # train.resolution of what is trained, model.resolution of checkpoints
    "recipe": "train.recipe",
    "precision": "export.precisions",
    "target": "export.targets",
    "device": "",  # no key: where a file is timed
}
_TRAINED: Final = ("arch", "width", "recipe")  # axes that only a training can follow
_OF_NETWORK: Final = ("train", "preprocessing", "model")  # sections that decide what a training makes
_DIGITS = 12  # of a key: 48 bits, for thousands of cells


@dataclass(frozen=True, slots=True)
class Cell:
    """One network with one choice of settings, on one device.

    Attributes:
        values: what it has of each axis, JSON values.
        settings: all of it, as the commands take them.
        device: ``HERE``, an address, or ``NOWHERE``.
        network: names the training; None where a checkpoint is given.
        file: names the exported file, which cells of several devices share.
        key: names the cell.
    """

    values: Mapping[str, Any]
    settings: Settings
    device: str
    network: str | None
    file: str
    key: str


@dataclass(frozen=True, slots=True)
class Grid:
    """What a file says.

    Attributes:
        axes: the values of each, JSON values.
        cells: every combination.
        shared: what all cells share, and the digests of what they read, JSON values: results of another grid belong to
            the same sweep where these are the same.
    """

    axes: Mapping[str, tuple[Any, ...]]
    cells: tuple[Cell, ...]
    shared: Mapping[str, Any]


def read(path: Path, overrides: Overrides | None = None) -> Grid:
    """The grid of a file.

    Args:
        path: an edgekit.toml with [grid]; relative paths start from its own folder.
        overrides: of keys that all cells share.

    Raises:
        ConfigError: the file cannot be read, an axis or a value is wrong, or something that every cell needs is
            missing.
    """
    tables = config.tables_of(path)
    given = tables.pop(GRID, None)
    if not isinstance(given, dict) or not given:
        raise ConfigError(f"{path} has no [{GRID}]: write one, with a list of values a key, such as width = [0.5, 1.0]")
    base = config.of_tables(tables, path, overrides)
    axes = _axes(given, path)
    trains = _trains(axes, base, path)
    axes = {
        **axes,
        "precision": axes.get("precision", base.export.precisions),
        "target": axes.get("target", base.export.targets),
        "device": axes.get("device", (HERE,)),
    }
    _check(base, axes, path)
    cells = tuple(_cells(axes, tables, path, overrides, trains=trains))
    values = config.to_values(base, path.parent)
    shared = {"axes": sorted(axes), "settings": values, "inputs": _inputs(cells)}
    return Grid(axes, cells, json.loads(json.dumps(shared)))


def _axes(given: Mapping[str, Any], path: Path) -> dict[str, tuple[Any, ...]]:
    """The axes, where calibration.method may stand with or without quotes."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        found |= {f"{name}.{key}": inner for key, inner in value.items()} if isinstance(value, dict) else {name: value}
    for name, values in found.items():
        where = f"{path}: {GRID}.{name}"
        if "." not in name and name not in AXES:
            raise ConfigError(f"{where} is no axis: {did_you_mean(name, AXES)}, or a key of edgekit.toml: train.lr")
        if name in AXES.values():
            short = next(axis for axis, key in AXES.items() if key == name)
            raise ConfigError(f"{where} is called {short} here: write {short} = …")
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{where} is {values!r}: a list of values is wanted, such as [1, 2]")
        if len({json.dumps(value) for value in values}) < len(values):
            raise ConfigError(f"{where} names a value twice")
    return {name: tuple(values) for name, values in found.items()}


def _trains(axes: Mapping[str, Sequence[Any]], base: Settings, path: Path) -> bool:
    """Whether each network is trained first."""
    named = "checkpoint" in axes or base.model.checkpoint is not None
    learns = [f"{GRID}.{axis}" for axis in _TRAINED if axis in axes]
    learns += [f"train.{key}" for key in ("arch", "pretrained", "data") if getattr(base.train, key) is not None]
    if named and learns:
        raise ConfigError(f"{path} names checkpoints, and what is trained ({', '.join(learns)}): leave one of them out")
    if not named and not learns:
        raise ConfigError(
            f'{path} names no network: checkpoint = ["a.safetensors"] under [{GRID}], or arch = ["mobilenet_v2"] there '
            f"and data = … under [train]"
        )
    return not named


def _check(base: Settings, axes: Mapping[str, Sequence[Any]], path: Path) -> None:
    """Refuse what no cell could do without.

    Raises:
        ConfigError: it is missing, or a device is no address.
    """
    if base.verify.data is None and "verify.data" not in axes:
        raise ConfigError(f"{path} names no images to measure accuracy on: data = … under [verify], labelled ones")
    timed = [device for device in axes["device"] if device != NOWHERE]
    for device in timed:
        if device != HERE:
            parse(str(device))
    if timed and (base.bench.threads == "all" or len(base.bench.threads) > 1 or len(base.bench.batches) > 1):
        raise ConfigError(
            f"{path}: a cell has one latency, so bench.threads and bench.batches name one number each; several are an "
            f"axis: bench.threads = [[1], [4]] under [{GRID}]"
        )


def _cells(
    axes: Mapping[str, Sequence[Any]],
    tables: Mapping[str, Any],
    path: Path,
    overrides: Overrides | None,
    *,
    trains: bool,
) -> Iterator[Cell]:
    for combination in itertools.product(*axes.values()):
        values = dict(zip(axes, combination, strict=True))
        chosen = {section: dict(keys) for section, keys in tables.items()}
        for axis, value in values.items():
            section, _, name = _key(axis, trains=trains).partition(".")
            if section:
                chosen.setdefault(section, {})[name] = [value] if axis in {"precision", "target"} else value
        settings = config.of_tables(chosen, path, overrides)
        sections = {axis: _key(axis, trains=trains).partition(".")[0] for axis in values}
        of_network = {axis: value for axis, value in values.items() if sections[axis] in _OF_NETWORK}
        of_file = {axis: value for axis, value in values.items() if sections[axis] not in {"", "bench"}}
        yield Cell(
            values=values,
            settings=settings if trains else with_kept_images(settings),
            device=str(values["device"]),
            network=_named(of_network) if trains else None,
            file=_named(of_file),
            key=_named(values),
        )


def _key(axis: str, *, trains: bool) -> str:
    """The key of edgekit.toml that an axis sets; "" of the device."""
    if axis == "resolution":
        return "train.resolution" if trains else "model.resolution"
    return AXES.get(axis, axis)


def _named(values: Mapping[str, Any]) -> str:
    """A name for values of axes, which stays the same when others come."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _inputs(cells: Sequence[Cell]) -> dict[str, str]:
    """What cells read, by path, with a digest."""
    found: dict[str, str] = {}
    for cell in cells:
        settings = cell.settings
        for path in (settings.model.checkpoint, settings.calibration.ranges):
            if path is not None and str(path) not in found:
                found[str(path)] = _digest(path, sha256_of)
        for path in (settings.calibration.data, settings.verify.data):
            if path is not None and str(path) not in found:
                found[str(path)] = _digest(path, _listing)
    return found


def _digest(path: Path, digest: Callable[[Path], str]) -> str:
    try:
        return digest(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}; relative paths start from the grid's folder"
        ) from error


def _listing(path: Path) -> str:
    """Of images: of a folder its names and sizes, because there may be many."""
    if not path.is_dir():
        return sha256_of(path) if path.is_file() else ""  # a pattern
    listed = sorted(f"{entry.relative_to(path).as_posix()} {entry.stat().st_size}" for entry in path.rglob("*"))
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()
