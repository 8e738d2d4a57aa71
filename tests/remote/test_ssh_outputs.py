"""Golden outputs by name on a device: a network with three heads, in the runtimes that devices have."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.device.plan import Plan
from edgekit.errors import GateFailed
from edgekit.pipeline.measuring.bench import Planned
from edgekit.pipeline.measuring.bundle import Luggage, pack
from edgekit.pipeline.measuring.device import bench_on, connect
from edgekit.runtimes.planned import planned_file

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Device  # noqa: TID252 - fixtures have no other home

NOTHING = Planned(Plan(()), (), ())  # what else there is to say about a plan
OUTPUTS = ("classes", "pose", "mask")


@pytest.fixture(scope="module")
def several(heads: Path) -> Luggage:
    paths = [heads / "exported" / f"net.int8.{kind}" for kind in ("tflite", "onnx", "pt")]
    return pack(Plan(tuple(file for path in paths if (file := planned_file(path)) is not None), laps=1))


def test_every_output_is_checked_there(device: Device, several: Luggage) -> None:
    """With the integers that this machine gives: one row an output, all of them the same."""
    assert several.unchecked == {}
    with connect(device.address) as there:
        there.send(several.contents)
        checked = there.check()
    assert [(file.path, file.output) for file in checked] == [
        (file.path, output) for file in several.plan.files for output in OUTPUTS
    ]
    assert [file.images for file in checked] == [4] * 9
    assert all(file.passed for file in checked)
    excused = {file.path for file in checked if file.excuse}
    assert not any(file.different for file in checked if file.path not in excused)


def test_the_output_that_is_wrong_is_named(device: Device, several: Luggage) -> None:
    first, *_ = several.plan.files
    assert first.golden is not None
    name = first.golden.outputs["mask"].array
    array = np.load(io.BytesIO(several.contents[name]))
    array[0, 0, 0, 0] += 1
    content = io.BytesIO()
    np.save(content, array)
    plan = replace(several.plan, files=(first,))
    contents = {**several.contents, name: content.getvalue(), "plan.json": plan.to_json().encode()}
    with connect(device.address) as there, pytest.raises(GateFailed, match="mask: 1 of 768 values differ"):
        bench_on(there, NOTHING, replace(several, plan=plan, contents=contents))
