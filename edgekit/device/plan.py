"""What is to be measured, as a file that travels with the models."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Golden:
    """What a file has to answer before its time counts.

    Attributes:
        inputs: name of an .npy file, [N, ...] in the file's own layout and type; every image is run on its own.
        outputs: name of an .npy file, [N, classes].
        tolerance: by how much an output may differ; 0 where every integer has to be the same.
    """

    inputs: str
    outputs: str
    tolerance: float


@dataclass(frozen=True)
class PlannedFile:
    """One file.

    Attributes:
        path: relative to the plan's folder, or absolute where files and plan need not travel.
        engine: "litert", "onnxruntime" or "torch".
        shape: of the input, in the file's own layout, for one image: (1, 224, 224, 3).
        dtype: of the input, as numpy names it.
        golden: None where nothing is known that it should answer.
    """

    path: str
    engine: str
    shape: tuple[int, ...]
    dtype: str
    golden: Golden | None = None


@dataclass(frozen=True)
class Plan:
    """Which files, and under which conditions each of them.

    Attributes:
        files: that take turns.
        threads: each of these numbers of threads,
        batches: with each of these numbers of images at once.
    """

    files: tuple[PlannedFile, ...]
    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = (1,)

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The inverse of ``to_json``."""
        values = json.loads(text)
        return cls(tuple(map(_file, values["files"])), tuple(values["threads"]), tuple(values["batches"]))


def _file(values: dict[str, object]) -> PlannedFile:
    golden = values.pop("golden")
    shape = values.pop("shape")
    assert isinstance(shape, list)
    return PlannedFile(
        **values,  # type: ignore[arg-type] # as asdict wrote them
        shape=tuple(shape),
        golden=Golden(**golden) if isinstance(golden, dict) else None,
    )
