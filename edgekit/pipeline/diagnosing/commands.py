"""Commands to paste, with the paths at hand; what nobody named stands in capitals."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.pipeline.diagnosing.named import Named


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands of one diagnosis.

    Attributes:
        named: the network and its files.
        data: the images.
        training: those that it was trained on.
    """

    named: Named
    data: Path | None
    training: Path | None

    @property
    def network(self) -> str:
        """The checkpoint or run."""
        return "CHECKPOINT" if self.named.network is None else shlex.quote(str(self.named.network))

    @property
    def images(self) -> str:
        """Those that were looked at."""
        return "DATA" if self.data is None else shlex.quote(str(self.data))

    @property
    def learned_from(self) -> str:
        """Those of training."""
        return "TRAINING" if self.training is None else shlex.quote(str(self.training))

    @property
    def out(self) -> str:
        """A folder for another run."""
        run = Path("runs/train") if self.named.network is None else self.named.network
        folder = run if run.is_dir() or self.named.network is None else run.parent
        return shlex.quote(f"{folder}.again")

    @property
    def again(self) -> str:
        """Training from the start."""
        return f"edgekit train {self.learned_from} --out {self.out}"

    @property
    def further(self) -> str:
        """Training on."""
        return f"edgekit train {self.learned_from} --pretrained {self.network} --out {self.out}"

    def diagnosed(self, flags: str) -> str:
        """This diagnosis with something said."""
        files = "".join(f" {shlex.quote(str(path))}" for path in self.named.files)
        network = f" {self.network}" if self.named.network is not None else ""
        return f"edgekit diagnose{network}{files} --data {self.images}{f' {flags}' if flags else ''}"
