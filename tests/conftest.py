"""What several test folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real checkpoints and images, which is not part of the project."""
    folder = Path(os.environ.get("EDGEKIT_REALDATA", "nowhere"))
    if not (folder / "models").is_dir():
        pytest.skip("EDGEKIT_REALDATA names no folder with models/ and images/")
    return folder
