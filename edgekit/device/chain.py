"""A network cut at its exits, as files in a row: an image goes on to the next file only where it does not leave.

A folder holds the files of each stage, and ``chain.json``, which says in which order they run and when images leave.
Between two files pass integers as they are: what the next one takes is what the last one gave.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.device.engines import open_file
from edgekit.device.exits import ExitRule
from edgekit.errors import ArtifactError, DataError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

FILE_NAME = "chain.json"
MAP = "map"  # the output of a stage that the next one takes
VERSION = 1


@dataclass(frozen=True)
class Stage:
    """A part of the network, up to an exit.

    Attributes:
        exit: the name of the exit's logits.
        rule: when images leave there, and how probable classes are.
        macs: multiplications by weights in this stage, each with its addition.
        files: in the chain's folder, by the engine that runs them.
    """

    exit: str
    rule: ExitRule
    macs: int
    files: dict[str, str]


@dataclass(frozen=True)
class Chain:
    """What ``chain.json`` says.

    Attributes:
        network: that was cut.
        labels: of its classes; empty where none are known.
        stages: in the order in which they run.
    """

    network: str
    labels: tuple[str, ...]
    stages: tuple[Stage, ...]

    @property
    def engines(self) -> tuple[str, ...]:
        """That run it, by their names."""
        return tuple(self.stages[0].files)

    def to_json(self) -> str:
        """As text."""
        stages = [
            {
                "exit": stage.exit,
                "rule": stage.rule.to_dict(),
                "macs": stage.macs,
                "files": stage.files,
            }
            for stage in self.stages
        ]
        values = {"version": VERSION, "network": self.network, "labels": list(self.labels), "stages": stages}
        return json.dumps(values, indent=1)

    @classmethod
    def load(cls, folder: Path) -> Chain:
        """The chain in a folder.

        Raises:
            ArtifactError: there is none, or it is damaged.
        """
        path = folder / FILE_NAME
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["version"] != VERSION:
                raise ArtifactError(f"{path} has version {values['version']}, and this edgekit reads {VERSION}")
            stages = tuple(
                Stage(
                    str(stage["exit"]),
                    ExitRule.from_dict(stage["rule"]),
                    int(stage["macs"]),
                    dict(stage["files"]),
                )
                for stage in values["stages"]
            )
            return cls(str(values["network"]), tuple(map(str, values["labels"])), stages)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{path} is no chain of edgekit ({error}): write it again, edgekit stages") from error


@dataclass(frozen=True)
class Left:
    """Where an image left, and with which answer.

    Attributes:
        exit: its place, from 0.
        logits: [classes], in the files' type.
        rule: of that exit.
    """

    exit: int
    logits: NDArray[Any]
    rule: ExitRule

    @property
    def probabilities(self) -> NDArray[Any]:
        """Of the classes, [classes]."""
        found: NDArray[Any] = self.rule.probabilities(self.logits[None])[0]
        return found


class AdaptiveRunner:
    """Runs a chain, one image at a time.

    Attributes:
        chain: what is run.
        engine: that runs it.
        name: of the runtime.
        rules: when images leave at each exit; may be changed between images.
    """

    def __init__(self, folder: Path, engine: str = "", *, threads: int = 1) -> None:
        """Open the files of a chain.

        Args:
            folder: with ``chain.json``.
            engine: one of ``Chain.engines``; "" for the first.
            threads: that one run may use.

        Raises:
            ArtifactError: the chain is damaged, or has no files for this engine.
            MissingDependency: the runtime is not installed.
        """
        self.chain = Chain.load(folder)
        self.engine = engine or self.chain.engines[0]
        if self.engine not in self.chain.engines:
            raise ArtifactError(f"{folder} has files for {', '.join(self.chain.engines)}, and none for {self.engine}")
        self._stages = [
            (open_file(folder / stage.files[self.engine], self.engine, threads=threads), stage.exit)
            for stage in self.chain.stages
        ]
        self.name = self._stages[0][0].name
        self.rules = [stage.rule for stage in self.chain.stages]

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of what ``run`` takes, in the files' own layout."""
        return self._stages[0][0].shape

    def run(self, image: NDArray[Any]) -> Left:
        """What the first exit that is sure says of an image.

        Args:
            image: pixels, uint8, [1, ...] in the first file's layout (``shape``); or what the file itself takes.

        Raises:
            DataError: it is of another shape or type.
        """
        image = self._as_taken(image)
        last = len(self._stages) - 1
        for place, (engine, name) in enumerate(self._stages):
            given = engine.run(image)
            if place == last or self.rules[place].lets_go(given[name][0].tolist()):
                break
            image = given[MAP]
        return Left(place, given[name][0], self.rules[place])

    def _as_taken(self, image: NDArray[Any]) -> NDArray[Any]:
        """Pixels as the first file takes them."""
        wanted, shape = self._stages[0][0].dtype, self.shape
        if image.dtype.name == "uint8" and wanted == "int8":
            image = (image.astype("int16") - 128).astype("int8")
        fits = shape is None or (1, *shape[1:]) == image.shape
        if not fits or wanted not in {None, image.dtype.name}:
            takes = f"{wanted or 'uint8'} {[1, *shape[1:]] if shape is not None else ''}".strip()
            raise DataError(
                f"the stages take one image, {takes} or the same as pixels, uint8, and {image.dtype} "
                f"{list(image.shape)} was given"
            )
        return image
