"""Names of weights: what a checkpoint's names become, and words about them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from edgekit.models.architecture import Options

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch import Tensor

    from edgekit.models.wiring import Wiring

NOT_OURS = "none of edgekit's families"
OWN_CODE = "--model MODULE:FACTORY --weights FILE"
WAY_BY_ONNX = "torch.onnx.export(model.eval(), image, 'model.onnx'), then edgekit export model.onnx"


@dataclass(frozen=True, slots=True, eq=False)  # tensors have no single truth value
class Renamed:
    """A checkpoint's body under edgekit's names, and what its layout says about the rest.

    Attributes:
        source: the layout, for people ("timm state dict").
        wiring: of edgekit's networks that have these parts.
        weights: of the body, by edgekit's names, with PyTorch's axes.
        rest: everything else, by the file's names: the classifier, and what training left there.
        usual: what leaves no trace in weights, as networks of this layout usually have it.
        stated: the same, as only networks of this layout can have it.
        scopes: how names inside of the body begin.
        own_hidden: the module of ``rest`` that is the layout's own hidden layer, where it has one.
        own_norm: the batch normalization behind that layer, which is as in the body.
        named_hidden: the name of that layer is no other layer's.
        family: that only this layout has.
        normalization: mean and std of 0..1 pixels that such networks usually have, where it is not ImageNet's.
        notes: what was guessed, and why.
    """

    source: str
    wiring: Wiring
    weights: Mapping[str, Tensor] = field(repr=False)
    rest: Mapping[str, Tensor] = field(repr=False)
    usual: Options
    stated: Options = field(default_factory=Options)
    scopes: tuple[str, ...] = ()
    own_hidden: str | None = None
    own_norm: str | None = None
    named_hidden: bool = False
    family: str | None = None
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    notes: tuple[str, ...] = ()


class Layout(Protocol):
    """One way of naming weights."""

    def roots(self, weights: Mapping[str, Tensor]) -> list[str]:
        """What stands before the names of each network of this layout: "" or "model.features."."""

    def rename(self, weights: Mapping[str, Tensor], root: str, file_name: str) -> Renamed:
        """The network at ``root`` under edgekit's names. The names of folder and file may tell what keys do not."""


_TOOLS = {"total_ops", "total_params"}  # what thop counts, in every module


def first_few(names: Collection[str]) -> str:
    """The first four names, for a message.

    >>> first_few(["a", "b", "c", "d", "e"])
    'a, b, c, d, ...'
    """
    first, rest = list(names)[:4], list(names)[4:]
    return ", ".join(first) + (", ..." if rest else "")


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts numbers inside names by their value.

    >>> sorted(["b.10", "b.9", "a"], key=natural)
    ['a', 'b.9', 'b.10']
    """
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name))


def roots_of(key: str, weights: Mapping[str, Tensor]) -> list[str]:
    """What stands before ``key`` wherever a weight's name ends with it, the shortest first.

    >>> roots_of("0.weight", {"0.weight": ..., "a.0.weight": ..., "a.10.weight": ...})
    ['', 'a.']
    """
    found = [name.removesuffix(key) for name in weights if name.endswith(key)]
    return sorted((root for root in found if root == "" or root.endswith(".")), key=len)


def split(weights: Mapping[str, Tensor], modules: Mapping[str, str]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of the named modules, renamed, and all others under their own names."""
    renamed, rest = {}, {}
    for key, tensor in weights.items():
        module, _, leaf = key.rpartition(".")
        if module in modules and leaf not in _TOOLS:
            renamed[f"{modules[module]}.{leaf}"] = tensor
        else:
            rest[key] = tensor
    return renamed, rest


def scopes(modules: Collection[str], container: str) -> tuple[str, ...]:
    """How names begin that lie inside of a body: in the block's container, in a block, or in a convolution."""
    inside = {module.rpartition(".")[0] for module in modules if module.count(".") > 1} | set(modules)
    return (*((container,) if container else ()), *(f"{module}." for module in sorted(inside)))
