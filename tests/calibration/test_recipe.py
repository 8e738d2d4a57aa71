"""A new step of the recipe: it is found, kept, told, saved, read back and applied, and nobody else has to know it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.calibration import recipe, saved
from edgekit.calibration.images import held_images
from edgekit.calibration.options import Options
from edgekit.calibration.steps.step import Step, Work
from edgekit.capture.torch_export import capture
from edgekit.errors import ArtifactError
from edgekit.float_model import FloatModel
from edgekit.passes import integer_form
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.integer_model import IntegerModel

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), np.uint8)


class Pooled(nn.Module):
    """A convolution and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(torch.relu(self.conv(x)).mean((2, 3)))
        return logits


class Added(Step[dict[str, int]]):
    """Adds to the biases of integers: what no images would ask for."""

    name, is_required = "added", False

    def find(self, work: Work) -> dict[str, int]:
        return dict.fromkeys((name for name in work.integers.graph.constants if name.endswith("bias")), 7)

    def finish(self, integers: IntegerModel, found: dict[str, int]) -> IntegerModel:
        constants = {name: values + found.get(name, 0) for name, values in integers.graph.constants.items()}
        return replace(integers, graph=replace(integers.graph, constants=constants))

    def tell(self, model: FloatModel, found: dict[str, int]) -> tuple[str, ...]:
        return (f"{len(found)} biases moved",) if found else ()

    def encode(self, found: dict[str, int]) -> Any:
        return found

    def decode(self, values: Any) -> dict[str, int]:
        return {name: int(value) for name, value in values.items()}


@pytest.fixture(scope="module")
def model() -> FloatModel:
    torch.manual_seed(0)
    return FloatModel(integer_form(capture(Pooled(), "pooled", (3, 8, 8))), Preprocessing((8, 8), None))


def test_a_step_is_its_own_file_and_its_line_in_the_list(
    model: FloatModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = recipe.calibrate(model, held_images(PIXELS, "noise"))
    saved.save(before, tmp_path / "before.json")
    with_it = (*recipe.RECIPE[:-1], Added(), recipe.RECIPE[-1])
    for module in (recipe, saved):
        monkeypatch.setattr(module, "RECIPE", with_it)
    found = recipe.calibrate(model, held_images(PIXELS, "noise"))
    assert "2 biases moved" in recipe.told(model, found)
    saved.save(found, tmp_path / "found.json")
    again = saved.load(tmp_path / "found.json")
    assert again.found["added"] == {"conv.bias": 7, "head.bias": 7}
    plain, moved = recipe.integer_model(model, before), recipe.integer_model(model, again)
    for name, values in plain.graph.constants.items():
        np.testing.assert_array_equal(moved.graph.constants[name], values + (7 if name.endswith("bias") else 0))
    older = saved.load(tmp_path / "before.json")
    np.testing.assert_array_equal(
        recipe.integer_model(model, older).graph.constants["head.bias"], plain.graph.constants["head.bias"]
    )


def test_a_file_without_a_step_that_it_needs_is_refused(
    model: FloatModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved.save(recipe.calibrate(model, held_images(PIXELS, "noise")), tmp_path / "ranges.json")
    needed = Added()
    monkeypatch.setattr(Added, "is_required", True)
    monkeypatch.setattr(saved, "RECIPE", (*recipe.RECIPE, needed))
    with pytest.raises(ArtifactError, match="damaged"):
        saved.load(tmp_path / "ranges.json")


def test_what_was_chosen_is_read_back(model: FloatModel, tmp_path: Path) -> None:
    options = Options(keep_float=("head",), per_tensor_weights=True, weight_bits=7)
    found = recipe.calibrate(model, held_images(PIXELS, "noise"), options)
    saved.save(found, tmp_path / "ranges.json")
    again = saved.load(tmp_path / "ranges.json")
    assert again.options == options
    assert [node.name for node in recipe.integer_model(model, again).float_nodes] == ["head"]
