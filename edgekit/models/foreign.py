"""Checkpoints of other networks, named for what they are, with the next step that exists."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointError
from edgekit.models.layouts.names import WAY_BY_ONNX, first_few

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

_LACKS = "edgekit does not have, so it cannot come as ONNX either: train a MobileNet classifier"
_WAYS = {
    "plain": f"it has no other operators than MobileNets, so it can come as ONNX: {WAY_BY_ONNX}",
    "partly": f"edgekit reads its ONNX file if that holds no other operators than MobileNets have: {WAY_BY_ONNX}",
    "reparam": f"fuse its branches first (reparameterize), then it can come as ONNX: {WAY_BY_ONNX}",
    "pool": f"it needs maximum pooling, which {_LACKS}",
    "swish": f"it needs SiLU (swish), which {_LACKS}",
    "concat": f"it joins channels (concat), which {_LACKS}",
    "none": f"its operators are none that convolutional classifiers need, which {_LACKS}",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of checkpoint that is no MobileNet.

    Attributes:
        name: what it is.
        marks: regular expressions, each of which some key has to match.
        never: an expression that no key may match; empty matches none.
        way: what edgekit can do with it (a key of ``_WAYS``), or a sentence that says the next step.
    """

    name: str
    marks: tuple[str, ...]
    never: str
    way: str

    def matches(self, keys: Iterable[str]) -> bool:
        """Whether a checkpoint with these keys is of this kind."""
        names = list(keys)
        if self.never and any(re.search(self.never, name) for name in names):
            return False
        return all(any(re.search(mark, name) for name in names) for mark in self.marks)


@cache
def kinds() -> tuple[Kind, ...]:
    """All that are known; of several that match, the first is meant."""
    text = (resources.files("edgekit.models") / "foreign.toml").read_text(encoding="utf-8")
    return tuple(
        Kind(row["name"], tuple(row["marks"]), row.get("never", ""), row.get("way", "plain"))
        for row in tomllib.loads(text)["kind"]
    )


def identify(keys: Iterable[str]) -> Kind | None:
    """The kind of a checkpoint, or None."""
    names = list(keys)
    return next((kind for kind in kinds() if kind.matches(names)), None)


def refusal(weights: Mapping[str, object]) -> CheckpointError:
    """The error for a checkpoint in which no MobileNet was found."""
    kind = identify(weights)
    if kind is not None:
        return CheckpointError(f"this is {kind.name}, and no MobileNetV1 to V3: {_WAYS.get(kind.way, kind.way)}")
    return CheckpointError(
        f"not a MobileNet that edgekit knows: the weights are named {first_few(list(weights))}, and the layouts of"
        " torchvision, timm, Keras, Hugging Face and others are known (docs/checkpoints.md). Any network of MobileNet's"
        f" operators can come as ONNX: {WAY_BY_ONNX}"
    )


def refuse_known(weights: Mapping[str, Tensor], error: CheckpointError) -> None:
    """Says what a checkpoint is, where that is known, in place of what did not fit.

    Raises:
        CheckpointError: it is known.
    """
    if identify(weights) is not None:
        raise refusal(weights) from error
