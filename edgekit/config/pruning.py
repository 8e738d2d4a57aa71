"""[prune]: which channels of a network go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the types of keys are read when edgekit runs
from typing import Literal

from edgekit.config.values import at_least, key
from edgekit.errors import ConfigError

RankName = Literal["output", "taylor", "l1", "bn"]


@dataclass(frozen=True, slots=True)
class PruneSettings:
    """[prune]: how small a network becomes, and which channels go; [train] says how it is trained afterwards."""

    to: str | None = key(
        "what is left of what it costs: macs=0.5, size=0.5 (weights), channels=0.7, or latency=0.6@DEVICE, as what "
        "edgekit bench --fit --out DEVICE wrote predicts it; or dead, which takes out what says nothing and changes no "
        "output",
        default=None,
    )
    rank: RankName | None = key(
        "what a channel is worth: output (what outputs move without it), taylor (what the loss of labels does), l1 "
        "(its weights) or bn (its batch normalization); output where there are images, else l1",
        default=None,
    )
    uniform: bool = key("every layer keeps the same share of its channels, as a width multiplier has it", default=False)
    unstructured: float | None = key(
        "set this share of the weights to zero instead, those of least magnitude; the network keeps its channels",
        default=None,
    )
    multiple: int = key("numbers of channels become multiples of it, and never fewer", default=8)
    steps: int = key("cuts, of which each takes the same share of what is left, with a training behind it", default=1)
    out: Path | None = key(
        "the checkpoint, pruned.safetensors; where it is trained, the run's folder, runs/prune", default=None
    )

    def __post_init__(self) -> None:
        at_least(1, "prune.multiple", self.multiple)
        at_least(1, "prune.steps", self.steps)
        if self.unstructured is not None and not 0 < self.unstructured < 1:
            raise ConfigError(f"prune.unstructured is {self.unstructured:g}: a share between 0 and 1 is wanted")
