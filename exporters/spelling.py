"""How names of a graph are spelt in files, and whose a name is that only a file has.

What edgekit writes says where it comes from (``origins``). In a file that was damaged or changed since, that may be of
no use, and names are all that is left.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.ir import Graph


def as_identifier(name: str) -> str:
    """A name of a tensor as formats that know only identifiers write it, but for what they put before a digit.

    >>> as_identifier("features.0.conv"), as_identifier("_0_conv")
    ('features_0_conv', '0_conv')
    """
    return re.sub(r"\W", "_", name, flags=re.ASCII).lstrip("_")


class Layers:
    """Which layer of the checkpoint a name in a file belongs to.

    Writers name what they write after the tensors and constants of the graph, and after its nodes; formats that know
    only identifiers replace what is none, and parts of a layer have a word behind its name ("features.0.padded").
    """

    def __init__(self, graph: Graph) -> None:
        self._exact: dict[str, str | None] = {graph.input: None}
        self._plain: dict[str, str | None] = {}
        outputs = {output.tensor: output.name for output in graph.outputs}
        names = [(graph.input, None), *((node.output, node.name) for node in graph)]
        names += [(name, node.name) for node in graph for name in node.inputs if name in graph.constants]
        for name, layer in names:
            self._exact[name] = layer
            self._add_identifier(name, layer)
        for node in graph:
            self._exact.setdefault(node.name, node.name)
            self._plain.setdefault(as_identifier(node.name), node.name)
            if node.output in outputs:
                self._exact.setdefault(outputs[node.output], node.name)
                self._plain.setdefault(outputs[node.output], node.name)

    def _add_identifier(self, name: str, layer: str | None) -> None:
        """As identifiers, names can be equal that were not; writers number them in the order of the graph."""
        plain = as_identifier(name)
        for number in itertools.count(1):
            numbered = plain if number == 1 else f"{plain}_{number}"
            if numbered not in self._plain:
                self._plain[numbered] = layer
                return

    def of(self, name: str) -> str | None:
        """The layer that ``name``, or the longest part of it that ends before a word, belongs to."""
        name = name.partition("#")[0]
        stem = name
        while stem:
            if stem in self._exact:
                return self._exact[stem]
            stem = stem.rpartition(".")[0]
        stem = as_identifier(name)
        while stem:
            if stem in self._plain:
                return self._plain[stem]
            stem = stem.rpartition("_")[0]
        return None
