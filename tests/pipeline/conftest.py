"""Settings of the shipped network, quick ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edgekit import config
from edgekit.defaults import CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.config import Settings


@pytest.fixture
def settings(exported: Path, tmp_path: Path) -> Callable[..., Settings]:
    """The shipped settings with the ranges of an earlier export, and whatever else is given as section=dict."""
    ranges = next(exported.glob("*.ranges.json"))

    def make(**sections: dict[str, Any]) -> Settings:
        flags: dict[str, dict[str, Any]] = {
            "calibration": {"ranges": ranges},
            "export": {"targets": ["tflite"], "precisions": ["int8"], "out": tmp_path / "out"},
        }
        for section, values in sections.items():
            flags[section] = flags.get(section, {}) | values
        return config.load(CONFIG, flags)

    return make


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
