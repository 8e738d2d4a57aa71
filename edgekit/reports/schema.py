"""The JSON Schema of what ``edgekit verify --json`` prints, made from the dataclasses themselves.

``python -m edgekit.reports.schema FILE`` writes it; docs/verify.schema.json is such a file.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit import files
from edgekit.device.results import Ratio, Row
from edgekit.device.statistics import Interval
from edgekit.exporters.metadata import IoDtype, Metadata, Precision
from edgekit.exporters.summary import Endpoint, Summary
from edgekit.facts import Basis, Fact
from edgekit.pipeline.proving.verdicts import FileVerdict, Picture, Saying, VerifyResult
from edgekit.preprocessing import Normalization, Preprocessing
from edgekit.reports.values import SCHEMA_VERSION, field_names, properties
from edgekit.tasks.values import Better, Differences, Disagreement, Measured, Metric, Point
from edgekit.verification.cases import Cause
from edgekit.verification.class_parity import ClassParity
from edgekit.verification.compare import Parity
from edgekit.verification.detection_parity import DetectionParity
from edgekit.verification.divergence import Divergence, Example, Where
from edgekit.verification.float_parity import FloatParity
from edgekit.verification.gates import Gate, Level
from edgekit.verification.integer_parity import IntegerParity
from edgekit.verification.layers import LayerComparison

# What annotations name, for modules import most of it for type checkers alone.
_NAMED: Final[dict[str, Any]] = {
    kind.__name__: kind
    for kind in (
        *(Basis, Better, Cause, ClassParity, DetectionParity, Differences, Disagreement, Divergence, Endpoint, Example),
        *(Fact, FileVerdict, FloatParity, Gate, IntegerParity, Interval, IoDtype, LayerComparison, Level, Mapping),
        *(Measured,),
        *(Metadata, Metric, Normalization, Path, Picture, Point, Precision, Preprocessing, Ratio, Row, Saying, Summary),
        *(VerifyResult, Where),
    )
} | {"np": np, "NDArray": NDArray, "Parity": Parity}
_PLAIN: Final[dict[Any, dict[str, Any]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": ["number", "null"]},  # null stands for NaN and for what is infinite
    Path: {"type": "string"},
    type(None): {"type": "null"},
    Any: {},
}


def schema() -> dict[str, Any]:
    """A JSON Schema of draft 2020-12. Fields may be added without a new schema version, so others are let through."""
    definitions: dict[str, Any] = {}
    result = _object(VerifyResult, definitions)
    frame = {"schema_version": {"const": SCHEMA_VERSION}, "command": {"const": "verify"}}
    failed = {
        "error": {
            "type": "object",
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
            "required": ["type", "message"],
        },
        "exit_code": {"type": "integer"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:edgekit:verify:{SCHEMA_VERSION}",
        "title": "edgekit verify --json",
        "description": "What was found about exported files; or why nothing could be, with the exit code.",
        "anyOf": [
            {**result, "properties": frame | result["properties"], "required": [*frame, *result["required"]]},
            {"type": "object", "properties": frame | failed, "required": [*frame, *failed]},
        ],
        "$defs": dict(sorted(definitions.items())),
    }


def text() -> str:
    """The schema, as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _object(kind: type[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A dataclass as ``jsonable`` shows it: its fields, then its properties."""
    described = _attributes(kind)
    hints = typing.get_type_hints(kind, localns=_NAMED)
    members = {name: _type(hints[name], definitions) | _described(described.get(name)) for name in field_names(kind)}
    for name, member in properties(kind).items():
        assert member.fget is not None
        returned = typing.get_type_hints(member.fget, localns=_NAMED)["return"]
        members[name] = _type(returned, definitions) | _described(inspect.getdoc(member))
    summary = (inspect.getdoc(kind) or "").partition("\n")[0]
    return {"type": "object", **_described(summary), "properties": members, "required": list(members)}


def _type(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401, PLR0911 - one a kind of type
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return {"anyOf": [_type(argument, definitions) for argument in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _type(arguments[0], definitions)}
    if origin is tuple:
        return {
            "type": "array",
            "prefixItems": [_type(argument, definitions) for argument in arguments],
            "items": False,
            "minItems": len(arguments),
        }
    if origin is not None and issubclass(origin, Mapping):
        key, value = arguments
        whole = {"propertyNames": {"pattern": "^-?[0-9]+$"}} if key is int else {}
        return {"type": "object", **whole, "additionalProperties": _type(value, definitions)}
    if issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    name: str = hint.__name__
    assert dataclasses.is_dataclass(hint)
    assert isinstance(hint, type), f"jsonable does not know {name}"
    if name not in definitions:
        definitions[name] = _object(hint, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _attributes(kind: type) -> dict[str, str]:
    """What the docstring says of each field."""
    _, _, listed = (inspect.getdoc(kind) or "").partition("\nAttributes:\n")
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", listed, re.MULTILINE)
    return {name: " ".join(said.split()) for name, said in found}


def _described(said: str | None) -> dict[str, str]:
    return {"description": said} if said else {}


if __name__ == "__main__":
    files.write_bytes(Path(sys.argv[1]), text().encode())
