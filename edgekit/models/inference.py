"""Reads an architecture off the shapes of the weights. What shapes do not tell comes from the family's table."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointError, did_you_mean
from edgekit.models.architecture import FAMILIES, Architecture, Block, make_divisible
from edgekit.models.layouts.names import Wiring, block_names, classifier_names, first_few, head_names, stem_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from edgekit.models.architecture import Activation, Family, Options

_BLOCK_KEYS: dict[Wiring, re.Pattern[str]] = {
    "mobilenet_v1": re.compile(r"features\.(\d+)\.depthwise\."),
    "mobilenet_v2": re.compile(r"features\.(\d+)\.conv\."),
    "mobilenet_v3": re.compile(r"features\.(\d+)\.block\."),
}
_LINEAR = re.compile(r"classifier\.\d+\.weight$")
_MINIMAL_KERNEL = 3  # of the minimalistic V3, in pixels
_BACKGROUND_CLASSES = 1001  # ImageNet in TensorFlow: class 0 is the background

# Those that were published come first, so that of several that give the same channels the likeliest is named.
_WIDTHS = (1.0, 0.75, 0.5, 0.25, 0.35, 1.4, 1.3, 1.25, 1.5, 2.0, *(step / 100 for step in range(5, 401)))


@dataclass(frozen=True, slots=True)
class Guess:
    """An architecture, and what was guessed about it, for people."""

    architecture: Architecture
    notes: tuple[str, ...]


def architecture_of(weights: Mapping[str, Tensor], family: str | None, options: Options) -> Guess:
    """The architecture of a network with edgekit's names.

    Args:
        weights: by edgekit's names.
        family: the family if it is known, else None.
        options: what shapes do not tell; the family's usual values where it has none.

    Raises:
        CheckpointError: a weight is missing or has too few axes, or the number of blocks fits no family.
    """
    wiring, count = _wiring(weights)
    chosen, notes = _family(wiring, count, family)
    table = FAMILIES[chosen](**options)
    *hidden, classifier = classifier_names(wiring, sum(bool(_LINEAR.match(key)) for key in weights) - 1)
    head = head_names(wiring, count)
    stem_channels, in_channels, *_ = _shape(weights, f"{stem_names(wiring)[0]}.weight", 4)
    blocks = _blocks(weights, wiring, table)
    _check_kernels(blocks, table)
    activation: Activation = table.activation
    minimal = wiring == "mobilenet_v3" and all(b.kernel == _MINIMAL_KERNEL and not b.squeeze for b in blocks)
    if minimal and "activation" not in options:
        activation = "relu"
        blocks = tuple(replace(block, activation=activation) for block in blocks)
        notes.append("ReLU everywhere: the minimalistic V3, as all kernels are 3 and nothing squeezes")
    found = replace(
        table,
        width=None,
        num_classes=_shape(weights, f"{classifier}.weight", 2)[0],
        in_channels=in_channels,
        stem_channels=stem_channels,
        activation=activation,
        blocks=blocks,
        head_channels=_shape(weights, f"{head[0]}.weight", 4)[0] if head else 0,
        hidden_channels=tuple(_shape(weights, f"{name}.weight", 2)[0] for name in hidden),
    )
    _check_chain(found)
    width = _width(found)
    notes.append(
        "channels taken from the weights as they are: they belong to no width multiplier (a pruned network)"
        if width is None
        else f"width {width}: found from the channels"
    )
    if found.num_classes == _BACKGROUND_CLASSES:
        notes.append("1001 classes: the first is probably TensorFlow's background class")
    return Guess(replace(found, width=width), tuple(notes))


def _wiring(weights: Mapping[str, Tensor]) -> tuple[Wiring, int]:
    """The wiring and the number of blocks."""
    for wiring, pattern in _BLOCK_KEYS.items():
        indices = {int(match[1]) for key in weights if (match := pattern.match(key))}
        if indices:
            return wiring, len(indices)
    raise CheckpointError(f"no MobileNet block among the weights ({first_few(weights)})")


def _family(wiring: Wiring, count: int, wanted: str | None) -> tuple[Family, list[str]]:
    """The family, and a note if it was guessed."""
    if wanted is not None and wanted not in FAMILIES:
        raise CheckpointError(f"unknown family {wanted!r}: {did_you_mean(wanted, FAMILIES)}")
    tables = [factory() for name, factory in FAMILIES.items() if name.startswith(wiring)]
    for table in tables:
        if len(table.blocks) == count and wanted in {None, table.family}:
            return table.family, [] if wanted else [f"{table.family}: the names of the weights, and {count} blocks"]
    known = " or ".join(f"{len(table.blocks)} ({table.family})" for table in tables)
    raise CheckpointError(
        f"the weights have {count} blocks wired as {wiring}, and edgekit knows {known}"
        + (f": they are no {wanted}" if wanted else ": load a network of one of these families")
    )


def _blocks(weights: Mapping[str, Tensor], wiring: Wiring, table: Architecture) -> tuple[Block, ...]:
    rows = []
    for index, row in enumerate(table.blocks):
        expands, squeezes = _has_expansion(weights, wiring, index), False
        if wiring == "mobilenet_v3":
            names = block_names(wiring, index, expands=expands, squeezes=True)
            squeezes = f"{names['squeeze'][0]}.weight" in weights
        names = block_names(wiring, index, expands=expands, squeezes=squeezes)
        expanded, _, kernel, _ = _shape(weights, f"{names['depthwise'][0]}.weight", 4)
        out = _shape(weights, f"{names['project'][0]}.weight", 4)[0]
        squeeze = _shape(weights, f"{names['squeeze'][0]}.weight", 4)[0] if squeezes else 0
        rows.append(Block(kernel, expanded, out, squeeze, row.activation, row.stride, expands))
    return tuple(rows)


def _has_expansion(weights: Mapping[str, Tensor], wiring: Wiring, index: int) -> bool:
    """Whether the block's first convolution is 1x1."""
    if wiring == "mobilenet_v1":
        return False
    first = block_names(wiring, index, expands=True, squeezes=False)["expand"][0]
    return _shape(weights, f"{first}.weight", 4)[2:] == (1, 1)


def _check_kernels(blocks: tuple[Block, ...], table: Architecture) -> None:
    """Kernels other than the family's tell that strides, which leave no trace in the weights, are others, too.

    The minimalistic V3 has 3x3 kernels everywhere and the usual strides.
    """
    if all(block.kernel == _MINIMAL_KERNEL for block in blocks):
        return
    for index, (block, row) in enumerate(zip(blocks, table.blocks, strict=True)):
        if block.kernel != row.kernel:
            raise CheckpointError(
                f"block {index} has a kernel of {block.kernel} x {block.kernel} pixels, and {table.family} has"
                f" {row.kernel} x {row.kernel} there: it is another network, whose strides cannot be known"
            )


def _check_chain(architecture: Architecture) -> None:
    """A depthwise convolution without an expansion before it takes the channels that the block gets."""
    before = architecture.stem_channels
    for index, block in enumerate(architecture.blocks):
        if not block.expands and block.expanded != before:
            raise CheckpointError(
                f"block {index} gets {before} channels, but its depthwise convolution has {block.expanded}:"
                " the checkpoint's parts do not belong together"
            )
        before = block.out


def _width(architecture: Architecture) -> float | None:
    """The width multiplier that gives these channels, or None."""
    factory = FAMILIES[architecture.family]
    base = factory()
    return next((width for width in _WIDTHS if _fits(architecture, base, factory(width), width)), None)


def _fits(found: Architecture, base: Architecture, scaled: Architecture, width: float) -> bool:
    """Whether ``found`` is ``base`` at ``width``, by any of the roundings in use.

    torchvision rounds everything; Keras and timm expand the rounded input, and below some width keep stem and head.
    """
    before = base_before = 0
    for row, base_row, scaled_row in zip(found.blocks, base.blocks, scaled.blocks, strict=True):
        expanded = {scaled_row.expanded}
        if row.expands and before:
            expanded.add(make_divisible(before * base_row.expanded / base_before))
        if not row.expands:
            expanded.add(row.expanded)  # equal to the channels before it, which are compared already
        squeeze = {0, make_divisible(row.expanded // 4)}
        if (
            row.out not in {scaled_row.out, make_divisible(base_row.out * width)}
            or row.expanded not in expanded
            or row.squeeze not in squeeze
        ):
            return False
        before, base_before = row.out, base_row.out
    return found.stem_channels in _scaled(base.stem_channels, width) | {
        scaled.stem_channels
    } and found.head_channels in _scaled(base.head_channels, width) | {scaled.head_channels, 6 * before}


def has_own_hidden(found: Architecture) -> bool:
    """Whether the first hidden linear layer is as wide as the family's at this width, so that it was not replaced."""
    pairs = zip(found.hidden_channels, FAMILIES[found.family]().hidden_channels, strict=False)
    return any(channels in _scaled(usual, found.width or 1.0) for channels, usual in pairs)


def check_blocks(weights: Mapping[str, Tensor], family: str | None) -> None:
    """Refuses a number of blocks that no family has.

    Raises:
        CheckpointError: it does.
    """
    _family(*_wiring(weights), family)


def body_channels(weights: Mapping[str, Tensor]) -> int:
    """How many channels the body gives to the classifier.

    Raises:
        CheckpointError: the last convolution is missing.
    """
    wiring, count = _wiring(weights)
    last = head_names(wiring, count)
    name = last[0] if last else block_names(wiring, count - 1, expands=False, squeezes=False)["project"][0]
    return _shape(weights, f"{name}.weight", 4)[0]


def image_channels(weights: Mapping[str, Tensor]) -> int:
    """How many channels the images have.

    Raises:
        CheckpointError: the first convolution is missing.
    """
    return _shape(weights, f"{stem_names(_wiring(weights)[0])[0]}.weight", 4)[1]


def without_biases(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights whose convolutions have no bias: batch normalization takes it off its running mean, which is the same."""
    wiring, count = _wiring(weights)
    pairs = [stem_names(wiring), *filter(None, [head_names(wiring, count)])]
    for index in range(count):
        for squeezes in (True, False) if wiring == "mobilenet_v3" else (False,):
            for expands in (True, False):
                pairs += block_names(wiring, index, expands=expands, squeezes=squeezes).values()  # type: ignore[arg-type]
    folded = dict(weights)
    for conv, norm in pairs:
        mean = f"{norm}.running_mean"
        if norm is not None and f"{conv}.bias" in folded and mean in folded and weights[f"{conv}.weight"].ndim == 4:
            folded[mean] = folded[mean] - folded.pop(f"{conv}.bias")
    return folded


def _scaled(channels: int, width: float) -> set[int]:
    """Channels that are always scaled, only upwards, or never."""
    return {channels, make_divisible(channels * width)} if channels else {0}


def _shape(weights: Mapping[str, Tensor], key: str, axes: int) -> tuple[int, ...]:
    if key not in weights:
        raise CheckpointError(f"weight {key!r} is missing: the checkpoint is incomplete or of another network")
    shape = tuple(weights[key].shape)
    if len(shape) != axes:
        raise CheckpointError(f"weight {key!r} has shape {list(shape)}, and {axes} axes are needed")
    return shape
