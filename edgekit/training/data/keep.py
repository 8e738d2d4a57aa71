"""Training images that stay with what was trained on them, to calibrate it when the data have moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit import files

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.training.data.examples import Examples


def calibration_images(examples: Examples, folder: Path, count: int = 256) -> None:
    """Write some examples, as many of each class as there are, into a folder that ``open_images`` reads.

    Files stay what they are, byte for byte; images out of an array become PNG. The same examples give the same files,
    and the folder takes the place of what was there, all of it or nothing.

    Args:
        examples: what is trained with.
        folder: where to write.
        count: how many, at most.

    Raises:
        BadInput: the folder cannot be written.
    """
    with files.replacing(folder) as temporary:
        temporary.mkdir()
        for number, place in enumerate(examples.spread(count)):
            content, suffix = examples.file(place)
            (temporary / f"{number:04d}{suffix}").write_bytes(content)
