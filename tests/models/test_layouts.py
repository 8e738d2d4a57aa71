"""Checkpoints under other libraries' names come back as they were, at every width.

The names are spelled out here independently, as the libraries' own state dicts list them.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import torch

from edgekit.errors import CheckpointError
from edgekit.models import inference
from edgekit.models.architecture import Architecture, Block, make_divisible
from edgekit.models.checkpoint import load
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits
from edgekit.models.heads import recognition
from edgekit.models.inference import architecture_of
from edgekit.models.layouts import layouts
from edgekit.models.network import build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor, nn

    Maker = Callable[[Architecture], nn.Module]
    State = dict[str, Tensor]

WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.4)
FACTORIES = (mobilenet_v1, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small)
STAGES = {  # timm's stages: how many blocks each
    "mobilenet_v1": (1, 2, 2, 6, 2),
    "mobilenet_v2": (1, 2, 3, 4, 3, 3, 1),
    "mobilenet_v3_large": (1, 2, 3, 4, 2, 3),
    "mobilenet_v3_small": (1, 2, 3, 2, 3),
}


def modules_of_block(family: str, index: int, block: Block) -> dict[str, str]:
    """Part to module name, in torchvision's layout or, for V1, in edgekit's."""
    if family == "mobilenet_v1":
        v1 = {"dw": "depthwise", "dw_bn": "bn1", "pw": "pointwise", "pw_bn": "bn2"}
        return {part: f"features.{index}.{name}" for part, name in v1.items()}
    if family == "mobilenet_v2":
        start = f"features.{index + 1}.conv"
        names = ["0.0", "0.1", "1", "2"] if index == 0 else ["0.0", "0.1", "1.0", "1.1", "2", "3"]
    else:
        start = f"features.{index + 1}.block"
        convs = 2 + block.expands
        squeeze_at = convs - 1
        order = [n for n in range(convs + bool(block.squeeze)) if not (block.squeeze and n == squeeze_at)]
        names = [f"{n}.{leaf}" for n in order for leaf in (0, 1)]
    parts = ("ex", "ex_bn", "dw", "dw_bn", "pw", "pw_bn")[-len(names) :]
    found = {part: f"{start}.{name}" for part, name in zip(parts, names, strict=True)}
    if block.squeeze:
        found |= {"fc1": f"{start}.{squeeze_at}.fc1", "fc2": f"{start}.{squeeze_at}.fc2"}
    return found


def renamed(state: Mapping[str, Tensor], modules: Mapping[str, str]) -> State:
    """``modules`` maps our module names to theirs and must name all."""
    return {f"{modules[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": tensor for key, tensor in state.items()}


def as_timm(module: nn.Module, architecture: Architecture) -> State:
    family, count = architecture.family, len(architecture.blocks)
    places = [f"blocks.{s}.{i}" for s, repeats in enumerate(STAGES[family]) for i in range(repeats)]
    modules: dict[str, str] = {}
    for index, (block, place) in enumerate(zip(architecture.blocks, places, strict=True)):
        separable = {"dw": "conv_dw", "dw_bn": "bn1", "pw": "conv_pw", "pw_bn": "bn2"}
        residual = {"ex": "conv_pw", "ex_bn": "bn1", "dw": "conv_dw", "dw_bn": "bn2", "pw": "conv_pwl", "pw_bn": "bn3"}
        theirs = (residual if block.expands else separable) | {"fc1": "se.conv_reduce", "fc2": "se.conv_expand"}
        ours = modules_of_block(family, index, block)
        modules |= {name: f"{place}.{theirs[part]}" for part, name in ours.items()}
    state = dict(module.state_dict())
    if family == "mobilenet_v1":
        modules |= {"conv1.0": "conv_stem", "conv1.1": "bn1", "classifier.3": "classifier"}
        return renamed(state, modules)
    modules |= {"features.0.0": "conv_stem", "features.0.1": "bn1"}
    head, head_bn = f"features.{count + 1}.0", f"features.{count + 1}.1"
    if family == "mobilenet_v2":
        return renamed(state, modules | {head: "conv_head", head_bn: "bn2", "classifier.1": "classifier"})
    state["classifier.0.weight"] = state["classifier.0.weight"][:, :, None, None]
    last = f"blocks.{len(STAGES[family])}.0"
    modules |= {head: f"{last}.conv", head_bn: f"{last}.bn1"}
    return renamed(state, modules | {"classifier.0": "conv_head", "classifier.3": "classifier"})


def keras_modules(architecture: Architecture) -> dict[str, str]:
    """Our module names to Keras' layer names."""
    family, count = architecture.family, len(architecture.blocks)
    modules: dict[str, str] = {}
    for index, block in enumerate(architecture.blocks):
        ours = modules_of_block(family, index, block)
        if family == "mobilenet_v1":
            n = index + 1
            theirs = {
                "dw": f"conv_dw_{n}",
                "dw_bn": f"conv_dw_{n}_bn",
                "pw": f"conv_pw_{n}",
                "pw_bn": f"conv_pw_{n}_bn",
            }
        else:
            bn = "_BN" if family == "mobilenet_v2" else "_bn"
            numbered = f"block_{index}" if family == "mobilenet_v2" else f"expanded_conv_{index}"
            start = numbered if index else "expanded_conv"
            theirs = {"fc1": f"{start}_squeeze_excite_conv", "fc2": f"{start}_squeeze_excite_conv_1"}
            for part, word in (("ex", "expand"), ("dw", "depthwise"), ("pw", "project")):
                theirs |= {part: f"{start}_{word}", f"{part}_bn": f"{start}_{word}{bn}"}
        modules |= {name: theirs[part] for part, name in ours.items()}
    if family == "mobilenet_v1":
        return modules | {"conv1.0": "conv1", "conv1.1": "conv1_bn", "classifier.3": "conv_preds"}
    head, head_bn = f"features.{count + 1}.0", f"features.{count + 1}.1"
    if family == "mobilenet_v2":
        stem = {"features.0.0": "Conv1", "features.0.1": "bn_Conv1"}
        return modules | stem | {head: "Conv_1", head_bn: "Conv_1_bn", "classifier.1": "predictions"}
    stem = {"features.0.0": "conv", "features.0.1": "conv_bn"}
    return modules | stem | {head: "conv_1", head_bn: "conv_1_bn", "classifier.0": "conv_2", "classifier.3": "logits"}


def as_keras(
    module: nn.Module, architecture: Architecture, classifier: Mapping[str, str] | None = None
) -> dict[str, State]:
    """Keras' layer names to weights by role, with Keras' axes."""
    modules = keras_modules(architecture) | dict(classifier or {})
    layers: dict[str, State] = {}
    for key, tensor in module.state_dict().items():
        name, _, leaf = key.rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        layer, role = modules[name], leaf
        if layer.lower().endswith("_bn") or layer == "bn_Conv1":
            roles = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
            role = roles[leaf]
        elif leaf == "weight":
            role, tensor = "kernel", with_keras_axes(tensor, layer)  # noqa: PLW2901 - the same weight, turned
        layers.setdefault(layer, {})[role] = tensor
    return layers


def is_depthwise(layer: str) -> bool:
    return layer.endswith("depthwise") or layer.startswith("conv_dw_")


def with_keras_axes(kernel: Tensor, layer: str) -> Tensor:
    if layer == "predictions":
        return kernel.T  # dense
    if kernel.ndim == 2:
        return kernel.T[None, None]  # a linear layer that is a 1x1 convolution there
    return kernel.permute((2, 3, 0, 1) if is_depthwise(layer) else (2, 3, 1, 0))


def write_h5(path: Path, layers: Mapping[str, State], settings: Mapping[str, Any] | None = None) -> None:
    """A whole model as Keras 2 saves it, or without ``settings`` its weights only."""
    h5py = pytest.importorskip("h5py", reason="the extra keras is not installed")
    with h5py.File(path, "w") as file:
        if settings is not None:
            file.attrs["model_config"] = json.dumps(settings)
        weights = file.create_group("model_weights") if settings is not None else file
        weights.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, state in layers.items():
            prefix = "depthwise_" if is_depthwise(layer) else ""
            named = {f"{layer}/{prefix}{role}:0": tensor for role, tensor in state.items()}
            group = weights.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in named]
            for name, tensor in named.items():
                group[name] = tensor.numpy()


def keras_class(layer: str, state: State) -> tuple[str, str]:
    """Class name in config.json, and in the paths of the weights."""
    if "gamma" in state:
        return "BatchNormalization", "batch_normalization"
    if is_depthwise(layer):
        return "DepthwiseConv2D", "depthwise_conv2d"
    return ("Dense", "dense") if layer == "predictions" else ("Conv2D", "conv2d")


def write_keras(path: Path, layers: Mapping[str, State], resolution: int) -> None:
    """A whole model as Keras 3 saves it."""
    h5py = pytest.importorskip("h5py", reason="the extra keras is not installed")
    listed: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "config": {"name": "input", "batch_shape": [None, resolution, resolution, 3]}}
    ]
    buffer, counts = io.BytesIO(), dict[str, int]()
    with h5py.File(buffer, "w") as file:
        for layer, state in layers.items():
            class_name, snake = keras_class(layer, state)
            listed.append({"class_name": class_name, "config": {"name": layer}})
            counts[snake] = counts.get(snake, -1) + 1
            group = f"layers/{snake}_{counts[snake]}" if counts[snake] else f"layers/{snake}"
            order = ("gamma", "beta", "moving_mean", "moving_variance", "kernel", "bias")
            for index, role in enumerate(role for role in order if role in state):
                file[f"{group}/vars/{index}"] = state[role].numpy()
        file["optimizer/vars/0"] = torch.zeros(3, 3).numpy()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Functional", "config": {"layers": listed}}))
        archive.writestr("model.weights.h5", buffer.getvalue())


def assert_same_weights(loaded: nn.Module, original: nn.Module) -> None:
    expected = original.state_dict()
    assert list(loaded.state_dict()) == list(expected)
    for key, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, expected[key]), key


@pytest.mark.parametrize("factory", [*FACTORIES, mobilenet_v3_digits])
def test_edgekits_own_names(factory: Any, trained: Maker, tmp_path: Path) -> None:
    architecture = factory(0.5, 10)
    module = trained(architecture)
    torch.save(module.state_dict(), tmp_path / "m.pth")
    loaded = load(tmp_path / "m.pth")
    assert_same_weights(loaded.module, module)
    assert loaded.architecture == architecture
    assert loaded.source == ("MobileNetV1 state dict" if factory is mobilenet_v1 else "torchvision state dict")


@pytest.mark.parametrize("factory", FACTORIES)
def test_timms_names(factory: Any, trained: Maker, tmp_path: Path) -> None:
    architecture = factory(0.5, 10, padding="symmetric", bn_eps=1e-5)
    module = trained(architecture)
    torch.save(as_timm(module, architecture), tmp_path / "m.pth")
    loaded = load(tmp_path / "m.pth")
    assert_same_weights(loaded.module, module)
    assert loaded.architecture == architecture
    assert any("tf_" in note for note in loaded.notes)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("factory", [*FACTORIES, mobilenet_v3_digits])
def test_widths_are_found_under_all_names(factory: Any, width: float) -> None:
    """Names and shapes only; that each weight finds its place is tested above and below at one width."""
    architecture = factory(width, 10, padding="same", bn_eps=1e-3)
    with torch.device("meta"):
        module = build(architecture)
    state = module.state_dict()
    found: list[Mapping[str, Tensor]] = [state]
    if factory is not mobilenet_v3_digits:
        layers = as_keras(module, architecture)
        flat = {f"{layer}/{role}": tensor for layer, roles in layers.items() for role, tensor in roles.items()}
        found += [as_timm(module, architecture), flat]
    for theirs in found:
        layout = next(layout for layout in layouts() if layout.roots(theirs))
        renamed = layout.rename(theirs, layout.roots(theirs)[0], "")
        head = recognition.find(renamed.rest, inference.body_channels(renamed.weights), 1e-5)
        names = renamed.wiring.classifier_names(len(head.layers) - 1)
        weights = dict(renamed.weights)
        for name, layer in zip(names, head.layers, strict=True):
            weights |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
        guess = architecture_of(weights, None, {"padding": "same", "bn_eps": 1e-3})
        assert guess.architecture == architecture
        assert all(tensor.shape == state[key].shape for key, tensor in weights.items())


def test_timms_tensorflow_weights_are_known_by_the_file_name(trained: Maker, tmp_path: Path) -> None:
    architecture = mobilenet_v3_small(1.0, 10, padding="same", bn_eps=1e-3)
    state = as_timm(trained(architecture), architecture)
    torch.save(state, tmp_path / "tf_mobilenetv3_small_100.pth")
    loaded = load(tmp_path / "tf_mobilenetv3_small_100.pth")
    assert loaded.architecture == architecture
    assert any("tf_mobilenetv3_small_100" in note for note in loaded.notes)


def test_timms_rounding_is_recognised(trained: Maker, tmp_path: Path) -> None:
    """timm's mobilenetv3_small_050 (and Keras' alpha 0.5) expands the rounded input; stem and hidden layer stay."""
    values = mobilenet_v3_small(0.5, 10, padding="symmetric", bn_eps=1e-5).to_dict()
    values |= {"stem_channels": 16, "hidden_channels": 1024}
    expanded = [16, 40, 56, 64, 144, 144, 72, 72, 144, 288, 288]
    for row, channels in zip(values["blocks"], expanded, strict=True):
        row["expanded"] = channels
        row["squeeze"] = row["squeeze"] and make_divisible(channels // 4)
    architecture = Architecture.from_dict(values)
    torch.save(as_timm(trained(architecture), architecture), tmp_path / "m.pth")
    assert load(tmp_path / "m.pth").architecture == architecture


@pytest.mark.parametrize("factory", FACTORIES)
def test_keras_names(factory: Any, trained: Maker, tmp_path: Path) -> None:
    architecture = factory(0.5, 10, resolution=96, padding="same", bn_eps=1e-3)
    module = trained(architecture)
    layers = as_keras(module, architecture)
    input_layer = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 96, 96, 3]}}
    write_h5(tmp_path / "m.h5", layers, {"config": {"layers": [input_layer]}})
    write_keras(tmp_path / "m.keras", layers, 96)
    for name in ("m.h5", "m.keras"):
        loaded = load(tmp_path / name)
        assert_same_weights(loaded.module, module)
        assert loaded.architecture == architecture
        assert loaded.source == "Keras weights"


def test_keras_weights_only_with_old_names(trained: Maker, tmp_path: Path) -> None:
    architecture = mobilenet_v3_small(0.75, 10, padding="same")
    module = trained(architecture)
    old = {}
    for layer, weights in as_keras(module, architecture).items():
        name = layer.removesuffix("_bn") + "/BatchNorm" if layer.endswith("_bn") else layer
        for word in ("expand", "depthwise", "project", "squeeze_excite"):
            name = name.replace(f"_{word}", f"/{word}").replace("squeeze_excite_conv", "squeeze_excite/Conv")
        old[name.replace("conv_", "Conv_") if name.startswith(("conv_1", "conv_2")) else name] = weights
    assert {"expanded_conv_1/expand/BatchNorm", "expanded_conv/squeeze_excite/Conv_1", "Conv_2"} <= set(old)
    write_h5(tmp_path / "m.h5", old)
    loaded = load(tmp_path / "m.h5")
    assert_same_weights(loaded.module, module)
    assert loaded.architecture == architecture


@pytest.mark.parametrize("factory", [mobilenet_v2, mobilenet_v3_small])
def test_keras_body_inside_a_model_with_a_head_of_its_own(factory: Any, trained: Maker, tmp_path: Path) -> None:
    values = factory(0.35, 5, padding="same", bn_eps=1e-3).to_dict()
    architecture = Architecture.from_dict({**values, "hidden_channels": 0})
    module = trained(architecture)
    layers = as_keras(module, architecture, {"classifier.1": "predictions"})
    head = layers.pop("predictions")
    body = {f"body/{layer}/{role}": tensor for layer, roles in layers.items() for role, tensor in roles.items()}
    dense = {f"sequential/dense_7/{role}": tensor for role, tensor in head.items()}
    h5py = pytest.importorskip("h5py", reason="the extra keras is not installed")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["layer_names"] = ["body", "dense_7"]
        for name, tensors in (("body", body), ("dense_7", dense)):
            group = file.create_group(name)
            group.attrs["weight_names"] = list(tensors)
            for key, tensor in tensors.items():
                group[key] = tensor.numpy()
    loaded = load(tmp_path / "m.h5")
    assert_same_weights(loaded.module, module)
    assert loaded.architecture == architecture


def test_keras_without_a_classifier_is_refused(trained: Maker, tmp_path: Path) -> None:
    architecture = mobilenet_v2(0.35, 10)
    layers = as_keras(trained(architecture), architecture)
    del layers["predictions"]
    write_h5(tmp_path / "m.h5", layers)
    with pytest.raises(CheckpointError, match="without a classifier"):
        load(tmp_path / "m.h5")
