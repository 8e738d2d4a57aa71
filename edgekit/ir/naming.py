"""Names of outputs that every format takes as they are, so that an output is called the same wherever it is met."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# Words of Core ML's text form. Source: NameSanitizer in coremltools/converters/mil/mil/passes/defs/preprocess.py
KEYWORDS: Final = frozenset(
    {"any", "bool", "program", "func", "tensor", "list", "dict", "tuple", "true", "false", "string", "state"}
    | {"bf16", "fp16", "fp32", "fp64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
)
# What files call their input, and what some of them give beside the network's outputs.
ENDPOINTS: Final = frozenset({"image", "probabilities", "classLabel", "classLabel_probs"})
# How the names end of what a file has beside a tensor of a network, "features.0.scale" of "features.0".
BESIDE_TENSORS: Final = frozenset({"scale", "zero_point", "int8", "stored", "quantized", "real", "inner"})


class Names:
    """Hands out names that are valid ([A-Za-z_][A-Za-z0-9_]*) and unique."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken) | KEYWORDS

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


def output_names(wanted: Iterable[str]) -> tuple[str, ...]:
    """What outputs are called that a network calls so.

    torch's exporter numbers those that nobody named, and TorchScript takes a number for no name at all.

    >>> output_names(["boxes", "heads.0/scores", "image", "boxes", "325"])
    ('boxes', 'heads_0_scores', 'image_2', 'boxes_2', 'output_325')
    """
    names = Names(ENDPOINTS)
    return tuple(names.unique(f"output_{name}" if name.isdigit() else name) for name in wanted)
