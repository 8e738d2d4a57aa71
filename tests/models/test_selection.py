"""Checkpoints as training scripts leave them: wrapped, prefixed, averaged, with what only training needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from edgekit.errors import CheckpointError
from edgekit.models.checkpoint import load
from edgekit.models.families.mobilenet_v2 import mobilenet_v2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    torch.manual_seed(0)
    from edgekit.models.network import build

    return dict(build(mobilenet_v2(0.1, 4, resolution=32)).state_dict())


def prefixed(state: State, prefix: str) -> State:
    return {f"{prefix}{key}": tensor for key, tensor in state.items()}


def without_statistics(state: State) -> State:
    return {key: tensor * 2 for key, tensor in state.items() if "running" not in key and "num_batches" not in key}


WRAPPINGS: dict[str, Callable[[State], Any]] = {
    "lightning": lambda s: {"epoch": 1, "state_dict": prefixed(s, "model."), "hyper_parameters": {"lr": 0.1}},
    "model_state": lambda s: {"epoch": 1, "model_state": s},
    "weights": lambda s: {"weights": s},
    "params": lambda s: {"params": s},
    "DeepSpeed": lambda s: {"module": s, "dp_world_size": 1, "ds_config": {"fp16": {"enabled": True}}},
    "fastai": lambda s: {"model": s, "opt": {"state": [{"mom": torch.zeros(3)}], "hypers": [{"lr": 0.1}]}},
    "optimizer": lambda s: {"net": s, "optimizer": {"state": {0: {"exp_avg": torch.zeros(9, 9)}}, "param_groups": []}},
    "a name of its own": lambda s: {"my_fancy_wrapper": {"inner": {"deep": s}}},
    "a list": lambda s: {"models": [s]},
    "mobilenet.": lambda s: prefixed(s, "mobilenet."),
    "nested prefixes": lambda s: prefixed(s, "module._orig_mod.student.encoder.net."),
    "the body under another name": lambda s: {key.replace("features.", "backbone."): t for key, t in s.items()},
    "children of a network": lambda s: {
        key.replace("features.", "0.0.").replace("classifier.1", "1.1"): t for key, t in s.items()
    },
    "parameters": lambda s: {key: nn.Parameter(t) if t.is_floating_point() else t for key, t in s.items()},
    "sparse": lambda s: {key: t.to_sparse() if t.ndim == 2 else t for key, t in s.items()},
}


@pytest.mark.parametrize("kind", WRAPPINGS)
def test_wrappings_and_prefixes(kind: str, state: State, tmp_path: Path) -> None:
    torch.save(WRAPPINGS[kind](state), tmp_path / "m.pth")
    loaded = load(tmp_path / "m.pth", resolution=32).module.state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in state.items())


SAID: dict[str, tuple[str, ...]] = {
    "lightning": (
        "weights taken from ['state_dict'], without 'model.' before their names",
        "left aside beside the weights: epoch, hyper_parameters",
    ),
    "optimizer": ("weights taken from ['net']", "left aside beside the weights: optimizer"),
    "a name of its own": ("weights taken from ['my_fancy_wrapper']['inner']['deep']",),
    "nested prefixes": ("weights taken without 'module._orig_mod.student.encoder.net.' before their names",),
    "the body under another name": (),
    "parameters": (),
}


@pytest.mark.parametrize("kind", SAID)
def test_what_was_looked_through_is_said(kind: str, state: State, tmp_path: Path) -> None:
    def said(content: object) -> list[str]:
        torch.save(content, tmp_path / "m.pth")
        return [note for note in load(tmp_path / "m.pth", resolution=32).notes if "taken" in note or "aside" in note]

    assert said(WRAPPINGS[kind](state)) == list(SAID[kind])


def test_numbers_that_become_float32_are_said(state: State, tmp_path: Path) -> None:
    halves = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    torch.save({"module": halves, "step": 3}, tmp_path / "m.pth")
    notes = load(tmp_path / "m.pth", resolution=32).notes
    assert "weights taken from ['module'], as float32, where they are float16" in notes
    assert "left aside beside the weights: step" in notes


@pytest.mark.parametrize(
    "stray",
    [
        {"criterion.weight": torch.ones(4)},
        {"model.train_acc.tp": torch.zeros(4, dtype=torch.long), "val_f1.fn": torch.zeros(4, dtype=torch.long)},
        {"loss_fn.pos_weight": torch.ones(4)},
        {"teacher.layer1.0.conv1.weight": torch.ones(8, 8, 3, 3)},
        {"aux_head.fc.weight": torch.ones(7, 1280), "aux_head.fc.bias": torch.ones(7)},
        {"class_weights": torch.ones(4)},
        {"n_averaged": torch.tensor(7)},
        {"temperature": torch.tensor(1.5)},
        {"epoch": torch.tensor(3)},
        {"steps_per_class": torch.zeros(4, dtype=torch.int64)},
        {"model.features.0.0.total_ops": torch.zeros(1), "model.total_params": torch.zeros(1)},
        {"metric.confmat": torch.zeros(4, 4, dtype=torch.long)},
    ],
)
def test_what_training_left_is_named_and_left_aside(stray: State, state: State, tmp_path: Path) -> None:
    torch.save({"state_dict": prefixed(state, "model.") | stray}, tmp_path / "m.pth")
    checkpoint = load(tmp_path / "m.pth", resolution=32)
    loaded = checkpoint.module.state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in state.items())
    first = next(iter(stray))
    assert any("left aside" in note and first.rpartition(".")[0] in note for note in checkpoint.notes)


@pytest.mark.parametrize(
    "key", ["features.3.cbam.fc.weight", "features.1.conv.0.2.weight", "neck.weight", "norm.weight"]
)
def test_what_may_act_on_images_is_refused(key: str, state: State, tmp_path: Path) -> None:
    torch.save(state | {key: torch.ones(1280)}, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=f"{key}.*onnx"):
        load(tmp_path / "m.pth")


AVERAGED: dict[str, Callable[[State, State], Any]] = {
    "beside": lambda raw, average: {"model": raw, "model_ema": average},
    "timm": lambda raw, average: {"state_dict": raw, "state_dict_ema": average},
    "in one dictionary": lambda raw, average: prefixed(raw, "model.") | prefixed(average, "ema_model.module."),
    "below": lambda raw, average: {"model": raw, "ema": {"shadow": average, "decay": 0.999}},
}


@pytest.mark.parametrize("kind", AVERAGED)
def test_averaged_weights_are_taken_and_said(kind: str, state: State, tmp_path: Path) -> None:
    average = {key: tensor * 2 for key, tensor in state.items()}
    torch.save(AVERAGED[kind](state, average), tmp_path / "m.pth")
    checkpoint = load(tmp_path / "m.pth", resolution=32)
    assert torch.equal(checkpoint.module.state_dict()["features.0.0.weight"], average["features.0.0.weight"])
    assert any(
        "averaged weights" in note and "To take that" in note.replace("to take", "To take") for note in checkpoint.notes
    )


def test_averages_without_statistics_are_no_network(state: State, tmp_path: Path) -> None:
    torch.save({"ema": {"shadow": without_statistics(state)}, "model": state}, tmp_path / "m.pth")
    checkpoint = load(tmp_path / "m.pth", resolution=32)
    assert torch.equal(checkpoint.module.state_dict()["features.0.0.weight"], state["features.0.0.weight"])
    assert any("'shadow'" in note for note in checkpoint.notes)


def test_a_student_is_taken_and_not_its_teacher(state: State, tmp_path: Path) -> None:
    teacher = {key: tensor * 2 for key, tensor in state.items()}
    for student in ("", "student."):
        torch.save(prefixed(teacher, "teacher.") | prefixed(state, student), tmp_path / "m.pth")
        checkpoint = load(tmp_path / "m.pth", resolution=32)
        assert torch.equal(checkpoint.module.state_dict()["features.0.0.weight"], state["features.0.0.weight"])
        assert any("'teacher.'" in note for note in checkpoint.notes)


def test_two_networks_without_a_word_that_tells_which(state: State, tmp_path: Path) -> None:
    torch.save(prefixed(state, "left.") | prefixed(state, "right."), tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=r"2 networks .* 'left\.features\.', 'right\.features\.'"):
        load(tmp_path / "m.pth")


def test_tensors_that_hold_no_real_numbers(state: State, tmp_path: Path) -> None:
    weight = state["features.0.0.weight"]
    for changed, message in (
        (weight.to("meta"), "meta tensor, which has a shape and no values"),
        (weight.to(torch.complex64), "is torch.complex64"),
        (weight.to(torch.int8), "quantized already"),
    ):
        torch.save(state | {"features.0.0.weight": changed}, tmp_path / "m.pth")
        with pytest.raises(CheckpointError, match=message):
            load(tmp_path / "m.pth")


def test_numbers_of_eight_bits_become_float32(state: State, tmp_path: Path) -> None:
    small = {key: t.to(torch.float8_e4m3fn) if t.ndim == 4 else t for key, t in state.items()}
    torch.save(small, tmp_path / "m.pth")
    loaded = load(tmp_path / "m.pth", resolution=32).module.state_dict()
    assert torch.equal(loaded["features.0.0.weight"], small["features.0.0.weight"].float())


def test_weights_in_parts_are_made_whole(tmp_path: Path) -> None:
    """Pruned by torch.nn.utils.prune, and normalized by torch's weight_norm, old and new."""
    from torch.nn.utils import prune
    from torch.nn.utils.parametrizations import weight_norm

    from edgekit.models.network import build

    torch.manual_seed(0)
    module = build(mobilenet_v2(0.1, 4, resolution=32)).eval()
    prune.l1_unstructured(module.features[3].conv[1][0], "weight", 0.5)  # type: ignore[index,union-attr,no-untyped-call]
    prune.ln_structured(module.features[5].conv[0][0], "weight", 0.3, n=1, dim=0)  # type: ignore[index,union-attr,no-untyped-call]
    module.classifier[1] = weight_norm(module.classifier[1])  # type: ignore[index,operator,arg-type]
    torch.save(module.state_dict(), tmp_path / "m.pth")
    checkpoint = load(tmp_path / "m.pth", resolution=32)
    assert {"a pruning mask applied to 2 weights", "weight normalization applied to 1 weights"} <= set(checkpoint.notes)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(checkpoint.module(x), module(x))


@pytest.mark.parametrize(
    ("mean", "std", "prefix"),
    [
        (torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3]), ""),
        (
            torch.tensor([102.0, 127.5, 153.0]).view(1, 3, 1, 1),
            torch.tensor([51.0, 63.75, 76.5]).view(1, 3, 1, 1),
            "norm.",
        ),
        (torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1), "pixel_"),
    ],
)
def test_a_network_that_keeps_its_normalization_says_it(
    mean: Tensor, std: Tensor, prefix: str, state: State, tmp_path: Path
) -> None:
    torch.save({**state, f"{prefix}mean": mean, f"{prefix}std": std}, tmp_path / "m.pth")
    facts = {fact.name: fact for fact in load(tmp_path / "m.pth", resolution=32).facts}
    value = facts["normalization"].value
    assert value["mean"] == pytest.approx([0.4, 0.5, 0.6])
    assert value["std"] == pytest.approx([0.2, 0.25, 0.3])
    assert facts["normalization"].basis == "stated"
