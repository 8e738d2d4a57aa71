"""Integer models made again with other threads and instructions: every integer the same, and what it takes.

    python -m edgekit.benchmarks.rebuilding exported/ ... [--aarch64 TORCH]

Each folder is what ``edgekit export --int8`` wrote; the manifest in it has to lead to the checkpoint. Each processor is
a process of its own, because libraries choose their kernels when they are loaded. With ``--aarch64``, two of those that
``edgekit emulate aarch64`` set up follow; TORCH is a folder of wheels for them, which docs/verification.md tells how to
fill.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit.calibration.saved import load
from edgekit.integer_model import SUFFIX, IntegerModel
from edgekit.pipeline.making import rebuilding
from edgekit.pipeline.making.integers import RANGES_SUFFIX
from edgekit.pipeline.making.trained import load_as_exported
from edgekit.pipeline.proving.records import Records
from edgekit.runtimes.machines import AARCH64, NEWEST_ONNX
from edgekit.verification.same_contents import model_differences

if TYPE_CHECKING:
    from collections.abc import Iterator

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
EMULATED: Final = ("cortex-a72", "max")  # plain NEON, and all that QEMU knows, SVE and SME among it


def rebuilt(folder: Path) -> dict[str, Any]:
    """One network: how many integers there are, how many things differ, and the seconds of this processor that it took.

    Raises:
        BadInput: a file is missing or damaged.
    """
    (saved,) = folder.glob(f"*{SUFFIX}")
    record = Records().of(saved)
    assert record is not None, "export writes a manifest"
    model = IntegerModel.load(saved)
    ranges = load(folder / f"{model.graph.name}{RANGES_SUFFIX}")
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


def main() -> None:
    """Prints a line a processor and network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="what edgekit export --int8 wrote")
    parser.add_argument("--aarch64", type=Path, metavar="TORCH", help="a folder with torch and safetensors for aarch64")
    given = parser.parse_args()
    if os.environ.get("_EDGEKIT_REBUILD"):
        for folder in given.folders:
            print(json.dumps(rebuilt(folder)))
        return
    if given.aarch64 is not None and (missing := AARCH64.missing()):
        parser.error(missing)
    for name, python, variables in _processors(given.aarch64):
        environment = {**variables, "_EDGEKIT_REBUILD": "1"}
        command = [*python, "-m", "edgekit.benchmarks.rebuilding", *map(str, given.folders)]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        for line in done.stdout.splitlines():
            print(f"{name}: {line}", flush=True)


def _processors(torch: Path | None) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """The name of each processor, how its Python is started, and with which variables."""
    for name, variables in PROCESSORS.items():
        yield name, [sys.executable], {**os.environ, **variables}
    if torch is None:
        return
    environment = AARCH64.environment(NEWEST_ONNX)  # numpy and pillow, and what reads .onnx checkpoints
    environment["PYTHONPATH"] += f"{os.pathsep}{torch.resolve()}"
    for processor in EMULATED:
        variables = {**environment, "OMP_NUM_THREADS": "2"}
        yield f"2 threads, emulated {AARCH64.processors[processor]}", AARCH64.command(processor), variables


if __name__ == "__main__":
    main()
