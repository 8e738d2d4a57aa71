"""Five classes of CIFAR-10, on which a network can be trained a little in minutes.

Pictures are enlarged from 32 to 48 pixels, so that the last feature maps are not of one pixel. The calibration images
are of the training part, but none of them is trained on; the test part only measures.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from edgekit import files

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 48  # pixels, of the stored images and of the networks' input
CLASSES = ("airplane", "automobile", "frog", "horse", "ship")
CALIBRATION = 256  # images at the end of the training part


def pictures(data: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Those of CLASSES in sets/cifar10, [N, 32, 32, 3], and the number of each one's class.

    Args:
        data: the folder that EDGEKIT_REALDATA names.
        part: "train" or "test".
    """
    packed = np.load(data / "sets" / "cifar10" / f"{part}.npz")
    jpeg, offsets, names = packed["jpeg"], packed["offsets"], packed["classes"].tolist()
    wanted = {names.index(name): number for number, name in enumerate(CLASSES)}
    chosen = [(i, wanted[label]) for i, label in enumerate(packed["labels"].tolist()) if label in wanted]
    opened = (Image.open(io.BytesIO(jpeg[offsets[i] : offsets[i + 1]].tobytes())) for i, _ in chosen)
    return np.stack([np.asarray(image) for image in opened]), np.array([label for _, label in chosen])


def write_folders(data: Path, cache: Path) -> None:
    """Write folders calibration and validation of enlarged images to ``cache``, as edgekit reads them."""
    for name, part, places in (
        ("calibration", "train", slice(-CALIBRATION, None)),
        ("validation", "test", slice(None)),
    ):
        pixels, labels = (array[places] for array in pictures(data, part))
        with files.staging(cache / name) as folder:
            rows = ["file,class_index"]
            for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
                rows.append(f"{number:05}.png,{label}")
                large = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
                large.save(folder / f"{number:05}.png")
            (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
