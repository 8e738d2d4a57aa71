"""The names that ``edgekit.models.network`` gives to its convolutions, by what they do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch import Tensor

    from edgekit.models.architecture import PaddingStyle

Wiring = Literal["mobilenet_v1", "mobilenet_v2", "mobilenet_v3"]
Part = Literal["expand", "depthwise", "squeeze", "excite", "project"]


@dataclass(frozen=True, slots=True, eq=False)  # tensors have no single truth value
class Renamed:
    """A checkpoint under edgekit's names, and what its layout says about the rest.

    Attributes:
        source: the layout, for people ("timm state dict").
        weights: by edgekit's names, with PyTorch's axes.
        padding: that networks of this layout are trained with.
        bn_eps: that networks of this layout are trained with.
        notes: what was guessed, and why.
    """

    source: str
    weights: Mapping[str, Tensor] = field(repr=False)
    padding: PaddingStyle
    bn_eps: float
    notes: tuple[str, ...] = ()


def block_names(wiring: Wiring, index: int, *, expands: bool, squeezes: bool) -> dict[Part, tuple[str, str | None]]:
    """Module names of block ``index`` (from 0): each part's convolution and, where it has one, batch normalization."""
    if wiring == "mobilenet_v1":
        block = f"features.{index}"
        return {
            "depthwise": (f"{block}.depthwise", f"{block}.bn1"),
            "project": (f"{block}.pointwise", f"{block}.bn2"),
        }
    block = f"features.{index + 1}.{'conv' if wiring == 'mobilenet_v2' else 'block'}"
    names: dict[Part, tuple[str, str | None]] = {}
    child = 0
    if expands:
        names["expand"] = (f"{block}.0.0", f"{block}.0.1")
        child = 1
    names["depthwise"] = (f"{block}.{child}.0", f"{block}.{child}.1")
    child += 1
    if wiring == "mobilenet_v2":
        names["project"] = (f"{block}.{child}", f"{block}.{child + 1}")
        return names
    if squeezes:
        names["squeeze"] = (f"{block}.{child}.fc1", None)
        names["excite"] = (f"{block}.{child}.fc2", None)
        child += 1
    names["project"] = (f"{block}.{child}.0", f"{block}.{child}.1")
    return names


def stem_names(wiring: Wiring) -> tuple[str, str]:
    """Module names of the first convolution and its batch normalization."""
    stem = "conv1" if wiring == "mobilenet_v1" else "features.0"
    return f"{stem}.0", f"{stem}.1"


def head_names(wiring: Wiring, blocks: int) -> tuple[str, str] | None:
    """Module names of the last 1x1 convolution and its batch normalization; V1 has none."""
    return None if wiring == "mobilenet_v1" else (f"features.{blocks + 1}.0", f"features.{blocks + 1}.1")


def classifier_names(wiring: Wiring, *, has_hidden: bool) -> tuple[str | None, str]:
    """Module names of the hidden linear layer, where there is one, and of the last."""
    if has_hidden:
        return "classifier.0", "classifier.3"
    return None, "classifier.3" if wiring == "mobilenet_v1" else "classifier.1"


def first_few(names: Collection[str]) -> str:
    """The first four names, for a message.

    >>> first_few(["a", "b", "c", "d", "e"])
    'a, b, c, d, ...'
    """
    first, rest = list(names)[:4], list(names)[4:]
    return ", ".join(first) + (", ..." if rest else "")


def rename_modules(weights: Mapping[str, Tensor], modules: Mapping[str, str]) -> dict[str, Tensor]:
    """The weights with each module renamed; those of a module that is not mentioned keep their names."""
    renamed = {}
    for key, tensor in weights.items():
        module, _, leaf = key.rpartition(".")
        renamed[f"{modules.get(module, module)}.{leaf}" if module else key] = tensor
    return renamed
