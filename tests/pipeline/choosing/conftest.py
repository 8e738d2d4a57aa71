"""Grids over the network that edgekit ships."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgekit.defaults import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHARED = f"""
[preprocessing]
resize = "whole"
interpolation = "bilinear"
order = "RGB"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]

[calibration]
data = "{FOLDER}/calibration.npz"

[verify]
data = "{FOLDER}/test.npz"
images = 40

[bench]
laps = 1
"""


@pytest.fixture
def shared() -> str:
    """Sections that go with the network that edgekit ships."""
    return SHARED


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., Path]:
    """Writes a grid; without checkpoint and arch it is over the network that edgekit ships."""

    def write(grid: str, shared: str = SHARED) -> Path:
        path = tmp_path / "grid.toml"
        known = "" if "arch" in grid or "checkpoint" in grid else f'checkpoint = ["{FOLDER}/digits_v3.safetensors"]\n'
        path.write_text(f"[grid]\n{known}{grid}\n{shared}")
        return path

    return write
