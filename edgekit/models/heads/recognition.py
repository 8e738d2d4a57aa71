"""From what is left behind a network's body to its classifier: linear layers, in the order in which they act.

Names of replaced heads are anybody's, so shapes decide: the first layer takes the body's channels, each other one what
the layer before it gives. Batch normalization in between is folded into them, exactly. The function between two layers
has no weights, so nothing tells it: it is an assumption unless the layout or the user says it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from edgekit.errors import CheckpointError
from edgekit.models import strays
from edgekit.models.names import WAY_BY_ONNX, first_few, natural
from edgekit.models.sums import sum_of_products

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

_NORM = {"weight", "bias", "running_mean", "running_var"}
_MAX_LAYERS = 8  # of a head; what has more is no classifier


@dataclass(frozen=True, slots=True, eq=False)  # tensors have no single truth value
class Layer:
    """A linear layer: weight [O, I], bias [O], and the module that it was."""

    module: str
    weight: Tensor = field(repr=False)
    bias: Tensor = field(repr=False)


@dataclass(frozen=True, slots=True)
class Head:
    """A classifier.

    Attributes:
        layers: in the order in which they act; the last gives the logits.
        left_aside: names that are no part of the network.
        notes: what was done on the way, for people.
    """

    layers: tuple[Layer, ...]
    left_aside: tuple[str, ...]
    notes: tuple[str, ...]


def find(rest: Mapping[str, Tensor], channels: int, bn_eps: float) -> Head:
    """The classifier among the weights that are no part of the body.

    Args:
        rest: by the file's names.
        channels: that the body gives.
        bn_eps: of batch normalization between linear layers, which torch's is unless somebody changes it.

    Raises:
        CheckpointError: there is none, or several, or something whose place or function nothing tells.
    """
    rest = {key: tensor for key, tensor in rest.items() if not key.endswith("num_batches_tracked")}
    left_aside = [key for key in rest if strays.is_named(key)]
    modules: dict[str, dict[str, Tensor]] = {}
    for key, tensor in rest.items():
        if key not in left_aside:
            module, _, leaf = key.rpartition(".")
            modules.setdefault(module, {})[leaf] = tensor
    linears = {name: roles for name, roles in modules.items() if _is_linear(roles)}
    norms = {name: roles for name, roles in modules.items() if set(roles) >= _NORM and roles["weight"].ndim == 1}
    chain = _chain({name: _matrix(roles["weight"]) for name, roles in linears.items()}, channels)
    widths = {channels, *(len(linears[name]["weight"]) for name in chain[:-1])}
    unknown: list[str] = []
    for name, roles in modules.items():
        if name not in linears and name not in norms:
            for leaf, tensor in roles.items():
                key = f"{name}.{leaf}" if name else leaf
                (unknown if strays.acts_on_images(tensor, widths) or _is_beside(name, chain) else left_aside).append(
                    key
                )
    if unknown:
        raise CheckpointError(
            f"nothing tells what {first_few(unknown)} {'does' if len(unknown) == 1 else 'do'} behind the body: where"
            " that is training's, save the state_dict without; where it is part of the network, bring that as ONNX:"
            f" {WAY_BY_ONNX}"
        )
    layers = [_layer(name, linears[name]) for name in chain]
    notes = [f"{layer.module} has no bias" for layer in layers if "bias" not in linears[layer.module]]
    layers = _without_norms(layers, norms, list(rest), bn_eps, notes)
    layers = _merged(layers, list(modules), notes)
    return Head(tuple(layers), tuple(left_aside), tuple(notes))


def _is_linear(roles: Mapping[str, Tensor]) -> bool:
    weight = roles.get("weight")
    if weight is None or not set(roles) <= {"weight", "bias"}:
        return False
    return weight.ndim == 2 or (weight.ndim == 4 and tuple(weight.shape[2:]) == (1, 1))


def _matrix(weight: Tensor) -> Tensor:
    return weight.flatten(1)


def _layer(name: str, roles: Mapping[str, Tensor]) -> Layer:
    weight = _matrix(roles["weight"])
    bias = roles["bias"] if "bias" in roles else torch.zeros(len(weight), dtype=weight.dtype)
    return Layer(name, weight, bias)


def _chain(matrices: Mapping[str, Tensor], channels: int) -> list[str]:
    """The layers in the order in which they act.

    Raises:
        CheckpointError: no order of all of them fits, or several do and names do not tell which.
    """
    if not matrices:
        raise CheckpointError(
            "a body without a classifier: no linear layer is behind it. Give the whole state_dict() of the trained"
            " classifier"
        )
    names = sorted(matrices, key=natural)
    orders = [names] if _fits(names, matrices, channels) else list(_orders(names, matrices, channels, []))
    if len(orders) == 1:
        return orders[0]
    shapes = ", ".join(f"{name} {list(matrices[name].shape)}" for name in names[:4])
    shapes += ", ..." if len(names) > 4 else ""
    raise CheckpointError(
        f"the linear layers behind the body ({shapes}) make no single chain from its {channels} channels to the classes"
        f"{_why(matrices, channels)}. Save the state_dict with one classifier, or bring the whole network as ONNX:"
        f" {WAY_BY_ONNX}"
    )


def _fits(order: Sequence[str], matrices: Mapping[str, Tensor], channels: int) -> bool:
    for name in order:
        if matrices[name].shape[1] != channels:
            return False
        channels = matrices[name].shape[0]
    return True


def _orders(left: list[str], matrices: Mapping[str, Tensor], channels: int, done: list[str]) -> Iterator[list[str]]:
    if not left:
        yield done
    if len(left) > _MAX_LAYERS:
        return
    for name in left:
        if matrices[name].shape[1] == channels:
            others = [other for other in left if other != name]
            yield from _orders(others, matrices, matrices[name].shape[0], [*done, name])


def _why(matrices: Mapping[str, Tensor], channels: int) -> str:
    """What the shapes of layers that do not fit point at."""
    inputs = [matrix.shape[1] for matrix in matrices.values()]
    starts = sum(width == channels for width in inputs)
    if starts > 1:
        return f": {starts} of them start there, which are several heads"
    for width in inputs if not starts else ():
        if width == 2 * channels:
            return f": {width} are taken, twice as many, as from average and maximum pooling side by side"
        if width % channels == 0 and (side := round((width / channels) ** 0.5)) ** 2 * channels == width:
            return f": {width} are taken, {side} x {side} times as many, as from features that are not pooled"
    return ""


def _is_beside(module: str, chain: Sequence[str]) -> bool:
    """Whether a module lies in the same Sequential as a linear layer."""
    parent = module.rpartition(".")[0]
    return bool(parent) and any(name.rpartition(".")[0] == parent for name in chain)


def _index(name: str) -> tuple[str, int] | None:
    parent, _, last = name.rpartition(".")
    return (parent, int(last)) if last.isdigit() else None


def _without_norms(
    layers: list[Layer], norms: Mapping[str, Mapping[str, Tensor]], keys: list[str], bn_eps: float, notes: list[str]
) -> list[Layer]:
    """The layers with each batch normalization folded into that before it or, behind an activation, into the next.

    Raises:
        CheckpointError: one stands where no layer has its channels, or behind the last.
    """
    order = {module: index for index, module in enumerate(dict.fromkeys(key.rpartition(".")[0] for key in keys))}
    for name in sorted(norms, key=natural):
        at = _place(name, norms[name], layers, order)
        roles = {role: tensor.float() for role, tensor in norms[name].items() if role in _NORM}
        scale = (roles["weight"].double() * (roles["running_var"].double() + bn_eps).rsqrt()).float()
        shift = roles["bias"] - roles["running_mean"] * scale
        before = layers[at - 1] if at else None
        gap = _gap(before.module, name) if before is not None else None
        if before is not None and (gap is None or gap == 1):
            weight, bias = before.weight * scale[:, None], before.bias * scale + shift
            layers[at - 1] = replace(before, weight=weight, bias=bias)
            where = f"between {before.module} and its activation"
        else:
            after = layers[at]
            bias = (after.bias + sum_of_products(after.weight.mT, shift)).float()
            layers[at] = replace(after, weight=after.weight * scale, bias=bias)
            where = f"right before {after.module}"
        notes.append(f"batch normalization {name} folded into the classifier, {where}")
    return layers


def _place(name: str, roles: Mapping[str, Tensor], layers: Sequence[Layer], order: Mapping[str, int]) -> int:
    """Before which layer a batch normalization stands, by its index, else by the file's order; it has to fit."""
    channels = len(roles["weight"])
    fitting = [index for index, layer in enumerate(layers) if layer.weight.shape[1] == channels]
    gaps = [_gap(name, layer.module) for layer in layers]
    if all(gap is not None for gap in gaps):
        fitting = [index for index in fitting if (gaps[index] or 0) > 0]
    elif len(fitting) > 1:
        later = [index for index in fitting if order[layers[index].module] > order[name]]
        fitting = later or fitting
    if not fitting:
        raise CheckpointError(
            f"batch normalization {name} has {channels} channels, and no linear layer behind it takes so many. The"
            f" whole network can come as ONNX: {WAY_BY_ONNX}"
        )
    return fitting[0]


def _gap(before: str, after: str) -> int | None:
    """How many places ``after`` stands behind ``before`` in their Sequential; None where they are not in one."""
    first, second = _index(before), _index(after)
    if first is None or second is None or first[0] != second[0]:
        return None
    return second[1] - first[1]


def _merged(layers: list[Layer], modules: Sequence[str], notes: list[str]) -> list[Layer]:
    """The layers with those made one that follow each other directly: no function can be between them."""
    merged = [layers[0]]
    for layer in layers[1:]:
        before = merged[-1]
        gap = _gap(before.module, layer.module)
        own = [name for name in modules if 0 < (_gap(before.module, name) or 0) < (gap or 0)]
        if gap is not None and gap - len(own) == 1:
            notes.append(f"{before.module} and {layer.module} follow each other directly, and are made one")
            weight = sum_of_products(layer.weight.mT[:, :, None], before.weight[:, None, :])
            bias = layer.bias + sum_of_products(layer.weight.mT, before.bias)
            merged[-1] = Layer(layer.module, weight.float(), bias.float())
        else:
            merged.append(layer)
    return merged
