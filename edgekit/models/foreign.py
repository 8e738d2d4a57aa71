"""Checkpoints of other networks, named for what they are, with the next step that exists."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from edgekit.errors import CheckpointError
from edgekit.models.names import NOT_OURS, OWN_CODE, WAY_BY_ONNX, first_few

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

_IF_KNOWN = "if it needs no operators but those of docs/operators.md"
_WAYS = {
    "plain": f"edgekit has all operators that it needs, so bring it as ONNX: {WAY_BY_ONNX}",
    "partly": f"it can come as ONNX {_IF_KNOWN}: {WAY_BY_ONNX}",
    "reparam": f"fuse its branches first (reparameterize), then bring it as ONNX: {WAY_BY_ONNX}",
    "none": "it needs operators that edgekit lacks, so it cannot come as ONNX either; train a MobileNet classifier",
    "dense": f"it can come as ONNX, up to what its last convolutions give, {_IF_KNOWN}: {WAY_BY_ONNX}",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of checkpoint that is no MobileNet.

    Attributes:
        name: what it is.
        marks: regular expressions, each of which some key has to match.
        never: an expression that no key may match; empty matches none.
        way: what edgekit can do with it, a key of ``_WAYS``; or the next step itself, in more than one word.
    """

    name: str
    marks: tuple[str, ...]
    never: str
    way: str

    @property
    def step(self) -> str:
        """What to do with it, in words."""
        return self.way if " " in self.way else _WAYS[self.way]

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
        return CheckpointError(f"this is {kind.name}, {NOT_OURS}: {kind.step}")
    return CheckpointError(
        f"not a MobileNet that edgekit knows: the weights are named {first_few(list(weights))}, and edgekit knows the"
        " names of torchvision, timm, Keras, Hugging Face and others (docs/checkpoints.md). Weights alone do not say"
        " what another network computes. One that needs no other operators than MobileNets do can come itself,"
        f" {OWN_CODE}; or as ONNX: {WAY_BY_ONNX}"
    )


def refuse_known(weights: Mapping[str, Tensor], error: CheckpointError) -> None:
    """Says what a checkpoint is, where that is known, in place of what did not fit.

    Raises:
        CheckpointError: it is known.
    """
    if identify(weights) is not None:
        raise refusal(weights) from error
