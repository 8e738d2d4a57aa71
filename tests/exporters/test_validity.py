"""Files of every operator, in every format, pass the gates that a finished file has to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype
from edgekit.verification.well_formed import well_formed

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.integer_model import IntegerModel


def test_integer_files_are_well_formed(any_integer_model: IntegerModel, tmp_path: Path) -> None:
    pytest.importorskip("coremltools")
    for form in FORMATS.values():
        path = tmp_path / f"m{form.suffix}"
        form.write_integer_model(any_integer_model, path, io_dtype=IoDtype.FLOAT32, options={})
        assert well_formed(path, any_integer_model) == ()
        assert form.read(path).int8_share == 1.0
