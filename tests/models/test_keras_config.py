"""What Keras' model_config says is used, or refused by name."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from edgekit.errors import CheckpointError
from edgekit.facts import Basis
from edgekit.models.checkpoint import load
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.readers import keras_config
from edgekit.models.readers.keras_layers import layers_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

    from edgekit.models.architecture import Architecture
    from edgekit.models.readers.keras_config import Said

    Maker = Callable[[Architecture], nn.Module]

V1 = mobilenet_v1(0.25, 5, resolution=96)


def row(kind: str, name: str = "", constants: tuple[Any, ...] = (), **settings: Any) -> dict[str, Any]:
    nodes = [[["before", 0, 0, {"y": value, "name": None}]] for value in constants]
    return {"class_name": kind, "config": {"name": name or kind.lower(), **settings}, "inbound_nodes": nodes}


def said(*rows: dict[str, Any]) -> Said:
    return keras_config.read(layers_of({"class_name": "Functional", "config": {"layers": list(rows)}}), {})


STEM = row("Conv2D", "conv1", kernel_size=[3, 3], strides=[2, 2], padding="same", filters=8)
POOL = row("GlobalAveragePooling2D")


@pytest.mark.parametrize(
    ("rows", "mean", "std"),
    [
        ([row("Rescaling", scale=1 / 255, offset=0.0)], 0.0, 1.0),
        ([row("Rescaling", scale=1 / 127.5, offset=-1)], 0.5, 0.5),
        ([row("Rescaling", scale=1.0, offset=0.0)], 0.0, 1 / 255),
        ([row("Rescaling", scale=1 / 255), row("Normalization", mean=[0.5], variance=[0.04])], 0.5, 0.2),
        ([row("Normalization", mean=127.5, variance=127.5**2)], 0.5, 0.5),
        ([row("TFOpLambda", function="math.truediv", constants=(127.5,)), row("Subtract", constants=(1,))], 0.5, 0.5),
        ([row("TrueDivide", constants=(255.0,)), row("RandomFlip")], 0.0, 1.0),
        ([row("RandomRotation"), row("TFOpLambda", function="math.multiply", constants=(1 / 255,))], 0.0, 1.0),
    ],
)
def test_arithmetic_on_images_is_the_normalization(rows: list[Any], mean: float, std: float) -> None:
    normalization = said(row("InputLayer", batch_shape=[None, 96, 96, 3]), *rows, STEM).normalization
    assert normalization is not None
    assert normalization[0] == pytest.approx([mean] * len(normalization[0]), abs=1e-8)
    assert normalization[1] == pytest.approx([std] * len(normalization[1]), rel=1e-6)


def test_channels_may_be_normalized_each_by_its_own() -> None:
    normalization = said(
        row("Rescaling", scale=1 / 255), row("Normalization", mean=[0.4, 0.5, 0.6], variance=[0.04, 0.09, 0.16]), STEM
    ).normalization
    assert normalization is not None
    assert normalization[0] == pytest.approx([0.4, 0.5, 0.6])
    assert normalization[1] == pytest.approx([0.2, 0.3, 0.4])


def test_arithmetic_behind_the_first_convolution_is_no_normalization() -> None:
    assert said(STEM, row("Rescaling", scale=1 / 6)).normalization is None


@pytest.mark.parametrize(("top", "expected"), [(6.0, "relu6"), (None, "relu")])
def test_the_body_s_activation(top: float | None, expected: str) -> None:
    assert said(STEM, row("ReLU", max_value=top), POOL).options["activation"] == expected


@pytest.mark.parametrize(
    ("border", "size", "expected"),
    [
        ([[0, 1], [0, 1]], 96, "same"),
        ([[1, 1], [1, 1]], 96, "symmetric"),
        (1, 96, "symmetric"),
        ([1, 1], 96, "symmetric"),
        ([[1, 1], [1, 1]], 95, None),  # both the same there
        (None, 96, "same"),
    ],
)
def test_padding_in_front_of_strides(border: Any, size: int, expected: str | None) -> None:
    rows = [row("InputLayer", batch_input_shape=[None, size, size, 3])]
    if border is not None:
        rows.append(row("ZeroPadding2D", padding=border))
    padding = "same" if border is None else "valid"
    rows.append(row("Conv2D", "conv1", kernel_size=3, strides=2, padding=padding, filters=8))
    assert said(*rows).options.get("padding") == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("Dense", "a", activation="relu"), row("Dense", "b", activation="softmax")], "relu"),
        ([row("Dense", "a", activation="linear"), row("ReLU"), row("Dense", "b")], "relu"),
        (
            [
                row("Dense", "a"),
                row("BatchNormalization"),
                row("Activation", activation="hard_swish"),
                row("Dense", "b"),
            ],
            "hard_swish",
        ),
        ([row("Dense", "a"), row("Dropout"), row("Dense", "b", activation={"config": "sigmoid"})], "none"),
        ([row("Dense", "a", activation="softmax")], None),
    ],
)
def test_the_function_between_dense_layers(rows: list[Any], expected: str | None) -> None:
    assert said(STEM, POOL, *rows).options.get("head_activation") == expected


@pytest.mark.parametrize(("end", "noted"), [("softmax", True), ("sigmoid", True), ("linear", False), (None, False)])
def test_what_makes_probabilities_of_logits_is_noted(end: str | None, noted: bool) -> None:  # noqa: FBT001 - a table
    assert any("logits are taken" in note for note in said(STEM, POOL, row("Dense", activation=end)).notes) is noted
    separate = said(STEM, POOL, row("Dense"), row("Activation", activation=end or "linear"))
    assert any("logits are taken" in note for note in separate.notes) is noted


REFUSED: tuple[tuple[list[dict[str, Any]], str], ...] = (
    ([POOL, row("GlobalMaxPooling2D", "gmp")], "'gmp' is a GlobalMaxPooling2D.*GlobalAveragePooling2D"),
    ([row("MaxPooling2D", "mp")], "'mp' is a MaxPooling2D"),
    ([row("AveragePooling2D", "ap")], "'ap' is a AveragePooling2D"),
    ([row("Concatenate", "join")], "'join' is a Concatenate"),
    ([row("Lambda", "code")], "'code' is a Lambda.*never runs"),
    ([row("Resizing", "size")], "'size' is a Resizing.*preprocessing"),
    ([row("LeakyReLU", "leaky")], "'leaky' is a LeakyReLU"),
    ([row("PReLU", "learned")], "'learned' is a PReLU"),
    ([row("SeparableConv2D", "sep")], "'sep' is a SeparableConv2D"),
    ([row("ReLU", "r", max_value=1.0)], "'r' computes ReLU with max_value 1.0"),
    ([row("ReLU", "r", negative_slope=0.2)], "negative_slope 0.2"),
    ([row("Activation", "s", activation="swish")], "'s' computes swish"),
    ([POOL, row("Dense", "d", activation="tanh")], "'d' computes tanh"),
    ([POOL, row("Dense", "a", activation="gelu"), row("Dense", "b")], "'a' computes gelu"),
    ([POOL, row("Dense", "d", activation="relu")], r"ends in relu \('d'\)"),
    ([POOL, row("Dense", "a", activation="relu"), row("Dense", "b"), row("Dense", "c")], "compute none, relu"),
    ([row("DepthwiseConv2D", "dw", depth_multiplier=2)], "'dw' has depth_multiplier 2"),
    ([row("DepthwiseConv2D", "dw", dilation_rate=[2, 2])], r"'dw' has dilation_rate \[2, 2\]"),
    ([row("Conv2D", "g", groups=2)], "'g' has groups 2"),
    ([row("Conv2D", "c", data_format="channels_first")], "channels first"),
    ([row("Conv2D", "c", kernel_size=3, strides=2, padding="valid")], r"'c' pads \[\[0, 0\], \[0, 0\]\]"),
    ([STEM, row("Conv2D", "c", kernel_size=1, strides=2)], "'c' has stride 2"),
    ([row("DepthwiseConv2D", "dw", strides=[1, 2])], "strides 1 and 2"),
    ([row("ReLU", max_value=6), row("ReLU", "other")], "several functions"),
    ([row("Normalization", "n", mean=None, variance=None), STEM], "after adapt"),
    ([row("Rescaling", scale=-1.0), STEM], "not positive"),
)


@pytest.mark.parametrize(("rows", "message"), REFUSED)
def test_what_edgekit_cannot_do_is_refused_by_name(rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        said(*rows)


# --- whole files


def keras_state(module: nn.Module, names: Callable[[str], str]) -> dict[str, dict[str, Tensor]]:
    """Layers as Keras keeps them, in their order, under names of the caller's."""
    layers: dict[str, dict[str, Tensor]] = {}
    roles = {"running_mean": "moving_mean", "running_var": "moving_variance"}
    for key, tensor in module.state_dict().items():
        place, _, leaf = key.rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        is_norm = f"{place}.running_mean" in module.state_dict()
        if is_norm:
            role, value = roles.get(leaf, {"weight": "gamma", "bias": "beta"}.get(leaf, leaf)), tensor
        elif tensor.ndim == 4:
            is_depthwise = tensor.shape[1] == 1
            role = "depthwise_kernel" if is_depthwise else "kernel"
            value = tensor.permute((2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))
        else:
            role, value = ("kernel", tensor.T) if leaf == "weight" else ("bias", tensor)
        layers.setdefault(names(place), {})[role] = value
    return layers


def rows_of(
    layers: dict[str, dict[str, Tensor]], architecture: Architecture, top: float | None
) -> list[dict[str, Any]]:
    strides = iter([block.stride for block in architecture.blocks])
    rows = [row("InputLayer", batch_shape=[None, architecture.resolution, architecture.resolution, 3])]
    for index, (name, roles) in enumerate(layers.items()):
        if "gamma" in roles or "moving_mean" in roles:
            rows.append(row("BatchNormalization", name, epsilon=architecture.bn_eps))
        elif "depthwise_kernel" in roles:
            rows += [row("ReLU", max_value=top)]
            rows += [row("DepthwiseConv2D", name, kernel_size=3, strides=next(strides), padding="same")]
        elif roles["kernel"].ndim == 4:
            stride = 2 if index == 0 else 1
            size, filters = roles["kernel"].shape[0], roles["kernel"].shape[3]
            rows.append(row("Conv2D", name, kernel_size=size, strides=stride, padding="same", filters=filters))
        else:
            rows += [POOL, row("Dense", name, activation="softmax")]
    return rows


def write(path: Path, layers: dict[str, dict[str, Tensor]], rows: list[dict[str, Any]]) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra keras is not installed")
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": {"layers": rows}})
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [name.encode() for name in layers]
        for name, roles in layers.items():
            group = weights.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{role}:0".encode() for role in roles]
            for role, tensor in roles.items():
                group[f"{name}/{role}:0"] = tensor.numpy()


def by_number(kinds: dict[str, int]) -> Callable[[str], str]:
    """Names as Keras gives them where nobody does: conv2d_7."""
    known: dict[str, str] = {}

    def name(place: str) -> str:
        if place not in known:
            is_norm = place.rpartition(".")[2] in {"bn1", "bn2"} or place == "conv1.1"
            kind = "dense" if "classifier" in place else "batch_normalization" if is_norm else "conv2d"
            kinds[kind] = kinds.get(kind, -1) + 1
            known[place] = f"{kind}_{kinds[kind]}" if kinds[kind] else kind
        return known[place]

    return name


@pytest.mark.parametrize(("top", "activation"), [(6.0, "relu6"), (None, "relu")])
def test_layers_without_names_go_by_their_order(
    top: float | None, activation: Any, trained: Maker, tmp_path: Path
) -> None:
    architecture = V1.with_options(activation=activation)
    module = trained(architecture)
    layers = keras_state(module, by_number({}))
    write(tmp_path / "m.h5", layers, rows_of(layers, architecture, top))
    checkpoint = load(tmp_path / "m.h5")
    assert checkpoint.architecture == architecture
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(checkpoint.module(x), module(x), rtol=1e-5, atol=1e-5)
    assert {fact.name: fact.basis for fact in checkpoint.facts} == dict.fromkeys(
        ("padding", "bn_eps", "activation", "resolution"), Basis.STATED
    )


def test_biases_before_batch_normalization_and_missing_factors(trained: Maker, tmp_path: Path) -> None:
    module = trained(V1)
    with torch.no_grad():
        module.features[3].bn2.weight.fill_(1.0)  # type: ignore[index,union-attr]
        expected = module(torch.ones(1, 3, 96, 96))
    layers = keras_state(module, by_number({}))
    names = list(layers)
    conv, norm = names[2 + 3 * 4 + 2], names[2 + 3 * 4 + 3]
    bias = torch.linspace(-1, 1, layers[conv]["kernel"].shape[3])
    layers[conv]["bias"] = bias
    layers[norm]["moving_mean"] = layers[norm]["moving_mean"] + bias
    del layers[norm]["gamma"]
    write(tmp_path / "m.h5", layers, rows_of(layers, V1, 6.0))
    with torch.no_grad():
        torch.testing.assert_close(
            load(tmp_path / "m.h5").module(torch.ones(1, 3, 96, 96)), expected, rtol=1e-4, atol=1e-5
        )


def test_epsilons_that_differ_become_one(trained: Maker, tmp_path: Path) -> None:
    module = trained(V1)
    layers = keras_state(module, by_number({}))
    rows = rows_of(layers, V1, 6.0)
    first = next(item for item in rows if item["class_name"] == "BatchNormalization")
    first["config"]["epsilon"] = 0.1
    write(tmp_path / "m.h5", layers, rows)
    loaded = load(tmp_path / "m.h5").module.state_dict()
    expected = module.state_dict()["conv1.1.running_var"] + (0.1 - 1e-3)
    torch.testing.assert_close(loaded["conv1.1.running_var"], expected)


def test_other_strides_are_another_network(trained: Maker, tmp_path: Path) -> None:
    layers = keras_state(trained(V1), by_number({}))
    rows = rows_of(layers, replace(V1, blocks=(replace(V1.blocks[0], stride=2), *V1.blocks[1:])), 6.0)
    write(tmp_path / "m.h5", layers, rows)
    with pytest.raises(CheckpointError, match="block 0 has stride 2, and mobilenet_v1 has 1 there"):
        load(tmp_path / "m.h5")


def test_sums_of_a_v2_without_names_are_counted() -> None:
    architecture = mobilenet_v2(0.35)
    rows = [row("Conv2D", "c", kernel_size=3, strides=2, padding="same", filters=architecture.stem_channels)]
    rows.append(row("BatchNormalization", "n"))
    for index, block in enumerate(architecture.blocks):
        if block.expands:
            rows += [row("Conv2D", f"e{index}", kernel_size=1, strides=1, filters=block.expanded)]
            rows += [row("BatchNormalization", f"en{index}")]
        rows += [row("DepthwiseConv2D", f"d{index}", kernel_size=3, strides=block.stride, padding="same")]
        rows += [row("BatchNormalization", f"dn{index}")]
        rows += [row("Conv2D", f"p{index}", kernel_size=1, strides=1, filters=block.out)]
        rows += [row("BatchNormalization", f"pn{index}")]
    rows += [row("Conv2D", "last", kernel_size=1, strides=1, filters=1280), row("BatchNormalization", "ln"), POOL]
    channels = [architecture.stem_channels, *(block.out for block in architecture.blocks)]
    pairs = zip(architecture.blocks, channels, channels[1:], strict=False)
    sums = sum(block.stride == 1 and before == after for block, before, after in pairs)
    with pytest.raises(CheckpointError, match=f"has 0 sums, and a MobileNetV2 of its channels has {sums}"):
        said(*rows)
    names = said(*rows[:-1], *(row("Add", f"sum{n}") for n in range(sums)), POOL).names
    assert names["e5"] == "block_5_expand"
    assert names["dn0"] == "expanded_conv_depthwise_bn"
    assert math.isclose(len(names), 2 * (1 + 2 + 16 * 3 + 1))


def test_a_model_that_normalizes_its_images_is_fed_so(trained: Maker, tmp_path: Path) -> None:
    layers = keras_state(trained(V1), by_number({}))
    rows = rows_of(layers, V1, 6.0)
    rows.insert(1, row("Rescaling", scale=1 / 255, offset=0.0))
    write(tmp_path / "m.h5", layers, rows)
    facts = {fact.name: fact for fact in load(tmp_path / "m.h5").facts}
    assert facts["normalization"].basis is Basis.STATED
    assert facts["normalization"].value == {"mean": [0.0] * 3, "std": [1.0] * 3}
