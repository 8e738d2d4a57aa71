"""Latency of candidates: the sum over their blocks, each of which is asked of the device's model once.

A block is known by all that its time depends on, as in Once-for-All's table (arXiv:1908.09791, appendix B), so that a
candidate costs a dictionary's look-up where another one had the same blocks.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from torch import nn

from edgekit.capture.torch_export import capture
from edgekit.models.architecture import Block
from edgekit.models.blocks import size_behind
from edgekit.models.network import build
from edgekit.passes import integer_form
from edgekit.timing.prediction.layers import BOUNDARY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.models.architecture import Architecture
    from edgekit.timing.prediction.model import LatencyModel

_BEHIND: Final = "behind"  # a layer that takes up a factor which a block's result may carry, as the next block does


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a network whose time depends on nothing else.

    Attributes:
        kind: "stem" with the first block, a "block", or the "head" behind all of them.
        network: it is a part of this, which has one block, and an input of the part's size.
    """

    kind: str
    network: Architecture


@dataclass(slots=True)
class BlockLatency:
    """Milliseconds of an int8 file of a network for one image.

    Attributes:
        model: of the device.
        known: milliseconds of the pieces that were asked about.
    """

    model: LatencyModel
    known: dict[Piece, float] = field(default_factory=dict)

    def __call__(self, architecture: Architecture) -> float:
        """Of a network of stages (``edgekit.models.tables``).

        Raises:
            UnsupportedOperator: the model has not seen one of its layers.
        """
        return sum(self._of(piece) for piece in pieces(architecture))

    def _of(self, piece: Piece) -> float:
        if piece not in self.known:
            module, shape = _module(piece)
            nodes = self.model.predict(integer_form(capture(module.eval(), piece.kind, shape))).nodes
            self.known[piece] = sum(node.ms for node in nodes if _belongs(node.name, piece))
        return self.known[piece]


def pieces(architecture: Architecture) -> Iterator[Piece]:
    """What a network consists of. The stem's activation is computed with what reads it, so it comes with a block."""
    first, *others = architecture.blocks
    size = size_behind(architecture.size, architecture.stem_stride)
    bare = replace(architecture, width=None, num_classes=1, head_channels=8, hidden_channels=())
    yield Piece("stem", replace(bare, blocks=(first,)))
    before, size = first.out, size_behind(size, first.stride)
    inside = replace(bare, stem_stride=1)
    for block in others:
        yield Piece("block", replace(inside, resolution=size, stem_channels=before, blocks=(block,)))
        before, size = block.out, size_behind(size, block.stride)
    plain = Block(1, before, before, 0, architecture.activation, 1, expands=False)
    yield Piece(
        "head", replace(architecture, width=None, stem_stride=1, resolution=size, stem_channels=before, blocks=(plain,))
    )


def _module(piece: Piece) -> tuple[nn.Module, tuple[int, int, int]]:
    """The piece with random weights, and the shape of what it takes."""
    network = build(piece.network)
    stem, block, last = (network.get_submodule(one.module) for one in network.maps)
    size = piece.network.size
    if piece.kind == "head":
        head = nn.Sequential(last, nn.AdaptiveAvgPool2d(1), nn.Flatten(), network.get_submodule("classifier"))
        return head, (piece.network.stem_channels, *size)
    assert isinstance(last, nn.Sequential), "a convolution, batch normalization and an activation"
    parts = {"stem": stem, "block": block, _BEHIND: last[:2]}
    if piece.kind == "block":
        del parts["stem"]
    channels = piece.network.in_channels if piece.kind == "stem" else piece.network.stem_channels
    return nn.Sequential(OrderedDict(parts)), (channels, *size)


def _belongs(node: str, piece: Piece) -> bool:
    """Whether a node of a piece's graph is counted there: not what stands behind it, and a run's own part once."""
    return not node.startswith(f"{_BEHIND}.") and (node != BOUNDARY or piece.kind == "stem")
