"""Grids as files say them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from edgekit.errors import ConfigError
from edgekit.pipeline.choosing.grid import read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRAINING = '[train]\ndata = "images"\n[verify]\ndata = "test"\n'


def test_cells_are_all_combinations_with_their_settings(spec: Callable[..., Path]) -> None:
    path = spec(
        'resolution = [24, 32]\nprecision = ["float32", "int8"]\ntarget = ["onnx"]\n'
        'calibration.method = ["minmax", "mse"]\ndevice = ["here", "ssh://pi@pi4"]'
    )
    grid = read(path)
    assert list(grid.axes)[1:] == ["resolution", "precision", "target", "calibration.method", "device"]
    expected = itertools.product((24, 32), ("float32", "int8"), ("minmax", "mse"), ("here", "ssh://pi@pi4"))
    found = [
        (c.settings.model.resolution, *c.settings.export.precisions, c.settings.calibration.method, c.device)
        for c in grid.cells
    ]
    assert found == list(expected)
    assert {cell.settings.export.targets for cell in grid.cells} == {("onnx",)}
    assert len({cell.key for cell in grid.cells}) == 16
    assert len({cell.file for cell in grid.cells}) == 8, "cells of two devices share a file"


def test_networks_that_are_trained_are_shared_by_cells(spec: Callable[..., Path]) -> None:
    grid = read(spec('arch = ["mobilenet_v2"]\nwidth = [0.5, 1.0]\nprecision = ["float32", "int8"]', TRAINING))
    assert {(c.network, c.settings.train.width) for c in grid.cells} == {
        (c.network, c.values["width"]) for c in grid.cells
    }
    assert len({cell.network for cell in grid.cells}) == 2
    assert all(cell.settings.train.data == spec("arch=[]").parent / "images" for cell in grid.cells), (
        "of the grid's folder"
    )


def test_names_of_cells_stay_when_axes_get_more_values(spec: Callable[..., Path]) -> None:
    before = {cell.key for cell in read(spec("resolution = [24, 32]")).cells}
    after = {cell.key for cell in read(spec("resolution = [40, 32, 24]")).cells}
    assert before < after


@pytest.mark.parametrize(
    ("grid", "shared", "said"),
    [
        ("widht = [1.0]", None, "grid.widht is no axis: did you mean 'width'"),
        ("resolution = 24", None, "grid.resolution is 24: a list of values is wanted"),
        ("resolution = []", None, "a list of values is wanted"),
        ("resolution = [24, 24]", None, "names a value twice"),
        ("width = [1.0]", None, r"names checkpoints, and what is trained \(grid.width\)"),
        ('export.targets = [["onnx"]]', None, "is called target here"),
        ('calibration.metod = ["mse"]', None, "unknown key calibration.metod: did you mean 'method'"),
        ('precision = ["int9"]', None, "export.precisions is 'int9'"),
        ('device = ["pi4"]', None, "--device pi4 is no address"),
        ("resolution = [24]", "", "names no images to measure accuracy on"),
        ("resolution = [24]", '[verify]\ndata = "t"\n[bench]\nthreads = [1, 2]', "several are an axis"),
        ('arch = ["a"]', '[model]\ncheckpoint = "a"\n[verify]\ndata = "t"', "leave one of them out"),
        ('checkpoint = ["missing.pth"]', '[verify]\ndata = "t"', "missing.pth cannot be read"),
    ],
)
def test_what_is_wrong_is_said(spec: Callable[..., Path], grid: str, shared: str | None, said: str) -> None:
    path = spec(grid) if shared is None else spec(grid, shared)
    with pytest.raises(ConfigError, match=said):
        read(path)


def test_a_file_without_a_grid_or_a_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "edgekit.toml"
    path.write_text("[verify]\n")
    with pytest.raises(ConfigError, match=r"has no \[grid\]"):
        read(path)
    path.write_text("[grid]\nresolution = [24]\n")
    with pytest.raises(ConfigError, match="names no network"):
        read(path)
