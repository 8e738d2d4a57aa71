"""The published schema, and that what is printed satisfies it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from edgekit.errors import ArtifactError
from edgekit.reports import schema, values

if TYPE_CHECKING:
    from edgekit.pipeline.proving.verdicts import VerifyResult

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "verify.schema.json"


def closed(node: Any) -> Any:
    """A schema that lets through nothing but what it names, so that what it forgets is noticed."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    also = {"additionalProperties": False} if node.get("type") == "object" and "properties" in node else {}
    return {key: closed(value) for key, value in node.items()} | also


def printed(result: VerifyResult) -> Any:
    return json.loads(values.as_json("verify", result))


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema.schema())


def test_what_is_published_is_current() -> None:
    current = PUBLISHED.read_text(encoding="utf-8") == schema.text()
    assert current, "write it again: python -m edgekit.reports.schema docs/verify.schema.json"


def test_every_result_satisfies_it(any_result: VerifyResult) -> None:
    Draft202012Validator(closed(schema.schema())).validate(printed(any_result))


def test_real_results_satisfy_it(real: tuple[VerifyResult, VerifyResult]) -> None:
    validator = Draft202012Validator(closed(schema.schema()))
    for result, passed in zip(real, (True, False), strict=True):
        body = printed(result)
        validator.validate(body)
        assert body["passed"] is passed
        assert body["layers"]
        assert body["files"][0]["summary"]["metadata"]["provenance"]["calibration"]["images"] == 16


def test_it_names_every_field_and_says_what_it_is() -> None:
    definitions = schema.schema()["$defs"]
    assert {"FileVerdict", "Gate", "IntegerParity", "FloatParity", "Measured", "Summary", "Metadata"} <= set(
        definitions
    )
    assert "pixels" not in definitions["Picture"]["properties"]
    undescribed = [
        f"{name}.{field}"
        for name, definition in definitions.items()
        for field, type_ in definition["properties"].items()
        if "description" not in type_
    ]
    assert set(undescribed) <= {"Normalization.mean", "Normalization.std"}


def test_an_error_satisfies_it() -> None:
    error = ArtifactError("net.onnx does not exist")
    body = {"error": {"type": type(error).__name__, "message": str(error)}, "exit_code": error.exit_code}
    Draft202012Validator(closed(schema.schema())).validate(json.loads(values.as_json("verify", body)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body.pop("passed"),
        lambda body: body.update(schema_version=2),
        lambda body: body["files"][0].update(gates=None),
        lambda body: body["files"][0]["gates"][0].update(level=6),
        lambda body: body["files"][0]["parities"][0]["differences"].update({"none": 1}),
        lambda body: body["files"][0]["summary"]["metadata"].update(precision="int4"),
        lambda body: body["files"][0]["summary"]["metadata"]["preprocessing"].update(size=[8]),
    ],
)
def test_what_is_something_else_does_not(passing: VerifyResult, damage: Any) -> None:
    body = printed(passing)
    damage(body)
    with pytest.raises(ValidationError):
        Draft202012Validator(schema.schema()).validate(body)
