"""The float model: what the float32 and float16 files are written from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.ir import Graph
    from edgekit.preprocessing import Preprocessing
    from edgekit.quantization import QuantParams


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class FloatModel:
    """A network in float, canonical.

    Attributes:
        graph: canonical nodes (``edgekit.ir``: those that are not lowered), with fused clamps; float32 constants.
        preprocessing: how an image becomes the network's input.
        labels: class names, in order; empty where none are known.
        provenance: where it comes from (checkpoint hash, architecture), JSON values.
        grids: of weights that are integers times a scale of their output channel, these scales by name: files of int8
            weights are written from such a model (``edgekit.int8_weights``).
    """

    graph: Graph
    preprocessing: Preprocessing
    labels: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    grids: Mapping[str, QuantParams] = field(default_factory=dict)
