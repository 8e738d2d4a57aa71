"""Keywords as settings: what the command line does with flags, for values of Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import config as configuration
from edgekit import flags
from edgekit.config import Overrides, Said
from edgekit.errors import ConfigError
from edgekit.flags import named_normalization

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgekit.config import Settings


def load(path: Any, settings: Mapping[str, Any] | None, overrides: Overrides) -> Settings:  # noqa: ANN401 - a path
    """Settings from a file, single keys, and keywords, the last of which win.

    Raises:
        ConfigError: something is unknown or wrong.
    """
    given = assigned(settings)
    for section, values in overrides.items():
        given.setdefault(section, {}).update({key: value for key, value in values.items() if value is not None})
    return configuration.load(None if path is None else Path(path), given)


def assigned(settings: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """What the keyword of that name says.

    Raises:
        ConfigError: a key has no section.
    """
    given: dict[str, dict[str, Any]] = {}
    for key, value in (settings or {}).items():
        section, dot, name = str(key).partition(".")
        if not dot:
            raise ConfigError(f"settings {key!r}: write it as 'section.key', e.g. {{'model.bn_eps': 1e-3}}")
        given.setdefault(section, {})[name] = Said(value, f"settings['{key}']")
    return given


def normalization(
    named: str | None, mean: float | Sequence[float] | None, std: float | Sequence[float] | None, order: str | None
) -> dict[str, Any]:
    """Section [preprocessing] of how images are normalized.

    Raises:
        ConfigError: a normalization is named and given in numbers, too, or its name is unknown.
    """
    if named is None:
        return {"mean": _numbers(mean), "std": _numbers(std), "order": order}
    if mean is not None or std is not None:
        raise ConfigError("preprocessing and mean or std both say how images are normalized: leave one out")
    _, order, of_mean, of_std = named_normalization(named, order)
    return {"mean": list(of_mean), "std": list(of_std), "order": order}


def names(value: str | Iterable[str] | None) -> list[str] | None:
    """One name, or several, with commas or not."""
    if value is None:
        return None
    return flags.names(value) if isinstance(value, str) else [str(name) for name in value]


def is_path(value: object) -> bool:
    """Whether a value names a file, a folder or a pattern."""
    return isinstance(value, str) or hasattr(value, "__fspath__")


def _numbers(value: float | Sequence[float] | None) -> list[float] | None:
    if value is None:
        return None
    return [float(value)] if isinstance(value, int | float) else [float(number) for number in value]
