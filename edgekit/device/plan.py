"""What is to be measured, as a file that travels with the models."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgekit.errors import ArtifactError

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "plan.json"  # in a folder with the files
CHAIN = "chain.json"  # stands for the files of a network's stages, in a row
VERSION = 2  # 1 had golden outputs without names
LAPS = 11  # the fewest whose smallest and largest figure cover another measurement's with 98 %


@dataclass(frozen=True)
class GoldenOutput:
    """What one output has to be.

    Attributes:
        array: name of an .npy file, [N, ...] in the file's own layout and type.
        tolerance: by how much a value may differ; 0 where every integer has to be the same.
    """

    array: str
    tolerance: float


@dataclass(frozen=True)
class Golden:
    """What a file has to answer before its time counts.

    Attributes:
        inputs: name of an .npy file, [N, ...] in the file's own layout and type.
        outputs: what it gives for them, by the outputs' names, in the file's order.
        batch: images that it takes at once.
    """

    inputs: str
    outputs: dict[str, GoldenOutput]
    batch: int = 1


@dataclass(frozen=True)
class PlannedFile:
    """One file.

    Attributes:
        path: relative to the plan's folder, or absolute where files and plan need not travel; of the ``chain.json`` of
            stages, which stands for all of them in a row (``edgekit.device.chain``).
        engine: a name of ``edgekit.device.engines``.
        shape: of the input, in the file's own layout, for one image: (1, 224, 224, 3); None where the file says it.
        dtype: of the input, as numpy names it; None where the file says it.
        golden: None where nothing is known that it should answer.
        kernels: of its engine, as ``edgekit.device.engines`` names them; "" for those that applications get.
        precision: what it computes in, "int8"; "" where that is not known.
        baseline: path of the file, of the same plan, that its latency is divided by; None where there is none.
    """

    path: str
    engine: str
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    golden: Golden | None = None
    kernels: str = ""
    precision: str = ""
    baseline: str | None = None


@dataclass(frozen=True)
class Plan:
    """Which files, and under which conditions each of them.

    Attributes:
        files: that take turns.
        threads: each of these numbers of threads; none stands for one to as many as the device has cores;
        batches: with each of these numbers of images at once,
        laps: in so many fresh processes of each; ``edgekit.device.statistics`` says what that decides.
    """

    files: tuple[PlannedFile, ...]
    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = (1,)
    laps: int = LAPS

    def to_json(self) -> str:
        """As text."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1)

    @classmethod
    def load(cls, folder: Path) -> Plan:
        """The plan that lies in a folder, with its files."""
        return cls.from_json((folder / FILE_NAME).read_text(encoding="utf-8"))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The inverse of ``to_json``.

        Raises:
            ArtifactError: it is of another version.
        """
        values = json.loads(text)
        if values.get("version") != VERSION:
            raise ArtifactError(
                f"{FILE_NAME} has version {values.get('version', 1)}, and this edgekit reads {VERSION}: make the "
                f"bundle again, edgekit bundle"
            )
        return cls(
            tuple(map(_file, values["files"])), tuple(values["threads"]), tuple(values["batches"]), values["laps"]
        )


def _file(values: dict[str, object]) -> PlannedFile:
    golden = values.pop("golden")
    shape = values.pop("shape")
    return PlannedFile(
        **values,  # type: ignore[arg-type] # as asdict wrote them
        shape=tuple(shape) if isinstance(shape, list) else None,
        golden=_golden(golden) if isinstance(golden, dict) else None,
    )


def _golden(values: dict[str, Any]) -> Golden:
    outputs = {name: GoldenOutput(**output) for name, output in values["outputs"].items()}
    return Golden(values["inputs"], outputs, values["batch"])
