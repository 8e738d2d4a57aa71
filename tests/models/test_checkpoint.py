"""Loading: wrappings, precisions, overrides, and one clear sentence for everything that cannot be loaded."""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle
import re
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgekit.errors import CheckpointError, ConfigError
from edgekit.facts import Basis
from edgekit.models.checkpoint import load, save
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_small as v3_small
from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits
from edgekit.models.network import build
from edgekit.pipeline.making.trained import of_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

    from edgekit.models.architecture import Architecture

    State = dict[str, Tensor]


@pytest.fixture
def digits(trained: Callable[[Architecture], nn.Module]) -> nn.Module:
    return trained(mobilenet_v3_digits())


@pytest.fixture
def state(digits: nn.Module) -> State:
    return dict(digits.state_dict())


def saved(value: object, path: Path) -> Path:
    torch.save(value, path)
    return path


def test_what_a_checkpoint_tells(digits: nn.Module, state: State, tmp_path: Path) -> None:
    path = saved(state, tmp_path / "m.pth")
    checkpoint = load(path)
    assert checkpoint.architecture == mobilenet_v3_digits()
    assert checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not checkpoint.module.training
    assert all(any(word in note for note in checkpoint.notes) for word in ("7 blocks", "width 1.0"))
    facts = {fact.name: (fact.value, fact.basis) for fact in checkpoint.facts}
    assert facts == {
        "padding": ("symmetric", Basis.ASSUMED),
        "bn_eps": (1e-3, Basis.ASSUMED),
        "activation": ("hard_swish", Basis.ASSUMED),
        "resolution": (32, Basis.ASSUMED),
        "head_activation": ("hard_swish", Basis.STATED),
    }
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(checkpoint.module(x), digits(x))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "args": argparse.Namespace(lr=0.1), "best": np.float64(0.9)},
        lambda state: {"model_state_dict": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {"state_dict": {f"model.{key}": value for key, value in state.items()}},
        lambda state: {f"module._orig_mod.{key}": value for key, value in state.items()},
        OrderedDict,
        lambda state: {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")},
        lambda state: {"net": {"state_dict": state}},
    ],
)
def test_wrappings(wrap: Callable[[State], object], state: State, tmp_path: Path) -> None:
    loaded = load(saved(wrap(state), tmp_path / "m.pth")).module.state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in state.items())


def test_averaged_weights_are_preferred(state: State, tmp_path: Path) -> None:
    average = {f"module.{key}": value * 2 if value.is_floating_point() else value for key, value in state.items()}
    average["n_averaged"] = torch.tensor(7)
    checkpoint = load(saved({"model": state, "model_ema": average}, tmp_path / "m.pth"))
    assert torch.equal(checkpoint.module.state_dict()["classifier.3.bias"], state["classifier.3.bias"] * 2)
    assert any("model_ema" in note for note in checkpoint.notes)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype: torch.dtype, state: State, tmp_path: Path) -> None:
    other = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
    for path in (saved(other, tmp_path / "m.pth"), tmp_path / "m.safetensors"):
        if path.suffix == ".safetensors":
            save_file(other, path)
        loaded = load(path).module.state_dict()
        assert loaded["features.0.0.weight"].dtype == torch.float32
        assert torch.equal(loaded["features.0.0.weight"], other["features.0.0.weight"].float())


def test_what_edgekit_saves_needs_no_guess(trained: Callable[[Architecture], nn.Module], tmp_path: Path) -> None:
    architecture = mobilenet_v3_digits(0.5, 3, resolution=48, in_channels=1, padding="same", bn_eps=2e-3)
    module = trained(architecture)
    save(tmp_path / "m.safetensors", module, architecture)
    checkpoint = load(tmp_path / "m.safetensors", num_classes=3)
    assert checkpoint.architecture == architecture
    assert checkpoint.source == "edgekit checkpoint"
    assert checkpoint.notes == ()
    assert {fact.basis for fact in checkpoint.facts} == {Basis.STATED}
    x = torch.randn(1, 1, 48, 48)
    torch.testing.assert_close(checkpoint.module(x), module(x))
    assert load(tmp_path / "m.safetensors", resolution=64).architecture == replace(architecture, resolution=64)
    with pytest.raises(CheckpointError, match="is a mobilenet_v3_digits, and no mobilenet_v2"):
        load(tmp_path / "m.safetensors", family="mobilenet_v2")


def test_overrides(trained: Callable[[Architecture], nn.Module], tmp_path: Path) -> None:
    path = saved(trained(mobilenet_v2(0.35, 4)).state_dict(), tmp_path / "m.pth")
    given: dict[str, Any] = {"resolution": 96, "padding": "same", "bn_eps": 1e-3}
    checkpoint = load(path, family="mobilenet_v2", num_classes=4, **given)
    assert checkpoint.architecture == mobilenet_v2(0.35, 4, **given)
    bases = {fact.name: fact.basis for fact in checkpoint.facts}
    assert bases == {
        "padding": Basis.GIVEN,
        "bn_eps": Basis.GIVEN,
        "activation": Basis.ASSUMED,
        "resolution": Basis.GIVEN,
    }
    with pytest.raises(ConfigError, match="padding"):
        load(path, padding="valid")  # type: ignore[arg-type]  # what a user may write


def test_what_was_assumed_stays_assumed_in_a_file_of_edgekits_own(tmp_path: Path) -> None:
    architecture = mobilenet_v2(0.1, 3, resolution=32)
    save(tmp_path / "a.safetensors", build(architecture), architecture, assumed=("padding", "order"))
    found = load(tmp_path / "a.safetensors")
    assert {fact.name for fact in found.facts if fact.is_assumed} == {"padding"}
    assert of_checkpoint(found, tmp_path).options == ("padding",)  # images can show it
    told = load(tmp_path / "a.safetensors", padding="same")
    assert not told.overruled
    assert not [fact for fact in told.facts if fact.is_assumed]


def test_a_pruned_network_keeps_its_channels(trained: Callable[[Architecture], nn.Module], tmp_path: Path) -> None:
    table = v3_small(num_classes=10)
    rows = [replace(row, expanded=row.expanded - 5 if row.expands else row.expanded) for row in table.blocks]
    rows[1] = replace(rows[1], expanded=16)  # as many as its input, and yet an expansion
    pruned = replace(table, width=None, blocks=tuple(rows), head_channels=500, hidden_channels=(777,))
    checkpoint = load(saved(trained(pruned).state_dict(), tmp_path / "m.pth"))
    assert checkpoint.architecture == pruned
    assert checkpoint.architecture.name == "mobilenet_v3_small_custom_224"
    assert any("pruned" in note for note in checkpoint.notes)


def test_a_minimalistic_v3_has_only_relu(trained: Callable[[Architecture], nn.Module], tmp_path: Path) -> None:
    table = v3_small(num_classes=10)
    rows = tuple(replace(row, kernel=3, squeeze=0, activation="relu") for row in table.blocks)
    minimal = replace(table, blocks=rows, activation="relu")
    assert load(saved(trained(minimal).state_dict(), tmp_path / "m.pth")).architecture == minimal


class Malicious:
    """A pickle that would make a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("as_zip", [False, True])
def test_code_in_a_pickle_never_runs(*, as_zip: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / "m.pth", tmp_path / "trace"
    torch.save({"state_dict": Malicious(trace)}, path, _use_new_zipfile_serialization=as_zip)
    with pytest.raises(CheckpointError, match=r"code \(\w+\.mkdir\).* never runs a file's code: save model\.state"):
        load(path)
    assert not trace.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_in_a_plain_pickle_never_runs(protocol: int, tmp_path: Path) -> None:
    path, trace = tmp_path / "m.pth", tmp_path / "trace"
    path.write_bytes(pickle.dumps({"state_dict": Malicious(trace)}, protocol))
    with pytest.raises(CheckpointError):
        load(path)
    assert not trace.exists()


def test_a_whole_pickled_model_is_refused(digits: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds code \(edgekit\.models\.network\.Classifier\)"):
        load(saved(digits, tmp_path / "m.pth"))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch warns of TorchScript itself
def test_a_torchscript_program_is_refused(digits: nn.Module, tmp_path: Path) -> None:
    torch.jit.trace(digits, torch.zeros(1, 3, 32, 32)).save(str(tmp_path / "m.pt"))  # type: ignore[no-untyped-call]
    with pytest.raises(CheckpointError, match="holds a TorchScript program"):
        load(tmp_path / "m.pt")


def test_a_dictionary_that_contains_itself_ends(tmp_path: Path) -> None:
    value: dict[str, Any] = {}
    value["model"] = value
    with pytest.raises(CheckpointError, match="holds no weights"):
        load(saved(value, tmp_path / "m.pth"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.write_text("hello"), "damaged or not what its suffix says"),
        (lambda path: path.write_bytes(b"\x80\x02nonsense"), "no PyTorch checkpoint, or is damaged"),
        (lambda path: torch.save([1, 2], path), "holds no weights"),
        (lambda path: torch.save({"epoch": 3}, path), "holds no weights"),
    ],
)
def test_files_without_weights(make: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    make(tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=message) as caught:
        load(tmp_path / "m.pth")
    assert str(tmp_path / "m.pth") in str(caught.value)


@pytest.mark.parametrize("name", ["m.onnx", "m.tflite", "m"])
def test_unknown_suffixes_list_the_known_ones(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"\.pth, .*\.safetensors, .*\.keras"):
        load(tmp_path / name)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".h5", ".keras"])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_truncated_files(suffix: str, share: float, state: State, tmp_path: Path) -> None:
    path = tmp_path / f"m{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    elif suffix == ".h5":
        h5py = pytest.importorskip("h5py", reason="the extra keras is not installed")
        with h5py.File(path, "w") as file:
            file["conv1/kernel:0"] = torch.zeros(3, 3, 3, 512).numpy()
    else:  # .keras is a zip as .pth is
        torch.save(state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: max(1, int(len(whole) * share))])
    with pytest.raises(CheckpointError, match="damaged"):
        load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("features.0.1.bias"), r"1 missing \(features\.0\.1\.bias\)"),
        (lambda s: s.pop("classifier.3.weight"), r"nothing tells what classifier\.3\.bias does"),
        (lambda s: s.update(extra=torch.zeros(7, 7)), "nothing tells|no single chain"),
        (lambda s: s.update({"features.2.attention.weight": torch.zeros(1)}), "holds what no MobileNet has there"),
        (
            lambda s: s.update({"features.1.block.0.1.bias": torch.zeros(7)}),
            r"features\.1\.block\.0\.1\.bias \[7\] instead of \[16\]",
        ),
        (lambda s: s.update({"classifier.3.weight": torch.zeros(10)}), r"nothing tells what classifier\.3\.weight"),
        (lambda s: s["features.4.block.0.0.weight"].fill_(float("nan")), r"features\.4\.block\.0\.0\.weight holds NaN"),
        (lambda s: s["features.0.1.running_var"].neg_(), r"features\.0\.1\.running_var holds a negative variance"),
        (lambda s: s.update({"features.0.0.weight": s["features.0.0.weight"].to(torch.int8)}), "quantized already"),
        (lambda s: s.update({"features.0.0.weight": s["features.0.0.weight"].to(torch.int32)}), "is torch.int32"),
        (lambda s: s.update({"features.0.0.scale": 0.5, "features.0.0.zero_point": 0}), "quantized already"),
        (lambda s: s.update({"features.2.block.1.0.weight": torch.zeros(64, 1, 7, 7)}), "kernel of 7 x 7"),
        (lambda s: s.update({"features.1.block.0.0.weight": torch.zeros(24, 1, 3, 3)}), "do not belong together"),
    ],
)
def test_wrong_weights_are_named(
    change: Callable[[dict[str, Any]], object], message: str, state: State, tmp_path: Path
) -> None:
    broken: dict[str, Any] = {key: value.clone() for key, value in state.items()}
    change(broken)
    with pytest.raises(CheckpointError, match=message):
        load(saved(broken, tmp_path / "m.pth"))


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")  # torch moves on, files stay
def test_quantized_tensors_are_refused(state: State, tmp_path: Path) -> None:
    packed = torch.quantize_per_tensor(state["classifier.3.weight"], 0.1, 0, torch.qint8)
    with pytest.raises(CheckpointError, match=r"quantized already \(classifier\.3\.weight\)"):
        load(saved({**state, "classifier.3.weight": packed}, tmp_path / "m.pth"))


def test_another_number_of_classes_is_refused(state: State, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has 10 classes, and 1000 are expected"):
        load(saved(state, tmp_path / "m.pth"), num_classes=1000)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("mobilenet_v3_small", r"7 \(mobilenet_v3_digits\).*: they are no mobilenet_v3_small"),
        ("mobilenet_v2", "no mobilenet_v2"),
        ("mobilenet_v4", "did you mean 'mobilenet_v"),
    ],
)
def test_another_family_is_refused(family: str, message: str, state: State, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(saved(state, tmp_path / "m.pth"), family=family)


@pytest.mark.parametrize(
    "names",
    [
        ["first.conv.weight", "second.conv.weight", "out.weight"],
        ["features.0.0.weight", "features.0.1.weight", "features.1.weight"],
    ],
)
def test_foreign_networks_are_refused(names: list[str], tmp_path: Path) -> None:
    message = re.escape(f"not a MobileNet that edgekit knows: the weights are named {names[0]}")
    with pytest.raises(CheckpointError, match=message):
        load(saved({name: torch.zeros(8, 8, 3, 3) for name in names}, tmp_path / "m.pth"))


def test_a_network_of_another_depth_is_refused(state: State, tmp_path: Path) -> None:
    shallow = {key: value for key, value in state.items() if not key.startswith("features.7.")}
    with pytest.raises(CheckpointError, match="6 blocks wired as mobilenet_v3"):
        load(saved(shallow, tmp_path / "m.pth"))


def test_background_class_is_noted(tmp_path: Path) -> None:
    checkpoint = load(saved(build(mobilenet_v1(0.25, 1001)).state_dict(), tmp_path / "m.pth"))
    assert any("background" in note for note in checkpoint.notes)
