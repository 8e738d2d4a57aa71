"""What keys of a section are made of: their types, and how a key says what it means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from edgekit.errors import ConfigError
from edgekit.exporters.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True, eq=False)  # what names there are is not known yet
class OneOf:
    """What a text has to be: one of some names that are known only when edgekit runs, such as those of plug-ins."""

    names: Collection[str]


Target: TypeAlias = Annotated[str, OneOf(FORMATS)]
PrecisionName = Literal["float32", "float16", "int8", "dynamic", "weight-only"]
Accelerator = Literal["cpu", "cuda"]
Size = tuple[int, int]  # height and width in pixels, "192x256" or [192, 256]


def key(meaning: str, **default: Any) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A key of a section, with what it means, for people."""
    return field(metadata={"meaning": meaning}, **default)


def shorter(size: int | Size | str | None) -> int | None:
    """The shorter side of what is given in pixels; None where it is not."""
    return min(size) if isinstance(size, tuple) else size if isinstance(size, int) else None


def at_least(least: int, name: str, value: float | None) -> None:
    """Refuse a value below ``least``.

    Raises:
        ConfigError: it is.
    """
    if value is not None and value < least:
        raise ConfigError(f"{name} is {value:g}: {least} or more is wanted")


def positive(name: str, value: float | None) -> None:
    """Refuse what is not above 0.

    Raises:
        ConfigError: it is not.
    """
    if value is not None and value <= 0:
        raise ConfigError(f"{name} is {value:g}: a positive number is wanted")
