"""From weights of other channels to what the network looks like: every number that a structure has of them.

Shapes tell all, as names of weights are those of ``built``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit.models.backbone import POOLED
from edgekit.models.blocks import has_residual
from edgekit.models.families import family_of
from edgekit.models.head_specs import DeepLabSpec, ExitSpec, LrasppSpec, SsdSpec, VectorSpec
from edgekit.models.task_architecture import TaskArchitecture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from edgekit.models.architecture import Architecture, Block
    from edgekit.models.head_specs import HeadSpec

    Made = Callable[[str], int]  # how many channels a convolution or linear layer makes, by its name


@dataclass(frozen=True, slots=True)
class Tied:
    """Layers of one head whose channels are one number of its structure: which channels go differs, how many does not.

    Attributes:
        modules: their names.
        shares: each makes the number divided by this.
    """

    modules: tuple[str, ...]
    shares: tuple[int, ...]


def resized(
    structure: Architecture | TaskArchitecture, shapes: Mapping[str, tuple[int, ...]]
) -> Architecture | TaskArchitecture:
    """A network of the same layers with the channels of some weights.

    A block that added nothing because its channels differed does not begin to where they have become equal.

    Args:
        structure: with channels of its own.
        shapes: of the weights, by their names in ``built(structure)``.
    """

    def made(module: str) -> int:
        return shapes[f"{module}.weight"][0]

    if isinstance(structure, TaskArchitecture):
        heads = tuple(_head(head, made) for head in structure.heads)
        return replace(structure, backbone=_backbone(structure.backbone, made), heads=heads)
    names = family_of(structure.family).wiring.classifier_names(len(structure.hidden_channels))
    found = _backbone(structure, made)
    return replace(found, hidden_channels=tuple(made(name) for name in names[:-1]))


def ties(structure: Architecture | TaskArchitecture) -> Iterator[Tied]:
    """The layers of heads whose channels are one number of the structure."""
    for head in structure.heads if isinstance(structure, TaskArchitecture) else ():
        if isinstance(head, SsdSpec):
            for place in range(len(head.extras)):
                last = 2 if head.separable else 1
                yield Tied((f"{head.name}.extra.{place}.{last}.0", f"{head.name}.extra.{place}.0.0"), (1, 2))
        elif isinstance(head, DeepLabSpec):
            pyramid = f"{head.name}.0"
            convolution = 3 if head.separable else 0
            modules = [f"{pyramid}.convs.0.0"]
            modules += [f"{pyramid}.convs.{1 + place}.{convolution}" for place in range(len(head.rates))]
            modules += [f"{pyramid}.convs.{1 + len(head.rates)}.1", f"{pyramid}.project.0"]
            modules += [f"{head.name}.1"] if head.refines else []
            yield Tied(tuple(modules), (1,) * len(modules))


def _backbone(network: Architecture, made: Made) -> Architecture:
    wiring = family_of(network.family).wiring
    stem = before = made(wiring.stem_names()[0])
    was_before, blocks = network.stem_channels, []
    for index, block in enumerate(network.blocks):
        names = {part: conv for part, (conv, _) in wiring.block_names(index, block.parts).items()}
        widest = made(names.get("filter") or names.get("depthwise") or names["expand"])
        out = made(names["project"]) if "project" in names else widest
        squeeze = made(names["squeeze"]) if "squeeze" in names else 0
        cut = replace(block, expanded=widest, out=out, squeeze=squeeze)
        blocks.append(_as_it_added(network, block, was_before, cut, before))
        was_before, before = block.out, out
    last = wiring.last_names(len(blocks)) if network.head_channels else None
    head = made(last[0]) if last is not None else network.head_channels
    found = replace(network, stem_channels=stem, blocks=tuple(blocks), head_channels=head)
    return found if found == network else replace(found, width=None)


def _as_it_added(network: Architecture, was: Block, was_before: int, block: Block, before: int) -> Block:
    """A block that adds its input if it did."""
    added = has_residual(network, was_before, was)
    return block if added or not has_residual(network, before, block) else replace(block, skips=False)


def _head(head: HeadSpec, made: Made) -> HeadSpec:
    match head:
        case ExitSpec() if head.convolved:
            names = [f"{head.name}.2.{2 + 2 * place}" for place in range(len(head.hidden))]
            return replace(head, convolved=made(f"{head.name}.1.0"), hidden=tuple(map(made, names)))
        case VectorSpec():
            # A feature map, of which it takes the mean first, moves the layers by two places.
            first = 0 if head.takes == (POOLED,) else 2
            names = [f"{head.name}.{first + 2 * place}" for place in range(len(head.hidden))]
            return replace(head, hidden=tuple(map(made, names)))
        case SsdSpec():
            last = 2 if head.separable else 1
            return replace(head, extras=tuple(made(f"{head.name}.extra.{i}.{last}.0") for i in range(len(head.extras))))
        case LrasppSpec():
            return replace(head, channels=made(f"{head.name}.cbr.0"))
        case DeepLabSpec():
            return replace(head, channels=made(f"{head.name}.0.project.0"))
    raise TypeError(f"nothing tells the channels of {head}")
