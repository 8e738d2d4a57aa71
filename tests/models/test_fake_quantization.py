"""Checkpoints of torch's own quantization-aware training are read as the float networks that were trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.ao import quantization as untyped

from edgekit.errors import CheckpointError
from edgekit.facts import Basis
from edgekit.models.checkpoint import load
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3 import mobilenet_v3_small

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.models.architecture import Architecture

    Maker = Callable[[Architecture], nn.Module]

# Torch takes all of this to be old, and people have such checkpoints.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
quantization: Any = untyped
SIZE = 32


def fused(module: nn.Module) -> nn.Module:
    """The network with fake quantization, convolutions fused with batch normalization and ReLU, as torchvision does."""
    module.train()
    for name, child in list(module.named_modules()):
        if not isinstance(child, nn.Sequential):
            continue
        layers = dict(child.named_children())
        for place, layer in layers.items():
            if not isinstance(layer, nn.Conv2d) or not place.isdigit():
                continue
            names = [place, str(int(place) + 1)]
            behind = str(int(place) + 2)
            names += [behind] if isinstance(layers.get(behind), nn.ReLU) else []
            quantization.fuse_modules_qat(module, [f"{name}.{one}" for one in names], inplace=True)
    module.qconfig = quantization.get_default_qat_qconfig("qnnpack")
    prepared: nn.Module = quantization.prepare_qat(module)
    with torch.no_grad():
        prepared(torch.randn(4, 3, SIZE, SIZE))
    return prepared.eval()


def logits(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Of the float network inside."""
    module.apply(quantization.disable_fake_quant)
    module.apply(quantization.disable_observer)
    with torch.no_grad():
        y: torch.Tensor = module(x)
    return y


@pytest.mark.parametrize("as_safetensors", [False, True])
def test_a_fused_v2(*, as_safetensors: bool, trained: Maker, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    module = fused(trained(mobilenet_v2(0.35, 4, activation="relu", resolution=SIZE)))
    path = tmp_path / ("m.safetensors" if as_safetensors else "m.pth")
    save_file(module.state_dict(), path) if as_safetensors else torch.save(module.state_dict(), path)
    checkpoint = load(path, resolution=SIZE)
    assert checkpoint.architecture == mobilenet_v2(0.35, 4, activation="relu", resolution=SIZE)
    (activation,) = (fact for fact in checkpoint.facts if fact.name == "activation")
    assert (activation.basis, activation.because) == (Basis.STATED, "layers fused for quantization-aware training")
    assert any("tensors of quantization-aware training" in note for note in checkpoint.notes)
    x = torch.randn(2, 3, SIZE, SIZE)
    torch.testing.assert_close(checkpoint.module(x), logits(module, x), rtol=1e-4, atol=1e-5)


def test_an_activation_that_is_observed_by_itself_is_not_relu(trained: Maker, tmp_path: Path) -> None:
    module = fused(trained(mobilenet_v3_small(0.35, 4, resolution=SIZE)))
    torch.save(module.state_dict(), tmp_path / "m.pth")
    checkpoint = load(tmp_path / "m.pth", resolution=SIZE)
    assert checkpoint.architecture == mobilenet_v3_small(0.35, 4, resolution=SIZE)
    x = torch.randn(2, 3, SIZE, SIZE)
    torch.testing.assert_close(checkpoint.module(x), logits(module, x), rtol=1e-4, atol=1e-5)


def test_a_converted_network_is_refused(trained: Maker, tmp_path: Path) -> None:
    converted = quantization.convert(fused(trained(mobilenet_v2(0.35, 4, activation="relu", resolution=SIZE))))
    torch.save(converted.state_dict(), tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=r"quantized already.*give the float checkpoint that it was made from"):
        load(tmp_path / "m.pth")
