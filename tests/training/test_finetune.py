"""Fine-tuning: it helps, it never harms, and an interruption changes nothing."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgekit.calibration.assignment import quantize
from edgekit.calibration.images import ImageSource, open_images
from edgekit.calibration.ranges import Range
from edgekit.config import FinetuneSettings
from edgekit.errors import ConfigError, DataError
from edgekit.executor.float import FloatExecutor
from edgekit.float_model import FloatModel
from edgekit.ir import Clamp, Conv2d, Graph, Linear, Mean, Node, Output, Padding, Tensor
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.registry import task_of_model
from edgekit.training import finetune as module
from edgekit.training import loop
from edgekit.training.finetune import augment, finetune, views
from edgekit.verification.closeness import compare, float_outputs, integer_outputs

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.integer_model import IntegerModel

SIZE, IMAGES = 16, 80


@pytest.fixture
def images(tmp_path: Path) -> ImageSource:
    pixels = np.random.default_rng(1).integers(0, 256, (IMAGES, SIZE // 4, SIZE // 4, 3), np.uint8)
    np.save(tmp_path / "images.npy", pixels.repeat(4, 1).repeat(4, 2))
    return open_images(tmp_path / "images.npy", network().preprocessing)


@functools.cache
def network() -> FloatModel:
    """Three layers with random weights."""
    random = np.random.default_rng(0)
    shapes = {"w.0": (8, 3, 3, 3), "w.1": (16, 8, 1, 1), "w.2": (10, 16)}
    constants = {
        name: random.normal(0, 1 / math.sqrt(math.prod(shape[1:])), shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    constants |= {f"b.{i}": random.normal(0, 0.2, len(constants[f"w.{i}"])).astype(np.float32) for i in range(3)}
    nodes = (
        Node("stem", Conv2d((2, 2), Padding(0, 1, 0, 1)), ("x", "w.0", "b.0"), "stem", Clamp(0.0)),
        Node("point", Conv2d(), ("stem", "w.1", "b.1"), "point", Clamp(0.0)),
        Node("mean", Mean(keep_dims=False), ("point",), "mean"),
        Node("head", Linear(), ("mean", "w.2", "b.2"), "logits"),
    )
    tensors = {"x": (3, SIZE, SIZE), "stem": (8, 8, 8), "point": (16, 8, 8), "mean": (16,), "logits": (10,)}
    graph = Graph(
        "tiny",
        "x",
        (Output.logits("logits"),),
        nodes,
        {name: Tensor(name, shape) for name, shape in tensors.items()},
        constants,
    )
    return FloatModel(graph, Preprocessing((SIZE, SIZE), None))


def quantized(images: ImageSource, shift: float = 0.0) -> IntegerModel:
    """The network's integer model, with all biases wrong by ``shift``, up or down."""
    graph, random = network().graph, np.random.default_rng(2)
    constants = {
        name: (array + shift * random.choice([-1, 1], array.shape) * (array.ndim == 1)).astype(np.float32)
        for name, array in graph.constants.items()
    }
    pixels = next(images.batches(IMAGES)).pixels
    ranges: dict[str, Range] = {}

    def observe(name: str, value: torch.Tensor) -> None:
        ranges[name] = Range(min(float(value.min()), 0.0), max(float(value.max()), 0.1))

    with torch.inference_mode():
        FloatExecutor(graph)(torch.from_numpy(network().preprocessing.normalization(pixels)), observe)
    return quantize(replace(network(), graph=replace(graph, constants=constants)), ranges)


def constants(model: IntegerModel) -> bytes:
    return b"".join(array.tobytes() for _, array in sorted(model.graph.constants.items()))


def test_it_comes_closer(images: ImageSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEARNING_RATE", 0.3)  # or so few steps would not get far
    start, losses = quantized(images, shift=0.05), list[str]()
    model, finetuning = finetune(
        network(),
        start,
        images,
        FinetuneSettings(epochs=10),
        progress=lambda stage, _, __: losses.append(stage.partition("loss ")[2]),
    )
    assert finetuning.improved
    assert finetuning.after.sqnr_db > finetuning.before.sqnr_db + 3
    assert (finetuning.images, finetuning.held_out, finetuning.epochs) == (64, 16, 10)
    assert float(losses[-1]) < 0.7 * float(losses[2])
    assert model.provenance["finetuning"]["epochs"] == 10
    pixels = views(next(images.batches(IMAGES)).pixels[2::5], 0)
    floats = float_outputs(network(), pixels)
    assert compare(task_of_model(network()), floats, integer_outputs(model, pixels)) == finetuning.after
    assert compare(task_of_model(network()), floats, integer_outputs(start, pixels)) == finetuning.before


def test_what_does_not_come_closer_is_discarded(images: ImageSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEARNING_RATE", 30.0)
    start = quantized(images)
    model, finetuning = finetune(network(), start, images, FinetuneSettings(epochs=2))
    assert not finetuning.improved
    assert finetuning.after.sqnr_db < finetuning.before.sqnr_db
    assert model is start


def test_an_interruption_changes_nothing(images: ImageSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", -1.0)
    start, state = quantized(images), tmp_path / "state"
    whole, _ = finetune(network(), start, images, FinetuneSettings(epochs=3))

    def interrupt(stage: str, done: int, total: int) -> None:
        if stage.startswith("fine-tuning") and done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(network(), start, images, FinetuneSettings(epochs=3), state=state, progress=interrupt)
    steps: list[int] = []

    def count(stage: str, done: int, total: int) -> None:
        steps.extend([done] if stage.startswith("fine-tuning") else [])

    resumed, finetuning = finetune(network(), start, images, FinetuneSettings(epochs=3), state=state, progress=count)
    assert finetuning.resumed
    assert steps == [8, 9, 10, 11, 12]
    assert constants(resumed) == constants(whole)


def test_what_was_left_by_other_settings_is_not_gone_on_with(
    images: ImageSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_S", -1.0)
    start, state = quantized(images), tmp_path / "state"
    finetune(network(), start, images, FinetuneSettings(epochs=1), state=state)
    assert finetune(network(), start, images, FinetuneSettings(epochs=1), state=state)[1].resumed
    assert not finetune(network(), start, images, FinetuneSettings(epochs=1, seed=1), state=state)[1].resumed
    other = replace(start, params={**start.params, "mean": replace(start.params["mean"], zero_point=-127)})
    assert not finetune(network(), other, images, FinetuneSettings(epochs=1), state=state)[1].resumed
    state.write_bytes(state.read_bytes()[:1000])
    assert not finetune(network(), start, images, FinetuneSettings(epochs=1), state=state)[1].resumed


def test_minutes_become_epochs(images: ImageSource) -> None:
    model, finetuning = finetune(network(), quantized(images), images, FinetuneSettings(minutes=1e-9))
    assert finetuning.epochs == 1
    same, _ = finetune(network(), quantized(images), images, FinetuneSettings(epochs=1))
    assert constants(model) == constants(same)


def test_too_few_images(tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", np.zeros((9, SIZE, SIZE, 3), np.uint8))
    images = open_images(tmp_path / "few.npy", network().preprocessing)
    with pytest.raises(DataError, match="there are 9 images, too few"):
        finetune(network(), quantized(images), images, FinetuneSettings())


def test_a_device_that_is_not_there(images: ImageSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch finds none here"):
        finetune(network(), quantized(images), images, FinetuneSettings(accelerator="cuda"))


def test_augmentation_moves_and_mirrors() -> None:
    """The column of each pixel tells where it comes from; 28 pixels may move by one."""
    image = np.broadcast_to(np.arange(28, dtype=np.uint8)[None, :, None], (28, 28, 3))
    changed = augment(np.stack([image] * 40), np.random.default_rng(0))
    assert changed.shape == (40, 28, 28, 3)
    starts = {tuple(row) for row in changed[:, 5, 10:12, 0].tolist()}
    assert starts == {(9, 10), (10, 11), (11, 12), (18, 17), (17, 16), (16, 15)}
