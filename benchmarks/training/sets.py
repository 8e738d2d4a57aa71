"""CIFAR-10 as ``edgekit train`` reads it: ``python -m edgekit.benchmarks.training.sets OUT``.

EDGEKIT_REALDATA names the folder with sets/cifar10. OUT gets train.npz and test.npz, which training leaves alone.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from edgekit.benchmarks.peers.networks import data_folder


def main() -> None:
    """Write both parts."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        packed = np.load(data_folder() / "sets" / "cifar10" / f"{part}.npz")
        jpeg, offsets, labels = packed["jpeg"], packed["offsets"], packed["labels"].astype(np.int64)
        opened = (Image.open(io.BytesIO(jpeg[offsets[i] : offsets[i + 1]].tobytes())) for i in range(len(labels)))
        images = np.stack([np.asarray(image.convert("RGB")) for image in opened])
        np.savez(out / f"{part}.npz", images=images, labels=labels, classes=packed["classes"])


if __name__ == "__main__":
    main()
