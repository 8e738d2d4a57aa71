"""Results as JSON values: what ``--json`` prints, and what a report with that suffix holds."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 3  # 2 had accuracy, drop and agreement of classifiers in keys of their own


def as_json(command: str, value: Any) -> str:  # noqa: ANN401 - any result
    """One object with the schema version, the command and the fields and properties of ``value``."""
    body = {"schema_version": SCHEMA_VERSION, "command": command, **jsonable(value)}
    return json.dumps(body, indent=2, allow_nan=False) + "\n"


def jsonable(value: Any) -> Any:  # noqa: ANN401 - any result
    """A result as JSON values: dataclasses with their properties, paths and enumerations as text, NaN as null.

    A field whose metadata say ``json=False`` is left out: pictures are no JSON.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: jsonable(getattr(value, name)) for name in (*field_names(type(value)), *properties(type(value)))}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def field_names(kind: type) -> list[str]:
    """The fields of a dataclass that are shown."""
    return [field.name for field in dataclasses.fields(kind) if field.metadata.get("json", True)]


def properties(kind: type) -> dict[str, property]:
    """The properties of a class, but for its own."""
    return {
        name: member for name, member in vars(kind).items() if isinstance(member, property) and not name.startswith("_")
    }
