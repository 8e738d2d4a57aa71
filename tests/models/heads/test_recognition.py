"""Replaced classifiers, each against the same layers computed by torch; and those whose function nothing tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from edgekit.errors import CheckpointError
from edgekit.facts import Basis
from edgekit.models.checkpoint import load, save
from edgekit.models.families.mobilenet_v2 import mobilenet_v2
from edgekit.models.families.mobilenet_v3_digits import mobilenet_v3_digits
from edgekit.models.heads import recognition

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from edgekit.models.architecture import Architecture

    Maker = Callable[[Architecture], nn.Module]

CHANNELS = 1280
NAMES = ("fc", "model.head")  # what a classifier may be called besides
V2 = mobilenet_v2(0.1, 4, resolution=32)


def norm(channels: int) -> nn.BatchNorm1d:
    layer = nn.BatchNorm1d(channels)
    for name, tensor in layer.state_dict().items():
        if name != "num_batches_tracked":
            tensor.uniform_(0.5, 1.5)
    return layer


def linear(before: int, after: int, *, bias: bool = True) -> nn.Linear:
    return nn.Linear(before, after, bias=bias)


HEADS: dict[str, tuple[Callable[[], nn.Module], str | None]] = {
    "bare": (lambda: linear(CHANNELS, 4), None),
    "without bias": (lambda: linear(CHANNELS, 4, bias=False), None),
    "in a Sequential": (lambda: nn.Sequential(nn.Dropout(), nn.Sequential(nn.Flatten(), linear(CHANNELS, 4))), None),
    "two layers": (lambda: nn.Sequential(linear(CHANNELS, 64), nn.ReLU(), nn.Dropout(), linear(64, 4)), "relu"),
    "three layers": (
        lambda: nn.Sequential(linear(CHANNELS, 64), nn.ReLU(), linear(64, 64), nn.ReLU(), linear(64, 4)),
        "relu",
    ),
    "normalized before the activation": (
        lambda: nn.Sequential(nn.Dropout(), linear(CHANNELS, 64), norm(64), nn.ReLU(), linear(64, 4)),
        "relu",
    ),
    "normalized behind the activation": (
        lambda: nn.Sequential(linear(CHANNELS, 64), nn.ReLU(), norm(64), nn.Dropout(), linear(64, 4)),
        "relu",
    ),
    "normalized first": (lambda: nn.Sequential(norm(CHANNELS), nn.Dropout(), linear(CHANNELS, 4)), None),
    "normalized thrice": (
        lambda: nn.Sequential(
            norm(CHANNELS),
            linear(CHANNELS, 64),
            nn.ReLU(),
            norm(64),
            linear(64, 64),
            nn.ReLU(),
            norm(64),
            linear(64, 4),
        ),
        "relu",
    ),
    "nothing in between": (lambda: nn.Sequential(linear(CHANNELS, 64), norm(64), linear(64, 4)), None),
    "layers without a function": (lambda: nn.Sequential(linear(CHANNELS, 64), nn.Dropout(), linear(64, 4)), "none"),
    "hard-swish": (lambda: nn.Sequential(linear(CHANNELS, 64), nn.Hardswish(), linear(64, 4)), "hard_swish"),
    "1x1 convolution": (lambda: nn.Sequential(nn.Conv2d(CHANNELS, 4, 1), nn.Flatten()), None),
}


def with_head(body: nn.Module, head: nn.Module, name: str) -> dict[str, Tensor]:
    state = {key: tensor for key, tensor in body.state_dict().items() if key.startswith("features.")}
    return state | {f"{name}.{key}": tensor for key, tensor in head.state_dict().items()}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((kind, "classifier") for kind in HEADS),
        *((kind, name) for kind in ("bare", "normalized thrice") for name in NAMES),
    ],
)
def test_replaced_heads_compute_what_they_did(kind: str, name: str, trained: Maker, tmp_path: Path) -> None:
    body = trained(V2)
    make, activation = HEADS[kind]
    head = make().eval()
    torch.save(with_head(body, head, name), tmp_path / "m.pth")
    given: dict[str, Any] = {} if activation in {None, "relu"} else {"head_activation": activation}
    checkpoint = load(tmp_path / "m.pth", resolution=32, **given)
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        pooled = body.features(x).mean((2, 3))  # type: ignore[operator]
        expected = head(pooled[:, :, None, None] if kind == "1x1 convolution" else pooled)
        torch.testing.assert_close(checkpoint.module(x), expected, rtol=1e-4, atol=1e-4)
    facts = {fact.name: fact for fact in checkpoint.facts}
    if activation is None:
        assert "head_activation" not in facts
    else:
        fact = facts["head_activation"]
        assert (fact.value, fact.basis) == (activation, Basis.GIVEN if given else Basis.ASSUMED)
        assert "head_activation" in fact.setting
    save(tmp_path / "m.safetensors", checkpoint.module, checkpoint.architecture)
    assert load(tmp_path / "m.safetensors").architecture == checkpoint.architecture


def test_layers_with_names_come_in_the_order_that_shapes_say(trained: Maker, tmp_path: Path) -> None:
    body, first, second = trained(V2), linear(CHANNELS, 32), linear(32, 4)
    state = with_head(body, second, "a_classifier") | with_head(body, first, "embedding")
    torch.save(state, tmp_path / "m.pth")
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = second(torch.relu(first(body.features(x).mean((2, 3)))))  # type: ignore[operator]
        torch.testing.assert_close(load(tmp_path / "m.pth", resolution=32).module(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("hidden", "basis"),
    [(128, Basis.STATED), (64, Basis.ASSUMED), (576, Basis.ASSUMED)],
)
def test_a_v3_head_is_its_own_only_at_its_own_width(hidden: int, basis: Basis, trained: Maker, tmp_path: Path) -> None:
    body = trained(mobilenet_v3_digits())
    head = nn.Sequential(linear(336, hidden), nn.ReLU(), nn.Dropout(), linear(hidden, 2))
    torch.save(with_head(body, head, "classifier"), tmp_path / "m.pth")
    facts = {fact.name: fact for fact in load(tmp_path / "m.pth").facts}
    assert facts["head_activation"].basis is basis


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (nn.Sequential(linear(2 * CHANNELS, 8), nn.ReLU(), linear(8, 4)), "average and maximum pooling side by side"),
        (nn.Sequential(linear(49 * CHANNELS, 4)), "7 x 7 times as many, as from features that are not pooled"),
        (nn.Sequential(linear(CHANNELS, 64), nn.LayerNorm(64), linear(64, 4)), r"nothing tells what head\.1\.weight"),
        (nn.Sequential(linear(CHANNELS, 64), nn.PReLU(), linear(64, 4)), r"nothing tells what head\.1\.weight does"),
        (nn.Sequential(linear(CHANNELS, 4), norm(4)), "batch normalization head.1 has 4 channels"),
        (nn.ModuleDict({"fc": linear(CHANNELS, 4), "rotation": linear(CHANNELS, 4)}), "which are several heads"),
        (nn.ModuleDict({"fc": linear(CHANNELS, 8), "far": linear(9, 4)}), "make no single chain"),
        (nn.Sequential(nn.ReLU()), "without a classifier"),
    ],
)
def test_heads_that_nothing_tells_are_refused(head: nn.Module, message: str, trained: Maker, tmp_path: Path) -> None:
    torch.save(with_head(trained(V2), head, "head"), tmp_path / "m.pth")
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "m.pth")


def test_an_order_that_shapes_leave_open_is_refused() -> None:
    rest = {name: torch.zeros(8, 8) for name in ("x.weight", "a.weight")} | {"b.weight": torch.zeros(2, 8)}
    with pytest.raises(CheckpointError, match="no single chain"):
        recognition.find({"z.weight": torch.zeros(8, 8), "y.bias": torch.zeros(3), **rest}, 8, 1e-5)


@pytest.mark.parametrize("given", [{}, {"head_activation": "none"}])
def test_layers_behind_a_v3_s_own_leave_that_its_function(given: Any, trained: Maker, tmp_path: Path) -> None:
    """classifier[3] replaced by a Sequential: the first layer keeps its hard-swish."""
    body = trained(mobilenet_v3_digits())
    last = nn.Sequential(linear(128, 32), nn.Identity() if given else nn.ReLU(), nn.Dropout(), linear(32, 3)).eval()
    head = nn.Sequential(linear(336, 128), nn.Hardswish(), nn.Dropout(), last).eval()
    torch.save(with_head(body, head, "classifier"), tmp_path / "m.pth")
    checkpoint = load(tmp_path / "m.pth", **given)
    assert checkpoint.architecture.keeps_hidden
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = head(body.features(x).mean((2, 3)))  # type: ignore[operator]
        torch.testing.assert_close(checkpoint.module(x), expected, rtol=1e-4, atol=1e-5)
    facts = {fact.name: fact for fact in checkpoint.facts}
    assert facts["head_activation"].basis is (Basis.GIVEN if given else Basis.ASSUMED)
    save(tmp_path / "m.safetensors", checkpoint.module, checkpoint.architecture)
    assert load(tmp_path / "m.safetensors").architecture == checkpoint.architecture
