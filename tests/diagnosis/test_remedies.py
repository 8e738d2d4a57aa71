"""Commands that mend a data set do so: each is run."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.diagnosis.remedies import DataSet

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["ant/0.png", "ant/1.png", "bee/2.png", "cow/3.png"]
TARGETS = [0, 0, 1, 2]


def run(command: str) -> None:
    subprocess.run(command.replace("python -c", f"{sys.executable} -c"), shell=True, check=True)


@pytest.fixture
def folder(tmp_path: Path) -> DataSet:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return DataSet(tmp_path, NAMES, TARGETS)


def held(data: DataSet) -> dict[str, str]:
    """What each file was called before, by its name now."""
    assert data.path is not None
    return {str(path.relative_to(data.path)): path.read_text() for path in sorted(data.path.rglob("*.png"))}


def test_folders(folder: DataSet) -> None:
    run(folder.swapped(0, 1))
    assert held(folder)["bee/0.png"] == "ant/0.png"
    run(folder.swapped(0, 1))
    run(folder.reordered([1, 2, 0]))
    assert held(folder) == {
        "ant/3.png": "cow/3.png", "bee/0.png": "ant/0.png", "bee/1.png": "ant/1.png", "cow/2.png": "bee/2.png"
    }  # fmt: skip


def test_images_in_folders(folder: DataSet) -> None:
    run(folder.relabelled([1], 2))
    run(folder.without([3]))
    assert sorted(held(folder)) == ["ant/0.png", "bee/2.png", "cow/1.png"]


def test_a_list(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    text = "file,class_index\na.png,0\nb.png,1\nc.png,2\n"
    data = DataSet(path, ["a.png", "b.png", "c.png"], [0, 1, 2])
    for command, wanted in (
        (data.swapped(0, 1), "102"),
        (data.reordered([1, 2, 0]), "120"),
        (data.relabelled([2], 0), "010"),
        (data.without([0]), "12"),
    ):
        path.write_text(text)
        run(command)
        assert "".join(line[-1] for line in path.read_text().splitlines()[1:]) == wanted, command


def test_an_array_file(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, images=np.zeros((3, 2, 2, 3), np.uint8), labels=np.array([0, 1, 2]))
    data = DataSet(path, ["0", "1", "2"], [0, 1, 2])
    for command, wanted in (
        (data.swapped(0, 1), [1, 0, 2]),
        (data.reordered([1, 2, 0]), [1, 2, 0]),
        (data.relabelled([2], 0), [0, 1, 0]),
        (data.without([0]), [1, 2]),
    ):
        run(command)
        assert np.load(tmp_path / "set.mended.npz")["labels"].tolist() == wanted
