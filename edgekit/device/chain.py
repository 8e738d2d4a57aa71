"""A network cut at its exits, as files in a row: an image goes on to the next file only where it does not leave.

A folder holds the files of each stage, and ``chain.json``, which says in which order they run and when images leave.
Between two files pass integers as they are: what the next one takes is what the last one gave.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit.device.engines import ENGINES, open_file
from edgekit.device.engines.engine import FixedBatch
from edgekit.device.exits import ExitRule
from edgekit.device.plan import CHAIN
from edgekit.errors import ArtifactError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from edgekit.device.engines.engine import Engine, Placement

FILE_NAME = CHAIN
MAP = "map"  # the output of a stage that the next one takes
EXIT, LOGITS = "exit", "logits"  # what a chain gives of an image, taken for one file
VERSION = 2  # 1 did not say what stages move


@dataclass(frozen=True)
class Stage:
    """A part of the network, up to an exit.

    Attributes:
        exit: the name of the exit's logits.
        rule: when images leave there, and how probable classes are.
        macs: multiplications by weights in this stage, each with its addition.
        moved_bytes: of weights and activations that this stage reads and writes, each once.
        files: in the chain's folder, by the engine that runs them; "coreml" are those for an Apple system, where the
            example of docs/adaptive.md runs them.
    """

    exit: str
    rule: ExitRule
    macs: int
    moved_bytes: int
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
        return tuple(name for name in self.stages[0].files if name in ENGINES)

    def to_json(self) -> str:
        """As text."""
        stages = [
            {
                "exit": stage.exit,
                "rule": stage.rule.to_dict(),
                "macs": stage.macs,
                "moved_bytes": stage.moved_bytes,
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
                raise ArtifactError(
                    f"{path} has version {values['version']}, and this edgekit reads {VERSION}: write it again, "
                    f"edgekit stages"
                )
            stages = tuple(
                Stage(
                    str(stage["exit"]),
                    ExitRule.from_dict(stage["rule"]),
                    int(stage["macs"]),
                    int(stage["moved_bytes"]),
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
        self.engine = engine or next(iter(self.chain.engines), "the runtimes of this machine")
        if self.engine not in self.chain.engines:
            written = ", ".join(self.chain.stages[0].files)
            raise ArtifactError(f"{folder} has files for {written}, and none for {self.engine}: edgekit stages")
        self._stages = [
            (open_file(folder / stage.files[self.engine], self.engine, threads=threads), stage.exit)
            for stage in self.chain.stages
        ]
        self.name = self.first.name
        self.rules = [stage.rule for stage in self.chain.stages]

    @property
    def first(self) -> Engine:
        """What runs the first stage, and says what a chain takes."""
        return self._stages[0][0]

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of what ``run`` takes, in the files' own layout."""
        return self.first.shape

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
        wanted, shape = self.first.dtype, self.shape
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


class WholeChain:
    """A chain as one file is run (``edgekit.device.engines.engine.Engine``): checked image by image, and timed.

    It is timed on images that leave at the last exit, which take the longest.
    """

    def __init__(self, path: Path, engine: str, *, threads: int = 1, batch: int = 1) -> None:
        """Open the files of a chain.

        Args:
            path: of ``chain.json``.
            engine: one of ``Chain.engines``.
            threads: that one run may use.
            batch: images at once: each leaves where it is sure, so a chain takes one.

        Raises:
            ArtifactError: the chain is damaged, or has no files for this engine.
            FixedBatch: ``batch`` is not 1.
            MissingDependency: the runtime is not installed.
        """
        if batch != 1:
            raise FixedBatch.of(path, 1, batch)
        self._runner = AdaptiveRunner(path.parent, engine, threads=threads)
        self.name, self.kernels = self._runner.name, getattr(self._runner.first, "kernels", "")
        self.shape, self.dtype = self._runner.shape, self._runner.first.dtype
        self.placement: Placement | None = None  # of one file

    def run(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The place of the exit that an image takes, [1, 1], and its logits there, [1, classes]."""
        import numpy as np  # noqa: PLC0415 - see edgekit.device.engines.engine

        left = self._runner.run(batch)
        return {EXIT: np.array([[left.exit]], np.int8), LOGITS: left.logits[None]}

    def bind(self, batch: NDArray[Any]) -> Callable[[], object]:
        """A function that runs the chain on an image, whose confidence is computed and suffices nowhere."""
        *early, last = self._runner.rules
        self._runner.rules = [*(replace(rule, limit=0) for rule in early), last]
        return lambda: self._runner.run(batch)
