"""What a sweep loses with its workers, and what a second worker gains: ``python -m edgekit.benchmarks.sweeping``.

40 cells of the network that edgekit ships, without timing, are measured by one worker and by two. Then 200 on a real
Ray cluster of four nodes with a core each on this machine: two of the nodes are killed on the way, one after the other,
and then the sweep itself (SIGKILL), which the same command goes on with. What had been done before each of these has to
be untouched at the end, and every cell has to be there.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from edgekit.defaults import FOLDER
from edgekit.device.machine import examine
from edgekit.pipeline.choosing.cluster import ENVIRONMENT

NODES: Final = 4
LOST: Final = 2  # of them
AFTER: Final = (0.2, 0.4, 0.6)  # shares of the units at which a node, a node and the sweep are killed
CELLS: Final = 200
FEW: Final = 40
_SIZES: Final = range(22, 62, 2)
_GRID: Final = f"""
[grid]
checkpoint = ["{FOLDER}/digits_v3.safetensors"]
resolution = {{sizes}}
precision = ["float32", "float16", "dynamic", "weight-only", "int8"]
target = ["tflite", "onnx"]
device = ["none"]

[preprocessing]
resize = "whole"
interpolation = "bilinear"
order = "RGB"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]

[calibration]
data = "{FOLDER}/calibration.npz"
images = 32

[verify]
data = "{FOLDER}/test.npz"
images = 60
"""


def main() -> None:
    """Measure, and print what was found."""
    print(f"{examine().processor}, {examine().cores} cores; load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "all.toml").write_text(_GRID.format(sizes=list(_SIZES)))
        (folder / "few.toml").write_text(_GRID.format(sizes=list(_SIZES)[4 : 4 + FEW // 10]))
        seconds = {}
        for workers in (1, 2):
            seconds[workers] = _timed("few.toml", f"few{workers}", "--workers", str(workers), folder=folder)
            print(f"{FEW} cells with {workers} of one thread: {seconds[workers]:.0f} s, load {os.getloadavg()[0]:.1f}")
        print(f"2 workers are {seconds[1] / seconds[2]:.2f} times as fast as one")
        _killed(folder)


def _timed(*arguments: str, folder: Path) -> float:
    started = time.perf_counter()
    with _sweep(*arguments, folder=folder) as process:
        if process.wait() != 0:
            raise SystemExit((folder / "log").read_text())
    return time.perf_counter() - started


def _sweep(spec: str, out: str, *arguments: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "edgekit", "sweep", spec, "--out", out, *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=(folder / "log").open("wb"))


def _killed(folder: Path) -> None:
    """A sweep whose nodes are killed, and then it itself."""
    os.environ |= ENVIRONMENT
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - reads the environment

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(NODES)]
    started = time.perf_counter()
    try:
        process = _sweep("all.toml", "all", "--address", cluster.address, folder=folder)
        seen = []
        for number, share in enumerate(AFTER):
            _wait(process, folder, share)
            if number < LOST:
                cluster.remove_node(nodes[number], allow_graceful=False)
            else:
                process.send_signal(signal.SIGKILL)
                process.wait()
            seen.append(_done(folder))
            print(f"{'a node' if number < LOST else 'the sweep'} was killed after {len(seen[-1])} cells")
        _timed("all.toml", "all", "--address", cluster.address, folder=folder)
    finally:
        cluster.shutdown()
    after = _done(folder)
    with closing(sqlite3.connect(folder / "all" / "sweep.db")) as base:
        (failed,) = base.execute("SELECT count(*) FROM cells WHERE accuracy IS NULL").fetchone()
        attempts = Counter(number for (number,) in base.execute("SELECT attempts FROM work"))
    touched = sum(after.get(key) != row for before in seen for key, row in before.items())
    print(f"{len(after)} of {CELLS} cells, {failed} without accuracy, in {time.perf_counter() - started:.0f} s")
    print(f"cells that were done before a kill and were done again: {touched}")
    print(f"attempts that the sweep counted, and how many cells had so many: {dict(sorted(attempts.items()))}")
    if len(after) != CELLS or failed or touched or attempts[1] < CELLS - NODES * len(AFTER):
        raise SystemExit("something was lost, or done twice")


def _wait(process: subprocess.Popen[bytes], folder: Path, share: float) -> None:
    while len(_done(folder)) < share * CELLS:
        if process.poll() is not None:
            raise SystemExit(f"the sweep ended: {(folder / 'log').read_text()}")
        time.sleep(1)


def _done(folder: Path) -> dict[str, tuple[float, str]]:
    """What was done: how long each took, to the microsecond, which no second time would repeat, and its result."""
    path = folder / "all" / "sweep.db"
    if not path.exists():
        return {}
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as base:
            found = base.execute("SELECT key, seconds, result FROM work WHERE result IS NOT NULL")
            return {key: (seconds, result) for key, seconds, result in found}
    except sqlite3.OperationalError:  # it has no tables yet
        return {}


if __name__ == "__main__":
    main()
