"""Networks under the names of public implementations, spelled out here independently, come back as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from edgekit.errors import CheckpointError
from edgekit.facts import Basis
from edgekit.models.checkpoint import load
from edgekit.models.families.fd_mobilenet import fd_mobilenet
from edgekit.models.families.mobilenet_v1 import mobilenet_v1
from edgekit.models.families.mobilenet_v1_cifar import mobilenet_v1_cifar
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_small
from edgekit.models.families.mobilenet_v3_nas import mobilenet_v3_nas

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

    from edgekit.models.architecture import Architecture

    Maker = Callable[[Architecture], nn.Module]
    Rename = Callable[[str], str]

V2_PARTS = {
    "0.0": "expand",
    "0.1": "expand_bn",
    "1.0": "depthwise",
    "1.1": "depthwise_bn",
    "2": "project",
    "3": "project_bn",
}
PLAIN_PARTS = {"0.0": "depthwise", "0.1": "depthwise_bn", "1": "project", "2": "project_bn"}


def of_v1(key: str) -> tuple[str, int, str, str]:
    """Where, block, part and role of a key of edgekit's V1."""
    parts = key.split(".")
    if parts[0] == "conv1":
        return "stem", 0, {"0": "conv", "1": "bn"}[parts[1]], parts[2]
    if parts[0] == "classifier":
        return "classifier", 0, "", parts[-1]
    return "block", int(parts[1]), parts[2], parts[3]


def of_v2(key: str) -> tuple[str, int, str, str]:
    """The same for torchvision's V2."""
    parts = key.split(".")
    if parts[0] == "classifier":
        return "classifier", 0, "", parts[-1]
    index = int(parts[1])
    if index in {0, 18}:
        return ("stem" if index == 0 else "head"), 0, {"0": "conv", "1": "bn"}[parts[2]], parts[3]
    names = PLAIN_PARTS if index == 1 else V2_PARTS
    return "block", index - 1, names[".".join(parts[3:-1])], parts[-1]


def sequential_v1(key: str) -> str:
    where, block, part, role = of_v1(key)
    if where == "block":
        place = {"depthwise": 0, "bn1": 1, "pointwise": 3, "bn2": 4}[part]
        return f"model.{block + 1}.{place}.{role}"
    return f"fc.{role}" if where == "classifier" else f"model.0.{int(part == 'bn')}.{role}"


def kuangliu_v1(key: str) -> str:
    where, block, part, role = of_v1(key)
    if where == "block":
        return f"layers.{block}.{ {'depthwise': 'conv1', 'pointwise': 'conv2'}.get(part, part) }.{role}".replace(
            " ", ""
        )
    return f"linear.{role}" if where == "classifier" else f"{part}1.{role}"


def hugging_face_v1(key: str) -> str:
    where, block, part, role = of_v1(key)
    kind = "normalization" if "bn" in part else "convolution"
    if where == "block":
        return f"mobilenet_v1.layer.{2 * block + (part in {'pointwise', 'bn2'})}.{kind}.{role}"
    return f"classifier.{role}" if where == "classifier" else f"mobilenet_v1.conv_stem.{kind}.{role}"


def pytorchcv_v1(key: str) -> str:
    where, block, part, role = of_v1(key)
    kind = "bn" if "bn" in part else "conv"
    if where == "block":
        stage = next(s for s, last in enumerate((1, 3, 5, 11, 13)) if block < last)
        unit = block - (0, 1, 3, 5, 11)[stage]
        conv = "dw_conv" if part in {"depthwise", "bn1"} else "pw_conv"
        return f"features.stage{stage + 1}.unit{unit + 1}.{conv}.{kind}.{role}"
    return f"output.{role}" if where == "classifier" else f"features.init_block.{kind}.{role}"


def qinzheng_v1(key: str) -> str:
    where, block, part, role = of_v1(key)
    kind = "norm" if "bn" in part else "conv"
    if where == "block":
        return f"features.{'dw' if part in {'depthwise', 'bn1'} else 'pw'}_{kind}_{block}.{role}"
    return f"classifier.{role}" if where == "classifier" else f"features.{kind}_0.{role}"


def flat_v2(block: int, part: str) -> int:
    """The place in one Sequential, activations counted."""
    order = ["depthwise", "project"] if block == 0 else ["expand", "depthwise", "project"]
    return 3 * order.index(part.removesuffix("_bn")) + part.endswith("_bn")


def tonylins_v2(key: str) -> str:
    where, block, part, role = of_v2(key)
    if where == "block":
        return f"features.{block + 1}.conv.{flat_v2(block, part)}.{role}"
    if where == "classifier":
        return f"classifier.{role}"
    return f"features.{0 if where == 'stem' else 18}.{int(part == 'bn')}.{role}"


def d_li14_v2(key: str) -> str:
    return tonylins_v2(key).replace("features.18.", "conv.")


def stem_v2(key: str) -> str:
    where, block, part, role = of_v2(key)
    if where == "block":
        return f"features.{block}.conv.{flat_v2(block, part)}.{role}"
    names = {"stem": "conv1", "head": "conv2"}
    return f"classifier.3.{role}" if where == "classifier" else f"{names[where]}.{int(part == 'bn')}.{role}"


def hugging_face_v2(key: str) -> str:
    where, block, part, role = of_v2(key)
    kind = "normalization" if part.endswith("bn") else "convolution"
    name = {"expand": "expand_1x1", "depthwise": "conv_3x3", "project": "reduce_1x1"}.get(part.removesuffix("_bn"), "")
    if where == "block":
        return f"mobilenet_v2.{'conv_stem' if block == 0 else f'layer.{block - 1}'}.{name}.{kind}.{role}"
    names = {"stem": "conv_stem.first_conv", "head": "conv_1x1"}
    return f"classifier.{role}" if where == "classifier" else f"mobilenet_v2.{names[where]}.{kind}.{role}"


def openmmlab_v2(key: str) -> str:
    where, block, part, role = of_v2(key)
    kind = "bn" if part.endswith("bn") else "conv"
    if where == "block":
        lasts = (1, 3, 6, 10, 13, 16, 17)
        stage = next(s for s, last in enumerate(lasts) if block < last)
        unit = block - (0, *lasts)[stage]
        return f"backbone.layer{stage + 1}.{unit}.conv.{flat_v2(block, part) // 3}.{kind}.{role}"
    names = {"stem": "conv1", "head": "conv2"}
    return f"head.fc.{role}" if where == "classifier" else f"backbone.{names[where]}.{kind}.{role}"


TORCH: dict[str, Any] = {"padding": "symmetric", "bn_eps": 1e-5}
LAYOUTS: dict[str, tuple[Architecture, Rename, str]] = {
    "marvis V1": (mobilenet_v1(0.25, 4, **TORCH, activation="relu"), sequential_v1, "as one Sequential"),
    "kuangliu V1": (
        mobilenet_v1(0.25, 4, **TORCH, activation="relu", stem_stride=1, resolution=32),
        kuangliu_v1,
        "kuangliu",
    ),
    "Hugging Face V1": (mobilenet_v1(0.25, 4), hugging_face_v1, "Hugging Face"),
    "pytorchcv V1": (mobilenet_v1(0.25, 4, **TORCH, activation="relu"), pytorchcv_v1, "pytorchcv"),
    "qinzheng93's V1": (mobilenet_v1(0.25, 4, **TORCH, activation="relu"), qinzheng_v1, "qinzheng93"),
    "qinzheng93's FD": (fd_mobilenet(0.25, 4), qinzheng_v1, "qinzheng93"),
    "pytorchcv FD": (fd_mobilenet(0.25, 4), pytorchcv_v1, "pytorchcv"),
    "V1 for CIFAR": (mobilenet_v1_cifar(0.5), str, "for CIFAR"),
    "tonylins V2": (mobilenet_v2(0.35, 4), tonylins_v2, "tonylins"),
    "d-li14 V2": (mobilenet_v2(0.35, 4), d_li14_v2, "d-li14"),
    "V2 with a stem of its own": (mobilenet_v2(0.35, 4), stem_v2, "MobileNetV2 state dict"),
    "Hugging Face V2": (mobilenet_v2(0.35, 4, padding="same", bn_eps=1e-3), hugging_face_v2, "Hugging Face"),
    "OpenMMLab V2": (mobilenet_v2(0.35, 4), openmmlab_v2, "OpenMMLab"),
}


@pytest.mark.parametrize("as_safetensors", [False, True])
@pytest.mark.parametrize("name", LAYOUTS)
def test_networks_of_other_layouts(name: str, *, as_safetensors: bool, trained: Maker, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    architecture, rename, source = LAYOUTS[name]
    module = trained(architecture)
    state = {rename(key): tensor for key, tensor in module.state_dict().items()}
    path = tmp_path / ("m.safetensors" if as_safetensors else "m.pth")  # the former sorts its names
    save_file(state, path) if as_safetensors else torch.save(state, path)
    checkpoint = load(path)
    assert checkpoint.architecture == architecture
    assert source in checkpoint.source
    expected = module.state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in checkpoint.module.state_dict().items())
    assert {fact.basis for fact in checkpoint.facts} == {Basis.ASSUMED}, "names are usual, and prove nothing"


def test_a_network_of_other_strides_is_refused(trained: Maker, tmp_path: Path) -> None:
    """qinzheng93's shallow V1 has eight blocks, as has the V1 for CIFAR, and strides elsewhere."""
    state = trained(mobilenet_v1_cifar(0.25, 4)).state_dict()
    torch.save({qinzheng_v1(key): tensor for key, tensor in state.items()}, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match="not a MobileNet that edgekit knows"):
        load(tmp_path / "m.pth")


def test_textbook_v1_shares_its_names_with_tensorflow_s(trained: Maker, tmp_path: Path) -> None:
    """The same names with ReLU, symmetric padding and another epsilon: nothing of it is taken for granted."""
    torch.save(trained(mobilenet_v1(0.25, 4, **TORCH, activation="relu")).state_dict(), tmp_path / "m.pth")
    checkpoint = load(tmp_path / "m.pth")
    assert {fact.name: fact.basis for fact in checkpoint.facts} == dict.fromkeys(
        ("padding", "bn_eps", "activation", "resolution"), Basis.ASSUMED
    )
    given = load(tmp_path / "m.pth", padding="symmetric", bn_eps=1e-5, activation="relu")
    assert given.architecture == mobilenet_v1(0.25, 4, **TORCH, activation="relu")


def test_images_of_cifar_are_usually_normalized_by_its_own_mean(trained: Maker, tmp_path: Path) -> None:
    torch.save(trained(mobilenet_v1_cifar(0.25)).state_dict(), tmp_path / "m.pth")
    facts = {fact.name: fact for fact in load(tmp_path / "m.pth").facts}
    assert facts["normalization"].value["mean"] == [0.4914, 0.4822, 0.4465]
    assert facts["normalization"].is_assumed


def d_li14_v3(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's V3-Small as d-li14 writes it: all of a block in one Sequential, gates as linear layers."""
    renamed = {}
    for key, tensor in state.items():
        parts = key.split(".")
        if parts[0] == "features" and parts[1] == "12":
            renamed[f"conv.{'.'.join(parts[2:])}"] = tensor
        elif parts[0] == "features" and parts[1] != "0":
            block = f"features.{parts[1]}.block"
            expands = state[f"{block}.0.0.weight"].shape[2:] == (1, 1)
            gate = next((int(k.split(".")[3]) for k in state if k.startswith(f"{block}.") and ".fc1.weight" in k), None)
            child = int(parts[3])
            order = [0, 3, 5, 7] if expands else [0, 3, 4]
            if gate is None:
                order.remove(5 if expands else 3)
            place = order[child]
            if child == gate:
                leaf = {"fc1": "fc.0", "fc2": "fc.2"}[parts[4]]
                renamed[f"features.{parts[1]}.conv.{place}.{leaf}.{parts[5]}"] = (
                    tensor.flatten(1) if tensor.ndim == 4 else tensor
                )
            else:
                renamed[f"features.{parts[1]}.conv.{place + int(parts[4])}.{parts[5]}"] = tensor
        else:
            renamed[key] = tensor
    return renamed


def test_squeeze_and_excite_before_the_activation(trained: Maker, tmp_path: Path) -> None:
    architecture = mobilenet_v3_small(0.5, 4, bn_eps=1e-5, squeeze_first=True, resolution=64)
    module = trained(architecture)
    torch.save(d_li14_v3(dict(module.state_dict())), tmp_path / "m.pth")
    checkpoint = load(tmp_path / "m.pth", resolution=64)
    assert checkpoint.architecture == architecture
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(checkpoint.module(x), module(x))
        block, usual = module.features[4].block, trained(mobilenet_v3_small(0.5, 4)).features[4].block  # type: ignore[index,union-attr]
        assert isinstance(block[1][-1], torch.nn.BatchNorm2d)
        assert isinstance(usual[1][-1], torch.nn.Hardswish)


def nas(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for key, tensor in state.items():
        parts = key.split(".")
        if parts[0] == "classifier":
            renamed[f"head.5.{parts[-1]}"] = tensor
        elif parts[1] in {"0", "12"}:
            renamed[f"{'stem' if parts[1] == '0' else 'head'}.{'.'.join(parts[2:])}"] = tensor
        else:
            start, child = f"features.{int(parts[1]) - 1}", int(parts[3])
            gated = f"features.{parts[1]}.block.2.fc1.weight" in state
            if gated and child == 2:
                leaf = {"fc1": "fc.0", "fc2": "fc.2"}[parts[4]]
                renamed[f"{start}.5.{leaf}.{parts[5]}"] = tensor.flatten(1) if tensor.ndim == 4 else tensor
            else:
                place = {0: 0, 1: 3}.get(child, 7)
                renamed[f"{start}.{place + int(parts[4])}.{parts[5]}"] = tensor
    return renamed


def test_a_searched_network(trained: Maker, tmp_path: Path) -> None:
    architecture = mobilenet_v3_nas(0.25, 4, resolution=64)
    module = trained(architecture)
    torch.save(nas(dict(module.state_dict())), tmp_path / "m.pth")
    checkpoint = load(tmp_path / "m.pth", resolution=64)
    assert checkpoint.architecture == architecture
    assert not checkpoint.architecture.residuals
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(checkpoint.module(x), module(x))


def test_kernels_of_another_search_are_refused(trained: Maker, tmp_path: Path) -> None:
    state = nas(dict(trained(mobilenet_v3_nas(0.25, 4)).state_dict()))
    state["features.1.3.weight"] = torch.zeros(len(state["features.1.3.weight"]), 1, 5, 5)
    torch.save(state, tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match="block 1 has a kernel of 5 x 5"):
        load(tmp_path / "m.pth")
