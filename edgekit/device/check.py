"""Golden outputs: whether files answer here what they answer where they were made. Before that, time says nothing.

Each file is run in a process of its own, so that a runtime that crashes is a sentence and not the end of the agent.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.device import machine
from edgekit.device.detections import EXACT, in_one_order
from edgekit.device.engines import GPU_ENGINES, KINDS
from edgekit.device.opening import opened
from edgekit.device.plan import Plan
from edgekit.device.processes import Process, our_environment
from edgekit.errors import ArtifactError, EdgekitError, MissingDependency
from edgekit.progress import Progress, silent

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from edgekit.device.engines.engine import Engine
    from edgekit.device.plan import PlannedFile

ANSWER_SECONDS = 300.0  # what takes longer hangs; under emulation, MobileNetV2 takes up to 7 s an image
SAME = 1e-3  # of an LSB: the scale times the same integer, in another order of float32 products
VNNI = {"avx512_vnni", "avx_vnni"}
_CODE = "import sys; sys.path = [p for p in sys.path if p]; from edgekit.device import check; check.main(sys.argv[1:])"


@dataclass(frozen=True)
class Checked:
    """One output of a file against what it has to be.

    Attributes:
        path: of the file, as the plan has it.
        output: its name; "" where the file has one only.
        runner: runtime, version and kernels; "" where it was not run.
        images: that were compared; 0 where nothing is known that the file should answer.
        values: outputs that were compared.
        different: outputs that are further off than is allowed.
        largest: by which an output is off.
        unit: of that: "LSB", or "" where outputs are real numbers.
        excuse: why these kernels cannot answer the same; None where they have to.
    """

    path: str
    output: str
    runner: str
    images: int
    values: int
    different: int
    largest: float
    unit: str
    excuse: str | None

    @property
    def passed(self) -> bool:
        """Whether the file may be timed."""
        return not self.different or self.excuse is not None

    @property
    def sentence(self) -> str:
        """What was found.

        >>> Checked("net.tflite", "", "LiteRT 2.3.0, XNNPACK", 4, 4000, 0, 0.0, "LSB", None).sentence
        '4 images, 4000 outputs as they have to be'
        >>> Checked("net.tflite", "boxes", "LiteRT 2.3.0, XNNPACK", 4, 64, 0, 0.0, "LSB", None).sentence
        'boxes: 4 images, 64 values as they have to be'
        """
        if self.output:
            return f"{self.output}: {self._found('values')}"
        return self._found("outputs")

    def _found(self, values: str) -> str:
        if not self.images:
            return "nothing is known that it should answer"
        if not self.different:
            return f"{self.images} images, {self.values} {values} as they have to be"
        unit = f" {self.unit}" if self.unit else ""
        why = f": {self.excuse}" if self.excuse else ""
        return f"{self.different} of {self.values} {values} differ, by up to {self.largest:.3g}{unit}{why}"


def check(plan: Plan, folder: Path, progress: Progress = silent) -> tuple[Checked, ...]:
    """Check every output of every file of the plan that lies in ``folder``, together with its files and golden arrays.

    Raises:
        ArtifactError: a file cannot be run, or its runtime crashes.
        MissingDependency: a file's runtime is not installed; GPUs may be missing.
    """
    checked: list[Checked] = []
    for number, file in enumerate(plan.files):
        progress("checking", number, len(plan.files))
        command = [sys.executable, "-c", _CODE, str(folder), str(number)]
        with (
            tempfile.TemporaryFile() as messages,
            Process(command, file.path, our_environment(), stderr=messages) as process,
        ):
            try:
                answer, _ = process.ask("check", seconds=ANSWER_SECONDS)
                checked += [Checked(**values) for values in answer["checked"]]
            except MissingDependency:
                if file.engine not in GPU_ENGINES:  # where there is none, timing says so
                    raise
    progress("checking", len(plan.files), len(plan.files))
    return tuple(checked)


def main(arguments: list[str]) -> None:
    """Check one file, by its number in the plan of a folder. A line on stdin is answered with the result."""
    folder, number = Path(arguments[0]), int(arguments[1])
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a runtime prints must not look like an answer
        sys.stdin.readline()
        try:
            found = check_file(Plan.load(folder).files[number], folder)
            answer: dict[str, Any] = {"checked": [asdict(checked) for checked in found]}
        except EdgekitError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(answer) + "\n")


def check_file(file: PlannedFile, folder: Path) -> tuple[Checked, ...]:
    """Check the outputs of one file in this process; as many golden images as it takes at once are run together.

    Raises:
        ArtifactError: it lacks an output.
    """
    if file.golden is None:
        return (not_checked(file),)
    inputs = np.load(folder / file.golden.inputs)
    batch = file.golden.batch
    engine = opened(folder / file.path, file.engine, kernels=file.kernels, batch=batch)
    answers = [engine.run(inputs[start : start + batch]) for start in range(0, len(inputs), batch)]
    for name in file.golden.outputs:
        if name not in answers[0]:
            raise ArtifactError(f"{file.path} gives {', '.join(answers[0])}, and no {name!r}: export it again")
    found = in_one_order({name: np.concatenate([answer[name] for answer in answers]) for name in file.golden.outputs})
    wanted = in_one_order({name: np.load(folder / one.array) for name, one in file.golden.outputs.items()})
    return tuple(
        compared(
            file,
            name,
            found[name],
            wanted[name],
            runner=engine.name,
            excuse=_excuse(engine, file, golden.tolerance),
        )
        for name, golden in file.golden.outputs.items()
    )


def not_checked(file: PlannedFile) -> Checked:
    """A file of which nothing is known that it should answer."""
    return Checked(file.path, "", "", 0, 0, 0, 0.0, "", None)


def compared(  # noqa: PLR0913 - what is compared, and of whom
    file: PlannedFile, output: str, found: NDArray[Any], expected: NDArray[Any], *, runner: str, excuse: str | None
) -> Checked:
    """An output against what it has to be, both [N, ...]."""
    assert file.golden is not None
    tolerance = file.golden.outputs[output].tolerance
    distance = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    step = step_of(expected, tolerance)
    allowed = max(tolerance, (step or 0.0) * SAME)
    return Checked(
        file.path,
        output if len(file.golden.outputs) > 1 else "",
        runner,
        len(expected),
        int(found.size),
        int((~(distance <= allowed)).sum()),  # NaN is not near anything
        float(distance.max()) / (step or 1.0),
        "LSB" if step else "",
        excuse,
    )


def step_of(expected: NDArray[Any], tolerance: float) -> float | None:
    """What an LSB is; None where outputs are real numbers.

    Outputs that have to be exact but are no integers are a scale times integers, and of thousands some are neighbours.
    """
    if np.issubdtype(expected.dtype, np.integer):
        return 1.0
    steps = np.diff(np.unique(expected.astype(np.float64)))
    return float(steps.min()) if tolerance == 0 and steps.size else None


def _excuse(engine: Engine, file: PlannedFile, tolerance: float) -> str | None:
    """Why answers need not be the same; the arithmetic is in the runners, in ``edgekit.runtimes``."""
    kind, kernels = KINDS[file.engine], getattr(engine, "kernels", "")
    if kind.on_gpu_for and kernels not in kind.exact:
        return "a GPU may compute in float16, and rounds in its own ways"
    if tolerance > EXACT:
        return None
    if kernels in kind.excuses:
        return kind.excuses[kernels]
    known = machine.flags()
    if kind.clamps_without_vnni and "avx2" in known and not known & VNNI:
        return (
            "on x86 without VNNI, uint8 x int8 kernels clamp sums to 16 bits: export --device x86 writes files that fit"
        )
    return None
