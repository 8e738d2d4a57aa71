"""Reads an architecture off the shapes of the weights. What shapes do not tell comes from the family's table."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from edgekit.errors import CheckpointError, did_you_mean
from edgekit.models.architecture import Architecture, Block, make_divisible
from edgekit.models.families import FAMILIES
from edgekit.models.names import first_few

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from edgekit.models.architecture import Options
    from edgekit.models.families import Family
    from edgekit.models.wiring import Names, Wiring

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
    table = chosen.make(**options)
    *hidden, classifier = wiring.classifier_names(sum(bool(_LINEAR.match(key)) for key in weights) - 1)
    last = wiring.last_names(count)
    stem_channels, in_channels, *_ = _shape(weights, f"{wiring.stem_names()[0]}.weight", 4)
    blocks = _blocks(weights, wiring, table)
    _check_kernels(blocks, table)
    found = replace(
        table,
        width=None,
        num_classes=_shape(weights, f"{classifier}.weight", 2)[0],
        in_channels=in_channels,
        stem_channels=stem_channels,
        blocks=blocks,
        head_channels=_shape(weights, f"{last[0]}.weight", 4)[0] if last else 0,
        hidden_channels=tuple(_shape(weights, f"{name}.weight", 2)[0] for name in hidden),
    )
    _check_chain(found)
    if (told := wiring.told_by(blocks)) is not None:
        usual, note = told
        if not usual.keys() <= options.keys():
            found = found.with_options(**cast("Options", {**usual, **options}))
            notes.append(note)
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
    for wiring in dict.fromkeys(family.wiring for family in FAMILIES.values()):
        indices = {int(match[1]) for key in weights if (match := wiring.block_key.match(key))}
        if indices:
            return wiring, len(indices)
    raise CheckpointError(f"no MobileNet block among the weights ({first_few(weights)})")


def _family(wiring: Wiring, count: int, wanted: str | None) -> tuple[Family, list[str]]:
    """The family, and a note if it was guessed."""
    if wanted is not None and wanted not in FAMILIES:
        raise CheckpointError(f"unknown family {wanted!r}: {did_you_mean(wanted, FAMILIES)}")
    blocks = {family.name: len(family.make().blocks) for family in FAMILIES.values() if family.wiring is wiring}
    for name, own in blocks.items():
        if own == count and wanted in {None, name}:
            return FAMILIES[name], [] if wanted else [f"{name}: the names of the weights, and {count} blocks"]
    known = " or ".join(f"{own} ({name})" for name, own in blocks.items())
    raise CheckpointError(
        f"the weights have {count} blocks wired as {wiring.name}, and edgekit knows {known}"
        + (f": they are no {wanted}" if wanted else ": load a network of one of these families")
    )


def _blocks(weights: Mapping[str, Tensor], wiring: Wiring, table: Architecture) -> tuple[Block, ...]:
    rows = []
    for index, row in enumerate(table.blocks):
        expands, squeezes = _has_expansion(weights, wiring, index), False
        if wiring.squeezes:
            names = wiring.block_names(index, expands=expands, squeezes=True)
            squeezes = f"{names['squeeze'][0]}.weight" in weights
        names = wiring.block_names(index, expands=expands, squeezes=squeezes)
        expanded, _, kernel, _ = _shape(weights, f"{names['depthwise'][0]}.weight", 4)
        out = _shape(weights, f"{names['project'][0]}.weight", 4)[0]
        squeeze = _shape(weights, f"{names['squeeze'][0]}.weight", 4)[0] if squeezes else 0
        rows.append(Block(kernel, expanded, out, squeeze, row.activation, row.stride, expands))
    return tuple(rows)


def _has_expansion(weights: Mapping[str, Tensor], wiring: Wiring, index: int) -> bool:
    """Whether the block's first convolution is 1x1."""
    if not wiring.expands:
        return False
    first = wiring.block_names(index, expands=True, squeezes=False)["expand"][0]
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
    factory = FAMILIES[architecture.family].make
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
    pairs = zip(found.hidden_channels, FAMILIES[found.family].make().hidden_channels, strict=False)
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
    last = wiring.last_names(count)
    name = last[0] if last else wiring.block_names(count - 1, expands=False, squeezes=False)["project"][0]
    return _shape(weights, f"{name}.weight", 4)[0]


def image_channels(weights: Mapping[str, Tensor]) -> int:
    """How many channels the images have.

    Raises:
        CheckpointError: the first convolution is missing.
    """
    return _shape(weights, f"{_wiring(weights)[0].stem_names()[0]}.weight", 4)[1]


def without_biases(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights whose convolutions have no bias: batch normalization takes it off its running mean, which is the same."""
    wiring, count = _wiring(weights)
    last = wiring.last_names(count)
    pairs: list[Names] = [wiring.stem_names(), *([last] if last else [])]
    for index in range(count):
        for squeezes in (True, False) if wiring.squeezes else (False,):
            for expands in (True, False):
                pairs += wiring.block_names(index, expands=expands, squeezes=squeezes).values()
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
