"""The fewest layers in float: a network with one layer that int8 ruins, by design."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch")

from edgekit.calibration.images import ImageSource, open_images
from edgekit.calibration.options import Options
from edgekit.calibration.recipe import calibrate, integer_model
from edgekit.errors import DataError, GateFailed
from edgekit.float_model import FloatModel
from edgekit.ir import Clamp, Conv2d, Graph, Linear, Mean, Node, Output, Padding, Tensor
from edgekit.pipeline.making.floor import CHANGED, Floor, _Candidate, _fewest, keep_floor
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.classification import Classification
from edgekit.tasks.classification.task import DROP
from edgekit.tasks.registry import task_of_model
from edgekit.tasks.statistics import sqnr_db
from edgekit.verification.closeness import compare, float_outputs, integer_outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from edgekit.calibration.found import Ranges
    from edgekit.integer_model import IntegerModel

SIZE = 16
PIXELS = np.random.default_rng(1).integers(0, 256, (60, 2, 2, 3), np.uint8).repeat(8, 1).repeat(8, 2)  # large dots
POINTS = ("a", "b", "c", "d")


def network(*ruined: str) -> FloatModel:
    """x -> stem -> a -> b -> c -> d -> mean -> head, random weights; nothing is left of those that are ruined.

    The first channel is always zero, so that its weights do nothing in float. In int8 they are so much larger than all
    others of a ruined layer that these round to zero.
    """
    random = np.random.default_rng(0)
    shapes = {"stem": (8, 3, 3, 3), **dict.fromkeys(POINTS, (8, 8, 1, 1)), "head": (10, 8)}
    constants: dict[str, np.ndarray] = {}
    nodes, last = [], "x"
    for name, shape in shapes.items():
        weight = random.normal(0, 1.4 / math.sqrt(math.prod(shape[1:])), shape)
        bias = random.normal(0, 0.1, len(weight))
        if name != "head":
            weight[0], bias[0] = 0.0, -1.0
        if name in ruined:
            weight[1:, 0] = 1e4
        constants |= {f"{name}.w": weight.astype(np.float32), f"{name}.b": bias.astype(np.float32)}
        if name == "head":
            nodes.append(Node("mean", Mean(keep_dims=False), (last,), "mean"))
            last = "mean"
        op = Linear() if name == "head" else Conv2d((2, 2), Padding(0, 1, 0, 1)) if name == "stem" else Conv2d()
        clamp = None if name == "head" else Clamp(0.0)
        nodes.append(Node(name, op, (last, f"{name}.w", f"{name}.b"), name, clamp))
        last = name
    tensors = {"x": (3, SIZE, SIZE), **dict.fromkeys(("stem", *POINTS), (8, 8, 8)), "mean": (8,), "head": (10,)}
    graph = Graph(
        "tiny",
        "x",
        (Output.logits("head"),),
        tuple(nodes),
        {n: Tensor(n, shape) for n, shape in tensors.items()},
        constants,
    )
    model = FloatModel(graph, Preprocessing((SIZE, SIZE), None))
    constants["head.b"] -= float_outputs(model, PIXELS)["logits"].mean(0)  # or all images would be of one class
    return model


def open_noise(path: Path, form: FloatModel, labels: Callable[[np.ndarray], np.ndarray] | None = None) -> ImageSource:
    """Images in a file; ``labels`` makes their labels of the float logits."""
    if labels is None:
        np.savez(path / "images.npz", images=PIXELS)
    else:
        np.savez(path / "images.npz", images=PIXELS, labels=labels(float_outputs(form, PIXELS)["logits"]))
    return open_images(path / "images.npz", form.preprocessing)


def search(
    form: FloatModel,
    images: ImageSource,
    points: float,
    *,
    keep_float: Collection[str] = (),
    never: Collection[str] = (),
) -> tuple[IntegerModel, Floor]:
    seen, held_out = images.split(5)

    def make(kept: Collection[str]) -> tuple[Ranges, IntegerModel]:
        ranges = calibrate(form, seen, Options(keep_float=(*keep_float, *kept)))
        return ranges, integer_model(form, ranges)

    (_, model), floor = keep_floor(
        form,
        make,
        allowed=points,
        ranked_on=seen.sample(8).pixels,
        held_out=held_out,
        never=never,
    )
    return model, floor


def test_the_layer_that_int8_ruins_is_kept(tmp_path: Path) -> None:
    form = network("b")
    images = open_noise(tmp_path, form)
    model, floor = search(form, images, 10.0)
    assert floor.kept == ("b",)
    assert [node.name for node in model.float_nodes] == ["b"]
    assert (floor.measure, floor.images, floor.layers, floor.allowed) == (CHANGED, 12, 7, 10.0)
    assert floor.lost <= 10.0 < 30.0 < floor.lost_without
    pixels = next(images.split(5)[1].batches(60)).pixels
    closeness = compare(Classification("logits", 10), float_outputs(form, pixels), integer_outputs(model, pixels))
    assert floor.lost == pytest.approx(100 * (1 - closeness.agreement))


def test_the_outputs_of_other_tasks_are_measured_as_numbers(tmp_path: Path) -> None:
    made = network("b")
    graph = replace(made.graph, outputs=(Output("scores", "head"), Output("map", "b")))
    form = replace(made, graph=graph)
    images = open_noise(tmp_path, form)
    model, floor = search(form, images, 20.0)
    assert (floor.kept, floor.measure) == (("b",), CHANGED)
    assert floor.lost <= 20.0 < floor.lost_without
    pixels = next(images.split(5)[1].batches(60)).pixels
    task, floats, found = task_of_model(form), float_outputs(form, pixels), integer_outputs(model, pixels)
    assert (task.name, set(found)) == ("regression", {"scores", "map"})
    closeness = compare(task, floats, found)
    assert closeness.sqnr_db == pytest.approx(min(sqnr_db(found[name], floats[name]) for name in found))


def test_where_everything_may_be_lost_nothing_is_kept(tmp_path: Path) -> None:
    form = network("b")
    model, floor = search(form, open_noise(tmp_path, form), 100.0)
    assert floor.kept == ()
    assert floor.lost == floor.lost_without > 30.0
    assert model.exact


def test_what_is_kept_already_is_not_counted(tmp_path: Path) -> None:
    form = network("b")
    model, floor = search(form, open_noise(tmp_path, form), 10.0, keep_float=("b",))
    assert floor.kept == ()
    assert [node.name for node in model.float_nodes] == ["b"]


def test_what_must_not_be_in_float_is_not(tmp_path: Path) -> None:
    form = network("b")
    with pytest.raises(GateFailed):
        search(form, open_noise(tmp_path, form), 10.0, never=("b",))


def test_labels_that_float_finds_right_count(tmp_path: Path) -> None:
    form = network("b")
    right = open_noise(tmp_path, form, lambda logits: logits.argmax(1))
    _, floor = search(form, right, 10.0)
    assert (floor.measure, floor.kept) == (DROP, ("b",))
    wrong = open_noise(tmp_path, form, lambda logits: logits.argmin(1))
    _, floor = search(form, wrong, 10.0)  # the drop would be less than nothing
    assert (floor.measure, floor.kept) == (CHANGED, ("b",))
    with pytest.raises(DataError, match="has 10 classes"):
        search(form, open_noise(tmp_path, form, lambda logits: logits.argmin(1) + 10), 10.0)


def test_what_cannot_be_had_is_refused(tmp_path: Path) -> None:
    form = network(*POINTS)
    said = r"10 points at most cannot be had with a third .* it is .* with 2 of 7, and .* without, on 12 .*finetune"
    with pytest.raises(GateFailed, match=said):
        search(form, open_noise(tmp_path, form), 10.0)


@pytest.mark.parametrize("needed", range(1, 14))
def test_the_fewest_are_found_in_few_attempts(needed: int) -> None:
    choices = [tuple("x" * i) for i in range(1, 13)]
    attempts: list[int] = []

    def tried(kept: tuple[str, ...]) -> _Candidate:
        attempts.append(len(kept))
        return _Candidate(kept, None, 0.0 if len(kept) >= needed else 1.0)  # type: ignore[arg-type] # not looked at

    assert len(_fewest(choices, tried, 0.5).kept) == min(needed, 12)
    assert len(attempts) == len(set(attempts)) <= 7
