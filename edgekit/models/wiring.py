"""How a network is put together, and what its modules are called. Families that differ in channels alone share one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from torch import nn

    from edgekit.models.architecture import Architecture, Block, Options, Part, Size

    class Parts(Protocol):
        """Names inside of a block."""

        def __call__(self, block: str, has: Collection[Part]) -> dict[Part, Names]:
            """Of each part that the block has: its convolution and, where it has one, its batch normalization."""


Names = tuple[str, str | None]  # of a convolution and, where it has one, its batch normalization


def _nothing(_: tuple[Block, ...]) -> None:
    return None


def paired(theirs: Names, ours: Names) -> dict[str, str]:
    """The modules of a part, theirs to ours."""
    pairs = zip(theirs, ours, strict=True)
    return {name: own for name, own in pairs if name is not None and own is not None}


# Of inverted residuals, by what they may begin with and whether they squeeze.
SEPARABLE: tuple[frozenset[Part], ...] = (frozenset(("depthwise", "project")),)
EXPANDING: tuple[frozenset[Part], ...] = (SEPARABLE[0] | {"expand"}, *SEPARABLE)
_GATE: frozenset[Part] = frozenset(("squeeze", "excite"))
SQUEEZING: tuple[frozenset[Part], ...] = tuple(form for one in EXPANDING for form in (one | _GATE, one))


@dataclass(frozen=True, slots=True, eq=False)
class Wiring:
    """A stem, blocks, and mostly one more 1x1 convolution: the names of all that, and how a block is made.

    Attributes:
        name: of the family that it was published for.
        block: makes a block that gets so many channels, for feature maps of a size.
        parts: the names inside of a block.
        mark: a module that every block has, and no block of another wiring.
        forms: the parts that a block may have. Of several whose names are there, the first is meant.
        stem: the module of the first convolution and its batch normalization.
        first: the place of the first block among the children of ``features``.
        normalizes: batch normalization is behind each convolution; else convolutions have a bias.
        has_last: a 1x1 convolution, with batch normalization and activation, comes behind the blocks.
        pools_in_classifier: the mean over all places is a child of the classifier, not of the network.
        told_by: what kernels and channels of the blocks tell of what leaves no trace: options, and why, for people.
    """

    name: str
    block: Callable[[Architecture, int, Block, Size], nn.Module]
    parts: Parts
    mark: str
    forms: tuple[frozenset[Part], ...]
    stem: str = "features.0"
    first: int = 1
    normalizes: bool = True
    has_last: bool = True
    pools_in_classifier: bool = False
    told_by: Callable[[tuple[Block, ...]], tuple[Options, str] | None] = _nothing

    @property
    def block_key(self) -> re.Pattern[str]:
        """What names of blocks' weights begin with; the group is the place among the children of ``features``."""
        return re.compile(rf"features\.(\d+)\.{self.mark}\.")

    def block_module(self, index: int) -> str:
        """The module of block ``index``, from 0."""
        return f"features.{index + self.first}"

    def last_module(self, blocks: int) -> str | None:
        """The module of the last 1x1 convolution of a network of so many blocks."""
        return self.block_module(blocks) if self.has_last else None

    def stem_names(self) -> Names:
        """Names of the first convolution and, where it has one, its batch normalization."""
        return f"{self.stem}.0", f"{self.stem}.1" if self.normalizes else None

    def block_names(self, index: int, has: Collection[Part]) -> dict[Part, Names]:
        """Names of each part of block ``index``, from 0: its convolution and, if it has one, batch normalization."""
        return self.parts(self.block_module(index), has)

    def last_names(self, blocks: int) -> Names | None:
        """Names of the last 1x1 convolution and its batch normalization, where there is one."""
        module = self.last_module(blocks)
        return None if module is None else (f"{module}.0", f"{module}.1")

    def classifier_names(self, hidden: int) -> list[str]:
        """Names of the classifier's linear layers: so many hidden ones, and the last."""
        first = 2 if self.pools_in_classifier else 0  # pooling and flattening come first there
        indices = [first + 2 * index for index in range(hidden)]
        return [f"classifier.{index}" for index in (*indices, first + 2 * hidden + 1)]
