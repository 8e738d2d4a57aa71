"""The process that runs many files on an emulated machine.

``python -m edgekit.benchmarks.claims.elsewhere FOLDER SUFFIX KERNELS``: each folder in FOLDER has forms.SUFFIX and
stored.npy, int8 inputs; it gets outputs.npz, the outputs by name. Starting an emulated Python takes longer than all
that it runs. It imports what a Raspberry Pi has: numpy and one runtime.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edgekit.runtimes.worker import open_runner

OUTPUTS = "outputs.npz"


def run_all(folder: Path, suffix: str, kernels: str) -> str:
    """Run every file with these kernels, and say what ran them."""
    for path in sorted(folder.glob(f"*/forms{suffix}")):
        with open_runner(path, kernels) as runner:
            np.savez(path.with_name(OUTPUTS), allow_pickle=False, **runner.run(np.load(path.with_name("stored.npy"))))
    return runner.name


if __name__ == "__main__":
    sys.stdout.write(run_all(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
