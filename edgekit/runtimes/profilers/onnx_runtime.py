"""ONNX Runtime's profiler: a trace with the time of each kernel."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit import extras
from edgekit.errors import ArtifactError
from edgekit.runtimes.profilers.profiler import KernelNames

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.runtimes.profilers.profiler import Kernel

_KERNEL: Final = "_kernel_time"
_RUN: Final = "model_run"
# Times are cut off to whole microseconds: half a one is missing, on average.
# Source: TimeDiffMicroSeconds in onnxruntime/core/common/profiler.cc
_CUT_OFF_US: Final = 0.5
NAMES: Final = KernelNames(
    around=re.compile(r"^InsertedPrecisionFreeCast_|(_nchwc|_token_\d+)+$"),
    behind={"Add", "Clip", "Flatten", "HardSigmoid", "HardSwish", "Mul", "QuantizeLinear", "Relu", "Reshape"},
)


class OnnxRuntimeProfiler:
    """An .onnx file in a session that writes a trace."""

    source = "ONNX Runtime's profiler"
    resolution_us = 1.0

    def __init__(self, path: Path, batch: NDArray[Any], *, threads: int) -> None:
        """Load ``path``, to run it on ``batch``."""
        self._path, self._batch, self._threads = path, batch, threads
        self._runtime = extras.load("onnxruntime", "onnx")
        self._folder = Path(tempfile.mkdtemp())  # in the worker's, which goes with it
        self._session = self._open()

    def run(self, times: int) -> list[list[Kernel]]:
        """The kernels of each run."""
        for _ in range(times):
            self._session.run(None, {self._session.get_inputs()[0].name: self._batch})
        trace = Path(self._session.end_profiling())
        runs = _runs(json.loads(trace.read_text(encoding="utf-8")))
        trace.unlink()
        self._session = self._open()  # a trace that has ended cannot be begun again
        return runs

    def _open(self) -> Any:  # noqa: ANN401 - a session of an untyped package
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        options.log_severity_level = 3  # errors only
        options.enable_profiling = True
        options.profile_file_prefix = str(self._folder / "trace")
        try:
            return self._runtime.InferenceSession(str(self._path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exception classes share no base but Exception
            raise ArtifactError(f"ONNX Runtime refuses {self._path}: {str(error).strip().splitlines()[0]}") from error


def _runs(events: list[dict[str, Any]]) -> list[list[Kernel]]:
    """The kernels of each run; that itself is written down when it ends."""
    runs: list[list[Kernel]] = []
    kernels: list[Kernel] = []
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(_KERNEL):
            kernels.append((event["name"].removesuffix(_KERNEL), event["dur"] + _CUT_OFF_US))
        elif event["name"] == _RUN:
            runs.append(kernels)
            kernels = []
    return runs
