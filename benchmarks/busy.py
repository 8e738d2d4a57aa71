"""What a busy machine does to a command: ``python -m edgekit.benchmarks.busy``.

The export of the shipped network runs alone and beside processes that keep every core busy, in turns, once as the
command is and once with the waiting of OpenMP's threads as torch has it by default. Processor time is what counts: the
wall clock says how many others there were.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from statistics import median

BUSY, RUNS = 4, 3
_BURN = "while True: pass"
_WAITING = {
    "as it is": {},
    # libgomp takes its default for what it does not know; OpenBLAS' is in edgekit.device.threads
    "as torch waits by default": {"OMP_WAIT_POLICY": "default", "OPENBLAS_THREAD_TIMEOUT": "28"},
}


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description="Processor time of an export on a quiet and on a busy machine.")
    parser.add_argument("--busy", type=int, default=BUSY, help="how many busy processes")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each kind, in turns")
    parser.add_argument("arguments", nargs="*", help="of edgekit; by default the export of the shipped network")
    options = parser.parse_args()
    arguments = options.arguments or ["export", "--int8", "--target", "tflite,onnx"]
    kinds = [(waiting, busy) for waiting in _WAITING for busy in (0, options.busy)]
    found: dict[tuple[str, int], list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for _ in range(options.runs):
        for waiting, busy in kinds:
            found[waiting, busy].append(_seconds(arguments, _WAITING[waiting], busy))
            print(f"{waiting}, {busy} busy: {found[waiting, busy][-1]}", file=sys.stderr)
    print(f"`edgekit {' '.join(arguments)}`, {os.cpu_count()} cores, median of {options.runs} runs\n")
    print("| threads wait | busy processes beside it | processor s | wall s | processor, busy : quiet |")
    print("|---|---|---|---|---|")
    for waiting, busy in kinds:
        used, wall = (median(run[i] for run in found[waiting, busy]) for i in (0, 1))
        quiet = median(run[0] for run in found[waiting, 0])
        print(f"| {waiting} | {busy} | {used:.1f} | {wall:.1f} | {used / quiet:.2f} |")


def _seconds(arguments: list[str], variables: dict[str, str], busy: int) -> tuple[float, float]:
    """Processor and wall time of one run, its child processes included."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="edgekit."))
        for _ in range(busy):
            burning = stack.enter_context(subprocess.Popen([sys.executable, "-c", _BURN]))
            stack.callback(burning.kill)
        began, before = time.perf_counter(), os.times()
        subprocess.run(
            [sys.executable, "-m", "edgekit", *arguments],
            cwd=folder,
            env={**os.environ, **variables},
            capture_output=True,
            check=True,
        )
        wall, after = time.perf_counter() - began, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used, wall


if __name__ == "__main__":
    main()
