"""An Android device over adb. Android has no Python, so LiteRT's own ``benchmark_model`` does the work there.

Its flags and its output are those of tensorflow/lite/tools/benchmark (benchmark_model.cc, benchmark_tflite_model.cc).
It says less than our own agent: of each process the median, older ones the mean, and neither other load nor the clock.
"""

from __future__ import annotations

import io
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from edgekit.device import machine
from edgekit.device.check import Checked, compared, not_checked
from edgekit.device.fastest import Fastest
from edgekit.device.machine import Conditions
from edgekit.device.plan import CHAIN, FILE_NAME, Plan
from edgekit.device.reasons import dirty, slow_because
from edgekit.device.results import Ratio, Refusal, Results, Row
from edgekit.device.statistics import interval
from edgekit.errors import ArtifactError, BadInput, DeviceUnreachable, MissingDependency
from edgekit.progress import Progress, silent
from edgekit.remote.examined import Examined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from edgekit.device.plan import Golden, PlannedFile
    from edgekit.remote.address import Address

FOLDER: Final = "/data/local/tmp"  # where adb may write and start programs
TOOL: Final = f"{FOLDER}/benchmark_model"
GET_IT: Final = (
    "fetch android_aarch64_benchmark_model from https://ai.google.dev/edge/litert/models/measurement, then: adb push "
    f"android_aarch64_benchmark_model {TOOL} && adb shell chmod +x {TOOL}"
)
RUNNER: Final = "benchmark_model, XNNPACK"
RUNS: Final = 50  # of each process, after
WARMUP: Final = 10
ANSWER_SECONDS: Final = 600.0
_NUMBER = r"([\d.]+(?:e[+-]?\d+)?)"


class AdbDevice:
    """A phone with ``benchmark_model`` on it, reached by the user's own adb."""

    def __init__(self, address: Address) -> None:
        """Look for the phone and the tool.

        Raises:
            DeviceUnreachable: there is no such phone, or it does not trust this machine.
            MissingDependency: there is no adb here, or no tool there.
        """
        if shutil.which("adb") is None:
            raise MissingDependency(
                "there is no adb on this machine: install Android's platform-tools, e.g. package adb"
            )
        self.address = address
        self._adb = ["adb", *(["-s", address.host] if address.host else [])]
        self._run("get-state")
        self._folder = ""
        if self._shell(f"ls {TOOL} || true").strip() != TOOL:
            raise MissingDependency(f"{address.text} has no {TOOL}: {GET_IT}")
        self._folder = self._shell(f"mktemp -d {FOLDER}/edgekit.XXXXXX").strip()
        self._plan = Plan(())
        self._contents: Mapping[str, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._folder.startswith(f"{FOLDER}/edgekit.")
        subprocess.run([*self._adb, "shell", f"rm -rf {self._folder}"], capture_output=True, check=False)

    def examine(self) -> Examined:
        """What there is to say about the phone."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "proc").mkdir()
            for name in ("cpuinfo", "meminfo"):
                (root / "proc" / name).write_text(self._shell(f"cat /proc/{name}"), encoding="utf-8")
            ours, flags = machine.examine(root), machine.flags(root)
        abi = self._property("ro.product.cpu.abi")
        said = dict.fromkeys(text for flag, text in machine.INSTRUCTIONS.items() if flag in flags)
        found = replace(
            ours,
            model=f"{self._property('ro.product.manufacturer')} {self._property('ro.product.model')}",
            processor=self._property("ro.soc.model") or ours.processor,
            architecture=abi,
            bits=64 if "64" in abi else 32,
            cores=int(self._shell("nproc")),
            instructions=tuple(said),
            system=f"Android {self._property('ro.build.version.release')}",
            libc="bionic",
            python="none",
            runtimes={},
        )
        return Examined(found, None, ())

    def send(self, contents: Mapping[str, bytes], progress: Progress = silent) -> None:
        """Send the files of a plan.

        Raises:
            BadInput: they do not fit, or one of them is no .tflite file.
        """
        plan = Plan.from_json(contents[FILE_NAME].decode())
        # What says how stages follow one another needs Python over there; each stage is a file of its own besides.
        files = tuple(file for file in plan.files if PurePath(file.path).name != CHAIN)
        self._plan, self._contents = replace(plan, files=files), contents
        for done, file in enumerate(self._plan.files):
            if file.engine != "litert":
                raise BadInput(
                    f"{file.path}: over adb, .tflite files can be timed alone; docs/devices.md has another way"
                )
            progress("sending", done, len(self._plan.files))
            self._push(contents[file.path], self._there(file))
        progress("sending", len(self._plan.files), len(self._plan.files))

    def check(self, progress: Progress = silent) -> tuple[Checked, ...]:
        """Golden outputs of the plan that was sent."""
        checked: list[Checked] = []
        for done, file in enumerate(self._plan.files):
            progress("checking", done, len(self._plan.files))
            if file.golden is None:
                checked.append(not_checked(file))
            else:
                checked += self._check(file, file.golden)
        progress("checking", len(self._plan.files), len(self._plan.files))
        return tuple(checked)

    def fastest(self, progress: Progress = silent) -> tuple[Fastest, ...]:
        """Latencies of the plan that was sent, those of the fastest process each."""
        return tuple(Fastest(row.path, row.runner, min(row.laps_ms)) for row in self.bench(progress).rows)

    def bench(self, progress: Progress = silent) -> Results:
        """Latencies of the plan that was sent: processes that take turns, ``RUNS`` runs each."""
        plan, started = self._plan, time.perf_counter()
        found = self.examine().machine
        threads = plan.threads or tuple(range(1, found.cores + 1))
        conditions = [(file, count) for count in threads for file in plan.files]
        said: list[list[dict[str, float]]] = [[] for _ in conditions]
        for lap in range(plan.laps):
            progress("timing", lap, plan.laps)
            for (file, count), laps in zip(conditions, said, strict=True):
                flags = {"num_threads": count, "num_runs": RUNS, "warmup_runs": WARMUP}
                laps.append(figures(self._tool(file, flags)))
        progress("timing", plan.laps, plan.laps)
        rows = tuple(
            _row(file, count, laps, len(self._contents[file.path]))
            for (file, count), laps in zip(conditions, said, strict=True)
        )
        rows = tuple(replace(row, slow_because=slow_because(row, found)) for row in _compared(rows, plan.files))
        fared = Conditions(time.perf_counter() - started, None, None, None, None, ())
        refused = tuple(
            Refusal(
                file.path, batch, f"{file.path} with {batch} images at once: over adb, only single images are timed"
            )
            for batch in plan.batches
            if batch != 1
            for file in plan.files
        )
        return Results(rows, refused, found, fared, dirty(fared, found, rows), plan.laps)

    def _check(self, file: PlannedFile, golden: Golden) -> list[Checked]:
        inputs = np.load(io.BytesIO(self._contents[golden.inputs]))
        expected = {name: np.load(io.BytesIO(self._contents[g.array])) for name, g in golden.outputs.items()}
        answers = [self._answer(file, image[None], {n: e[0] for n, e in expected.items()}) for image in inputs]
        return [
            compared(file, name, np.stack([answer[name] for answer in answers]), wanted, runner=RUNNER, excuse=None)
            for name, wanted in expected.items()
        ]

    def _answer(self, file: PlannedFile, image: NDArray[Any], like: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """What the file answers for one image, of the shapes and types of ``like``, which are in the file's order."""
        given, answered = f"{self._folder}/input", f"{self._folder}/output"
        self._push(np.ascontiguousarray(image).tobytes(), given)
        flags = {
            "num_threads": 1,
            "num_runs": 1,
            "warmup_runs": 0,
            "input_layer": "input",
            "input_layer_shape": ",".join(map(str, image.shape)),
            "input_layer_value_files": f"input:{given}",
            "output_filepath": answered,
        }
        self._tool(file, flags)
        with tempfile.TemporaryDirectory() as folder:
            self._run("pull", answered, f"{folder}/output")
            whole = sum(array.nbytes for array in like.values())
            content = Path(folder, "output").read_bytes()[-whole:]
        if len(content) < whole:
            raise ArtifactError(f"{self.address.text}: {TOOL} wrote no outputs of {file.path}: {GET_IT}")
        answers, start = {}, 0
        for name, array in like.items():
            part, start = content[start : start + array.nbytes], start + array.nbytes
            answers[name] = np.frombuffer(part, array.dtype).reshape(array.shape)
        return answers

    def _tool(self, file: PlannedFile, flags: Mapping[str, object]) -> str:
        """What the tool says of a file."""
        given = {"graph": self._there(file), "use_xnnpack": "true", **flags}
        options = " ".join(shlex.quote(f"--{name}={value}") for name, value in given.items())
        return self._shell(f"{TOOL} {options} 2>&1")

    def _there(self, file: PlannedFile) -> str:
        return f"{self._folder}/{self._plan.files.index(file)}.tflite"

    def _push(self, content: bytes, there: str) -> None:
        with tempfile.NamedTemporaryFile() as here:
            here.write(content)
            here.flush()
            self._run("push", here.name, there)

    def _property(self, name: str) -> str:
        return self._shell(f"getprop {name}").strip()

    def _shell(self, command: str) -> str:
        return self._run("shell", command)

    def _run(self, *arguments: str) -> str:
        """What adb prints."""
        try:
            done = subprocess.run(
                [*self._adb, *arguments], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceUnreachable(f"{self.address.text} said nothing for {ANSWER_SECONDS:.0f} s") from error
        if done.returncode == 0:
            return done.stdout
        said = (done.stderr.strip() or done.stdout.strip() or "adb failed").splitlines()[-1]
        if "No space left" in said:
            raise BadInput(f"{self.address.text}: no space left in {FOLDER}: free some")
        if arguments[0] == "shell" and "error:" not in done.stderr and "adb:" not in done.stderr:
            raise ArtifactError(f"{self.address.text}: {said}")  # the program over there failed, not the connection
        raise DeviceUnreachable(f"{self.address.text}: {said.removeprefix('adb: ')}: see adb devices")


def figures(text: str) -> dict[str, float]:
    """What ``benchmark_model`` prints of a process, in ms and MiB.

    >>> figures('''count=10 curr=900
    ... count=50 first=800 curr=790 min=780 max=900 avg=800.5 std=20 p5=781 median=795 p95=870
    ... Inference timings in us: Init: 5000, First inference: 1200, Warmup (avg): 900, Inference (avg): 800.5
    ... Memory footprint delta from the start of the tool (MB): init=2.5 overall=6.25''')
    {'init_ms': 5.0, 'first_ms': 1.2, 'p50_ms': 0.795, 'peak_mib': 6.25}

    Raises:
        ArtifactError: it says nothing of the kind.
    """
    timings = re.search(
        rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, .*Inference \(avg\): {_NUMBER}", text
    )
    if timings is None:
        said = next((line for line in reversed(text.splitlines()) if line.strip()), "nothing")
        raise ArtifactError(f"{TOOL} gives no timings, but {said.strip()!r}: {GET_IT}")
    init, first, mean = (float(value) / 1e3 for value in timings.groups())
    median = re.findall(rf"median={_NUMBER}", text)
    memory = re.search(rf"overall={_NUMBER}", text)
    return {
        "init_ms": init,
        "first_ms": first,
        "p50_ms": float(median[-1]) / 1e3 if median else mean,
        "peak_mib": float(memory[1]) if memory else float("nan"),
    }


def _row(file: PlannedFile, threads: int, laps: Sequence[Mapping[str, float]], size_bytes: int) -> Row:
    middle = {name: float(np.median([lap[name] for lap in laps])) for name in laps[0]}
    p50_ms = tuple(lap["p50_ms"] for lap in laps)
    unknown = float("nan")
    return Row(
        path=file.path,
        precision=file.precision,
        runner=RUNNER,
        threads=threads,
        batch=1,
        size_bytes=size_bytes,
        p50_ms=interval(p50_ms),
        p90_ms=unknown,
        p99_ms=unknown,
        laps_ms=p50_ms,
        runs=RUNS * len(laps),
        interrupted=0,
        warmup_runs=WARMUP,
        cold_start_ms=middle["init_ms"] + middle["first_ms"],
        load_ms=middle["init_ms"],
        first_ms=middle["first_ms"],
        peak_mib=None if np.isnan(middle["peak_mib"]) else middle["peak_mib"],
        delegate_pieces=None,
        outside=(),
        ratio=None,
        slow_because=None,
    )


def _compared(rows: Sequence[Row], files: Sequence[PlannedFile]) -> list[Row]:
    """Each row with the ratio to its baseline under the same condition."""
    baselines = {file.path: file.baseline for file in files}
    known = {(row.path, row.threads): row for row in rows}
    compared = []
    for row in rows:
        other = known.get((baselines[row.path] or "", row.threads))
        if other is None:
            compared.append(row)
        else:
            ratios = [ours / theirs for ours, theirs in zip(row.laps_ms, other.laps_ms, strict=True)]
            compared.append(replace(row, ratio=Ratio(other.path, interval(ratios))))
    return compared
