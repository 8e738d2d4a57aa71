"""What is sent to devices is Python 3.9."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import edgekit

ROOT = Path(edgekit.__file__).parent
SENT = [
    *(ROOT / f"{name}.py" for name in ("__init__", "errors", "progress", "version")),
    *(ROOT / "device").rglob("*.py"),
]
# Of the standard library, since 3.10.
NEWER = {"tomllib", "pairwise", "StrEnum", "batched", "add_note", "TaskGroup"}


@pytest.mark.parametrize("path", sorted(SENT), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_its_syntax_and_names_are_old_enough(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = {keyword.arg for keyword in node.keywords}
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            assert not (name == "zip" and "strict" in called), "Python 3.9 has no zip(strict=)"
            assert not (name == "dataclass" and called & {"slots", "kw_only"}), "nor dataclass(slots=True)"
        named = {alias.name for alias in node.names} if isinstance(node, (ast.Import, ast.ImportFrom)) else set()
        assert not named & NEWER, f"{named & NEWER} came later"
