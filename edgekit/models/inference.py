"""Reads an architecture off the shapes of the weights. What shapes do not tell comes from the family's table."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from edgekit.errors import CheckpointError, did_you_mean
from edgekit.models.architecture import Architecture, Block, Kind, make_divisible
from edgekit.models.families import FAMILIES
from edgekit.models.names import first_few
from edgekit.models.naming import fits

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch import Tensor

    from edgekit.models.architecture import Options, Part
    from edgekit.models.families import Family
    from edgekit.models.wiring import Names, Wiring

_LINEAR = re.compile(r"classifier\.\d+\.weight$")
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
        weights: by edgekit's names; without a classifier, the architecture is that of the body.
        family: the family if it is known, else None.
        options: what shapes do not tell; the family's usual values where it has none.

    Raises:
        CheckpointError: a weight is missing or has too few axes, or the number of blocks fits no family.
    """
    wiring, count = _wiring(weights)
    candidates = _families(wiring, count, family)
    read = [(one, _read(weights, wiring, one.make(**options))) for one in candidates]
    alike = [(one, found) for one, found in read if _has_kernels(wiring, found.blocks, one)]
    if not alike:
        raise _of_other_kernels(read[0][1])
    chosen, found = min(alike, key=lambda pair: _rank(_width(pair[1])))
    _check_chain(found)
    notes = [] if family else [f"{chosen.name}: the names of the weights, and {count} blocks"]
    if (told := wiring.told_by(found.blocks)) is not None:
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


def _read(weights: Mapping[str, Tensor], wiring: Wiring, table: Architecture) -> Architecture:
    """The architecture with the channels of weights, and with what those do not tell as in a family's table."""
    count = len(table.blocks)
    linears = sum(bool(_LINEAR.match(key)) for key in weights)
    names = wiring.classifier_names(linears - 1) if linears else []
    last = wiring.last_names(count)
    stem_channels, in_channels, *_ = _shape(weights, f"{wiring.stem_names()[0]}.weight", 4)
    return replace(
        table,
        width=None,
        num_classes=_shape(weights, f"{names[-1]}.weight", 2)[0] if names else table.num_classes,
        in_channels=in_channels,
        stem_channels=stem_channels,
        blocks=_blocks(weights, wiring, table),
        head_channels=_shape(weights, f"{last[0]}.weight", 4)[0] if last else 0,
        hidden_channels=tuple(_shape(weights, f"{name}.weight", 2)[0] for name in names[:-1]),
    )


def _wiring(weights: Mapping[str, Tensor]) -> tuple[Wiring, int]:
    """The wiring and the number of blocks."""
    for wiring in dict.fromkeys(family.wiring for family in FAMILIES.values()):
        indices = {int(match[1]) for key in weights if (match := wiring.block_key.match(key))}
        if indices:
            return wiring, len(indices)
    raise CheckpointError(f"no MobileNet block among the weights ({first_few(weights)})")


def _families(wiring: Wiring, count: int, wanted: str | None) -> list[Family]:
    """The families of so many blocks, in the order in which they are tried; the wanted one alone, if there is one."""
    if wanted is not None and wanted not in FAMILIES:
        raise CheckpointError(f"unknown family {wanted!r}: {did_you_mean(wanted, FAMILIES)}")
    blocks = {family.name: len(family.make().blocks) for family in FAMILIES.values() if family.wiring is wiring}
    fitting = [FAMILIES[name] for name, own in blocks.items() if own == count and wanted in {None, name}]
    if fitting:
        return fitting
    known = " or ".join(f"{own} ({name})" for name, own in blocks.items())
    raise CheckpointError(
        f"the weights have {count} blocks wired as {wiring.name}, and edgekit knows {known}"
        + (f": they are no {wanted}" if wanted else ": load a network of one of these families")
    )


def _blocks(weights: Mapping[str, Tensor], wiring: Wiring, table: Architecture) -> tuple[Block, ...]:
    rows = []
    for index, row in enumerate(table.blocks):
        names = _names(weights, wiring, index)
        kernels = {part: _shape(weights, f"{conv}.weight", 4) for part, (conv, _) in names.items()}
        widest = kernels.get("filter") or kernels.get("depthwise") or kernels["expand"]
        last = kernels.get("project", widest)
        rows.append(
            Block(
                kernel=widest[2] if kernels.keys() & {"filter", "depthwise"} else 0,
                expanded=widest[0],
                out=last[0],
                squeeze=kernels["squeeze"][0] if "squeeze" in kernels else 0,
                activation=row.activation,
                stride=row.stride,
                expands="expand" in kernels,
                start=kernels["start"][2] if "start" in kernels else 0,
                kind=_kind(kernels),
                skips=row.skips,
                shortcut="shortcut" in kernels,
            )
        )
    return tuple(rows)


def _kind(has: Collection[Part]) -> Kind:
    if "filter" in has:
        return "fused" if "project" in has else "single"
    return "inverted" if "project" in has else "depthwise"


def _names(weights: Mapping[str, Tensor], wiring: Wiring, index: int) -> dict[Part, Names]:
    """The names of the parts that block ``index`` has: those of the form of which most is there, and least missing."""

    def there(form: dict[Part, Names]) -> int:
        return sum(1 if fits(part, weights.get(f"{conv}.weight")) else -1 for part, (conv, _) in form.items())

    return max((wiring.block_names(index, form) for form in wiring.forms), key=there)


def _kernels(block: Block) -> tuple[Kind, int, int]:
    return block.kind, block.start, block.kernel


def _has_kernels(wiring: Wiring, blocks: tuple[Block, ...], family: Family) -> bool:
    """Whether kernels are the family's, or a variant's that is told by them and has the family's strides."""
    usual = [_kernels(row) for row in family.make().blocks]
    return [_kernels(block) for block in blocks] == usual or wiring.told_by(blocks) is not None


def _of_other_kernels(found: Architecture) -> CheckpointError:
    """Kernels other than the family's tell that strides, which leave no trace in the weights, are others, too."""
    rows = FAMILIES[found.family].make().blocks
    pairs = enumerate(zip(found.blocks, rows, strict=True))
    index, (block, row) = next((at, pair) for at, pair in pairs if _kernels(pair[0]) != _kernels(pair[1]))
    side, usual = (f"{one.kernel or one.start} x {one.kernel or one.start}" for one in (block, row))
    return CheckpointError(
        f"block {index} has a kernel of {side} pixels, and {found.family} has"
        f" {usual} there: it is another network, whose strides cannot be known"
    )


def _check_chain(architecture: Architecture) -> None:
    """A depthwise convolution without an expansion before it takes the channels that the block gets."""
    before = architecture.stem_channels
    for index, block in enumerate(architecture.blocks):
        if block.kind in {"inverted", "depthwise"} and not block.expands and block.expanded != before:
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


def _rank(width: float | None) -> int:
    """How unlikely a width is: those that were published come first, and no width at all comes last."""
    return len(_WIDTHS) if width is None else _WIDTHS.index(width)


def _fits(found: Architecture, base: Architecture, scaled: Architecture, width: float) -> bool:
    """Whether ``found`` is ``base`` at ``width``, by any of the roundings in use.

    torchvision rounds everything; Keras and timm expand the rounded input, and below some width keep stem and head.
    """
    before = base_before = 0
    for row, base_row, scaled_row in zip(found.blocks, base.blocks, scaled.blocks, strict=True):
        expanded = {scaled_row.expanded}
        if row.expands and before:
            expanded.add(make_divisible(before * base_row.expanded / base_before))
        if not row.expands and row.kind == "inverted":
            expanded.add(row.expanded)  # equal to the channels before it, which are compared already
        # A quarter of the channels inside, or of those that the block gets: rounded to eights or not.
        quarters = round(row.expanded / 4), round((before or found.stem_channels) / 4)
        squeeze = {0, scaled_row.squeeze, make_divisible(row.expanded // 4), *quarters}
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
    _families(*_wiring(weights), family)


def body_channels(weights: Mapping[str, Tensor]) -> int:
    """How many channels the body gives to the classifier.

    Raises:
        CheckpointError: the last convolution is missing.
    """
    wiring, count = _wiring(weights)
    last = wiring.last_names(count)
    if last is not None:
        return _shape(weights, f"{last[0]}.weight", 4)[0]
    names = _names(weights, wiring, count - 1)
    return _shape(weights, f"{names['project' if 'project' in names else 'filter'][0]}.weight", 4)[0]


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
        for form in wiring.forms:
            pairs += wiring.block_names(index, form).values()
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
