"""The formats that can be written, by name: a folder beside this file for each of edgekit's own, and plug-ins."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from edgekit import exporters
from edgekit.errors import ArtifactError, ConfigError, chosen, did_you_mean
from edgekit.exporters.format import Format
from edgekit.models.folders import RUN
from edgekit.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def _own() -> Iterator[Format]:
    """``FORMAT`` of each folder, those that are written by default first."""
    inside = pkgutil.iter_modules(exporters.__path__, f"{exporters.__name__}.")
    found: list[Format] = [importlib.import_module(module.name).FORMAT for module in inside if module.ispkg]
    yield from sorted(found, key=lambda form: (not form.by_default, form.name))


# Suffixes of trained networks that no format has.
_CHECKPOINTS = (".pth", ".safetensors", ".ckpt", ".h5", ".keras")

FORMATS = Registry("edgekit.formats", Format, _own, claims=lambda form: (form.suffix,))


def defaults() -> tuple[str, ...]:
    """The names of the formats that are written where none is named."""
    return tuple(form.name for form in FORMATS.values() if form.by_default)


def named(names: Sequence[str]) -> list[str]:
    """The formats that a user names, in capitals or not, and all of them for "all".

    Raises:
        ConfigError: one is unknown.
    """
    found = {name: chosen(name, (*FORMATS, "all")) for name in names}
    for name, form in found.items():
        if form is None:
            raise ConfigError(f"unknown target {name!r}: {did_you_mean(name, (*FORMATS, 'all'))}")
    return list(FORMATS) if "all" in found.values() else [form for form in found.values() if form]


def refuse_trained(path: Path) -> None:
    """Refuse a trained network, or the folder of its training, where exported files are wanted.

    Raises:
        ArtifactError: it is one.
    """
    if (path / RUN).exists() or path.suffix in _CHECKPOINTS:
        raise ArtifactError(f"{path} is a network before it is exported: write its files first, edgekit export {path}")


def format_of(path: Path) -> Format:
    """The format of a file, by its suffix.

    Raises:
        ArtifactError: there is none.
    """
    for form in FORMATS.values():
        if path.suffix == form.suffix:
            return form
    refuse_trained(path)
    suffixes = [form.suffix for form in FORMATS.values()]
    if not path.exists():
        raise ArtifactError(f"{path} does not exist: name a file or a folder that edgekit export wrote")
    raise ArtifactError(f"{path} is no file that edgekit exports: {did_you_mean(path.suffix, suffixes)}")
