"""Ten runs that are killed, against one that is not: ``python -m edgekit.benchmarks.training.killing``.

A small network is trained on pictures of CIFAR's size by ``edgekit train``, in a process of its own that is ended by
SIGKILL at a random moment and started again, until it has been killed ten times and ends by itself. The weights are
compared with those of a run that was left alone, bit by bit.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

KILLS, LONGEST_S = 10, 12.0  # how long a process lives at most
_QUICK = ("--arch", "mobilenet_v1_cifar", "--width", "0.25", "--epochs", "12", "--threads", "1", "--lr", "0.05")


def main() -> None:
    """Train, kill, compare, and print one line."""
    parser = argparse.ArgumentParser(description="edgekit train, killed at random moments.")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    moments = random.Random(options.seed)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory() as folder:
        data, whole, cut = (Path(folder) / name for name in ("data.npz", "whole", "cut"))
        _write_images(data)
        started = time.monotonic()
        subprocess.run(_command(data, whole), check=True, capture_output=True)
        alone_s = time.monotonic() - started
        killed = 0
        while killed < options.kills:
            process = subprocess.Popen(_command(data, cut), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(moments.uniform(1.0, LONGEST_S))
                break  # it was done before
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
        subprocess.run(_command(data, cut), check=True, capture_output=True)
        names = ("best.safetensors", "last.safetensors")
        same = all((whole / name).read_bytes() == (cut / name).read_bytes() for name in names)
        found = "the same weights, to the bit" if same else "OTHER WEIGHTS"
        print(f"killed {killed} times: {found}; a run that is left alone takes {alone_s:.0f} s")
    sys.exit(not same)


def _command(data: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "edgekit", "train", str(data), *_QUICK, "--out", str(out)]


def _write_images(path: Path) -> None:
    """1,000 pictures of noise whose colours hint at their class."""
    random = np.random.default_rng(0)
    labels = np.arange(1000) % 4
    images = random.integers(0, 200, (1000, 32, 32, 3), np.uint8)
    images[..., 0] += (15 * labels).astype(np.uint8)[:, None, None]
    np.savez(path, images=images, labels=labels)


if __name__ == "__main__":
    main()
