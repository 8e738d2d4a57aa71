"""The same files on an emulated aarch64."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.benchmarks.claims.elsewhere import OUTPUTS
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype
from edgekit.runtimes.litert import Kernels
from edgekit.runtimes.machines import AARCH64, NEWEST_LITERT, NEWEST_ONNX, PI_5, Setting
from edgekit.runtimes.onnx_runtime import OptimizationLevel
from edgekit.verification.proven import split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.benchmarks.claims.found import Found
    from edgekit.benchmarks.claims.measuring import Trial

_SETTINGS: Final = {
    "tflite": [Setting(AARCH64, processor, NEWEST_LITERT, Kernels.XNNPACK) for processor in AARCH64.processors],
    "onnx": [
        *(Setting(AARCH64, processor, NEWEST_ONNX, OptimizationLevel.ALL) for processor in AARCH64.processors),
        *(Setting(AARCH64, PI_5, NEWEST_ONNX, level) for level in OptimizationLevel if level != OptimizationLevel.ALL),
    ],
}


def measure(trials: Sequence[Trial]) -> list[list[Found]]:
    """All forms of each trial, in every setting."""
    off: list[dict[str, dict[str, int]]] = [{} for _ in trials]
    for name, settings in _SETTINGS.items():
        with tempfile.TemporaryDirectory() as temporary:
            folders = [Path(temporary, f"{place:04d}") for place in range(len(trials))]
            dtypes = {}
            for folder, trial in zip(folders, trials, strict=True):
                folder.mkdir()
                io_dtype = dtypes[folder] = trial.write(FORMATS[name], folder / f"forms{FORMATS[name].suffix}")
                given = trial.model.params[trial.model.graph.input]
                batch = trial.stored if io_dtype is IoDtype.INT8 else given.dequantize(trial.stored)
                np.save(folder / "stored.npy", batch)
            for setting in settings:
                ran = _run(setting, Path(temporary), FORMATS[name].suffix)
                for differences, folder, trial in zip(off, folders, trials, strict=True):
                    with np.load(folder / OUTPUTS, allow_pickle=False) as outputs:
                        differences[ran] = trial.off(outputs, dtypes[folder])
    return [trial.found(differences) for trial, differences in zip(trials, off, strict=True)]


def _run(setting: Setting, folder: Path, suffix: str) -> str:
    """Run every file in one process, and say in what."""
    machine = setting.machine
    command = [*machine.command(setting.processor), "-m", "edgekit.benchmarks.claims.elsewhere"]
    done = subprocess.run(
        [*command, str(folder), suffix, setting.kernels],
        env=machine.environment(setting.wheels),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{setting.processor}, {setting.kernels}: {done.stderr[-2000:]}"
    name, _ = split(done.stdout.strip().splitlines()[-1])
    return f"{name}, emulated {machine.title} ({machine.processors[setting.processor]})"
