"""Names that a program may use, for tensors and constants that are named as the checkpoint names them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from edgekit.exporters.coreml import NORMALIZED
from edgekit.exporters.metadata import PROBABILITIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgekit.ir import Graph

INPUT, LOGITS = "image", "logits"
RESULT, REAL = "_result", "_real"  # behind the name of stored integers: what they are made from, what they stand for
CLASS_LABEL, CLASS_SCORES = "classLabel", "classLabel_probs"  # what coremltools calls them, and so every iOS tutorial

_ENDPOINTS: Final = frozenset({INPUT, LOGITS, PROBABILITIES, CLASS_LABEL, CLASS_SCORES})

# Words of the language's text form. Source: NameSanitizer in coremltools/converters/mil/mil/passes/defs/preprocess.py
_KEYWORDS: Final = frozenset(
    {"any", "bool", "program", "func", "tensor", "list", "dict", "tuple", "true", "false", "string", "state"}
    | {"bf16", "fp16", "fp32", "fp64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
)


class Names:
    """Hands out names that are valid ([A-Za-z_][A-Za-z0-9_]*) and unique."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken) | _KEYWORDS

    def unique(self, wanted: str) -> str:
        """``wanted``, or what comes nearest to it.

        >>> names = Names()
        >>> [names.unique(name) for name in ("features.0.conv", "features_0.conv", "0", "int8")]
        ['features_0_conv', 'features_0_conv_2', '_0', 'int8_2']
        """
        valid = re.sub(r"[^A-Za-z0-9_]", "_", wanted)
        valid = f"_{valid}" if not valid or valid[0].isdigit() else valid
        name, count = valid, 1
        while name in self._taken:
            count += 1
            name = f"{valid}_{count}"
        self._taken.add(name)
        return name


def output_names(graph: Graph) -> dict[str, str]:
    """What the outputs of ``graph`` are called in a package, by their names in the graph."""
    return {name: LOGITS if index == 0 else f"{LOGITS}_{index}" for index, name in enumerate(graph.outputs)}


def names_in_file(graph: Graph) -> dict[str, str]:
    """What each tensor and constant of ``graph`` is called in a package.

    The endpoints' names are left out, whether or not the package uses them, so that the answer depends on nothing but
    the graph.
    """
    names = Names(_ENDPOINTS)
    return {name: names.unique(name) for name in (*graph.tensors, *graph.constants)}


def activation_names(graph: Graph) -> dict[str, tuple[str, ...]]:
    """What each tensor of ``graph`` may be called in a package, by its name in the graph.

    Stored integers come first, and at last what would be their reals if they were not quantized. The reals that stand
    at the border of a region that is kept in float are those of the integers before it.
    """
    names, outputs = names_in_file(graph), output_names(graph)
    ends = {tensor: (outputs[tensor],) if tensor in outputs else () for tensor in graph.tensors}
    found = {tensor: (names[tensor], *ends[tensor], f"{names[tensor]}{RESULT}") for tensor in graph.tensors}
    found[graph.input] = (names[graph.input], NORMALIZED, INPUT)
    borders = {node.output: node.operand("x") for node in graph if node.op.is_border and node.op.makes_reals}
    return found | {tensor: (f"{names[source]}{REAL}",) for tensor, source in borders.items()}
