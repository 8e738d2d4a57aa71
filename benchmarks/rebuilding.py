"""Integer models made again with other threads and instructions: every integer the same, and what it takes.

    python -m edgekit.benchmarks.rebuilding exported/ ...

Each folder is what ``edgekit export --int8`` wrote; the manifest in it has to lead to the checkpoint. Each processor is
a process of its own, because libraries choose their kernels when they are loaded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from edgekit.calibration.ranges import Ranges
from edgekit.integer_model import SUFFIX, IntegerModel
from edgekit.pipeline import rebuilding
from edgekit.pipeline.integers import RANGES_SUFFIX
from edgekit.pipeline.records import Records
from edgekit.pipeline.source import load_as_exported
from edgekit.verification.same_contents import model_differences

# What numpy, torch, oneDNN, MKL and OpenBLAS choose kernels by.
_PLAIN: Final = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
}
PROCESSORS: Final = {
    "1 thread": {"OMP_NUM_THREADS": "1"},
    "2 threads": {"OMP_NUM_THREADS": "2"},
    "1 thread, SSE4 alone": {"OMP_NUM_THREADS": "1", **_PLAIN},
}


def rebuilt(folder: Path) -> dict[str, Any]:
    """One network: how many integers there are, how many things differ, and the seconds of this processor that it took.

    Raises:
        BadInput: a file is missing or damaged.
    """
    (saved,) = folder.glob(f"*{SUFFIX}")
    record = Records().of(saved)
    assert record is not None, "export writes a manifest"
    model = IntegerModel.load(saved)
    ranges = Ranges.load(folder / f"{model.graph.name}{RANGES_SUFFIX}")
    started = time.process_time()
    trained = load_as_exported(record.manifest.settings.model, model.provenance)
    wanted = rebuilding.integer_model(trained, trained.capture(), ranges, model)
    seconds = time.process_time() - started
    differences = [str(difference) for difference in model_differences(model, wanted)]
    return {
        "network": model.graph.name,
        "integers": rebuilding.numbers(wanted),
        "differences": len(differences),
        "first": next(iter(differences), None),
        "seconds": round(seconds, 2),
    }


def main(folders: list[str]) -> None:
    """Prints a line a processor and network."""
    if os.environ.get("_EDGEKIT_REBUILD"):
        for folder in folders:
            print(json.dumps(rebuilt(Path(folder))))
        return
    for name, variables in PROCESSORS.items():
        environment = {**os.environ, **variables, "_EDGEKIT_REBUILD": "1"}
        command = [sys.executable, "-m", "edgekit.benchmarks.rebuilding", *folders]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        for line in done.stdout.splitlines():
            print(f"{name}: {line}")


if __name__ == "__main__":
    main(sys.argv[1:])
